"""`python -m catenet.testing.names FILE`: be the name server that a file describes, in JSON; SIGHUP: read it again."""

from __future__ import annotations

import asyncio
import sys

try:
    from catenet.testing.names.serving import serve
except ModuleNotFoundError as error:
    if error.name not in ("cryptography", "dns"):
        raise
    sys.exit(f"worlds with [dns] need {error.name}: pip install 'catenet[dns]'")

if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
