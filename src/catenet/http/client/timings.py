"""When each phase of a request began and ended, from the name of its server to the last byte of the body."""

from __future__ import annotations

from dataclasses import dataclass, field

from catenet.net.dial import SocketName

__all__ = ["Attempt", "ConnectRecord", "Phase", "Timings"]


@dataclass(slots=True)
class Attempt:
    """One attempt to connect to one address; `end` is None while it goes on, `error` empty when it succeeded."""

    address: SocketName
    start: float
    end: float | None = None
    error: str = ""
    chosen: bool = False


@dataclass(slots=True)
class ConnectRecord:
    """How a connection was made. Times in seconds of the event loop's clock, 0 for phases that there were not."""

    resolve_start: float = 0.0
    resolve_end: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    proxy_start: float = 0.0
    proxy_end: float = 0.0
    tls_start: float = 0.0
    tls_end: float = 0.0
    tls_version: str = ""
    cipher: str = ""
    alpn: str = ""
    peer: SocketName = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """One bar of the waterfall: seconds since the request was called for; `end` is None if it did not end."""

    name: str
    start: float
    end: float | None
    detail: str = ""


@dataclass(slots=True)
class Timings:
    """The phases of one request. Times in seconds, 0 for what has not happened.

    They are the event loop's, whose clock has a resolution of its own: uvloop's is a millisecond.

    `reused`: the connection was there already, and `connect` tells of the past.
    """

    called: float
    connect: ConnectRecord | None = None
    reused: bool = False
    begun: float = 0.0
    """The request began to leave."""
    sent: float = 0.0
    """Its last byte was handed to the transport."""
    first_byte: float = 0.0
    """The head of the response was complete."""
    ended: float = 0.0
    """The last byte of its body came."""

    @property
    def total(self) -> float | None:
        """Seconds from the call to the last byte, None before that."""
        return self.ended - self.called if self.ended else None

    @property
    def waited(self) -> float | None:
        """Seconds from the request to the head of its response, None before that."""
        return self.first_byte - self.begun if self.first_byte else None

    def phases(self) -> list[Phase]:
        """Return the phases in the order in which they began."""
        start = self.called
        found = [] if self.connect is None or self.reused else _connecting(self.connect, start)
        if self.begun:
            found.append(_phase("request", start, self.begun, self.sent))
            found.append(_phase("first byte", start, self.sent or self.begun, self.first_byte))
        if self.first_byte:
            found.append(_phase("body", start, self.first_byte, self.ended))
        return found


def _connecting(record: ConnectRecord, start: float) -> list[Phase]:
    found = []
    if record.resolve_start:
        addresses = f"{len(record.attempts)} tried" if len(record.attempts) > 1 else ""
        found.append(_phase("resolve", start, record.resolve_start, record.resolve_end, addresses))
    for attempt in record.attempts:
        where = attempt.address if isinstance(attempt.address, str) else attempt.address[0]
        detail = f"{where}: {attempt.error}" if attempt.error else where
        found.append(_phase("connect", start, attempt.start, attempt.end or 0.0, detail))
    if record.proxy_start:
        found.append(_phase("proxy", start, record.proxy_start, record.proxy_end))
    if record.tls_start:
        agreed = ", ".join(word for word in (record.tls_version, record.cipher, record.alpn) if word)
        found.append(_phase("TLS", start, record.tls_start, record.tls_end, agreed))
    return found


def _phase(name: str, start: float, begun: float, ended: float, detail: str = "") -> Phase:
    return Phase(name, begun - start, ended - start if ended else None, detail)
