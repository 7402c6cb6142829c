"""Real servers and tools that the tests talk to: installed, or unpacked where nothing starts them as services."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["UNPACKED", "environment", "of_test", "program", "tool"]

UNPACKED = Path(os.environ.get("CATENET_PEERS") or Path.home() / ".cache" / "catenet-peers")
"""Where `.ci/peers` unpacks packages whose servers exclude each other, or would be started."""

_unmarked: str | None = None
"""The test that runs and has no mark for peers."""


@contextlib.contextmanager
def of_test(name: str, marked: bool) -> Iterator[None]:
    """While a test runs: without the mark `peer` or `root` it may ask for no program."""
    global _unmarked
    _unmarked = None if marked else name
    try:
        yield
    finally:
        _unmarked = None


def program(name: str) -> Path | None:
    """Path of a program, None where it is neither installed nor unpacked; not for unmarked tests."""
    assert _unmarked is None, f"{_unmarked} asks for {name} and has no mark `peer`: `make unit` is without real peers"
    for folder in ("usr/sbin", "usr/bin", "sbin"):
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
    machine = f"{os.uname().machine}-linux-gnu"
    libraries = UNPACKED / "usr" / "lib" / machine
    # PulseAudio's own library is found by a path that was right where it would have been installed.
    folders = [libraries, UNPACKED / "lib" / machine, libraries / "pulseaudio"]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, folders))}
