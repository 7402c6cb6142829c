"""`catenet serve ntp` as a process of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tests import commands

__all__ = ["CATENET", "serving"]

CATENET = [sys.executable, "-m", "catenet"]


@contextlib.contextmanager
def serving(
    *words: str, listen: Sequence[str] = ("ntp://127.0.0.1:0",), prefix: Sequence[str] = ()
) -> Iterator[tuple[list[str], list[str]]]:
    """The URLs of a server, and a list that has what it has said when it has ended."""
    urls = [word for url in listen for word in ("--listen", url)]
    command = [*prefix, *CATENET, "serve", "ntp", *urls, *words]
    process = commands.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if line.startswith("serving ntp on "):
                break
        else:
            raise AssertionError("".join(said))
        yield line.removeprefix("serving ntp on ").strip().split(", "), said
    finally:
        process.send_signal(signal.SIGHUP)  # reads again what there is
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[1].splitlines(keepends=True)
    assert process.returncode == 0, said
