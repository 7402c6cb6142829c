"""The mappings of a NAT and their sessions (RFC 4787, 5382, 5508, 7857).

A mapping gives an inside endpoint an outside one; a session is one peer of it. Time-outs belong to sessions, and a
mapping is there as long as one of its sessions is. What has timed out is found when somebody asks for it, or room is
needed.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Callable
from typing import Final

from catenet.stack.endpoint import Address
from catenet.stack.nat.config import Behaviour, Endpoint, NatConfig
from catenet.stack.nat.flows import Flow
from catenet.stack.units import Seconds
from catenet.wire import tcp, udp

__all__ = ["Mapping", "NatTable", "Session", "TableFull"]

# What has been seen of a TCP session, on either side.
_OUT_OPEN: Final = 1
_IN_OPEN: Final = 2
_OUT_FIN: Final = 4
_IN_FIN: Final = 8
_RESET: Final = 16
_ANSWERED: Final = 32
"""Of UDP: the peer has sent something."""
_OPEN: Final = _OUT_OPEN | _IN_OPEN
_FINS: Final = _OUT_FIN | _IN_FIN
_SWEEP_EVERY: Final = 1024
"""New sessions between two searches for those that have timed out."""


class TableFull(Exception):
    """There is no room for another session, or no port for another mapping; the text says which."""


class Session:
    """One peer of a mapping."""

    __slots__ = ("expires", "seen")

    def __init__(self) -> None:
        self.expires = 0.0
        self.seen = 0


class Mapping:
    """An inside endpoint and what stands for it outside; `permanent` if it is a forwarded port."""

    __slots__ = ("inside", "key", "outside", "permanent", "protocol", "sessions")

    def __init__(self, protocol: int, inside: Endpoint, outside: Endpoint, key: _Key | None) -> None:
        self.protocol = protocol
        self.inside = inside
        self.outside = outside
        self.key = key
        self.permanent = key is None
        self.sessions: dict[Endpoint, Session] = {}

    def is_alive(self, now: Seconds) -> bool:
        """Whether it is permanent or a session has not timed out."""
        return self.permanent or any(session.expires > now for session in self.sessions.values())

    def find(self, peer: Endpoint, now: Seconds) -> Session | None:
        """The session with a peer, unless it has timed out."""
        session = self.sessions.get(peer)
        return session if session is not None and session.expires > now else None

    def admits(self, peer: Endpoint, filtering: Behaviour, now: Seconds) -> bool:
        """Whether packets of this peer may pass to the inside endpoint (RFC 4787 5)."""
        if self.permanent or filtering is Behaviour.ENDPOINT_INDEPENDENT:
            return self.is_alive(now)
        if filtering is Behaviour.ADDRESS_AND_PORT_DEPENDENT:
            return self.find(peer, now) is not None
        return any(other[0] == peer[0] and session.expires > now for other, session in self.sessions.items())


_Key = tuple[int, Endpoint, Address, Endpoint]
"""Protocol, inside endpoint, outside address, and of the peer what the mapping depends on."""


class NatTable:
    """All mappings of one NAT; `reserved(protocol, port)` says whether the router itself uses a port."""

    def __init__(self, config: NatConfig, random: random_module.Random, reserved: Callable[[int, int], bool]) -> None:
        self.config = config
        self._random = random
        self._reserved = reserved
        self._inside: dict[_Key, Mapping] = {}
        self._outside: dict[tuple[int, Endpoint], Mapping] = {}
        self._forwarded: dict[tuple[int, Endpoint, Address], Mapping] = {}
        self._count = 0
        self._new = 0

    def __len__(self) -> int:
        """Number of sessions, those included that have timed out and were not found yet."""
        return self._count

    # Who has a mapping.

    def find_inside(
        self, protocol: int, inside: Endpoint, peer: Endpoint, address: Address, now: Seconds
    ) -> Mapping | None:
        """The mapping by which packets of an inside endpoint leave for `peer`, None without any."""
        forwarded = self._forward_of(protocol, inside, address)
        if forwarded is not None and (self._independent or forwarded.find(peer, now) is not None):
            return forwarded
        mapping = self._inside.get(self._key(protocol, inside, peer, address))
        return mapping if mapping is not None and self._still(mapping, now) else None

    def find_outside(self, protocol: int, outside: Endpoint, now: Seconds) -> Mapping | None:
        """The mapping behind an outside endpoint, None without any."""
        mapping = self._outside.get((protocol, outside))
        if mapping is not None and self._still(mapping, now):
            return mapping
        inside = self.config.forwards.get((protocol, outside[1]))
        return None if inside is None else self._make_permanent(protocol, inside, outside)

    def map(self, flow: Flow, address: Address, now: Seconds) -> Mapping:
        """The mapping by which a packet from inside leaves, made if there is none; TableFull."""
        inside, peer = flow.source, flow.destination
        mapping = self.find_inside(flow.protocol, inside, peer, address, now)
        if mapping is not None:
            return mapping
        self._make_room(now)
        port = self._free_port(flow.protocol, inside[1], address, now)
        key = self._key(flow.protocol, inside, peer, address)
        mapping = Mapping(flow.protocol, inside, (address, port), key)
        self._inside[key] = self._outside[flow.protocol, mapping.outside] = mapping
        return mapping

    @property
    def _independent(self) -> bool:
        return self.config.mapping is Behaviour.ENDPOINT_INDEPENDENT

    def _key(self, protocol: int, inside: Endpoint, peer: Endpoint, address: Address) -> _Key:
        behaviour = self.config.mapping
        if behaviour is Behaviour.ENDPOINT_INDEPENDENT:
            peer = (b"", 0)
        elif behaviour is Behaviour.ADDRESS_DEPENDENT:
            peer = (peer[0], 0)
        return (protocol, inside, address, peer)

    def _forward_of(self, protocol: int, inside: Endpoint, address: Address) -> Mapping | None:
        """The permanent mapping of an inside endpoint."""
        known = self._forwarded.get((protocol, inside, address))
        if known is not None:
            return known
        for (its_protocol, port), target in self.config.forwards.items():
            if its_protocol == protocol and target == inside:
                return self._make_permanent(protocol, inside, (address, port))
        return None

    def _make_permanent(self, protocol: int, inside: Endpoint, outside: Endpoint) -> Mapping:
        mapping = Mapping(protocol, inside, outside, None)
        self._outside[protocol, outside] = mapping
        self._forwarded.setdefault((protocol, inside, outside[0]), mapping)
        return mapping

    # Sessions.

    def sent(self, mapping: Mapping, flow: Flow, now: Seconds) -> None:
        """Note a packet from inside to a peer; TableFull."""
        session = mapping.find(flow.destination, now)
        if session is None:
            session = self._open(mapping, flow.destination, now)
        if flow.protocol == tcp.PROTOCOL:
            _see(session, flow.kind, _OUT_OPEN, _OUT_FIN)
        session.expires = now + self._lifetime(flow.protocol, session.seen)

    def received(self, mapping: Mapping, flow: Flow, now: Seconds) -> None:
        """Note a packet of a peer that was admitted; TableFull."""
        session = mapping.find(flow.source, now)
        fresh = session is None
        if session is None:
            session = self._open(mapping, flow.source, now)
        if flow.protocol == tcp.PROTOCOL:
            _see(session, flow.kind, _IN_OPEN, _IN_FIN)
        elif flow.protocol == udp.PROTOCOL:
            first = not session.seen & _ANSWERED
            session.seen |= _ANSWERED
            if not (fresh or first or self.config.refresh_inbound):
                return
        session.expires = now + self._lifetime(flow.protocol, session.seen)

    def _lifetime(self, protocol: int, seen: int) -> float:
        timeouts = self.config.timeouts
        if protocol == tcp.PROTOCOL:
            open_ = seen & _OPEN == _OPEN and seen & _FINS != _FINS and not seen & _RESET
            return timeouts.tcp_established if open_ else timeouts.tcp_transitory
        if protocol == udp.PROTOCOL:
            return timeouts.udp if seen & _ANSWERED else timeouts.udp_unanswered
        return timeouts.icmp

    def _open(self, mapping: Mapping, peer: Endpoint, now: Seconds) -> Session:
        if peer not in mapping.sessions:  # else it has timed out, and its place is taken
            self._make_room(now)
            self._count += 1
        session = mapping.sessions[peer] = Session()
        self._new += 1
        return session

    # Ports and room.

    def _free_port(self, protocol: int, wanted: int, address: Address, now: Seconds) -> int:
        """The port of the inside endpoint, or any that is free, from a random one on (RFC 4787 4.2.1, RFC 6056)."""
        if self.config.preserve_ports and self._is_free(protocol, wanted, address, now):
            return wanted
        low, high = self.config.ports
        count = high - low + 1
        start = self._random.randrange(count)
        for step in range(count):
            port = low + (start + step) % count
            if self._is_free(protocol, port, address, now):
                return port
        raise TableFull("no port")

    def _is_free(self, protocol: int, port: int, address: Address, now: Seconds) -> bool:
        mapping = self._outside.get((protocol, (address, port)))
        if mapping is not None and self._still(mapping, now):
            return False
        return (protocol, port) not in self.config.forwards and not self._reserved(protocol, port)

    def _make_room(self, now: Seconds) -> None:
        if self._count >= self.config.limit or self._new >= _SWEEP_EVERY:
            self._new = 0
            for mapping in list(self._outside.values()):
                self._sweep(mapping, now)
        if self._count >= self.config.limit:
            raise TableFull("table full")

    def _sweep(self, mapping: Mapping, now: Seconds) -> None:
        """Forget sessions that have timed out, and the mapping with the last."""
        over = [peer for peer, session in mapping.sessions.items() if session.expires <= now]
        for peer in over:
            del mapping.sessions[peer]
        self._count -= len(over)
        if not mapping.sessions and not mapping.permanent:
            self.forget(mapping)

    def _still(self, mapping: Mapping, now: Seconds) -> bool:
        """Whether a mapping is alive; one that is not is forgotten."""
        if mapping.is_alive(now):
            return True
        self.forget(mapping)
        return False

    def forget(self, mapping: Mapping) -> None:
        """Forget a mapping with its sessions, as when its outside address is gone."""
        self._count -= len(mapping.sessions)
        mapping.sessions.clear()
        self._outside.pop((mapping.protocol, mapping.outside), None)
        if mapping.key is not None and self._inside.get(mapping.key) is mapping:
            del self._inside[mapping.key]
        if mapping.permanent:
            self._forwarded.pop((mapping.protocol, mapping.inside, mapping.outside[0]), None)


def _see(session: Session, flags: int, opened: int, finished: int) -> None:
    """Follow a TCP session, as RFC 7857 2.1 and RFC 6146 3.5.2 do: a RST need not be one that the receiver believes."""
    seen = session.seen
    if flags & tcp.RST:
        session.seen = seen | _RESET
        return
    if flags & tcp.SYN and (seen & _RESET or seen & _FINS == _FINS):
        seen = 0  # the same endpoints begin anew
    seen = (seen & ~_RESET) | opened
    session.seen = seen | finished if flags & tcp.FIN else seen
