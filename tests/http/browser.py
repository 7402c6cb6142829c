"""Chromium, headless, opening a page whose script tells the server what it has seen."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.peers import UNPACKED, environment, program

__all__ = ["opening"]


def _binary() -> str:
    unpacked = UNPACKED / "usr/lib/chromium/chromium"
    found = unpacked if unpacked.exists() else program("chromium")
    if found is None:
        pytest.skip("needs the chromium command")
    return str(found)


@contextlib.contextmanager
def opening(url: str, *words: str) -> Iterator[None]:
    """Open a page while the context is open."""
    binary = _binary()
    variables = environment() if binary.startswith(str(UNPACKED)) else dict(os.environ)
    if "LD_LIBRARY_PATH" in variables:
        libraries = variables["LD_LIBRARY_PATH"]
        variables["LD_LIBRARY_PATH"] = f"{libraries}:{libraries}/pulseaudio"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        variables["HOME"] = home
        command = [
            binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={Path(home) / 'profile'}", "--disable-background-networking", *words, url,
        ]  # fmt: skip
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait(20)
