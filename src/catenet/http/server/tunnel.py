"""What an exchange becomes after 101, or 2xx to CONNECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.http.server.exchange import Exchange

__all__ = ["Tunnel"]


class Tunnel:
    """Bytes of another protocol, both ways, over what was a request and its response."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def read(self) -> bytes:
        """Return what has come, `b""` after the last. Raises `Disconnected`."""
        return await self._exchange.read()

    async def write(self, data: bytes | memoryview) -> None:
        """Send bytes, as soon as the other side takes them. Raises `Disconnected`."""
        await self._exchange.write(data)

    def write_now(self, data: bytes | memoryview) -> bool:
        """Send bytes; False if more should wait for `room`. Raises `Disconnected`."""
        return self._exchange.write_now(data)

    async def room(self) -> None:
        """Wait until the other side has taken what was written."""
        await self._exchange.room()

    def write_eof(self) -> None:
        """End our direction."""
        if not (self._exchange.finished or self._exchange.gone):
            self._exchange.finish_now()

    def close(self) -> None:
        """End both directions, after what was written."""
        self.write_eof()
