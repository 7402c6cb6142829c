"""The sockets of a world's hosts, as `ss` shows a machine's: TCP in every state with its figures, UDP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catenet.stack.endpoint import ANY4, ANY6
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    LOSS_PROBE_TIMER,
    NEVER,
    PROBE_TIMER,
    REORDER_TIMER,
    RTO_TIMER,
    Connection,
)
from catenet.stack.tcp.control.time_wait import TimeWait
from catenet.stack.tcp.user.info import TcpInfo, connection_info
from catenet.wire.address import format_address
from catenet.world.engine.process import Process

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.stack.tcp.user.endpoint import TcpEndpoint
    from catenet.world.engine.host import Host
    from catenet.world.world import World

__all__ = ["SocketRow", "list_sockets", "sockets_of"]

STATES: Final = {
    states.ESTABLISHED: "ESTAB",
    states.SYN_SENT: "SYN-SENT",
    states.SYN_RECEIVED: "SYN-RECV",
    states.FIN_WAIT_1: "FIN-WAIT-1",
    states.FIN_WAIT_2: "FIN-WAIT-2",
    states.TIME_WAIT: "TIME-WAIT",
    states.CLOSED: "UNCONN",
    states.CLOSE_WAIT: "CLOSE-WAIT",
    states.LAST_ACK: "LAST-ACK",
    states.LISTEN: "LISTEN",
    states.CLOSING: "CLOSING",
}
"""States as `ss` writes them."""

TIMERS: Final = {RTO_TIMER: "on", LOSS_PROBE_TIMER: "on", REORDER_TIMER: "on", PROBE_TIMER: "persist"}


@dataclass(slots=True)
class SocketRow:
    """One socket. `timer` is (kind, seconds left, retransmissions); `info` has the fields of `struct tcp_info`."""

    host: str
    netid: str
    state: str
    recv_q: int
    send_q: int
    local: str
    peer: str
    process: str = ""
    timer: tuple[str, float, int] | None = None
    congestion: str = ""
    info: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return asdict(self)

    def to_values(self) -> tuple[Any, ...]:
        """Its plain values, which make an equal row."""
        return astuple(self)


def list_sockets(world: World) -> list[SocketRow]:
    """Every socket of every host that runs: by host, listeners first, then in the order of their making."""
    return [row for host in world.hosts.values() if host.up for row in sockets_of(host)]


def sockets_of(host: Host) -> Iterable[SocketRow]:
    """The sockets of a host that runs."""
    if not host.elsewhere:
        return _of_host(host)
    return [SocketRow(*values) for values in host.world.isolation.sockets_of(host)]


def _of_host(host: Host) -> Iterator[SocketRow]:
    owners = {
        id(endpoint): f"{owner.name},pid={owner.pid},fd={descriptor}"
        for descriptor, file, owner in host.kernel.open_files()
        if (endpoint := getattr(file, "endpoint", None)) is not None and isinstance(owner, Process)
    }
    tcp = host.stack.tcp
    for endpoint in tcp.ports.listeners():
        yield _listener(host, endpoint, owners)
    for key in list(tcp.connections):
        each = tcp.find(key)
        if isinstance(each, Connection):
            yield _connection(host, each, owners)
        elif each is not None:
            yield _remains(host, each.key, each.state if isinstance(each, TimeWait) else states.SYN_RECEIVED)
    for datagrams in host.stack.udp.endpoints():
        peer = datagrams.peer()
        local = datagrams.local()
        yield SocketRow(
            host.name,
            "udp",
            "UNCONN" if peer is None else "ESTAB",
            datagrams.unread(),
            datagrams.unsent(),
            _name(local.address, local.port),
            _name(ANY6 if len(local.address) == 16 else ANY4, 0) if peer is None else _name(peer.address, peer.port),
            owners.get(id(datagrams), ""),
        )


def _listener(host: Host, endpoint: TcpEndpoint, owners: dict[int, str]) -> SocketRow:
    local = endpoint.local()
    info = endpoint.info()
    return SocketRow(
        host.name,
        "tcp",
        "LISTEN",
        info.tcpi_unacked,
        info.tcpi_sacked,
        _name(local.address, local.port),
        _name(bytes(len(local.address)), 0),
        owners.get(id(endpoint), ""),
    )


def _connection(host: Host, c: Connection, owners: dict[int, str]) -> SocketRow:
    info = connection_info(c)
    endpoint = c.endpoint
    return SocketRow(
        host.name,
        "tcp",
        STATES[c.state],
        endpoint.unread() if endpoint is not None else 0,
        max(c.write_seq - c.snd_una, 0),
        _name(c.source, c.source_port),
        _name(c.destination, c.destination_port),
        owners.get(id(endpoint), ""),
        _timer(c),
        c.congestion.name,
        _figures(info),
    )


def _timer(c: Connection) -> tuple[str, float, int] | None:
    now = c.layer.us
    if c.timer in TIMERS and c.timer_at != NEVER:
        return TIMERS[c.timer], max(0.0, (c.timer_at - now) / 1e6), c.retransmits
    if c.keepalive_at != NEVER:
        return "keepalive", max(0.0, (c.keepalive_at - now) / 1e6), c.probes_out
    return None


def _remains(host: Host, key: bytes, state: int) -> SocketRow:
    """A half-open connection or one in TIME-WAIT, of which the key tells: peer, local, their ports."""
    size = (len(key) - 4) // 2
    peer, local = key[:size], key[size : 2 * size]
    peer_port, local_port = (int.from_bytes(key[at : at + 2], "big") for at in (2 * size, 2 * size + 2))
    return SocketRow(host.name, "tcp", STATES[state], 0, 0, _name(local, local_port), _name(peer, peer_port))


def _figures(info: TcpInfo) -> dict[str, int]:
    return {name.removeprefix("tcpi_"): value for name, value in asdict(info).items()}


def _name(address: Address, port: int) -> str:
    shown = format_address(address)
    where = f"[{shown}]" if len(address) == 16 else shown
    return f"{where}:{port or '*'}"
