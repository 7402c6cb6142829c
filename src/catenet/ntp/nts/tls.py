"""TLS without sockets, by OpenSSL on memory buffers: octets in, octets out, and keys that both ends can export.

The module ssl of the standard library cannot export keying material (RFC 5705), which is all that NTS wants of TLS;
pyOpenSSL can. Only TLS 1.3 is spoken (RFC 8915 section 3 wants at least that), without tickets: nobody comes back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final, TypeVar

from OpenSSL import SSL

from catenet.net.tls import client_context as check_authorities
from catenet.net.tls import server_context as check_certificate
from catenet.ntp.nts.records import ALPN, NTPV4

T = TypeVar("T")

__all__ = ["Broken", "TlsMachine", "client_context", "server_context"]

_LABEL: Final = b"EXPORTER-network-time-security"
_READ: Final = 65_536


class Broken(Exception):
    """TLS has failed; the message says why in a few words."""


def client_context(ca: str | None = None) -> SSL.Context:
    """Return what a client trusts: the authorities of a file (PEM), or the system's. Raises `net.tls.TlsError`."""
    context = _context(SSL.TLS_CLIENT_METHOD)
    if ca is None:
        context.set_default_verify_paths()
    else:
        check_authorities(ca)
        context.load_verify_locations(ca)
    context.set_verify(SSL.VERIFY_PEER)
    context.set_alpn_protos([ALPN])
    return context


def server_context(cert: str, key: str | None = None) -> SSL.Context:
    """Return what a server shows: a chain of certificates and its key (PEM). Raises `net.tls.TlsError`."""
    check_certificate(cert, key)
    context = _context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(cert)
    context.use_privatekey_file(key or cert)
    context.set_alpn_select_callback(_select)
    return context


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    return context


def _select(_: SSL.Connection, offered: list[bytes]) -> bytes | SSL._NoOverlappingProtocols:
    return ALPN if ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS


class TlsMachine:
    """One end of a connection. After `receive` and `send` there may be octets to `transmit`.

    `host`: whom a client means; without it this is a server. Raises `Broken` for what can be no name.
    """

    def __init__(self, context: SSL.Context, host: str | None = None) -> None:
        self._connection = SSL.Connection(context, None)
        self._host = host
        self.ready = False
        """Whether the handshake is over, and the peer is who it should be."""
        self.ended = False
        """Whether the peer has said that it sends nothing more."""
        if host is None:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if not _is_address(host):
                try:
                    self._connection.set_tlsext_host_name(host.encode("idna"))
                except UnicodeError:
                    raise Broken(f"{host!r} is no name of a host") from None
            self._try(self._shake_hands)

    def receive(self, data: bytes) -> bytes:
        """Take octets of the network; return what the peer has said. Raises `Broken`."""
        if data:
            self._connection.bio_write(data)
        if not self.ready:
            if self._try(self._shake_hands) is None:
                return b""
            self._check()
            self.ready = True
        found = b""
        while not self.ended and (more := self._try(self._read)) is not None:
            found += more
        return found

    def send(self, data: bytes) -> None:
        """Say something; the handshake is over. Raises `Broken`."""
        self._try(lambda: self._connection.sendall(data))

    def end(self) -> None:
        """Say that nothing more comes."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass

    def transmit(self) -> bytes:
        """Return octets for the network."""
        found = b""
        while True:
            try:
                found += self._connection.bio_read(_READ)
            except SSL.Error:
                return found

    def export(self, algorithm: int, length: int) -> tuple[bytes, bytes]:
        """Return the keys to the server and to the client (RFC 8915 section 5.1)."""
        context = NTPV4.to_bytes(2, "big") + algorithm.to_bytes(2, "big")
        one, other = (self._connection.export_keying_material(_LABEL, length, context + end) for end in (b"\0", b"\1"))
        return one, other

    def _read(self) -> bytes:
        return self._connection.recv(_READ)

    def _shake_hands(self) -> bool:
        self._connection.do_handshake()
        return True

    def _try(self, call: Callable[[], T]) -> T | None:
        """Return what a call returns; None when it must wait for the network."""
        try:
            return call()
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            self.ended = True
            return None
        except SSL.Error as error:
            raise Broken(_words(error)) from None

    def _check(self) -> None:
        if self._connection.get_alpn_proto_negotiated() != ALPN:
            raise Broken(f"the peer does not speak {ALPN.decode()}")
        if self._host is not None:
            _check_name(self._connection, self._host)


def _check_name(connection: SSL.Connection, host: str) -> None:
    """Whether the certificate is that of a host (RFC 9525)."""
    from service_identity import VerificationError
    from service_identity.exceptions import CertificateError
    from service_identity.pyopenssl import verify_hostname, verify_ip_address

    try:
        (verify_ip_address if _is_address(host) else verify_hostname)(connection, host)
    except (VerificationError, CertificateError):
        raise Broken(f"the server's certificate is not accepted: it is not for {host}") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _words(error: SSL.Error) -> str:
    """What OpenSSL says, without its places."""
    if isinstance(error, SSL.SysCallError):
        return "the connection was closed"
    reasons = [str(one[-1]) for one in (error.args[0] if error.args else ()) if one]
    if any("certificate verify failed" in one for one in reasons):
        return "the server's certificate is not accepted"
    return f"TLS: {reasons[-1]}" if reasons else "TLS: failed"
