"""Blocking `ssl`: `SSLContext.wrap_socket` on simulated sockets.

OpenSSL cannot read from a simulated descriptor, so it works on two memory buffers, and `_Engine` carries the bytes
between them and the socket, waiting as the socket's timeout says. `SSLSocket`'s own Python methods run unchanged on
top: they ask an `_sslobj` to read, write and shake hands, and that is the engine. asyncio brings its own buffers and
needs nothing of this.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.pysocket import Socket
from catenet.world.patches.patching import Patcher, dispatch

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["SimulatedSSLSocket", "apply"]

BLOCK: Final = 65_536


class _Engine:
    """Takes the place of an SSLSocket's OpenSSL object."""

    def __init__(
        self, owner: SimulatedSSLSocket, context: Any, server_side: bool, name: str | None, session: Any
    ) -> None:
        self._socket = owner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context._wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=name, owner=owner, session=session
        )
        self._unsent = b""
        self._taken = 0
        """Bytes that OpenSSL has encrypted and that have not all been sent, so that `write` has yet to return."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._object, name)

    @property
    def context(self) -> Any:
        """The context, which may be exchanged during the handshake (server name indication)."""
        return self._object.context

    @context.setter
    def context(self, value: Any) -> None:
        self._object.context = value

    @property
    def session(self) -> Any:
        """The session to resume, or the one that there is."""
        return self._object.session

    @session.setter
    def session(self, value: Any) -> None:
        self._object.session = value

    def _run(self, call: Callable[..., Any], *args: Any, flush: Callable[[], None] | None = None) -> Any:
        """Make a call of OpenSSL, as often as it wants more bytes from the peer."""
        while True:
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                (flush or self._flush)()
                self._fill()
            except ssl.SSLError:
                self._flush_alert()
                raise
            else:
                self._flush_later()
                return result

    def _flush(self) -> None:
        """Send OpenSSL's output to the peer."""
        sock = self._socket
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = self._outgoing.read(BLOCK)
            try:
                count = Socket.send(sock, self._unsent)
            except BlockingIOError:
                raise ssl.SSLWantWriteError(
                    ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)"
                ) from None
            except TimeoutError:
                raise TimeoutError("The write operation timed out") from None
            self._unsent = self._unsent[count:]

    def _flush_later(self) -> None:
        """Send as much as possible; the rest is sent with the next call."""
        try:
            self._flush()
        except ssl.SSLWantWriteError:
            pass

    def _flush_alert(self) -> None:
        """Send an alert to the peer, if that is possible without waiting."""
        try:
            self._flush()
        except OSError:
            pass

    def _fill(self) -> None:
        """Pass what the peer has sent to OpenSSL."""
        try:
            data = Socket.recv(self._socket, BLOCK)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)") from None
        except TimeoutError:
            raise TimeoutError("The read operation timed out") from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def do_handshake(self) -> None:
        """Perform the handshake."""
        self._run(self._object.do_handshake)

    def read(self, *args: Any) -> Any:
        """Read decrypted bytes."""
        return self._run(self._object.read, *args, flush=self._flush_later)

    def write(self, data: Any) -> int:
        """Encrypt and send; SSLWantWriteError asks to be called again with the same data, as OpenSSL does."""
        if not self._taken:
            self._flush()
            self._taken = self._object.write(data)
        self._flush()
        count, self._taken = self._taken, 0
        return count

    def pending(self) -> int:
        """Decrypted bytes that can be read at once."""
        count: int = self._object.pending()
        return count

    def shutdown(self) -> Socket:
        """Send close_notify and wait for the peer's."""
        self._run(self._object.shutdown)
        return self._socket


class SimulatedSSLSocket(ssl.SSLSocket, Socket):  # type: ignore[misc]
    """`ssl.SSLSocket` on a simulated socket."""

    _context: Any
    _session: Any
    _sslobj: Any
    _connected: bool
    do_handshake_on_connect: bool
    suppress_ragged_eofs: bool

    @classmethod
    def _create(
        cls,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | None = None,
        context: Any = None,
        session: Any = None,
    ) -> SimulatedSSLSocket:
        """As SSLSocket's own, but for the descriptor that OpenSSL would get."""
        if sock.type != ssl.SOCK_STREAM:
            raise NotImplementedError("only stream sockets are supported")
        if server_side:
            if server_hostname:
                raise ValueError("server_hostname can only be specified in client mode")
            if session is not None:
                raise ValueError("session can only be specified in client mode")
        if context.check_hostname and not server_hostname:
            raise ValueError("check_hostname requires server_hostname")
        timeout = sock.gettimeout()
        self = cls.__new__(cls)
        Socket.__init__(self, fileno=sock.fileno())
        self.settimeout(timeout)
        sock.detach()
        self._context = context
        self._session = session
        self._closed = False
        self._sslobj = None
        self.server_side = server_side
        self.server_hostname = context._encode_hostname(server_hostname)
        self.do_handshake_on_connect = do_handshake_on_connect
        self.suppress_ragged_eofs = suppress_ragged_eofs
        try:
            self.getpeername()
        except OSError:
            self._connected = False
            return self
        self._connected = True
        try:
            self._begin(do_handshake_on_connect)
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self, handshake: bool) -> None:
        """Begin TLS on a connected socket."""
        self._sslobj = _Engine(self, self._context, self.server_side, self.server_hostname, self._session)
        if handshake:
            if self.gettimeout() == 0.0:
                raise ValueError("do_handshake_on_connect should not be specified for non-blocking sockets")
            self.do_handshake()

    def _real_connect(self, addr: Any, connect_ex: bool) -> Any:
        if self.server_side:
            raise ValueError("can't connect in server-side mode")
        if self._connected or self._sslobj is not None:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        result = None
        if connect_ex:
            result = Socket.connect_ex(self, addr)
        else:
            Socket.connect(self, addr)
        if not result:
            self._connected = True
            try:
                self._begin(self.do_handshake_on_connect)
            except BaseException:
                self._sslobj = None
                raise
        return result

    def accept(self) -> tuple[Any, Any]:
        """Accept a connection and wrap it."""
        plain, address = Socket.accept(self)
        wrapped = self.context.wrap_socket(
            plain,
            do_handshake_on_connect=self.do_handshake_on_connect,
            suppress_ragged_eofs=self.suppress_ragged_eofs,
            server_side=True,
        )
        return wrapped, address


def apply(patcher: Patcher) -> None:
    """Patch `SSLContext.wrap_socket`."""
    original = ssl.SSLContext.wrap_socket

    def wrap_socket(
        process: Process,
        self: Any,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | None = None,
        session: Any = None,
    ) -> Any:
        return SimulatedSSLSocket._create(
            sock,
            server_side,
            do_handshake_on_connect,
            suppress_ragged_eofs,
            server_hostname,
            context=self,
            session=session,
        )

    patcher.attribute(ssl.SSLContext, "wrap_socket", dispatch(original, wrap_socket))
