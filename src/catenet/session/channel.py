"""Messages over a session: bounds are kept, everything arrives once and in order, whatever happens to connections."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Unpack

from catenet.session.client import dialling_of, open_session
from catenet.session.messages import LONGEST, MAX_MESSAGE, Assembly, MessageError, pack
from catenet.session.server import SessionServer, serve_as
from catenet.session.transport import READER_LIMIT, SessionInfo, SessionTransport, streams
from catenet.session.wire import ResetCode
from catenet.session.words import ClientWords, ServerWords, make_options, refuse_unknown

__all__ = ["Channel", "connect_messages", "serve_messages"]

logger = logging.getLogger("catenet.session")

PIECE = 256 << 10


class Channel:
    """Sends and receives messages of bytes. `async for` yields what comes until the peer ends its side."""

    def __init__(self, transport: SessionTransport, most: int) -> None:
        self._reader, self._writer = streams(transport, READER_LIMIT)
        self._assembly = Assembly(most)
        self._most = min(most, LONGEST)
        self._transport = transport

    @property
    def session(self) -> SessionInfo:
        """The session."""
        return self._writer.session

    async def send(self, message: bytes) -> None:
        """Send a message; waits while too much is unacknowledged.

        Raises `ConnectionError`; `ValueError` for a message that is larger than `most`, of which nothing is sent.
        """
        if not isinstance(message, (bytes, bytearray, memoryview)):
            raise TypeError(f"a message is bytes, not {type(message).__name__}")
        data = bytes(message)
        if len(data) > self._most:
            raise ValueError(f"a message of {len(data)} bytes; at most {self._most} (most=) are sent and taken")
        self._writer.write(pack(data))
        await self._writer.drain()

    async def receive(self) -> bytes | None:
        """Return the next message; None: the peer has ended its side.

        Raises `ConnectionError`, also for a message that is larger than is taken: then the session is broken off.
        """
        try:
            while (message := self._assembly.next()) is None:
                data = await self._reader.read(PIECE)
                if not data:
                    if self._assembly.unfinished:
                        raise ConnectionError("the peer has ended its side within a message")
                    return None
                self._assembly.feed(data)
        except MessageError as error:
            logger.warning("a session is broken off: %s", error)
            self._transport.abort(ResetCode.MESSAGE)
            raise ConnectionError(str(error)) from None
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self.receive()) is not None:
            yield message

    def end(self) -> None:
        """Send nothing more; what comes can still be received."""
        self._writer.write_eof()

    def close(self) -> None:
        """End the session when the peer has what was sent."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Wait until it has ended. Raises `ConnectionError`."""
        await self._writer.wait_closed()

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._transport.abort()
            return
        self.close()
        await self.wait_closed()


async def connect_messages(url: str, *, most: int = MAX_MESSAGE, **words: Unpack[ClientWords]) -> Channel:
    """Begin a session of messages; `most`: the largest that is sent or taken, in bytes. The rest as in `connect`."""
    refuse_unknown(words, ClientWords, "connect_messages")
    options = make_options(words, messages=True)
    return Channel(await open_session(url, options, dialling_of(words), words.get("credentials", b"")), most)


async def serve_messages(
    handler: Callable[[Channel], Awaitable[None]],
    urls: str | Iterable[str],
    *,
    most: int = MAX_MESSAGE,
    **words: Unpack[ServerWords],
) -> SessionServer:
    """Serve sessions of messages; `most`: the largest that is sent or taken, in bytes.

    The rest as in `serve`, but `state`.
    """
    refuse_unknown(words, ServerWords, "serve_messages")
    if words.get("state") is not None:
        raise ValueError("state: sessions of messages do not survive the process; serve streams")

    async def carry(transport: SessionTransport) -> None:
        await handler(Channel(transport, most))

    return await serve_as(carry, urls, words, messages=True)
