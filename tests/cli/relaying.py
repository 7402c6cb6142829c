"""`catenet connect` and `catenet listen` as programs, ncat and socat beside them, and servers of a few lines."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests import commands

__all__ = ["CATENET", "Listening", "connect", "free_port", "listening", "serving_once", "wait_for"]

CATENET = commands.CATENET
TIME = 30


def connect(*words: str, data: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `catenet connect` to its end."""
    command = [*CATENET, "connect", *map(str, words)]
    return commands.run(command, input=data, capture_output=True, timeout=TIME, **options)


class Listening:
    """A process that listens; `port` if it has one."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def finish(self, data: bytes | None = None) -> tuple[bytes, bytes, int]:
        """Its output, what it complained about, and its status, when it has ended by itself."""
        out, err = self.process.communicate(data, timeout=TIME)
        return out, err, self.process.returncode


@contextlib.contextmanager
def listening(
    *words: str, stdin: int = subprocess.PIPE, cwd: Path | None = None, real: bool = False
) -> Iterator[Listening]:
    """Run `catenet listen` until the line that says where; `real`: exec'd, as where its memory is measured."""
    command = [*CATENET, "listen", *map(str, words)]
    process = commands.Popen(
        command,
        real=real,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line.startswith("serving relay on "), line + process.stderr.read().decode()
        yield Listening(process, line.removeprefix("serving relay on ").strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextlib.contextmanager
def serving_once(
    work: Callable[[socket.socket], None],
    family: int = socket.AF_INET,
    address: tuple[str, int] | str = ("127.0.0.1", 0),
) -> Iterator[object]:
    """Let `work` have the first connection, in a thread; yields the address."""
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        failures: list[BaseException] = []

        def serve() -> None:
            try:
                sock = listener.accept()[0]
                sock.settimeout(TIME)
                with sock:
                    work(sock)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        thread.join(TIME)
        assert not thread.is_alive() and not failures, failures


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port for programs that cannot say which they got."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(check: Callable[[], bool], what: str = "") -> None:
    """Wait until something is so."""
    end = time.monotonic() + TIME
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def is_listening(port: int, kind: str = "tcp") -> bool:
    """Whether somebody does, without a connection that would count."""
    state = {"tcp": "0A", "udp": "07"}[kind]
    for version in ("", "6"):
        for line in Path(f"/proc/net/{kind}{version}").read_text().splitlines()[1:]:
            words: Sequence[str] = line.split()
            if int(words[1].rpartition(":")[2], 16) == port and words[3] == state:
                return True
    return False
