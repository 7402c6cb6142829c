"""The world's process and the hosts that others run: what happens when, and how far each may go."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from catenet.world.enclosure.closing import enter_root
from catenet.world.engine.children.libraries import modules_to_forget
from catenet.world.engine.hub import NEVER, Elsewhere, Event, Happenings, Hub
from catenet.world.engine.isolation import messages
from catenet.world.engine.isolation.child import HostLoop
from catenet.world.engine.isolation.journal import Journal, Notes
from catenet.world.engine.isolation.lookahead import Distances, bounds
from catenet.world.engine.isolation.messages import Channel, Item, Packet
from catenet.world.engine.isolation.party import Party
from catenet.world.engine.isolation.process import RemoteProcess
from catenet.world.engine.isolation.processes import fork
from catenet.world.engine.isolation.state import adopt, adopt_memory, owner_of, pending_starts
from catenet.world.engine.process import KILLED
from catenet.world.engine.programs import RESTART_DELAYS
from catenet.world.engine.stalling import GRACE
from catenet.world.network.links import SECOND_QUEUE, Arrival, ForwardingPath, InOrderQueue, Port
from catenet.world.patches.process_globals import modules_from

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.world import World

__all__ = ["Coordinator"]

LATE: Final = 2.0**52
"""Sequence of what hosts elsewhere have done, among the events of an instant: the last."""


class Coordinator(Elsewhere):
    """Runs hosts in processes of their own, in step with the world's hub."""

    def __init__(self, world: World, hosts: Iterable[Host], workers: int) -> None:
        self._world = world
        self._hub: Hub = world.hub
        self._workers = workers
        self._soonest = NEVER
        self._done: list[tuple[float, int, int, Item]] = []
        """A heap of what hosts have done: time, rank of the host, running number, item."""
        self._count = 0
        self._instants: set[float] = set()
        self._arrives = -NEVER
        """When the last of the packets arrives that were given to hosts."""
        self._pressing = False
        """Whether something came to a host at this instant, or is asked of it."""
        self._ended = -NEVER
        """When the last program ends, of those of which that is known."""
        self._stops = -NEVER
        """The time up to which no host could run ahead when that was tried last."""
        self._event = Happenings(self)
        self._to_boot: list[Party] = []
        self._awaited: dict[Party, None] = {}
        """Hosts that have been asked and have not answered."""
        self._interrupts = 0
        """Times that the run was interrupted."""
        self._hurries = False
        """Whether a host has not answered after that."""
        self._told = False
        """Whether hosts have told their figures since they did something last."""
        self._loaded: tuple[str, ...] = ()
        self._modules: list[str] = []
        """Of the modules that are loaded, those that programs load anew."""
        self._private: dict[str, list[str]] = {}
        """And those that come from the directories of programs, which these do not see."""
        self._ways: dict[tuple[int, int, bytes], ForwardingPath] = {}
        self._parties = [Party(host, rank) for rank, host in enumerate(hosts)]
        self._of_host = {party.host: party for party in self._parties}
        self._of_port: dict[Port, Party] = {port: party for party in self._parties for port in party.ports}
        self._ports = world.topology.ports
        self._recording = world.trace.recording_taps()
        self._measure()
        self._notes = Notes()
        for party in self._parties:
            self._fork(party, booted=False)
        self._drop_events()
        self._hub.elsewhere = self
        world.trace.gather = self.take_figures

    # Processes.

    def _fork(self, party: Party, booted: bool) -> None:
        world, host, receivers = self._world, party.host, party.receivers
        loaded = tuple(sys.modules)
        if loaded != self._loaded:
            self._loaded, self._modules = loaded, modules_to_forget()
            self._private.clear()
        modules = self._modules
        directories = (service.program.directory for service in host.services.values())
        private: dict[str, list[str]] = {}
        for directory in filter(None, directories):
            if directory not in self._private:
                self._private[directory] = modules_from(directory)
            private[directory] = self._private[directory]

        journal = Journal(self._notes, party.rank)

        def run(channel: Channel) -> None:
            enter_root(host.name)
            HostLoop(world, host, receivers, booted, (modules, private), journal).run(channel)

        party.child = fork(run, journal, [other.channel for other in self._parties if other.child is not None])
        host.go_elsewhere()
        for number, port in enumerate(party.ports):
            port.trace = None
            port.attach(self._receiver(party, number))
        party.next = self._hub.now
        party.given = party.reached = self._hub.now
        party.waited_for = True
        for _, service in pending_starts(host):
            party.starts[service] += 1
        self._find_soonest()

    def _receiver(self, party: Party, number: int) -> Callable[..., None]:
        def receive(packet: bytes | memoryview, now: float) -> None:
            if party.child is not None and now >= party.given:
                party.fresh.append((now, number, bytes(packet)))
                self._pressing = True

        return receive

    def _drop_events(self) -> None:
        """Leave to other processes what they do."""
        hub = self._hub
        gone = {id(party.host) for party in self._parties}
        hub.heap[:] = [entry for entry in hub.heap if id(owner_of(entry[2])) not in gone]
        heapify(hub.heap)
        kept = [event for event in hub.soon if id(getattr(event, "host", None)) not in gone]
        hub.soon.clear()
        hub.soon.extend(kept)

    def _measure(self) -> None:
        """Learn how far hosts are from each other."""
        asking = [host.name for host in self._world.hosts.values() if host.asking is not None]
        self._distances = Distances(self._world.topology, asking)
        for party in self._parties:
            name = party.host.name
            party.up, party.network_down, party.echoes = self._distances.of_host[name]
            joined = self._distances.joined.get(name, {})
            party.down = 0.0 if joined else party.network_down
            party.joined = [(each, joined[each.host.name]) for each in self._parties if each.host.name in joined]

    # The hub asks.

    def finish_round(self, now: float) -> bool:
        """See `Elsewhere`."""
        if not self._pressing and self._soonest > now:
            return False
        self._pressing = False
        asked = [party for party in self._parties if party.fresh or party.calls or party.news or party.next <= now]
        asked = [party for party in asked if party.child is not None]
        if not asked:
            return False
        requests = []
        for party in asked:
            requests.append((party, (messages.ROUND, now, party.fresh, party.news + party.calls)))
            party.fresh, party.calls, party.news = [], [], []
            party.given, party.reached = max(party.given, now), now
        self._exchange(requests)
        return True

    def prepare(self, when: float, limit: float) -> bool:
        """See `Elsewhere`."""
        if when == self._stops:
            return False
        due = min(when, self._soonest)
        if due > limit or due == NEVER:
            if due < when:  # for one who asks what is left to do
                self._stop_at(due)
            return due < when
        if due < self._soonest and not self._is_delivery(self._hub.heap[0] if self._hub.heap else None, due):
            return False
        return self._run_ahead(due, when, limit)

    def _is_delivery(self, entry: tuple[float, float, Event] | None, when: float) -> bool:
        """Whether the next event is the arrival of a packet that was not given ahead."""
        if entry is None or entry[0] != when:
            return False
        event, port = entry[2], None
        if isinstance(event, InOrderQueue) or (isinstance(event, Arrival) and event.step != SECOND_QUEUE):
            port = event.port
        party = None if port is None else self._of_port.get(port)
        return party is not None and party.child is not None and when >= party.given

    def _run_ahead(self, due: float, when: float, limit: float) -> bool:
        """Have every host do what it can do by itself; where nobody can, have the clock stop at `due`."""
        hub = self._hub
        parties = [party for party in self._parties if party.child is not None]
        here = self._look(parties)
        cap = min(hub.barriers[0][0] if hub.barriers else NEVER, math.nextafter(limit, math.inf))
        requests: list[tuple[Party, Item]] = []
        ended = self._ended if self._ended > hub.now else NEVER
        for party, bound in zip(parties, bounds(parties, self._distances, here, cap, ended), strict=True):
            if party.event < bound:
                given = self._give(party, bound)
                party.given, party.reached = max(party.given, bound), bound
                requests.append((party, (messages.ADVANCE, bound, given, [])))
        if requests:
            self._exchange(requests)
            return True
        for party in parties:
            while party.coming and party.coming[0][0] <= due:
                arrives, sequence, _, arrival = heappop(party.coming)
                heappush(hub.heap, (arrives, sequence, arrival))
        self._find_soonest()
        if due < when:
            self._stop_at(due)
            self._stops = due
            return True
        return False

    def _look(self, parties: list[Party]) -> float:
        """Find what arrives at hosts; returns when something else happens here."""
        here = NEVER
        of_port, heap = self._of_port, self._hub.heap
        party: Party | None
        for party in parties:
            party.event, party.flying = party.next, NEVER
            party.ahead.clear()
        for _, _, _, item in self._done:  # not put on links yet
            if item[1] == messages.SENT:
                for parcel in item[3]:
                    party, arrives = of_port.get(self._ports[parcel[0]]), parcel[1]
                    if party is None or party.child is None:
                        if arrives < here:
                            here = arrives
                        continue
                    if parcel[2] == SECOND_QUEUE:
                        arrives += party.down
                    if arrives < party.flying:
                        party.flying = arrives
                        if arrives < party.event:
                            party.event = arrives
        kept = []
        for entry in heap:
            when, sequence, event = entry
            if isinstance(event, Arrival) and event.port is not None and event.step != SECOND_QUEUE:
                party = of_port.get(event.port)
                if party is not None and party.child is not None:
                    if event.packet is not None and not event.stopped:
                        number = party.numbers[event.port.index]
                        heappush(party.coming, (when, sequence, number, event))
                    else:
                        kept.append(entry)
                    continue
            kept.append(entry)
            if isinstance(event, InOrderQueue):
                party = of_port.get(event.port)
                if party is not None and party.child is not None:
                    self._note(party, event)
                    continue
            elif event is self._event or not (event.always_due or event.is_due(when, sequence)):
                continue
            if when < here:
                here = when
        if len(kept) < len(heap):
            heap[:] = kept
            heapify(heap)
        for party in parties:
            if party.coming and party.coming[0][0] < party.event:
                party.event = party.coming[0][0]
        return here

    def _note(self, party: Party, queue: InOrderQueue) -> None:
        """Note what hosts of this process have sent to one elsewhere."""
        for entry in queue.under_way():
            if entry.when >= party.given and not entry.stopped:
                party.ahead.append(queue)
                party.event = min(party.event, entry.when)
                return

    def _give(self, party: Party, bound: float) -> list[Packet]:
        """Give a host what arrives there before a time and is not given yet; it is no event of the world's hub then."""
        found: list[tuple[float, float, int, bytes]] = []
        coming = party.coming
        while coming and coming[0][0] < bound:
            when, sequence, number, arrival = heappop(coming)
            packet = arrival.packet
            if packet is None:
                continue
            if arrival.stopped:
                heappush(self._hub.heap, (when, sequence, arrival))
                continue
            port = party.ports[number]
            port.received_packets += 1
            port.received_bytes += len(packet)
            found.append((when, sequence, number, packet))
        if found and found[-1][0] > self._arrives:
            self._arrives = found[-1][0]
            self._stop_at(self._arrives)
        if party.ahead:
            for queue in party.ahead:
                number = party.numbers[queue.port.index]
                for entry in queue.under_way():
                    if entry.when >= bound:
                        break
                    if entry.when >= party.given and not entry.stopped:
                        found.append((entry.when, entry.sequence, number, entry.packet))
            found.sort(key=_when)
        return [(when, number, packet) for when, _, number, packet in found]

    def _find_soonest(self) -> None:
        """Learn when a host has something to do next, by itself or as a packet arrives that was not given to it."""
        soonest = NEVER
        for party in self._parties:
            if party.child is not None:
                if party.next < soonest:
                    soonest = party.next
                if party.coming and party.coming[0][0] < soonest:
                    soonest = party.coming[0][0]
        self._soonest = soonest

    def barriers_over(self, now: float) -> None:
        """See `Elsewhere`."""
        asked = [party for party in self._parties if party.child is not None]
        self._exchange([(party, (messages.BARRIERS, now, [], party.news)) for party in asked])
        for party in asked:
            party.news = []
        self._happen(now)
        boots, self._to_boot = self._to_boot, []
        for party in boots:
            self._boot(party)
        self._measure()

    # Exchange.

    def _exchange(self, requests: list[tuple[Party, Item]]) -> None:
        """Ask hosts, as many at a time as there are workers."""
        self._told = False
        self._stops = -NEVER
        ahead = min(self._workers, len(requests))
        for party, request in requests[:ahead]:
            self._send(party, request)
        failure = None
        for index, (party, _) in enumerate(requests):
            try:
                items, party.next, party.waited_for, reached, failed = self._hear(party)
            except EOFError:
                items, reached, failed = [], None, None
                self._lose(party)
            if reached is not None:
                party.reached = math.nextafter(reached, math.inf)
            if index + ahead < len(requests):
                self._send(*requests[index + ahead])
            failure = failure or failed
            self._take(party, items)
        self._find_soonest()
        if failure is not None:
            raise RuntimeError(f"an action between instants failed in a host's own process: {failure}")

    def _send(self, party: Party, request: Item) -> None:
        self._awaited[party] = None
        channel = party.channel
        try:
            if self._interrupts:
                channel.have_patience(self._patience)
            channel.say(request)
        except EOFError:  # the answer will be missed
            pass

    def _hear(self, party: Party) -> Any:
        """Wait for a host's answer; EOFError when its process has ended, or has none in time."""
        assert party.child is not None
        try:
            answer = party.channel.hear()
        except EOFError:
            if self._interrupts:
                self._hurries = True
                party.child.end()
            raise
        finally:
            self._awaited.pop(party, None)
        party.child.journal.answers += 1
        return answer

    @property
    def _patience(self) -> float:
        """Seconds of real time that hosts have to answer when the run was interrupted."""
        return GRACE if self._interrupts == 1 and not self._hurries else GRACE / 3

    def interrupt(self) -> None:
        """Have hosts that do not answer end in a while, and at once when it comes again; called in a signal handler."""
        self._interrupts += 1
        for party in self._parties if self._interrupts == 1 else ():
            if party.child is not None and party.child.status is None:
                party.channel.have_patience(GRACE)
        for party in list(self._awaited) if self._interrupts > 1 else ():
            if party.child is not None and not party.channel.has_news():
                party.child.end()

    def go_on(self) -> None:
        """Wait for answers again as long as it takes."""
        if self._interrupts:
            self._interrupts, self._hurries = 0, False
            for party in self._parties:
                if party.child is not None:
                    party.channel.have_patience(None)

    def _take(self, party: Party, items: list[Item]) -> None:
        done, rank = self._done, party.rank
        for item in items:
            if item[1] == messages.ENDED and item[0] > self._ended:
                self._ended = item[0]
            self._count += 1
            heappush(done, (item[0], rank, self._count, item))
            self._stop_at(item[0])

    def _stop_at(self, when: float) -> None:
        """Have the hub come to a time."""
        if when not in self._instants:
            self._instants.add(when)
            heappush(self._hub.heap, (when, LATE, self._event))

    def is_due(self, when: float) -> bool:
        """Whether hosts have done anything by then, or are to do it."""
        return self._soonest <= when or when == self._arrives or bool(self._done and self._done[0][0] <= when)

    def arrivals_end(self) -> float:
        """See `Elsewhere`."""
        times = [when for party in self._parties for when, _, _, arrival in party.coming if arrival.packet is not None]
        return max([0.0, self._arrives, *times])

    def happen(self, when: float) -> None:
        """Do here what hosts have done by `when`, to which the clock has come unless nothing is due then."""
        self._instants.discard(when)
        if self.is_due(when):
            self._happen(when)

    def _happen(self, now: float) -> None:
        done = self._done
        while done and done[0][0] <= now:
            _, rank, _, item = heappop(done)
            self._do(self._parties[rank], item, now)

    def _do(self, party: Party, item: Item, now: float) -> None:
        kind = item[1]
        world = self._world
        if kind == messages.SENT:
            sender = item[2]
            sent = party.sent.get(sender)
            if sent is None:
                party.sent[sender] = item[3]
                self._hub.call_after_round(self._ports[sender].outbox.place, partial(self._put, party, sender))
            else:
                sent.extend(item[3])
        elif kind == messages.LINE:
            world.ending.printed_at = now
            world.output(party.host.name, item[2], item[3])
        elif kind == messages.RECORDED:
            for tap in self._recording:
                tap(item[2], item[3], item[4], now)
        elif kind == messages.EXPECT:
            if party.child is not None or party.dying:
                party.starts[item[3]] += item[2]
                world.ending.expect(item[2], service=item[3])
        elif kind == messages.STARTED and (party.child is not None or party.dying):
            process = party.processes[item[2]] = RemoteProcess(party.host, *item[2:])
            party.host.processes.append(process)
            world.process_started(process)
        elif kind == messages.ENDED and item[2] in party.processes:
            process = party.processes.pop(item[2])
            process.end(item[3], item[4])
            world.process_ended(process)
        elif kind == messages.ADDRESSES:
            self._announce(party.host, item[2], item[3])
        elif kind == messages.LOST:
            self._note_loss(party, item[2], item[3])
        elif kind in (messages.TAKEN_BACK, messages.STOPPED):
            arrival = party.queued.get(item[2])
            if arrival is not None and kind == messages.TAKEN_BACK:
                arrival.packet = None
            elif arrival is not None:
                arrival.stopped = item[3]

    def _announce(self, host: Host, when: float, told: Any) -> None:
        """Have all know at a time which addresses a host has."""
        self._hub.call_after_round((host.name, -1), lambda: self._world.isolation.announce(host, when, told))

    def _put(self, party: Party, sender: int) -> None:
        """Put on the links what a port has sent in this round."""
        ports, hub, now = self._ports, self._hub, self._hub.now
        direct = party.paths[party.numbers[sender]]
        for receiver, when, step, packet, key, number, stopped in party.sent.pop(sender):
            port = ports[receiver]
            path = self._way(ports[sender], port, key) if key else direct
            arrival = Arrival(packet, path, port, None, step)
            arrival.when, arrival.stopped = when, stopped
            if number:
                party.queued[number] = arrival
            receiving = self._of_port.get(port)
            if receiving is None or receiving.child is None or step == SECOND_QUEUE:
                hub.put(arrival, when)
                continue
            if when < receiving.given:
                raise RuntimeError(f"a packet for {receiving.host.name} at {when} s came after {receiving.given} s")
            if stopped or when <= now:
                hub.put(arrival, when)
                continue
            hub.packets = sequence = hub.packets + 1.0  # as by `Hub.put`
            heappush(receiving.coming, (when, sequence, receiving.numbers[receiver], arrival))
            if when < self._soonest:
                self._soonest = when
        if len(party.queued) > 1000:
            party.queued = {number: each for number, each in party.queued.items() if each.when > now}

    def _way(self, sender: Port, receiver: Port, key: bytes) -> ForwardingPath:
        name = sender.index, receiver.index, key
        path = self._ways.get(name)
        if path is None:
            if len(self._ways) > 65_536:
                self._ways.clear()
            half = len(key) // 2
            path = self._ways[name] = ForwardingPath(sender, (key[:half], key[half:]), sender.up, [receiver], False)
        return path

    # Crashes.

    def crashed(self, host: Host) -> None:
        """Take away the process of a host that crashes, and take over what outlives it."""
        party = self._of_host.get(host)
        if party is None or party.child is None:
            return
        now = self._hub.now
        self._send(party, (messages.CRASH, now, [], []))
        try:
            items, told, memory, starts = self._hear(party)
        except EOFError:
            self._lose(party)
            self._happen(now)
            return
        self._take(party, items)
        self._end(party)
        self._happen(now)
        adopt(self._world, host, told)
        adopt_memory(self._world, host, memory)
        self._take_collected(told["collected"])
        for port in party.ports:
            port.trace = self._world.trace.at(port.outbox.place)
        for process in party.processes.values():
            process.crashed = True
        self._end_programs(party, KILLED)
        party.starts = {False: 0, True: 0}
        for when, service in starts:
            self._hub.call_at(when, partial(self._world.ending.expect, -1, service=service))

    def _end_programs(self, party: Party, status: int) -> None:
        for process in party.processes.values():
            process.end(status, False)
            self._hub.call_soon(self._world.process_ended, process)
        party.processes.clear()
        party.queued.clear()

    def _lose(self, party: Party) -> None:
        """Note that a host's process has ended by itself, with what it had done before; its host is down then."""
        assert party.child is not None
        when, items = party.child.journal.read()
        ended = party.child.wait()
        number = os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else 0
        how = signal.strsignal(number) if number else f"the process ended with status {os.WEXITSTATUS(ended)}"
        self._forget(party)
        host, world, now = party.host, self._world, self._hub.now
        when = max([when, *(item[0] for item in items)])
        if not now <= when < party.reached:  # nobody's turn, or no time at all: others' code can write there
            when = now
        party.dying, party.reached = True, math.nextafter(when, math.inf)
        self._ended = max(self._ended, when)
        status = 128 + number if number else os.WEXITSTATUS(ended) or 1
        self._take(party, [*items, (when, messages.LOST, status, how)])
        for port in party.ports:
            port.trace = world.trace.at(port.outbox.place)
        if any(service.restart != "never" for service in host.services.values()) and not world.stopping:
            world.ending.expect(1)
            self._hub.call_between(when + RESTART_DELAYS[0], self._start_again, host)

    def _note_loss(self, party: Party, status: int, how: str) -> None:
        """Note, when the time has come, that the programs of a host have ended with its process."""
        party.dying = False
        world = self._world
        world.output(party.host.name, "stderr", f"{how}: all programs of this host have ended")
        self._end_programs(party, status)
        for service, count in party.starts.items():
            if count:
                world.ending.expect(-count, service=service)
                world.isolation.lost_programs += count
        party.starts = {False: 0, True: 0}

    def _start_again(self, host: Host) -> None:
        if not self._world.stopping:
            host.restart()
            if host.asking is not None:  # others do not see this boot
                self.tell("addresses", (host.name, host.asking.told()))
        self._world.ending.expect(-1)

    def _end(self, party: Party) -> None:
        assert party.child is not None
        party.child.kill()
        self._forget(party)

    def _forget(self, party: Party) -> None:
        """Note that a host's process is gone; what arrives there are events of the world's hub again."""
        party.child = None
        party.next = party.event = NEVER
        party.fresh.clear()
        party.news.clear()
        for when, sequence, _, arrival in party.coming:
            heappush(self._hub.heap, (when, sequence, arrival))
        party.coming.clear()
        self._find_soonest()

    def booted(self, host: Host) -> None:
        """A host has booted again, and needs a process."""
        if host in self._of_host:
            self._to_boot.append(self._of_host[host])

    def _boot(self, party: Party) -> None:
        if party.child is not None:
            return
        self._fork(party, booted=True)
        self._exchange([(party, (messages.BARRIERS, self._hub.now, [], []))])
        self._happen(self._hub.now)

    # What the world asks.

    def call(self, name: str, argument: Any) -> None:
        """Have all hosts do something at this instant."""
        for party in self._parties:
            if party.child is not None:
                party.calls.append((name, argument))
                self._pressing = True

    def tell(self, name: str, argument: Any) -> None:
        """Have all hosts know something before they go on."""
        for party in self._parties:
            if party.child is not None:
                party.news.append((name, argument))
                self._pressing = True

    def ask(self, name: str, host: Host | None = None) -> Iterable[tuple[Party, Any]]:
        """Ask a question of all hosts that run, or of one."""
        for party in self._parties:
            if party.child is not None and (host is None or party.host is host):
                self._send(party, (messages.ASK, self._hub.now, [], [(name, None)]))
                try:
                    answer = self._hear(party)
                except EOFError:
                    self._lose(party)
                else:
                    yield party, answer

    def refresh(self) -> None:
        """Learn what decides whether the run is over."""
        ending = self._world.ending
        for party, (carried, computed, services) in self.ask("activity"):
            ending.carried_elsewhere = max(ending.carried_elsewhere, carried)
            ending.computed_elsewhere = max(ending.computed_elsewhere, computed)
            for process in party.processes.values():
                process.service_now = process.pid in services
        self._happen(self._hub.now)  # the hub may have been stopped in the midst of an instant

    def ask_waiting(self) -> None:
        """Learn what programs wait for."""
        for party, lines in self.ask("waiting"):
            for process in party.processes.values():
                process.waits_for = lines.get(process.pid, [])

    def real_threads_wake(self) -> bool:
        """Wait for threads of the interpreter in each process; whether anything is to be done then."""
        for party, due in self.ask("threads"):
            party.next = due
            self._soonest = min(self._soonest, due)
            self._stops = -NEVER
        return self._soonest < NEVER

    def take_figures(self) -> None:
        """Learn what reports say, unless nothing has happened since that was asked last."""
        if self._told:
            return
        self._told = True
        for party, told in self.ask("figures"):
            adopt(self._world, party.host, told)

    def collect(self) -> None:
        """Learn what those have seen that look into hosts while they send."""
        for _, told in self.ask("collected") if self._world.trace.collectors else ():
            self._take_collected(told)

    def _take_collected(self, told: list[Any]) -> None:
        for collector, each in zip(self._world.trace.collectors, told, strict=True):
            collector.take(each)

    @property
    def reached(self) -> float:
        """Time that no host has passed."""
        parties = [party for party in self._parties if party.child is not None or party.dying]
        times = [math.nextafter(party.reached, -math.inf) for party in parties]
        return max([self._hub.now, *times])

    def close(self) -> None:
        """End all processes."""
        self._happen(self._hub.now)  # if one has ended just now
        for party in self._parties:
            if party.child is not None:
                self._end(party)
        self._notes.close()


def _when(entry: tuple[float, float, int, bytes]) -> tuple[float, float]:
    return entry[:2]
