"""The report of a run: figures per host and process, as values, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from catenet.tables import make_table
from catenet.wire.address import format_address
from catenet.world.network.links import CountingDevice

if TYPE_CHECKING:
    from rich.table import Table

    from catenet.world.engine.process import Process
    from catenet.world.world import World

__all__ = ["HostReport", "ProcessReport", "Report", "counting_devices", "make_report", "tables"]


@dataclass(slots=True)
class HostReport:
    """One host: what it put on its links and got from them; `drops` are by cause, on its links in both directions."""

    name: str
    addresses: list[str]
    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    packets_dropped: int = 0
    packets_corrupted: int = 0
    packets_duplicated: int = 0
    packets_reordered: int = 0
    packets_marked: int = 0
    retransmitted_segments: int = 0
    drops: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ProcessReport:
    """One process. `end` is how it ended: exited, failed, crashed (its host did), stopped (when the run ended)."""

    name: str
    host: str
    exit_status: int | None
    end: str
    started: float
    ended: float | None


@dataclass(slots=True)
class Report:
    """A whole run."""

    seed: int | str
    virtual_seconds: float
    wall_seconds: float
    packets_sent: int
    packets_dropped: int
    retransmitted_segments: int
    trace_sha256: str
    hosts: list[HostReport]
    processes: list[ProcessReport]
    deadlock: str | None = None
    programs_ended: float | None = None
    """When the last program ended for which the run waited, None when some had not or none has (a crash is no end);
    the run goes on to `virtual_seconds`."""

    @property
    def ended_well(self) -> bool:
        """Whether no program failed and none waits for ever."""
        return self.deadlock is None and all(process.end != "failed" for process in self.processes)

    def to_json(self) -> dict[str, Any]:
        """The values as JSON has them; `hosts` by name."""
        values = asdict(self)
        values["hosts"] = {host.pop("name"): host for host in values["hosts"]}
        return values


def counting_devices(world: World) -> list[CountingDevice]:
    """The devices of all hosts that count what they carry."""
    devices = (device for host in world.hosts.values() for device, _ in host.devices)
    return [device for device in devices if isinstance(device, CountingDevice)]


def make_report(
    world: World,
    *,
    virtual: float,
    wall: float,
    programs_ended: float | None = None,
    stopped: Iterable[int] = (),
    deadlock: str | None = None,
) -> Report:
    """Gather the figures of a world. `stopped` are the pids of processes that the end of the run has ended."""
    hosts = {name: HostReport(name, _addresses(world, name)) for name in world.hosts}
    for device in counting_devices(world):
        host = hosts[device.host]
        host.packets_sent += device.sent_packets
        host.bytes_sent += device.sent_bytes
        host.packets_received += device.received_packets
        host.bytes_received += device.received_bytes
        _add_drops(host, device.drops())
    for name, link in world.topology.links():
        host = hosts[name]
        host.packets_corrupted += link.counters.corrupted
        host.packets_duplicated += link.counters.duplicated
        host.packets_reordered += link.counters.reordered
        host.packets_marked += link.counters.marked
        _add_drops(host, link.counters.drops)
    for name, host in hosts.items():
        _add_drops(host, world.hosts[name].drops())
        host.retransmitted_segments = world.hosts[name].counters().get("retransmitted", 0)
    ended_by_us = frozenset(stopped)
    processes = [
        ProcessReport(
            name=process.name,
            host=process.host.name,
            exit_status=process.status,
            end="stopped" if id(process) in ended_by_us else _end(process),
            started=process.started_at,
            ended=process.ended_at,
        )
        for process in world.processes
    ]
    return Report(
        seed=world.seed,
        virtual_seconds=virtual,
        wall_seconds=wall,
        packets_sent=sum(host.packets_sent for host in hosts.values()),
        packets_dropped=sum(host.packets_dropped for host in hosts.values()),
        retransmitted_segments=sum(host.retransmitted_segments for host in hosts.values()),
        trace_sha256=world.trace.hexdigest(),
        hosts=list(hosts.values()),
        processes=processes,
        deadlock=deadlock,
        programs_ended=programs_ended,
    )


def tables(report: Report) -> list[Table]:
    """Two tables for a terminal: hosts and processes."""
    columns = ("host", "sent", "received", "bytes sent", "bytes received", "dropped", "retransmitted")
    hosts = make_table(columns, map(_host_row, report.hosts), title="hosts", numbers=True)
    processes = make_table(("host", "program", "status", "end"), map(_process_row, report.processes), title="processes")
    return [hosts, processes]


def _host_row(host: HostReport) -> tuple[str, ...]:
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(host.drops.items()))
    figures = (host.packets_sent, host.packets_received, host.bytes_sent, host.bytes_received)
    dropped = f"{host.packets_dropped:,}" + (f" ({causes})" if causes else "")
    return host.name, *(f"{figure:,}" for figure in figures), dropped, f"{host.retransmitted_segments:,}"


def _process_row(process: ProcessReport) -> tuple[str, ...]:
    status = "-" if process.exit_status is None else str(process.exit_status)
    ended = "" if process.ended is None else f" at {process.ended:.3f} s"
    return process.host, process.name, status, process.end + ended


def _end(process: Process) -> str:
    if process.status is None:
        return "waiting"
    if process.crashed:
        return "crashed"
    if process.failed:
        return "failed"
    return "restarted" if process.replaced and process.status else "exited"


def _add_drops(host: HostReport, drops: Mapping[str, int]) -> None:
    for cause, count in drops.items():
        host.drops[cause] = host.drops.get(cause, 0) + count
        host.packets_dropped += count


def _addresses(world: World, name: str) -> list[str]:
    return [format_address(address) for address in world.addresses(name)]
