"""An upload over HTTP: the body of a request into a partial file, and what hinders it as a status."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from catenet.folder import partial
from catenet.folder.partial import NoRoom
from catenet.http.files.answer import Refused
from catenet.http.server.exchange import Disconnected, Exchange

__all__ = ["Partial"]

GATHERED: Final = 256 << 10
"""Bytes that are written at once."""


class Partial(partial.Partial):
    """A partial file whose methods raise `Refused`."""

    async def receive(self, exchange: Exchange, limit: int) -> None:
        """Append the body of a request. What has come is kept, whatever happens.

        Raises `Refused` (413 beyond `limit` bytes in all, 507 without room), `Disconnected`.
        """
        pieces: list[bytes] = []
        gathered = 0
        try:
            while piece := await exchange.read():
                if self.size + gathered + len(piece) > limit:
                    raise Refused(413)
                pieces.append(piece)
                gathered += len(piece)
                if gathered >= GATHERED:
                    taken, pieces, gathered = pieces, [], 0
                    await self.write(taken)
        except (Disconnected, asyncio.CancelledError):
            with contextlib.suppress(Refused):
                self.write_now(pieces)
            raise
        await self.write(pieces)

    def write_now(self, pieces: list[bytes]) -> None:
        """Append bytes. Raises `Refused` (507)."""
        try:
            super().write_now(pieces)
        except NoRoom:
            raise Refused(507) from None

    def publish(self, name: str, overwrite: bool) -> None:
        """Give the file its name. Raises `Refused` (409) if there is something already."""
        try:
            super().publish(name, overwrite)
        except FileExistsError:
            raise Refused(409) from None
