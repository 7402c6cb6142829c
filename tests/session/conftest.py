"""Modules that several tests of this folder share can be imported by name; and what they run their coroutines in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tests.net.loops import run

__all__ = ["run"]
