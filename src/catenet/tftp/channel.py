"""A transfer as a stream for one task: `read` or `write`, with back-pressure by ACKs that wait; either end uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from catenet.tftp.errors import ErrorCode, TftpError
from catenet.tftp.netascii import NetasciiDecoder, encode
from catenet.tftp.options import Granted
from catenet.tftp.packets import NETASCII
from catenet.tftp.transfer import Transfer

__all__ = ["Channel"]

GATHERED: Final = 256 << 10
"""Bytes that are handed over at once, unless it is the end."""
MOST_HELD: Final = 1 << 20
"""Bytes that wait; then nothing is acknowledged, or nothing more is taken from who writes."""


class Channel:
    """Made by `catenet.tftp.client` or the server. `flush`: there may be something to send.

    `moved`: bytes of the file that have been read or written here, in the form of this machine.
    """

    def __init__(self, transfer: Transfer, flush: Callable[[], None], mode: str) -> None:
        self.transfer = transfer
        self.moved = 0
        self._flush = flush
        self._text = mode == NETASCII
        self._decoder = NetasciiDecoder()
        self._waiter: asyncio.Future[None] | None = None
        self._is_ready: Callable[[], bool] = self._has_begun
        self._at_end = False
        transfer.notify = self._notify

    def _notify(self) -> None:
        receiver = self.transfer.receiver
        if receiver is not None and receiver.held >= MOST_HELD and not receiver.ended:
            receiver.hold = True
        if self._waiter is not None and not self._waiter.done() and (self.transfer.over or self._is_ready()):
            self._waiter.set_result(None)

    async def _wait(self, is_ready: Callable[[], bool]) -> None:
        """Wait until it is, or the transfer is over. Raises `TftpError`."""
        self._is_ready = is_ready
        while not self.transfer.over and not is_ready():
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.transfer.error is not None:
            raise self.transfer.error

    def _has_begun(self) -> bool:
        return self.transfer.granted is not None

    async def begun(self) -> Granted:
        """Wait for the other end; return what both have agreed on. Raises `TftpError`."""
        await self._wait(self._has_begun)
        assert self.transfer.granted is not None
        return self.transfer.granted

    # Reading.

    def _has_data(self) -> bool:
        receiver = self.transfer.receiver
        return receiver is not None and (receiver.ended or receiver.held >= GATHERED)

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end: then `finish` says that they are stored. Raises `TftpError`."""
        while not self._at_end:
            await self._wait(self._has_data)
            receiver = self.transfer.receiver
            assert receiver is not None
            data = b"".join(receiver.take())
            self._at_end = receiver.ended
            if receiver.hold:
                receiver.hold = False
                self._flush()
            if self._text:
                data = self._decoder.feed(data) + (self._decoder.end() if self._at_end else b"")
            if data:
                self.moved += len(data)
                return data
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces of the file; at the end it is taken for stored. Raises `TftpError`."""
        while data := await self.read():
            yield data
        await self.finish()

    # Writing.

    def _has_room(self) -> bool:
        sender = self.transfer.sender
        return sender is not None and sender.held <= MOST_HELD // 2

    async def write(self, data: bytes | bytearray) -> None:
        """Send the next bytes; wait while too many are on their way. Raises `TftpError`."""
        await self._wait(self._has_room)
        sender = self.transfer.sender
        assert sender is not None
        sender.feed(encode(bytes(data)) if self._text else data)
        self.moved += len(data)
        self._flush()

    # The end.

    async def finish(self) -> None:
        """Say that what was read is stored, or that all is written, and wait until that is done. Raises `TftpError`."""
        await self.begun()
        if self.transfer.sender is not None:
            self.transfer.sender.end()
        elif self.transfer.receiver is not None:
            self.transfer.receiver.release()
        self._flush()
        await self._wait(lambda: False)

    def fail(self, error: TftpError) -> None:
        """End it, and say so to the other end."""
        self.transfer.fail(error)
        self._flush()

    def cancel(self) -> None:
        """Nobody wants it any more, if it is not over."""
        if not self.transfer.over:
            self.fail(TftpError(ErrorCode.UNDEFINED, "cancelled"))
