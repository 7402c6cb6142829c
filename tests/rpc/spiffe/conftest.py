"""Modules that several tests of this folder share, and those of the runtime's tests, can be imported by name."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "runtime")]
