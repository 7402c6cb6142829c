"""A program on Catenet's stack behind a TUN device, as the tests of this folder start it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Namespace

__all__ = ["ADDRESSES", "start_behind_tun"]

ADDRESSES = ["10.9.0.2", "fd09::2"]


def start_behind_tun(namespace: Namespace, program: Path, *args: str) -> subprocess.Popen[str]:
    """Start a program at both `ADDRESSES`, and wait until it says that it is listening."""
    addresses = ["--address", f"{ADDRESSES[0]}/24", "--address", f"{ADDRESSES[1]}/64"]
    words = ["-m", "catenet", "run", "--net", "tun", *addresses, str(program), *args]
    child = namespace.start(sys.executable, *words)
    assert child.stdout is not None
    for line in child.stdout:
        if "listening" in line:
            break
    return child
