"""Ends of a relay that are streams: sockets, TLS over a socket, pipes and files.

They are read into one buffer and written from it, without an asyncio transport between: its queue would be one more
copy, its limits one more to be kept, and it knows no half-closed TLS. A descriptor is watched only while somebody waits
for it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import ssl
import stat
import struct
from collections.abc import Callable
from typing import Final, cast

from catenet.net.relay import Piece

__all__ = ["BUFFER", "PipeEnd", "SocketEnd", "TlsEnd"]

BUFFER: Final = 256 << 10
"""Bytes that are read at once."""
_RESET: Final = struct.pack("ii", 1, 0)
_PIPE_BUF: Final = 4096
"""What a pipe that is ready takes without blocking (pipe(7))."""


class _Watch:
    """Waits until a descriptor is ready. A watch that nobody waits for any more is removed when it fires."""

    __slots__ = ("_add", "_descriptor", "_remove", "_waiter", "_watched")

    def __init__(self, descriptor: int, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        self._descriptor = descriptor
        self._add = add
        self._remove = remove
        self._waiter: asyncio.Future[None] | None = None
        self._watched = False

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiter = loop.create_future()
        if not self._watched:
            self._add(self._descriptor, self._fire)
            self._watched = True
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _fire(self) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()
        else:
            self._waiter.set_result(None)

    def close(self) -> None:
        if self._watched:
            self._watched = False
            self._remove(self._descriptor)


class SocketEnd:
    """A connected socket of streams. `name` is for people."""

    datagrams = False
    last_words: float | None = None
    afterlife: float | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, name: str) -> None:
        sock.setblocking(False)
        self.name = name
        self.sock = sock
        self._loop = loop
        self._buffer: memoryview | None = None
        self._reading = _Watch(sock.fileno(), loop.add_reader, loop.remove_reader)
        self._writing = _Watch(sock.fileno(), loop.add_writer, loop.remove_writer)
        self._ended = False

    async def read(self, most: int) -> Piece | None:
        """Return what has come, at most `most` bytes; None: the peer has ended its stream. Raises `OSError`."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER))
        room = self._buffer if most >= BUFFER else self._buffer[:most]
        while True:
            try:
                count = self.sock.recv_into(room)
            except (BlockingIOError, InterruptedError):
                await self._reading.wait(self._loop)
                continue
            return room[:count] if count else None

    async def write(self, data: Piece) -> None:
        """Give all of it to the kernel. Raises `OSError`."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except (BlockingIOError, InterruptedError):
                await self._writing.wait(self._loop)
            except BrokenPipeError:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None

    async def end(self) -> None:
        """End our direction (RFC 9293 section 3.6, half-close)."""
        if not self._ended:
            self._ended = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:  # the peer has gone
                    raise

    def close(self) -> None:
        """Close; what the kernel has still goes out."""
        self._reading.close()
        self._writing.close()
        self.sock.close()

    def abort(self) -> None:
        """Close so that the peer sees a reset."""
        if self.sock.fileno() >= 0:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass  # Unix sockets of simulated hosts have none
        self.close()


class TlsEnd:
    """TLS over a `SocketEnd`, whose directions end one by one (RFC 8446 section 6.1).

    `session` tells version, cipher, ALPN and the peer's certificate after `handshake`.
    """

    datagrams = False
    last_words: float | None = None
    afterlife: float | None = None

    def __init__(
        self, below: SocketEnd, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None
    ) -> None:
        self.name = below.name
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.session = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        self._buffer = memoryview(bytearray(BUFFER))
        self._sending = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._over = False

    async def handshake(self) -> None:
        """Agree with the peer. Raises `OSError` (`ssl.SSLError` among them)."""
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._take():
                    raise ConnectionResetError("the peer closed the connection during the TLS handshake") from None
            except ssl.SSLError:
                await self._flush()  # the alert says why
                raise
            else:
                await self._flush()
                return

    async def read(self, most: int) -> Piece | None:
        """As `SocketEnd.read`. A stream that is cut off without the peer's close_notify ends like one with it."""
        size = min(most, BUFFER)
        count = 0
        while not self._over:
            try:
                while count < size and (got := self._decrypt(self._buffer[count:size])):
                    count += got
                self._over = count < size
            except ssl.SSLWantReadError:
                if not count:
                    self._flush_soon()
                    await self._take()
                    continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self._over = True
            if count:
                return self._buffer[:count]
        return None

    async def write(self, data: Piece) -> None:
        """As `SocketEnd.write`."""
        view = memoryview(data)
        while view:
            view = view[self.session.write(view[:BUFFER]) :]
            await self._flush()

    async def end(self) -> None:
        """End our direction by close_notify; the peer's goes on."""
        try:
            self.session.unwrap()
        except (ssl.SSLError, ValueError):
            pass  # what the peer still sends is in the way of a mutual end, or it has ended already
        await self._flush()
        await self._below.end()

    def close(self) -> None:
        """Close."""
        self._below.close()

    def abort(self) -> None:
        """Break off."""
        self._below.abort()

    def _decrypt(self, room: memoryview) -> int:
        return cast(int, self.session.read(len(room), cast(bytearray, room)))

    def _flush_soon(self) -> None:
        """Send what reading has made (key updates), without waiting for a peer that may wait for us to read."""
        if self._outgoing.pending and not self._sending.locked():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
            self._flushing.add_done_callback(_ignore_errors)

    async def _take(self) -> bool:
        data = await self._below.read(BUFFER)
        if data is None:
            self._incoming.write_eof()
            return False
        self._incoming.write(data)
        return True

    async def _flush(self) -> None:
        if not self._outgoing.pending:
            return
        async with self._sending:  # records must not overtake each other
            while self._outgoing.pending:
                await self._below.write(self._outgoing.read())


def _ignore_errors(task: asyncio.Task[None]) -> None:
    """Who writes next, or reads, sees the same error."""
    if not task.cancelled():
        task.exception()


class PipeEnd:
    """Two descriptors, of pipes, terminals or files: one to read from, one to write to; -1: there is none.

    Ours alone, or the standard streams of the process, which stay open (`keep_open`). `reopen`: they are descriptors of
    the operating system, not of a simulated host. `release`: who reads what is written shall see its end, though the
    descriptor stays open.
    """

    datagrams = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reads: int,
        writes: int,
        name: str,
        *,
        keep_open: bool = False,
        reopen: bool = True,
        release: bool = False,
        last_words: float | None = None,
        afterlife: float | None = None,
    ) -> None:
        self.name = name
        self.last_words = last_words
        self.afterlife = afterlife
        self._loop = loop
        self._reads = reads
        self._writes = writes
        self._keep_open = keep_open
        self._release = release
        self._own = _reopen(writes) if writes >= 0 and keep_open and reopen else -1
        self._blocking = keep_open and self._own < 0
        self._never_full = self._blocking and writes >= 0 and not _can_wait(loop.add_writer, loop.remove_writer, writes)
        self._reading = _Watch(reads, loop.add_reader, loop.remove_reader)
        self._writing = _Watch(self._own if self._own >= 0 else writes, loop.add_writer, loop.remove_writer)
        self._always_ready = reads >= 0 and not _can_wait(loop.add_reader, loop.remove_reader, reads)
        self._over = reads < 0

    async def read(self, most: int) -> Piece | None:
        """As `SocketEnd.read`."""
        if self._over:
            return None
        if not self._always_ready:
            await self._reading.wait(self._loop)
        while True:
            try:
                data = os.read(self._reads, min(most, BUFFER))
            except BlockingIOError:
                await self._reading.wait(self._loop)
                continue
            except OSError as error:
                if error.errno != errno.EIO:  # a terminal whose other side is gone
                    raise
                data = b""
            if self._always_ready:
                await asyncio.sleep(0)  # others get their turn too
            self._over = not data
            return data or None

    async def write(self, data: Piece) -> None:
        """As `SocketEnd.write`."""
        descriptor = self._own if self._own >= 0 else self._writes
        if descriptor < 0:
            return
        view = memoryview(data)
        while view:
            if self._never_full:
                view = view[os.write(descriptor, view) :]
                continue
            if self._blocking:
                await self._writing.wait(self._loop)
            try:
                view = view[os.write(descriptor, view[:_PIPE_BUF] if self._blocking else view) :]
            except BlockingIOError:
                await self._writing.wait(self._loop)

    async def end(self) -> None:
        """Close the descriptor that is written to."""
        self._close_writes()

    def close(self) -> None:
        """Close both."""
        self._reading.close()
        self._close_writes()
        if self._reads >= 0 and not self._keep_open:
            os.close(self._reads)
        self._reads, self._over = -1, True

    def abort(self) -> None:
        """As `close`: pipes know no reset."""
        self.close()

    def _close_writes(self) -> None:
        self._writing.close()
        if self._own >= 0:
            os.close(self._own)
            self._own = -1
        if self._writes >= 0 and not self._keep_open:
            os.close(self._writes)
        elif self._writes >= 0 and self._release:
            nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nothing, self._writes)
            os.close(nothing)
        self._writes = -1


def _reopen(descriptor: int) -> int:
    """A descriptor of our own for the same pipe or terminal, that does not block; -1 if there can be none.

    `O_NONBLOCK` on the given one would hold for all who have inherited it, the shell among them. A file opened again
    would have a position of its own.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return -1  # opened again it would be for writing
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        pass
    return -1


def _can_wait(add: Callable[..., object], remove: Callable[[int], object], descriptor: int) -> bool:
    """Whether a descriptor can be waited for; a file cannot, and is always ready (epoll_ctl(2), EPERM)."""
    try:
        add(descriptor, lambda: None)
    except (OSError, ValueError, NotImplementedError):
        return False
    remove(descriptor)
    return True
