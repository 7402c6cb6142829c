"""An ordinary urllib client."""

import json
import sys
import urllib.request

PAYLOAD = bytes(range(256)) * 1000

url = sys.argv[1]
with urllib.request.urlopen(f"{url}/hello?n=1", timeout=30) as answer:
    assert json.load(answer)["query"] == {"n": "1"}
with urllib.request.urlopen(f"{url}/echo", data=PAYLOAD, timeout=30) as answer:
    assert answer.read() == PAYLOAD[::-1]
print("done")
