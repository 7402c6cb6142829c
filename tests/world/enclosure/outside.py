"""What there is on this machine to be reached, by those who must not: it notes who came."""

from __future__ import annotations

import ctypes
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["Outside", "outside"]

IPC_PRIVATE, IPC_CREAT, IPC_RMID = 0, 0o1000, 0


class Outside:
    """Listeners and their like. `visitors` says who has come so far."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o777)
        self.path = str(self.folder / "socket")
        self.abstract = f"outside-{os.getpid()}"
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self.tcp.getsockname()[1]
        self.udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", self.port))
        self.unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.unix.bind(self.path)
        os.chmod(self.path, 0o777)
        self.datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.datagrams.bind(f"{self.path}.datagrams")
        os.chmod(f"{self.path}.datagrams", 0o777)
        self.hidden = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.hidden.bind(f"\0{self.abstract}")
        for listener in (self.tcp, self.udp, self.unix, self.datagrams, self.hidden):
            if listener.type == socket.SOCK_STREAM:
                listener.listen(100)
            listener.setblocking(False)
        self.shm: int = ctypes.CDLL(None).shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0o666)
        stack.callback(lambda: ctypes.CDLL(None).shmctl(self.shm, IPC_RMID, None))

    def facts(self) -> dict[str, Any]:
        """What those who try have to know."""
        return {
            "port": self.port,
            "path": f"{self.path}",
            "datagrams": f"{self.path}.datagrams",
            "abstract": self.abstract,
            "shm": self.shm,
            "folder": str(self.folder),
        }

    def visitors(self) -> list[str]:
        """Who has come: connections, datagrams, files that were made."""
        came = []
        for name in ("tcp", "unix", "hidden"):
            with suppress(BlockingIOError):
                getattr(self, name).accept()[0].close()
                came.append(name)
        for name in ("udp", "datagrams"):
            with suppress(BlockingIOError):
                came.append(f"{name} {getattr(self, name).recv(100)!r}")
        came += sorted(entry.name for entry in self.folder.iterdir() if not entry.name.startswith("socket"))
        return came


@contextmanager
def outside() -> Iterator[Outside]:
    """Make them."""
    with ExitStack() as stack:
        yield Outside(stack)
