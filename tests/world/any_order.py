"""The rule of order, written down a second time: hosts are asked one by one, in an order that is drawn.

The hub runs the rounds of all hosts side by side. Here each host has queues of its own, and a host that has something
to do is drawn for one to three steps, then another; so one may be done with the round before another has begun.
"""

from __future__ import annotations

import random
from collections import deque
from functools import partial
from heapq import heappop, heappush
from typing import Any

from catenet.world import World
from catenet.world.engine.host import Host
from catenet.world.engine.hub import NEVER, Call, Hub, Timer
from catenet.world.engine.process import Process
from catenet.world.engine.task import Task
from catenet.world.network.links import Arrival, InOrderQueue


class _Agenda:
    """What one host has to do at this instant."""

    def __init__(self) -> None:
        self.soon: deque[Any] = deque()
        self.due: list[tuple[float, float, Any]] = []
        self.turns: deque[Any] = deque()
        self.batch: deque[Any] = deque()
        """Turns that have begun: what they ask for comes after them."""

    def is_busy(self) -> bool:
        return bool(self.batch or self.soon or self.due or self.turns)

    def step(self, now: float) -> None:
        if not (self.batch or self.soon or self.due):
            self.batch, self.turns = self.turns, deque()
        if self.batch:
            self.batch.popleft().happen(now, 0.0)
        elif self.soon:
            self.soon.popleft().happen(now, 0.0)
        else:
            when, sequence, event = heappop(self.due)
            event.happen(when, sequence)


class AnyOrder:
    """Runs a world in place of its hub's own loop."""

    def __init__(self, world: World, draw: random.Random) -> None:
        self.world = world
        self.draw = draw
        self.agendas: dict[str, _Agenda] = {}
        self.steps = 0

    def advance(self, until: float | None) -> bool:
        """As `World._advance`."""
        hub, ending = self.world.hub, self.world.ending
        while True:
            if not self._run(hub, min(NEVER if until is None else until, ending.check_at)):
                return False
            if hub.now < ending.check_at or ending.check():
                return True

    def _run(self, hub: Hub, limit: float) -> bool:
        hub._finishing = False
        self._between(hub)
        while True:
            self._instant(hub)
            if hub._finishing:
                return True
            when = hub.next_event()
            if when is None:
                return False
            if when > limit:
                hub.now = limit
                return True
            hub.now = when
            self._between(hub)

    def _between(self, hub: Hub) -> None:
        while hub.barriers and hub.barriers[0][0] <= hub.now:
            when, sequence, event = heappop(hub.barriers)
            event.happen(when, sequence)
            hub.put_on_links()

    def _instant(self, hub: Hub) -> None:
        while True:
            self._hand_out(hub)
            while busy := [name for name, agenda in self.agendas.items() if agenda.is_busy()]:
                agenda = self.agendas[self.draw.choice(busy)]
                for _ in range(self.draw.randrange(1, 4)):
                    if agenda.is_busy():
                        self.steps += 1
                        agenda.step(hub.now)
                        self._hand_out(hub)
            if hub.outlet is None:
                return
            hub.put_on_links()

    def _hand_out(self, hub: Hub) -> None:
        while hub.soon:
            self._agenda(hub.soon[0]).soon.append(hub.soon.popleft())
        while hub.turns:
            self._agenda(hub.turns[0]).turns.append(hub.turns.popleft())
        while hub.heap and hub.heap[0][0] <= hub.now:
            entry = heappop(hub.heap)
            heappush(self._agenda(entry[2]).due, entry)

    def _agenda(self, event: Any) -> _Agenda:
        name = self._host(event)
        if name not in self.agendas:
            self.agendas[name] = _Agenda()
        return self.agendas[name]

    def _host(self, event: Any) -> str:
        """The host whose event it is."""
        match event:
            case str():
                return event
            case Host():
                return event.name
            case Process():
                return event.host.name
            case Task():
                return event.process.host.name
            case InOrderQueue():
                return event._port.host
            case Arrival():
                return (event.port or event.path.port).host
            case Timer() | Call():
                owner = getattr(event.callback, "__self__", None)
                # A timer that was cancelled is nobody's.
                return self._host(event.args[0] if owner is None and event.args else owner) if event.callback else ""
        for name in ("_host", "host"):
            if hasattr(event, name):
                return self._host(getattr(event, name))
        # A link that another has replaced is nobody's.
        return next((host for host, link in self.world.topology.links() if link is event), "")


def use_any_order(world: World, draw: random.Random) -> AnyOrder:
    """Have a world run so."""
    order = AnyOrder(world, draw)
    world._advance = partial(order.advance)  # type: ignore[method-assign]
    return order
