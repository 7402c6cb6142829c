"""The process of a host: its hub, and what the world asks of it."""

from __future__ import annotations

import gc
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from heapq import heappush
from typing import TYPE_CHECKING, Any, Final

from catenet.printable import say
from catenet.world.enclosure.closing import close_child
from catenet.world.engine.children.libraries import forget_state
from catenet.world.engine.ending import CHECK_INTERVAL, Ending
from catenet.world.engine.isolation import messages
from catenet.world.engine.isolation.journal import Journal
from catenet.world.engine.isolation.messages import Channel, Item, Packet, Parcel
from catenet.world.engine.isolation.state import Baseline, memory_of, owner_of, pending_starts
from catenet.world.engine.stalling import Watch
from catenet.world.engine.waiting import describe_process
from catenet.world.network.links import DELIVERY, SECOND_QUEUE, Arrival, ForwardingPath, InOrderPacket, Port
from catenet.world.observe.control import abandon
from catenet.world.observe.sockets import sockets_of
from catenet.world.patches.process_globals import foresee

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.engine.process import Process
    from catenet.world.world import World

__all__ = ["HostLoop", "ToldEnding"]

_FREEZE: Final = gc.freeze
_getpid, _exit = os.getpid, os._exit


def _complain(text: str) -> None:
    """Show a line that is no program's."""
    say(text, file=sys.__stderr__)


class ToldEnding(Ending):
    """Knows the programs of one host, and tells what it is told of them."""

    def __init__(self, world: World, tell: Callable[[Item], None]) -> None:
        super().__init__(world.hub, world.trace, world.switcher, world.ending.quiet)
        self._tell = tell
        self._now = world.hub

    def expect(self, count: int, *, service: bool = False) -> None:
        """See `Ending`."""
        self._tell((self._now.now, messages.EXPECT, count, service))
        super().expect(count, service=service)

    def started(self, process: Process) -> None:
        """See `Ending`."""
        item = (process.pid, process.name, process.declared, process.is_child)
        self._tell((self._now.now, messages.STARTED, *item))
        super().started(process)

    def ended(self, process: Process) -> None:
        """See `Ending`."""
        status = process.status
        self._tell((self._now.now, messages.ENDED, process.pid, status, process.replaced))
        super().ended(process)

    def begin_with(self, starts: list[tuple[float, bool]]) -> None:
        """Expect these programs."""
        self.service_starts = sum(service for _, service in starts)
        self.awaited_starts = len(starts) - self.service_starts

    def is_waited_for(self) -> bool:
        """Whether the end of a program here could be the end of the run."""
        if self.quiet < CHECK_INTERVAL:
            return self.waits_for_programs()
        return bool(self.alive or self.awaited_starts or self.service_starts)


class HostLoop:
    """Runs one host of a world in the process that was forked for it."""

    def __init__(
        self,
        world: World,
        host: Host,
        receivers: list[Callable[..., None]],
        booted: bool,
        modules: tuple[list[str], dict[str, list[str]]],
        journal: Journal,
    ) -> None:
        """`receivers` are where its ports hand packets to; `booted`: it has just booted, and its programs start.

        `modules` are those that its programs load anew, and those from each directory of programs, as of
        `modules_from`; `journal` is for what must outlive the process.
        """
        self._world = world
        self._host = host
        self._hub = hub = world.hub
        self._items: list[Item] = []
        self._journal = journal
        self._queued: deque[tuple[int, float, InOrderPacket | Arrival, bool]] = deque()
        """What may be taken back: number, departure, what it is, whether a partition stops it."""
        self._number = 0
        abandon()
        close_child(host.name)
        hub.elsewhere = None
        world.trace.gather = None
        world.isolation.become_host()
        world.isolation.tell_addresses = self._tell_addresses
        world.stopping = world.closing = False
        host.owns_process = True
        self._others = self._leave_others(booted)
        """Programs that run elsewhere; collecting one of these copies would let it unwind here."""
        self._take_hub(booted)
        self._ending = ToldEnding(world, self._tell)
        world.ending = self._ending
        world.output = self._line
        self._keep_taps()
        self._arrivals = [self._take_port(port, *each) for port, *each in self._own_ports(receivers)]
        self._ending.begin_with(pending_starts(host))
        self._baseline = Baseline(world, host)
        if not any(service.program.is_callable for service in host.services.values()):
            forget_state(modules[0])  # of whatever has built the world: functions alone see its objects
        foresee(modules[1])
        if booted:
            host.come_here()
        elif host.asking is not None:
            host.asking.go_on_here()

    def _leave_others(self, booted: bool) -> list[Process]:
        """Let copies of hosts be places in the network, with no programs: signals and faults are not for those."""
        world, host = self._world, self._host
        for other in world.hosts.values():
            if other is not host or booted:
                other.go_elsewhere()
        others = [process for process in world.processes if process.host is not host]
        for process in others:
            process.hold(False)  # what wakes it, as an address of the copy that goes, wakes nobody
            process.host.processes.clear()
        world.processes[:] = host.processes
        return others

    def _keep_taps(self) -> None:
        """Have packets told to those taps that see no more, and keep the others."""
        trace = self._world.trace
        collectors = trace.collectors
        recording = [self._record] if trace.recording_taps() else []
        trace.taps[:] = [*recording, *(collector.tap for collector in collectors)]
        for collector in collectors:
            collector.begin_elsewhere()

    def _own_ports(self, receivers: list[Callable[..., None]]) -> list[tuple[Port, Callable[..., None]]]:
        return list(zip(self._world.topology.ports_of(self._host.name), receivers, strict=True))

    def _take_hub(self, booted: bool) -> None:
        """Keep what is this host's of what waits in the hub."""
        hub, host = self._hub, self._host
        kept = [] if booted else [entry for entry in hub.heap if owner_of(entry[2]) is host]
        hub.heap[:] = sorted(kept)
        pumps = [] if booted else [event for event in hub.soon if getattr(event, "host", None) is host]
        hub.soon.clear()
        hub.soon.extend(pumps)
        hub.turns.clear()
        hub.outlet = None
        hub.outlets.clear()
        hub.turns_begin = self._journal.cells

    def _take_port(self, port: Port, receive: Callable[..., None]) -> ForwardingPath:
        """Have a port send to the world and receive from it; returns the path by which packets come."""
        port.outbox.ship = self._ship
        port.attach(receive)
        return ForwardingPath(port, (b"", b""), port.up, [], True)

    def run(self, channel: Channel) -> None:
        """Do as the world says, until the end."""
        _FREEZE()
        own = _getpid()
        verbs = (self._advance, self._round, self._barriers, self._crash, self._answer)
        limit = self._world.isolation.stall
        watch = None if limit is None else Watch(self._world, limit, _complain, None)
        seen = -math.inf
        while True:
            if watch is not None:
                watch.waits = True
            verb, when, packets, calls = channel.hear()
            if verb == messages.END:
                return
            if watch is not None:
                watch.waits = False
                if self._hub.now > seen:  # answers at one instant are no progress
                    seen = self._hub.now
                    watch.get_on(time.perf_counter())
            answer = verbs[verb](when, packets, calls)
            if _getpid() != own:  # C code has forked, and this is the copy
                _exit(1)
            channel.say(answer)
            self._items.clear()
            self._journal.begin()

    # What is asked.

    def _advance(self, bound: float, packets: list[Packet], calls: list[tuple[str, Any]]) -> Item:
        self._put(packets)
        return self._run(math.nextafter(bound, -math.inf))

    def _round(self, now: float, packets: list[Packet], calls: list[tuple[str, Any]]) -> Item:
        if calls:
            self._hub.now = max(self._hub.now, now)
            for name, argument in calls:
                self._call(name, argument)
        self._put(packets)
        return self._run(now)

    def _run(self, until: float) -> Item:
        hub = self._hub
        between, hub.barriers = hub.barriers, []  # they are done when all do them
        more = hub.run(until, idle=False)
        for each in hub.barriers:
            heappush(between, each)
        hub.barriers = between
        due = hub.next_due()
        stopped = due <= until or (more and hub.now < until)  # at the end of its last program
        return self._told(due, hub.now if stopped else None)

    def _due(self) -> float:
        """When there is something to do."""
        hub = self._hub
        return hub.now if hub.soon or hub.turns or hub.outlet is not None else hub.next_due()

    def _told(self, due: float, reached: float | None, failure: str | None = None) -> Item:
        return self._items, due, self._ending.is_waited_for(), reached, failure

    def _put(self, packets: list[Packet]) -> None:
        arrivals, put = self._arrivals, self._hub.put
        for when, number, packet in packets:
            path = arrivals[number]
            put(Arrival(packet, path, path.port, None, DELIVERY), when)

    def _barriers(self, now: float, packets: list[Packet], calls: list[tuple[str, Any]]) -> Item:
        failure = None
        try:
            self._hub.run_barriers(now)
            for name, argument in calls:
                self._call(name, argument)
                self._hub.run_barriers(now)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        self._compare(now)
        return self._told(self._due(), None, failure)

    def _crash(self, now: float, packets: list[Packet], calls: list[tuple[str, Any]]) -> Item:
        """Lose power; what is left is told."""
        world, host = self._world, self._host
        self._hub.now = now
        starts = pending_starts(host)
        for port in world.topology.ports_of(host.name):
            port.outbox.ship = self._ship
        figures = [port.trace.figures() for port in world.topology.ports_of(host.name) if port.trace is not None]
        world.topology.power_off(host.name)
        self._let_go()
        self._compare(now)
        told = self._baseline.tell() | {"traces": figures, "collected": self._collected()}
        return list(self._items), told, memory_of(world, host), starts

    def _collected(self) -> list[Any]:
        """What collectors have seen here."""
        return [collector.tell() for collector in self._world.trace.collectors]

    def _let_go(self) -> None:
        """Tell what has left the host's queues and is on its own links: it outlives the host."""
        hub = self._hub
        under_way = [entry for entry in hub.heap if isinstance(entry[2], Arrival) and entry[2].port is None]
        for when, sequence, event in sorted(under_way, key=lambda entry: entry[:2]):
            event.happen(when, sequence)
        hub.put_on_links()

    def _call(self, name: str, argument: Any) -> None:
        world = self._world
        if name == "addresses":
            host, told = argument
            asking = world.hosts[host].asking
            if asking is not None:
                asking.learn(told)
        elif name == "interrupt":
            world.interrupt(argument)
        elif name == "kill":
            world.closing = world.stopping = True
            for process in world.processes:
                process.kill()
        else:
            raise ValueError(f"unknown call {name!r}")

    def _answer(self, now: float, packets: list[Packet], calls: list[tuple[str, Any]]) -> Any:
        self._hub.now = max(self._hub.now, min(now, self._hub.next_due()))
        name = calls[0][0]
        if name == "figures":
            return self._baseline.tell()
        if name == "activity":
            services = [process.pid for process in self._ending.alive if process.is_service()]
            return self._world.trace.of_host(self._host.name), self._world.switcher.computed, services
        if name == "waiting":
            return {process.pid: list(describe_process(process)) for process in self._ending.alive}
        if name == "collected":
            return self._collected()
        if name == "sockets":
            return [row.to_values() for row in sockets_of(self._host)]
        if name == "threads":
            self._world.wait_for_threads()
            return self._due()
        raise ValueError(f"unknown question {name!r}")

    # What is told.

    def _tell(self, item: Item) -> None:
        """Tell something also if the process ends before it answers."""
        self._items.append(item)
        self._journal.note(item)

    def _line(self, _: str, stream: str, text: str) -> None:
        self._tell((self._hub.now, messages.LINE, stream, text))

    def _tell_addresses(self, when: float, told: Any) -> None:
        self._items.append((self._hub.now, messages.ADDRESSES, when, told))

    def _record(self, port: int, direction: int, packet: Any, now: float) -> None:
        self._items.append((now, messages.RECORDED, port, direction, bytes(packet)))

    def _ship(self, sent: list[InOrderPacket | Arrival]) -> None:
        """Tell what a port has sent in a round."""
        now, items, queued = self._hub.now, self._items, self._queued
        while queued and queued[0][1] <= now:
            queued.popleft()
        sender = sent[0].path.port.index
        parcels: list[Parcel] = []
        for each in sent:
            path = each.path
            number = 0
            if isinstance(each, InOrderPacket):
                each.queue.remember(each)
                if path.queued:
                    number = self._note(each.departure, each, False)
                parcels.append((path.ways[0].index, each.when, DELIVERY, each.packet, b"", number, False))
            elif each.port is None:
                self._hub.put(each, each.when)
            else:
                if each.crossing is not None:
                    number = self._note(each.crossing.departure, each, each.stopped)
                key = b"".join(path.addresses) if each.step == SECOND_QUEUE else b""
                if each.packet is not None:
                    parcels.append((each.port.index, each.when, each.step, each.packet, key, number, each.stopped))
        if parcels:
            items.append((now, messages.SENT, sender, parcels))

    def _note(self, departure: float, sent: InOrderPacket | Arrival, stopped: bool) -> int:
        self._number += 1
        self._queued.append((self._number, departure, sent, stopped))
        return self._number

    def _compare(self, now: float) -> None:
        """Tell what has become of what had not left the host's queues when an action began."""
        kept: deque[tuple[int, float, InOrderPacket | Arrival, bool]] = deque()
        for number, departure, sent, stopped in self._queued:
            if departure <= now:
                continue
            if isinstance(sent, InOrderPacket):
                gone = sent.arrivals is not None
            else:
                gone = sent.packet is None
            if gone:
                self._items.append((now, messages.TAKEN_BACK, number))
                continue
            if sent.stopped != stopped:
                self._items.append((now, messages.STOPPED, number, sent.stopped))
            kept.append((number, departure, sent, sent.stopped))
        self._queued = kept
