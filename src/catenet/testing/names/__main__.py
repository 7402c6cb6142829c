"""`python -m catenet.testing.names`: be the name server that standard input describes, a JSON object."""

from __future__ import annotations

import asyncio
import json
import sys

from catenet.testing.names.serving import serve

if __name__ == "__main__":
    asyncio.run(serve(json.load(sys.stdin)))
