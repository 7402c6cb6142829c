"""Queries of another process to a running world or stack, by a Unix socket in the user's own folder.

The world answers between two slices of its run, so none of its programs runs meanwhile. A question is one line, the
answer one JSON document.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["Control", "abandon", "ask", "forget", "reserve", "running"]

ANSWER_TIMEOUT: Final = 5.0
"""Seconds for which the asking process waits for an answer."""

QUESTION_LIMIT: Final = 1024


def control_folder() -> Path:
    """The user's folder for control sockets, created if necessary; OSError when it belongs to another user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(runtime, "catenet") if runtime else Path(tempfile.gettempdir(), f"catenet-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{path} is not this user's folder")
    return path


_reserved: Final[list[tuple[socket.socket, Path]]] = []
"""The socket of the next `Control`, if it is there already."""


_listening: Final[set[socket.socket]] = set()


def abandon() -> None:
    """Close the sockets here, in a copy of the process that answers by them: programs may run in it."""
    for listener in [*_listening, *(listener for listener, _ in _reserved)]:
        listener.close()
    _listening.clear()
    _reserved.clear()


def reserve() -> None:
    """Make the socket of the next `Control`, for a process that will not be let make any; OSError."""
    if _reserved:
        return
    path = control_folder() / f"{os.getpid()}.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(8)
    listener.setblocking(False)
    _reserved.append((listener, path))
    atexit.register(path.unlink, missing_ok=True)


def forget() -> None:
    """Take the socket's name away, for a process that ends without closing anything."""
    with contextlib.suppress(OSError):
        (control_folder() / f"{os.getpid()}.sock").unlink(missing_ok=True)


class Control:
    """Listens for questions; `answers` are functions by the question's first line. Never blocks its owner for long."""

    def __init__(self, answers: dict[str, Callable[[], Any]]) -> None:
        self._answers = answers
        reserve()
        self._listener, self._path = _reserved.pop()
        _listening.add(self._listener)

    def serve(self) -> None:
        """Answer the questions that wait."""
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                with peer, contextlib.suppress(OSError, ValueError):
                    peer.settimeout(0.2)
                    self._answer(peer)

    def _answer(self, peer: socket.socket) -> None:
        question = peer.recv(QUESTION_LIMIT).decode().strip()
        find = self._answers.get(question)
        answer = {"error": f"unknown question {question!r}"} if find is None else find()
        peer.settimeout(ANSWER_TIMEOUT)
        peer.sendall(json.dumps(answer).encode())

    def close(self) -> None:
        """Stop listening."""
        _listening.discard(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)


def running() -> Iterator[int]:
    """Process numbers of the user's worlds and stacks that run."""
    for path in sorted(control_folder().glob("*.sock")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                # Its process has ended.
                path.unlink(missing_ok=True)
                continue
            except OSError:
                continue
        yield int(path.stem)


def ask(pid: int, question: str) -> Any:
    """Ask the world in process `pid`; OSError when it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(ANSWER_TIMEOUT)
        peer.connect(str(control_folder() / f"{pid}.sock"))
        peer.sendall(question.encode() + b"\n")
        parts = []
        while part := peer.recv(1 << 16):
            parts.append(part)
    if not parts:
        raise ConnectionError(f"the world in process {pid} ended before it answered")
    return json.loads(b"".join(parts))
