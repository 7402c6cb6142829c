"""Real servers and tools that the tests talk to: installed, or unpacked where nothing starts them as services."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

__all__ = ["UNPACKED", "environment", "program", "tool"]

UNPACKED = Path(os.environ.get("CATENET_PEERS") or Path.home() / ".cache" / "catenet-peers")
"""Where `.ci/peers` unpacks packages whose servers exclude each other, or would be started."""


def program(name: str) -> Path | None:
    """Path of a program, None where it is neither installed nor unpacked."""
    for folder in ("usr/sbin", "usr/bin"):
        if (found := UNPACKED / folder / name).exists():
            return found
    installed = shutil.which(name)
    return Path(installed) if installed else None


def tool(name: str) -> str:
    """Path of a program as a word of a command line; the test is skipped without it."""
    found = program(name)
    if found is None:
        pytest.skip(f"needs the {name} command")
    return str(found)


def environment() -> dict[str, str]:
    """Environment in which an unpacked program finds its libraries."""
    return {**os.environ, "LD_LIBRARY_PATH": str(UNPACKED / "usr" / "lib" / f"{os.uname().machine}-linux-gnu")}
