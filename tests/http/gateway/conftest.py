"""Clients of bytes are those of the server's tests; coroutines run on either event loop."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from tests.http.server.conftest import run

__all__ = ["run"]
