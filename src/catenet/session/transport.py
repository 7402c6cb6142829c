"""A session as asyncio has it: a transport, and the reader and writer of a stream on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from catenet.net.callbacks import Callbacks
from catenet.net.target import host_and_port
from catenet.session import wire
from catenet.session.core import Ending, Session
from catenet.session.errors import SessionLost, SessionReset

if TYPE_CHECKING:
    from catenet.net.connection import Connection
    from catenet.session.link import Link

__all__ = ["READER_LIMIT", "SessionInfo", "SessionTransport", "SessionWriter", "streams"]

logger = logging.getLogger("catenet.session")

READER_LIMIT = 64 << 10
"""Bytes of a line that `readline` takes, as with `asyncio.open_connection`."""
_KEPT = ("peername", "sockname", "ssl_object", "peercert")
RESETS = {
    wire.ResetCode.ABORTED: "the peer has broken the session off",
    wire.ResetCode.DENIED: "the server does not permit it",
    wire.ResetCode.LIMIT: "the server needs the memory for others",
    wire.ResetCode.SHUTDOWN: "the server shuts down",
    wire.ResetCode.MESSAGE: "a message is larger than the peer takes",
}


class SessionInfo:
    """What `get_extra_info("session")` returns: a session, as its program may look at it."""

    def __init__(self, session: Session, migrate: Callable[[], None]) -> None:
        self._session = session
        self._migrate = migrate
        self.restored = False
        """The session began in a process that is gone: what the handler knew is in `saved`."""
        self.saved = b""
        """What the program wants to find again in the next process (servers with `state`), kept by each commit."""

    @property
    def token(self) -> bytes:
        """The public name of the session."""
        return self._session.token

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._session.active is not None

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return self._session.connections

    @property
    def acknowledged(self) -> int:
        """Bytes of what was written that the peer has said to have."""
        return self._session.acknowledged

    @property
    def unacknowledged(self) -> int:
        """Bytes of what was written that the peer has not said to have."""
        return self._session.sending.held

    @property
    def replayed(self) -> int:
        """Bytes that were sent again."""
        return self._session.sending.replayed

    @property
    def rtt(self) -> float | None:
        """Seconds of a round trip, smoothed; None: not known yet."""
        return self._session.path.rtt

    @property
    def heartbeat(self) -> float:
        """Seconds of silence after which the peer is asked."""
        return self._session.path.interval

    @property
    def credentials(self) -> bytes:
        """What the client has shown when the session began."""
        return self._session.credentials

    def migrate(self) -> None:
        """Make another connection, and leave the one that there is when the new one is ready. Clients only."""
        self._migrate()


class SessionTransport(asyncio.Transport):
    """Carries a protocol over a session, as a transport of asyncio does over a connection.

    `buffer`: when so much is unacknowledged, the protocol's writing is paused.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, session: Session, buffer: int, migrate: Callable[[], None]
    ) -> None:
        super().__init__()
        self.session = session
        self.info = SessionInfo(session, migrate)
        self.connection: Connection[None] | None = None
        """The connection that was attached last."""
        self._known: dict[str, object] = {}
        """What its transport says of it, which is asked for also when it is gone."""
        self.on_ended: Callable[[], None] = _nothing
        self._loop = loop
        self._protocol: Callbacks | None = None
        # Not far below: what is on its way counts too, and the line must not run dry meanwhile.
        self._high, self._low = buffer, buffer - buffer // 8
        self._reading = True
        self._write_paused = False
        self._eof_told = False
        self._closing = False
        self._over = False
        self.commit: Callable[[int], None] | None = None
        """Keeps everything up to an offset of what has come (servers with `state`)."""
        self._error: Exception | None = None
        self._lost_at: float | None = None
        session.on_lost = self._lost

    def start(self, protocol: Callbacks) -> None:
        """Begin to carry `protocol`."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.session.on_change = self.pump
        self.pump()

    def use(self, connection: Connection[None]) -> None:
        """The session goes on by `connection`."""
        again, self.connection = self.connection is not None, connection
        transport = connection.transport
        if transport is not None:
            found = {name: transport.get_extra_info(name) for name in _KEPT}
            self._known = {name: value for name, value in found.items() if value is not None}
        if self._lost_at is not None:
            logger.info("resumed after %.1f s on %s", self._loop.time() - self._lost_at, self._place())
        elif again:
            logger.info("moved to a new connection on %s", self._place())
        self._lost_at = None

    def _lost(self, link: Link) -> None:
        self._lost_at = self._loop.time()
        if self.session.ended is None:
            logger.info("connection lost: %s (%s)", link.failure or "it broke", self._place())

    def _place(self) -> str:
        """Return where the peer is, or was last."""
        peer = self._known.get("peername")
        return host_and_port(*peer[:2]) if isinstance(peer, tuple) else "an unknown address"

    # From the session to the protocol.

    def pump(self) -> None:
        """Hand on what has come, and what has become possible."""
        if self._over or self._protocol is None:
            return
        session = self.session
        ended = session.ended
        if (self._reading or ended is not None) and not self._closing:
            try:
                self._feed()
            except Exception as error:
                self._fail_fatally(error)
        if self._write_paused and session.sending.held <= self._low:
            self._write_paused = False
            self._protocol.resume_writing()
        if ended is not None:
            self._end(ended)

    def _feed(self) -> None:
        session, protocol = self.session, self._protocol
        assert protocol is not None
        if session.receiving.held:
            protocol.data_received(session.read())
        if session.receiving.ended and not session.receiving.held and not self._eof_told:
            self._eof_told = True
            if not protocol.eof_received() and not self._closing:
                self.close()

    def _fail_fatally(self, error: Exception) -> None:
        """The protocol has failed, as transports of event loops say: what it has taken cannot be handed on again."""
        context = {"message": "the protocol of a session failed", "exception": error, "transport": self}
        self._loop.call_exception_handler(context)
        self._error = error
        self.abort()

    def _end(self, ended: Ending) -> None:
        self._over = True
        if self._error is None:
            self._error = self._error_of(ended)
        self._loop.call_soon(self._tell_end)

    def _error_of(self, ended: Ending) -> Exception | None:
        session = self.session
        if ended is Ending.LOST:
            reason = "the session cannot be resumed: it has expired, or the server does not know it any more"
            return SessionLost(reason, session.acknowledged)
        if ended is Ending.RESET:
            return SessionReset(RESETS.get(session.reset_code, "the session was reset"), session.acknowledged)
        if ended is Ending.DONE and session.sending.cut_short and not self._closing:
            return SessionReset("the peer reads nothing more", session.acknowledged)
        return None

    def _tell_end(self) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(self._error)
        self._known.pop("ssl_object", None)  # a session is remembered when it has ended, and this is large
        self.on_ended()

    # As transports have it.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known: `session` (`SessionInfo`), and of the last connection what its transport says.

        Of a connection that is gone: `peername`, `sockname`, `ssl_object`, `peercert`.
        """
        if name == "session":
            return self.info
        if self.connection is None or self.connection.transport is None:
            return self._known.get(name, default)
        return self.connection.transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Carry another protocol."""
        self._protocol = cast(Callbacks, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that is carried."""
        assert self._protocol is not None
        return cast(asyncio.BaseProtocol, self._protocol)

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self._closing or self._over

    def is_reading(self) -> bool:
        """Whether what comes is handed on."""
        return self._reading and not self.is_closing()

    def pause_reading(self) -> None:
        """Hand nothing on for now; the peer is told to wait when the buffer is full."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self.pump)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add to the stream."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__}")
        if self._closing or self.session.sending.finished:
            if self.session.sending.finished and not self._closing:
                raise RuntimeError("Cannot call write() after write_eof()")
            return
        if data:
            self.session.write(bytes(data))
            self._pause_writing()

    def _pause_writing(self) -> None:
        if not self._write_paused and self.session.sending.held > self._high and self._protocol is not None:
            self._write_paused = True
            self._protocol.pause_writing()

    def commit_read(self, unread: int) -> None:
        """Commit, all but the last `unread` bytes of what was handed on."""
        session = self.session
        if self.commit is not None and session.ended is None:
            self.commit(session.receiving.consumed - unread)
            session.touch()

    def can_write_eof(self) -> bool:
        """Both directions end one by one."""
        return True

    def write_eof(self) -> None:
        """End our direction."""
        if not self._closing:
            self.session.write_eof()

    def close(self) -> None:
        """End after what was written has arrived; what still comes is dropped."""
        if not self._closing:
            self._closing = True
            self.session.close()
            self.on_closing()

    def on_closing(self) -> None:
        """The program has closed."""

    def abort(self, code: int = wire.ResetCode.ABORTED) -> None:
        """Break the session off; the peer is told why."""
        self._closing = True
        self.session.reset(code)
        self.pump()

    def fail(self, error: Exception) -> None:
        """End because of `error`."""
        self._error = error
        self.session.lose()
        self.pump()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not acknowledged."""
        return self.session.sending.held

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks at which writing goes on and is paused."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set them; as in `asyncio.WriteTransport`."""
        if high is None:
            high = 64 << 10 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._pause_writing()


class SessionWriter(asyncio.StreamWriter):
    """A writer whose `drain` waits while too much is unacknowledged."""

    @property
    def session(self) -> SessionInfo:
        """The session."""
        info = self.get_extra_info("session")
        assert isinstance(info, SessionInfo)
        return info

    async def drain(self) -> None:
        """Wait while too much is unacknowledged. In a server with `state`, commit before."""
        self.commit()
        await super().drain()

    def commit(self) -> None:
        """In a server with `state`: keep what was read and written and `session.saved`, and let it take effect."""
        transport = self.transport
        if isinstance(transport, SessionTransport):
            transport.commit_read(self._unread())

    def _unread(self) -> int:
        # What asyncio's reader holds has left the session and has not come to the program.
        reader = self._reader  # type: ignore[attr-defined]
        return len(reader._buffer)


class _StreamProtocol(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        """Keep our direction: what asyncio's cannot do over TLS, a session can."""
        super().eof_received()
        return True


def streams(transport: SessionTransport, limit: int) -> tuple[asyncio.StreamReader, SessionWriter]:
    """Return reader and writer of a session, of the kinds that `asyncio.open_connection` returns."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = _StreamProtocol(reader, loop=loop)
    writer = SessionWriter(transport, protocol, reader, loop)
    transport.start(protocol)
    return reader, writer


def _nothing() -> None:
    """Nobody waits."""
