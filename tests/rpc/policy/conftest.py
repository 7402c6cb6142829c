"""The echo service, and an issuer of tokens, can be imported by name."""

import sys
from pathlib import Path

from tests.net.loops import run

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "identity"), str(HERE.parent / "runtime")]

__all__ = ["run"]
