"""Local ports: which are taken by whom, who listens, and which are free (RFC 6056).

Who may have a port beside whom is a matter of addresses, flags and states, as on Linux: two that could get the same
segment need SO_REUSEADDR both, and the one that is there must not listen, or SO_REUSEPORT both. A connection counts
by its own address, also when its program has closed it, and so does TIME-WAIT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.stack.endpoint import ANY4, ANY6, Fault, StackError
from catenet.stack.ports import addresses_meet, ephemeral_ports
from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.control.time_wait import TimeWait
from catenet.stack.tcp.sending.flush import WORK_RESET

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.opening.listener import Listener
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["Ports", "sharing"]

_REUSE: Final = 1
_SHARE: Final = 2
_KINDS: Final = 1024

Use: TypeAlias = "tuple[Address, int]"
"""Address and `sharing` of connections on a port."""


def sharing(options: Mapping[str, int | bytes | str]) -> int:
    """Flags by which a socket shares its port: SO_REUSEADDR, SO_REUSEPORT."""
    return (_REUSE if options.get("SO_REUSEADDR") else 0) | (_SHARE if options.get("SO_REUSEPORT") else 0)


class Ports:
    """The port table of one host."""

    __slots__ = ("_holders", "_kinds", "_layer", "_listeners", "_used")

    def __init__(self, layer: TcpLayer) -> None:
        self._layer = layer
        self._holders: dict[int, list[TcpEndpoint]] = {}
        self._listeners: dict[int, list[TcpEndpoint]] = {}
        self._used: dict[int, Use | dict[Use, int]] = {}
        """Port: the one connection or TIME-WAIT on it, or how many of each kind there are."""
        self._kinds: dict[Use, Use] = {}
        """The objects that stand for each kind, so that there are not as many as ports."""

    def add(self, port: int, address: Address, flags: int) -> None:
        """Note a connection, or one in TIME-WAIT, on a port."""
        use = self._kind(address, flags)
        there = self._used.get(port)
        if there is None:
            self._used[port] = use
            return
        if isinstance(there, tuple):
            there = self._used[port] = {there: 1}
        there[use] = there.get(use, 0) + 1

    def remove(self, port: int, address: Address, flags: int) -> None:
        """Forget what `add` has noted."""
        there = self._used[port]
        use = (address, flags)
        if isinstance(there, dict) and (len(there) > 1 or there[use] > 1):
            there[use] -= 1
            if not there[use]:
                del there[use]
        else:
            del self._used[port]

    def in_use(self) -> int:
        """Number of ports that a socket or a connection has."""
        return len(self._holders.keys() | self._used.keys())

    def is_used(self, port: int) -> bool:
        """Whether a socket or a connection has this port, at any address."""
        return port in self._holders or port in self._used

    def _kind(self, address: Address, flags: int) -> Use:
        if len(self._kinds) > _KINDS:
            self._kinds.clear()
        use = (address, flags)
        return self._kinds.setdefault(use, use)

    def bind(self, endpoint: TcpEndpoint, address: Address, port: int) -> int:
        """Bind `endpoint`, port 0 for any; returns the port. StackError(ADDRESS_IN_USE)."""
        if port:
            if self._conflicts(endpoint, address, port):
                raise StackError(Fault.ADDRESS_IN_USE)
        else:
            port = self._free_port(endpoint, address)
        self._holders.setdefault(port, []).append(endpoint)
        return port

    def release(self, endpoint: TcpEndpoint, port: int) -> None:
        """Release the port of `endpoint`."""
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
            if not self._conflicts(endpoint, address, port, automatic=True):
                return port
        raise StackError(Fault.ADDRESS_IN_USE)

    def _range(self, endpoint: TcpEndpoint) -> tuple[int, int]:
        return ephemeral_ports(self._layer.settings, endpoint.number("IP_LOCAL_PORT_RANGE", 0))

    def _conflicts(self, endpoint: TcpEndpoint, address: Address, port: int, *, automatic: bool = False) -> bool:
        """Whether `endpoint` may not have the port; `automatic`: as one that it has not asked for, and shares only if
        `ip_autobind_reuse` says so.
        """
        flags = sharing(endpoint.options)
        if automatic:
            flags = flags if self._layer.settings.ip_autobind_reuse and flags == _REUSE else 0
        only = _is_only_6(endpoint)
        for other in self._holders.get(port, ()):
            if other is endpoint or not addresses_meet(address, only, other.bound_address, _is_only_6(other)):
                continue
            theirs = sharing(other.options)
            if not flags & theirs & (_SHARE if other.is_listening else _REUSE | _SHARE):
                return True
        return any(
            addresses_meet(address, only, other_address, False) and not flags & theirs
            for other_address, theirs in self._uses(port)
        )

    def _uses(self, port: int) -> Iterable[Use]:
        there = self._used.get(port)
        return () if there is None else (there,) if isinstance(there, tuple) else there

    def connect_port(
        self, endpoint: TcpEndpoint, local: Address, peer: Address, peer_port: int
    ) -> tuple[int, TimeWait | None]:
        """A local port for a connection to `peer`, and whom it replaces (`free_names`).

        Raises:
            StackError: ADDRESS_NOT_AVAILABLE when all are taken.
        """
        low, high = self._range(endpoint)
        size = high - low + 1
        start = self._layer.random.randrange(size)
        for step in range(size):
            port = low + (start + step) % size
            if port in self._holders:
                continue
            free, replaced = self.free_names(local, port, peer, peer_port)
            if free:
                return port, replaced
        raise StackError(Fault.ADDRESS_NOT_AVAILABLE)

    def free_names(
        self, local: Address, port: int, peer: Address, peer_port: int, *, bound: bool = False
    ) -> tuple[bool, TimeWait | None]:
        """Whether a connection with these names may begin, and the one in TIME-WAIT that it replaces, if any.

        A connection that is about to be reset is replaced too. `bound` tells that `bind` chose the port.
        """
        layer = self._layer
        found = layer.connections.get(layer.key(peer, local, peer_port, port))
        if found is None:
            return True, None
        if isinstance(found, Connection) and found.work & WORK_RESET:
            layer.forget(found)
            return True, None
        if not isinstance(found, TimeWait) or not found.may_be_replaced(bound):
            return False, None
        layer.remove(found)
        return True, found

    def listen(self, endpoint: TcpEndpoint, port: int) -> None:
        """Note that `endpoint` listens. StackError(ADDRESS_IN_USE) when another does and does not share."""
        flags = sharing(endpoint.options)
        only = _is_only_6(endpoint)
        for other in self._listeners.get(port, ()):
            meets = addresses_meet(endpoint.bound_address, only, other.bound_address, _is_only_6(other))
            if meets and not flags & sharing(other.options) & _SHARE:
                raise StackError(Fault.ADDRESS_IN_USE)
        self._listeners.setdefault(port, []).append(endpoint)

    def listeners(self) -> list[TcpEndpoint]:
        """All endpoints that listen, by port."""
        return [endpoint for _, endpoints in sorted(self._listeners.items()) for endpoint in endpoints]

    def unlisten(self, endpoint: TcpEndpoint, port: int) -> None:
        """Note that `endpoint` listens no longer; it keeps its port."""
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


def _is_only_6(endpoint: TcpEndpoint) -> bool:
    return bool(endpoint.number("IPV6_V6ONLY", 0))
