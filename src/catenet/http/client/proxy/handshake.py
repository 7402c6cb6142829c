"""What the handshakes with proxies have in common."""

from __future__ import annotations

__all__ = ["Handshake", "Refused"]


class Refused(Exception):
    """The proxy does not do it, or does not speak the protocol. `status`: of its response, over HTTP."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Handshake:
    """The client's side of a handshake, without I/O. When it is `done`, the bytes are those of the server behind."""

    def __init__(self) -> None:
        self.done = False
        self._out = b""
        self._buffer = b""

    def transmit(self) -> bytes:
        """Return what is to be sent now."""
        out, self._out = self._out, b""
        return out

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the proxy, b"" at the end of its stream; return those that follow the handshake.

        Raises `Refused`.
        """
        if not data:
            raise Refused("the proxy closed the connection")
        self._buffer += data
        while not self.done and self._step():
            pass
        return self._buffer if self.done else b""

    def _step(self) -> bool:
        """Take one answer from the buffer; return whether there may be another."""
        raise NotImplementedError
