"""What the handshakes with proxies have in common."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Handshake", "Refused"]


class Refused(Exception):
    """The proxy does not do it, or does not speak the protocol. `status`: of its response, over HTTP."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Handshake(Protocol):
    """The client's side of a handshake, without I/O. When it is `done`, the bytes are those of the server behind."""

    done: bool

    def transmit(self) -> bytes:
        """Return what is to be sent now."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the proxy, b"" at the end of its stream; return those that follow the handshake.

        Raises `Refused`.
        """
