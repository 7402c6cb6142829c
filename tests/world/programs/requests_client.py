"""An ordinary requests client, synchronous."""

import sys

import requests

PAYLOAD = bytes(range(256)) * 1000

url = sys.argv[1]
with requests.Session() as session:
    for number in range(3):
        assert session.get(f"{url}/hello", params={"n": number}, timeout=30).json()["query"] == {"n": str(number)}
    assert session.post(f"{url}/echo", data=PAYLOAD, timeout=30).content == PAYLOAD[::-1]
print("done")
