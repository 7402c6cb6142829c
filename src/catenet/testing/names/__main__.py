"""`python -m catenet.testing.names`: be the name server that standard input describes, a JSON object."""

from __future__ import annotations

import asyncio
import json
import sys

try:
    from catenet.testing.names.serving import serve
except ModuleNotFoundError as error:
    if error.name not in ("cryptography", "dns"):
        raise
    sys.exit(f"worlds with [dns] need {error.name}: pip install 'catenet[dns]'")

if __name__ == "__main__":
    asyncio.run(serve(json.load(sys.stdin)))
