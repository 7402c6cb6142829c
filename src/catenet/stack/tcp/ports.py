"""Local ports: who has which, who listens, and which is free (RFC 6056)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.endpoint import ANY4, ANY6, Fault, StackError
from catenet.stack.tcp.timewait import TimeWait

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.stack.tcp.endpoint import TcpEndpoint
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.listener import Listener

__all__ = ["Ports"]


class Ports:
    """Of one host."""

    __slots__ = ("_holders", "_layer", "_listeners", "_used", "replaced")

    def __init__(self, layer: TcpLayer) -> None:
        self._layer = layer
        self.replaced: TimeWait | None = None
        """What the last `is_unique` put an end to."""
        self._holders: dict[int, list[TcpEndpoint]] = {}
        self._listeners: dict[int, list[TcpEndpoint]] = {}
        self._used: dict[int, list[int]] = {}
        """Port: connections and TIME-WAITs on it, and how many of them do not allow reuse."""

    def count(self, port: int, change: int, reuse: bool) -> None:
        """Connections on a port come (1) or go (-1)."""
        used = self._used.setdefault(port, [0, 0])
        used[0] += change
        if not reuse:
            used[1] += change
        if not used[0]:
            del self._used[port]

    def take(self, endpoint: TcpEndpoint, address: Address, port: int) -> int:
        """Bind `endpoint`, port 0 for any; returns the port. StackError(ADDRESS_IN_USE)."""
        if port:
            if self._conflicts(endpoint, address, port):
                raise StackError(Fault.ADDRESS_IN_USE)
        else:
            port = self._free_port(endpoint, address)
        self._holders.setdefault(port, []).append(endpoint)
        return port

    def release(self, endpoint: TcpEndpoint, port: int) -> None:
        """`endpoint` gives its port up."""
        for table in (self._holders, self._listeners):
            holders = table.get(port)
            if holders and endpoint in holders:
                holders.remove(endpoint)
                if not holders:
                    del table[port]

    def _free_port(self, endpoint: TcpEndpoint, address: Address) -> int:
        low, high = self._range(endpoint)
        size = high - low + 1
        start = self._layer.random.randrange(size)
        for step in range(size):
            port = low + (start + step) % size
            if port not in self._holders and port not in self._used:
                return port
        for step in range(size):
            port = low + (start + step) % size
            if not self._conflicts(endpoint, address, port):
                return port
        raise StackError(Fault.ADDRESS_IN_USE)

    def _range(self, endpoint: TcpEndpoint) -> tuple[int, int]:
        """Ephemeral ports of the host, narrowed by IP_LOCAL_PORT_RANGE as far as the two meet."""
        low, high = self._layer.settings.ip_local_port_range
        own = endpoint.number("IP_LOCAL_PORT_RANGE", 0)
        least, most = own & 0xFFFF or low, own >> 16 or high
        return (max(low, least), min(high, most)) if max(low, least) <= min(high, most) else (low, high)

    def _conflicts(self, endpoint: TcpEndpoint, address: Address, port: int) -> bool:
        reuse = bool(endpoint.number("SO_REUSEADDR", 0))
        share = bool(endpoint.number("SO_REUSEPORT", 0))
        used = self._used.get(port)
        if used is not None and used[0] and not share and (not reuse or used[1]):
            return True
        for other in self._holders.get(port, ()):
            if other is endpoint or not _overlap(endpoint, address, other):
                continue
            if share and other.number("SO_REUSEPORT", 0):
                continue
            if reuse and other.number("SO_REUSEADDR", 0) and not other.is_listening:
                continue
            return True
        return False

    def connect_port(self, endpoint: TcpEndpoint, local: Address, peer: Address, peer_port: int) -> int:
        """A local port for a connection to `peer`. StackError(ADDRESS_NOT_AVAILABLE) when all are taken."""
        low, high = self._range(endpoint)
        size = high - low + 1
        start = self._layer.random.randrange(size)
        for step in range(size):
            port = low + (start + step) % size
            if port in self._holders:
                continue
            if self.is_unique(local, port, peer, peer_port):
                return port
        raise StackError(Fault.ADDRESS_NOT_AVAILABLE)

    def is_unique(self, local: Address, port: int, peer: Address, peer_port: int, *, bound: bool = False) -> bool:
        """Whether a connection with these names may begin; a TIME-WAIT that stands in the way may be replaced."""
        layer = self._layer
        self.replaced = None
        found = layer.connections.get(layer.key(peer, local, peer_port, port))
        if found is None:
            return True
        if not isinstance(found, TimeWait) or not found.gives_way(bound):
            return False
        layer.next_isn = (found.snd_nxt + 65535 + 2) & 0xFFFFFFFF
        layer.remove(found)
        self.replaced = found
        return True

    def listen(self, endpoint: TcpEndpoint, port: int) -> None:
        """`endpoint` begins to listen. StackError(ADDRESS_IN_USE) when another does and does not share."""
        share = endpoint.number("SO_REUSEPORT", 0)
        for other in self._listeners.get(port, ()):
            if _overlap(endpoint, endpoint.bound_address, other) and not (share and other.number("SO_REUSEPORT", 0)):
                raise StackError(Fault.ADDRESS_IN_USE)
        self._listeners.setdefault(port, []).append(endpoint)

    def listeners(self) -> list[TcpEndpoint]:
        """All endpoints that listen, by port."""
        return [endpoint for _, endpoints in sorted(self._listeners.items()) for endpoint in endpoints]

    def unlisten(self, endpoint: TcpEndpoint, port: int) -> None:
        """`endpoint` listens no longer, but keeps its port."""
        listeners = self._listeners.get(port)
        if listeners and endpoint in listeners:
            listeners.remove(endpoint)
            if not listeners:
                del self._listeners[port]

    def listener_for(self, address: Address, port: int, peer: Address, peer_port: int) -> Listener | None:
        """The listener for a segment to `address`:`port`, None without: exact addresses first, shares by hash."""
        best: list[TcpEndpoint] = []
        best_score = 0
        for endpoint in self._listeners.get(port, ()):
            score = _score(endpoint, address)
            if score > best_score:
                best, best_score = [endpoint], score
            elif score and score == best_score:
                best.append(endpoint)
        if not best:
            return None
        if len(best) == 1:
            return best[0].listener
        return best[_hash(peer, peer_port, address, port) % len(best)].listener


def _hash(peer: Address, peer_port: int, local: Address, port: int) -> int:
    """Spread of flows over sharing listeners: the same for all segments of a flow, and in every run."""
    value = int.from_bytes(peer + local, "big") * 0x9E3779B97F4A7C15 + (peer_port << 16 | port) * 0xC2B2AE3D27D4EB4F
    return value >> 29 & 0xFFFFFFFF


def _score(endpoint: TcpEndpoint, address: Address) -> int:
    bound = endpoint.bound_address
    if bound == address:
        return 3
    if bound == (ANY4 if len(address) == 4 else ANY6):
        return 2
    if len(address) == 4 and bound == ANY6 and not endpoint.number("IPV6_V6ONLY", 0):
        return 1
    return 0


def _overlap(endpoint: TcpEndpoint, address: Address, other: TcpEndpoint) -> bool:
    """Whether two bound addresses can be meant by one packet."""
    theirs = other.bound_address
    if address == theirs:
        return True
    if len(address) == len(theirs):
        return ANY4 in (address, theirs) or ANY6 in (address, theirs)
    wide, wide_address = (endpoint, address) if len(address) == 16 else (other, theirs)
    return wide_address == ANY6 and not wide.number("IPV6_V6ONLY", 0)
