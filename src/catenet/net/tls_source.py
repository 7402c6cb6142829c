"""TLS contexts that change under a server that listens and a client that connects again.

A source is called for each connection, and what it returns holds for that one to its end. So certificates, keys and
authorities change together, no connection breaks, and no session is resumed under terms that are not any more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from catenet.net.tls import TlsError, client_context, server_context

__all__ = ["TlsFiles", "TlsSource", "client_files", "context_now", "load_pair", "server_files", "with_alpn"]

logger = logging.getLogger("catenet.net")

TlsSource = ssl.SSLContext | Callable[[], ssl.SSLContext]
"""One context for all connections, or what returns that of the next one."""

INTERVAL: Final = 10.0


def context_now(source: TlsSource) -> ssl.SSLContext:
    """Return the context of a connection that begins now."""
    return source if isinstance(source, ssl.SSLContext) else source()


def with_alpn(source: TlsSource, alpn: Sequence[str]) -> TlsSource:
    """Return the source with what TLS may choose among (RFC 7301), best first."""
    if isinstance(source, ssl.SSLContext):
        source.set_alpn_protocols(list(alpn))
        return source
    inner, last = source, [ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)]

    def make() -> ssl.SSLContext:
        context = inner()
        if context is not last[0]:
            context.set_alpn_protocols(list(alpn))
            last[0] = context
        return context

    return make


class TlsFiles:
    """A source that reads its files again when they have changed.

    Args:
        make: reads them. Raises `TlsError`, at the beginning; later what is wrong is logged, and what was read stays.
        files: those that are looked at.
        interval: seconds between looks, at most one for each connection; 0: `reload` alone reads.
        clock: seconds.
    """

    def __init__(
        self,
        make: Callable[[], ssl.SSLContext],
        files: Sequence[str],
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._files = tuple(files)
        self._interval = interval
        self._clock = clock
        self._seen = self._look()
        self._context = make()
        self._looked = clock()

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the next connection."""
        if self._interval:
            now = self._clock()
            if now - self._looked >= self._interval:
                self._looked = now
                seen = self._look()
                if seen != self._seen:
                    self._seen = seen
                    self.reload()
        return self._context

    def reload(self) -> bool:
        """Read the files again, for connections from now on; False if they cannot be used, and those before stay."""
        try:
            self._context = self._make()
        except TlsError as error:
            logger.error("certificates are not read again: %s", error)
            return False
        return True

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state(name) for name in self._files)


def _state(name: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def server_files(
    cert: str,
    key: str | None = None,
    client_ca: str | None = None,
    interval: float = INTERVAL,
    *,
    crl: str | None = None,
) -> TlsFiles:
    """Return the source of a server, as `catenet.net.tls.server_context`. Raises `TlsError`."""
    files = [name for name in (cert, key, client_ca, crl) if name is not None]
    return TlsFiles(lambda: server_context(cert, key, client_ca, crl=crl), files, interval)


def client_files(
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    interval: float = INTERVAL,
    *,
    crl: str | None = None,
) -> TlsFiles:
    """Return the source of a client, as `catenet.net.tls.client_context`. Raises `TlsError`."""
    files = [name for name in (ca, cert, key, crl) if name is not None]
    return TlsFiles(lambda: client_context(ca, cert, key, crl=crl), files, interval)


def load_pair(context: ssl.SSLContext, key: bytes, chain: bytes) -> None:
    """Load a certificate that is in memory (PEM). Raises `ssl.SSLError`.

    `ssl` reads files only, so for the while there is one in memory, or for nobody else.
    """
    with _file(key) as key_path, _file(chain) as chain_path:
        context.load_cert_chain(chain_path, key_path)


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    try:
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    except OSError:
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
