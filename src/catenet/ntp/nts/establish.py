"""Key establishment: the cores of a client and of a server, on TLS without sockets (RFC 8915 section 4).

A client says what it offers, hears what the server has chosen, and both derive the same keys from the connection, which
has then done its work. The server keeps nothing: the keys are in the cookies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from OpenSSL import SSL

from catenet.net.core import PlainCore
from catenet.ntp.errors import Malformed
from catenet.ntp.nts.cookies import CookieKeys, SessionKeys
from catenet.ntp.nts.records import (
    AEAD_KEY_LENGTHS,
    MOST_COOKIES,
    NTPV4,
    ErrorCode,
    Reader,
    Refused,
    Request,
    Response,
    build_request,
    read_request,
    read_response,
)
from catenet.ntp.nts.session import Keys
from catenet.ntp.nts.tls import Broken, TlsMachine

__all__ = ["ClientCore", "Failed", "Issuer", "ServerCore"]

OFFERED: Final = Request()


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a client has no keys."""

    why: str


class ClientCore(PlainCore):
    """A client's connection; its one event is `Keys` or `Failed`. `host`: whom the certificate must name."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._host = host
        self._tls = TlsMachine(context, host)
        self._reader = Reader()
        self._asked = False
        self._event: Keys | Failed | None = None

    def receive(self, data: bytes, now: float) -> None:
        """Take octets of the network."""
        if self.closed:
            return
        try:
            said = self._tls.receive(data)
            if self._tls.ready and not self._asked:
                self._asked = True
                self._tls.send(build_request(OFFERED))
            self._reader.receive(said)
            if self._reader.complete:
                self._end(self._decide(read_response(self._reader.records, OFFERED)))
            elif not data or self._tls.ended:
                self._end(Failed("the server has closed the connection"))
        except (Broken, Malformed) as error:
            self._end(Failed(str(error)))

    def _decide(self, response: Response) -> Keys | Failed:
        algorithm = response.algorithm
        if response.problem or algorithm is None:
            return Failed(response.problem)
        there, back = self._tls.export(algorithm, AEAD_KEY_LENGTHS[algorithm])
        return Keys(algorithm, there, back, response.cookies, response.server, response.port)

    def _end(self, event: Keys | Failed) -> None:
        self._event = event
        self._tls.end()
        self.closed = True

    def transmit(self, now: float) -> bytes:
        """Return octets for the network."""
        return self._tls.transmit()

    def next_event(self) -> Keys | Failed | None:
        """Return what has come of it, once."""
        event, self._event = self._event, None
        return event


@dataclass(frozen=True, slots=True)
class Issuer:
    """What the connections of a server share.

    Attributes:
        context: certificate and key.
        keys: seal cookies.
        clock: Unix time in seconds, by which those rotate.
        server, port: where the time is told; nothing: where this is, on port 123.
    """

    context: SSL.Context
    keys: CookieKeys
    clock: Callable[[], float]
    server: str = ""
    port: int | None = None

    def answer(self, request: Request, tls: TlsMachine) -> Response:
        """Return what is answered to a client: cookies, if there is an algorithm in common."""
        if NTPV4 not in request.protocols:
            return Response(protocol=None)
        algorithm = next((one for one in request.algorithms if one in AEAD_KEY_LENGTHS), None)
        if algorithm is None:
            return Response()
        session = SessionKeys(algorithm, *tls.export(algorithm, AEAD_KEY_LENGTHS[algorithm]))
        now = self.clock()
        cookies = tuple(self.keys.seal(session, now) for _ in range(MOST_COOKIES))
        return Response(NTPV4, algorithm, cookies, self.server, self.port)


class ServerCore(PlainCore):
    """A connection of a server: one request, one answer, the end."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._tls = TlsMachine(issuer.context)
        self._reader = Reader()
        self.begun = False

    def receive(self, data: bytes, now: float) -> None:
        """Take octets of the network."""
        if self.closed:
            return
        try:
            self._reader.receive(self._tls.receive(data))
            if self._reader.complete:
                self._answer()
            elif not data or self._tls.ended:
                self._end()
        except Broken:
            self.closed = True  # what TLS has to say of that is still sent
        except Malformed:
            self._say(Response(error=ErrorCode.BAD_REQUEST))

    def _answer(self) -> None:
        try:
            self._say(self._issuer.answer(read_request(self._reader.records), self._tls))
        except Refused as refused:
            self._say(Response(error=refused.code))

    def _say(self, response: Response) -> None:
        try:
            self._tls.send(response.build())
        except Broken:
            pass
        self._end()

    def _end(self) -> None:
        self.begun = True
        self._tls.end()
        self.closed = True

    def transmit(self, now: float) -> bytes:
        """Return octets for the network."""
        return self._tls.transmit()

    def next_event(self) -> None:
        """There are none."""
        return
