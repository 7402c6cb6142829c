"""Where a call goes: targets, the order of addresses, happy eyeballs, the choice among connections. Pure decisions.

Sources: gRPC ``naming.md`` and ``load-balancing.md``, RFC 8305 (Happy Eyeballs 2), RFC 6724 (by ``getaddrinfo``, which
returns addresses in that order), gRPC ``connection-backoff.md``.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

A = TypeVar("A")

CONNECTION_ATTEMPT_DELAY = 0.25
"""Seconds between the starts of two attempts (RFC 8305 section 8)."""

_SCHEMES = {"tcp": False, "tls": True, "http": False, "https": True, "dns": False, "unix": False}
_DEFAULT_PORTS = {"http": 80, "https": 443, "tls": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed address of a server: ``unix`` is the path of a socket, otherwise ``host`` and ``port`` count.

    ``resolve_all`` asks for every address of the name, to balance among them (``dns:///``), instead of the first one
    that answers. ``base`` is the path that stands before ``/service/method`` in an ``http(s)://`` URL.
    """

    scheme: str
    host: str = ""
    port: int = 0
    unix: str = ""
    tls: bool = False
    resolve_all: bool = False
    base: str = ""

    @property
    def authority(self) -> str:
        """What the client calls the server: ``host:port``, or ``localhost`` for a Unix socket."""
        if self.unix:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port == _DEFAULT_PORTS.get("https" if self.tls else "http"):
            return host
        return f"{host}:{self.port}"


def parse_target(text: str, listening: bool = False) -> Target:
    """Return the target that ``text`` names; raise ``ValueError`` that says what is wrong with it.

    ``tcp://host:port``, ``tls://host:port``, ``http(s)://host[:port]/base``, ``dns:///host:port``, ``unix:/path``,
    ``unix://path`` and plain ``host:port`` (which is ``tcp``). IPv6 addresses stand in brackets. ``listening``: the
    host may be missing, which means all addresses of this machine.
    """
    scheme, colon, rest = text.partition(":")
    if scheme == "unix" and colon:
        path = rest.removeprefix("//") if rest.startswith("//") else rest
        if not path:
            raise ValueError(f"target {text!r} names no path; write unix:/run/service.sock")
        return Target("unix", unix=path)
    if not rest.startswith("//"):
        return _with_endpoint(text, "tcp", text, "", listening)
    if scheme not in _SCHEMES:
        near = difflib.get_close_matches(scheme, _SCHEMES, n=1)
        hint = f"do you mean {near[0]}?" if near else f"known: {', '.join(_SCHEMES)}"
        raise ValueError(f"target {text!r}: no scheme {scheme!r}; {hint}")
    endpoint = rest[2:]
    base = ""
    if scheme == "dns":
        # dns://resolver/name: a resolver of one's own is not modelled.
        resolver, _, endpoint = endpoint.rpartition("/")
        if resolver:
            raise ValueError(f"target {text!r}: a DNS server in the target is not supported; write dns:///{endpoint}")
    else:
        endpoint, _, base = endpoint.partition("/")
        if base and not scheme.startswith("http"):
            raise ValueError(f"target {text!r}: {scheme}:// takes no path")
    return _with_endpoint(text, scheme, endpoint, f"/{base.rstrip('/')}" if base.rstrip("/") else "", listening)


def _with_endpoint(text: str, scheme: str, endpoint: str, base: str, listening: bool) -> Target:
    host, port = _split_endpoint(text, endpoint, _DEFAULT_PORTS.get(scheme))
    if not host and not listening:
        raise ValueError(f"target {text!r} names no host")
    return Target(scheme, host, port, tls=_SCHEMES[scheme], resolve_all=scheme == "dns", base=base)


def _split_endpoint(text: str, endpoint: str, default: int | None) -> tuple[str, int]:
    host, colon, port = endpoint.rpartition(":")
    if endpoint.startswith("[") and endpoint.endswith("]"):
        host, colon, port = endpoint, "", ""
    elif not colon:
        host, port = endpoint, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"target {text!r}: an IPv6 address stands in brackets, [{endpoint}]:PORT")
    if not port and default is not None and not colon:
        return host, default
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"target {text!r}: {port!r} is no port" if port else f"target {text!r} names no port")
    return host, int(port)


def interleave(addresses: Iterable[A], is_ipv6: Sequence[bool]) -> list[A]:
    """Return addresses with the families in turn, beginning with the family of the first (RFC 8305 section 4)."""
    pairs = list(zip(addresses, is_ipv6, strict=True))
    if not pairs:
        return []
    first = [address for address, six in pairs if six is pairs[0][1]]
    second = [address for address, six in pairs if six is not pairs[0][1]]
    mixed: list[A] = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1] + second[index : index + 1]
    return mixed


class HappyEyeballs(Generic[A]):
    """Which address to try when: staggered starts, the next at once when one fails (RFC 8305 section 5).

    The driver starts what :meth:`next_attempt` returns, tells of failures, and cancels the rest when one succeeds.
    """

    def __init__(self, addresses: Sequence[A], now: float, delay: float = CONNECTION_ATTEMPT_DELAY) -> None:
        self._waiting = list(addresses)
        self._delay = delay
        self._due = now
        self._running = 0

    def next_attempt(self, now: float) -> A | None:
        """Return the address whose attempt starts now, or None if it is not time or all have been tried."""
        if not self._waiting or now < self._due:
            return None
        self._due = now + self._delay
        self._running += 1
        return self._waiting.pop(0)

    def next_deadline(self) -> float | None:
        """Return when the next attempt is due, or None if all have been started."""
        return self._due if self._waiting else None

    def attempt_failed(self, now: float) -> None:
        """One of the attempts has failed: the next is due at once."""
        self._running -= 1
        self._due = min(self._due, now)

    @property
    def exhausted(self) -> bool:
        """Whether every address has been tried and none is still being tried."""
        return not self._waiting and self._running == 0


@dataclass(slots=True)
class ConnectionBackoff:
    """How long to wait before connecting again: 1 s, then 1.6 times longer each, up to 120 s, give or take 20 %."""

    initial: float = 1.0
    multiplier: float = 1.6
    maximum: float = 120.0
    jitter: float = 0.2
    failures: int = 0

    def failed(self, rng: random.Random) -> float:
        """Count a failure; return the seconds from the beginning of that attempt to the next."""
        delay: float = min(self.initial * self.multiplier ** min(self.failures, 100), self.maximum)
        self.failures += 1
        return delay * rng.uniform(1 - self.jitter, 1 + self.jitter)

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0


class Picker(Protocol[A]):
    """Chooses a connection for a call among those that are ready."""

    def update(self, addresses: Sequence[A]) -> None:
        """Take the addresses that the resolver found."""

    def wanted(self) -> Sequence[A]:
        """Return the addresses to keep connections to; the driver tries them in this order."""

    def set_ready(self, address: A, ready: bool) -> None:
        """A connection has come up, or has gone."""

    def pick(self) -> A | None:
        """Return where the next call goes, or None while nothing is ready."""


@dataclass(slots=True)
class PickFirst(Generic[A]):
    """All calls go to the first address that connects; the driver races them as happy eyeballs does."""

    addresses: Sequence[A] = ()
    current: A | None = None

    def update(self, addresses: Sequence[A]) -> None:
        """Take the addresses that the resolver found; a connection to one that is gone is no longer picked."""
        self.addresses = tuple(addresses)
        if self.current is not None and self.current not in self.addresses:
            self.current = None

    def wanted(self) -> Sequence[A]:
        """Return the connected address, or all."""
        return self.addresses if self.current is None else (self.current,)

    def set_ready(self, address: A, ready: bool) -> None:
        """A connection has come up, or has gone."""
        if ready and self.current is None and address in self.addresses:
            self.current = address
        elif not ready and self.current == address:
            self.current = None

    def pick(self) -> A | None:
        """Return the connected address."""
        return self.current


@dataclass(slots=True)
class RoundRobin(Generic[A]):
    """Calls go to all ready addresses in turn. ``rng`` chooses where to begin, so that clients do not march in step."""

    rng: random.Random
    addresses: Sequence[A] = ()
    _ready: list[A] = field(default_factory=list)
    _next: int = 0

    def update(self, addresses: Sequence[A]) -> None:
        """Take the addresses that the resolver found."""
        self.addresses = tuple(addresses)
        self._ready = [address for address in self._ready if address in self.addresses]

    def wanted(self) -> Sequence[A]:
        """Return all addresses."""
        return self.addresses

    def set_ready(self, address: A, ready: bool) -> None:
        """A connection has come up, or has gone."""
        if ready and address in self.addresses and address not in self._ready:
            self._ready.append(address)
            if len(self._ready) == 1:
                self._next = self.rng.randrange(1 << 16)
        elif not ready and address in self._ready:
            self._ready.remove(address)

    def pick(self) -> A | None:
        """Return the next ready address."""
        if not self._ready:
            return None
        self._next += 1
        return self._ready[self._next % len(self._ready)]


def picker_for(policy: str, rng: random.Random) -> Picker[A]:
    """Return the picker of a load balancing policy: ``pick_first`` or ``round_robin``; raise ``ValueError``."""
    if policy == "pick_first":
        return PickFirst()
    if policy == "round_robin":
        return RoundRobin(rng)
    raise ValueError(f"load balancing policy {policy!r}: there are pick_first and round_robin")
