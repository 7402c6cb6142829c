"""Blocking `ssl`: OpenSSL on simulated sockets.

OpenSSL cannot read from a simulated descriptor, so it works on two memory buffers, and `_Engine` carries the bytes
between them and the socket, waiting as the socket's timeout says. `SSLSocket`'s own Python methods run unchanged on
top: they ask an `_sslobj` to read, write and shake hands, and that is the engine. asyncio brings its own buffers and
needs nothing of this.
"""

from __future__ import annotations

import os
import ssl
import weakref
from _ssl import _SSLContext
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.pysocket import Socket
from catenet.world.patches.patching import Patcher, copy_identity, dispatch

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

BLOCK: Final = 65_536
HEADER: Final = 5
"""Bytes of the header of a TLS record: type, version, length (RFC 8446, section 5.1)."""
RECORDS: Final = range(20, 25)
"""Types of records, from change_cipher_spec to heartbeat (RFC 6520)."""
MAJOR_VERSION: Final = 3


class _Engine:
    """Takes the place of an SSLSocket's OpenSSL object."""

    def __init__(
        self, owner: Any, inner: Socket, context: Any, server_side: bool, name: str | None, session: Any
    ) -> None:
        self._owner = weakref.ref(owner)
        self._socket = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context._wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=name, owner=owner, session=session
        )
        self._header = b""
        """What has come of the next record's header, which OpenSSL has as well."""
        self._left = 0
        """Bytes of the record that is being read and that have not come yet."""
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
        """Pass what the peer has sent to OpenSSL, up to the end of a record and no further, as OpenSSL reads itself.

        So what follows stays with the socket: `select` sees the next record, and who takes TLS off the connection
        finds the plain text after it.
        """
        if not self._left:
            self._header += self._receive(HEADER - len(self._header))
            if len(self._header) < HEADER:
                return
            self._left = int.from_bytes(self._header[3:], "big")
            is_record = self._header[0] in RECORDS and self._header[1] == MAJOR_VERSION
            self._header = b""
            if not is_record:
                self._left = 0  # OpenSSL says what is wrong
                return
        if self._left:
            self._left -= len(self._receive(self._left))

    def _receive(self, size: int) -> bytes:
        """Pass up to `size` bytes to OpenSSL and return them; none at the end of the stream, which OpenSSL is told."""
        try:
            data = Socket.recv(self._socket, size)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)") from None
        except TimeoutError:
            raise TimeoutError("The read operation timed out") from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return data

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

    def shutdown(self) -> Any:
        """Send close_notify and wait for the peer's."""
        self._run(self._object.shutdown)
        return self._owner()


def _wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_SSLContext._wrap_socket`, by which `SSLSocket` asks for an OpenSSL object on its descriptor."""

    def wrap_socket(
        self: Any,
        sock: Any,
        server_side: bool,
        server_hostname: str | None = None,
        *,
        owner: Any = None,
        session: Any = None,
    ) -> Any:
        inner = getattr(sock, "_catenet", None)
        if not isinstance(inner, Socket):
            return original(self, sock, server_side, server_hostname, owner=owner, session=session)
        return _Engine(sock, inner, self, server_side, server_hostname, session)

    return copy_identity(wrap_socket, original)


def _load_default_paths(original: Callable[..., Any]) -> Callable[..., Any]:
    """`SSLContext.set_default_verify_paths`: OpenSSL asks the interpreter's environment, a program means its own."""

    def simulated(process: Process, self: Any) -> None:
        paths = ssl.get_default_verify_paths()
        if paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ:
            found = paths.cafile, paths.capath
            if any(found):
                self.load_verify_locations(*found)
            return
        original(self)

    return simulated


def apply(patcher: Patcher) -> None:
    """Patch what makes OpenSSL's objects, and what tells them of the trusted ones."""
    plain = ssl.SSLContext.set_default_verify_paths
    patcher.attribute(ssl.SSLContext, "set_default_verify_paths", dispatch(plain, _load_default_paths(plain)))
    original: Any = vars(_SSLContext)["_wrap_socket"]
    patcher.method(_SSLContext, "_wrap_socket", _wrapped(original))
