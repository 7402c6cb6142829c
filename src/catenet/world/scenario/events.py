"""Scheduled events of a world: partitions, crashes, restarts, changes of links, and when each of them ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import methodcaller
from typing import TYPE_CHECKING, TypeAlias

from catenet.link.properties import LinkProperties
from catenet.wire.address import format_address
from catenet.world.scenario.clocks import parse_clock_change
from catenet.world.scenario.units import link_properties

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.scenario.worldfile import EventPlan
    from catenet.world.world import World

__all__ = ["Announce", "schedule_events"]

_PAUSE, _RESUME, _FREEZE, _THAW = (methodcaller(name) for name in ("pause", "resume", "freeze", "thaw"))

Announce: TypeAlias = Callable[[str], None]
"""Called with one line when an event happens."""


def schedule_events(world: World, events: Iterable[EventPlan], announce: Announce) -> None:
    """Schedule every event, and its end after its duration.

    The processes of isolated hosts do what happens too; the world's alone announces it.
    """

    def say(text: str) -> None:
        if not world.isolation.is_host:
            announce(text)

    for event in events:
        if event.action == "restart":
            world.expect(1)
        world.at(event.at, _ACTIONS[event.action], world, event, say)


def _partition(world: World, event: EventPlan, announce: Announce) -> None:
    sides = [" and ".join(group) for group in event.groups]
    text = " from ".join(sides) if len(sides) > 1 else f"{sides[0]} from everybody"
    announce(f"cut off: {text}")
    number = world.topology.partition(*event.groups)

    def heal() -> None:
        announce(f"joined again: {text.replace(' from ', ' with ')}")
        world.topology.heal(number)

    _schedule_end(world, event, heal)


def _heal(world: World, event: EventPlan, announce: Announce) -> None:
    announce("all partitions healed")
    world.heal()


def _crash(world: World, event: EventPlan, announce: Announce) -> None:
    if event.duration is not None:
        # Programs that come back are not over: the world waits for them.
        world.expect(1)
    for name in event.groups[0]:
        announce(f"crash of {name}")
        world.hosts[name].crash()
    _schedule_end(world, event, lambda: _restart(world, event, announce))


def _restart(world: World, event: EventPlan, announce: Announce) -> None:
    for name in event.groups[0]:
        announce(f"restart of {name}")
        world.hosts[name].restart()
    world.expect(-1)


def _hold(world: World, event: EventPlan, announce: Announce) -> None:
    """Pause or freeze hosts, and let them go on after the event's duration."""
    begin, end = (_PAUSE, _RESUME) if event.action == "pause" else (_FREEZE, _THAW)
    names = event.groups[0]
    for name in names:
        announce(f"{name} {'sleeps' if event.action == 'pause' else 'is frozen'}")
        begin(world.hosts[name])
    _schedule_end(world, event, lambda: _let_go(world, names, end, announce))


def _release(world: World, event: EventPlan, announce: Announce) -> None:
    _let_go(world, event.groups[0], _RESUME if event.action == "resume" else _THAW, announce)


def _let_go(world: World, names: tuple[str, ...], end: Callable[[Host], None], announce: Announce) -> None:
    for name in names:
        announce(f"{name} goes on")
        end(world.hosts[name])


def _renumber(world: World, event: EventPlan, announce: Announce) -> None:
    for name in event.groups[0]:
        try:
            world.renumber(name, event.addresses, keep=event.keep)
        except ValueError as error:  # another host has got the address meanwhile
            announce(f"{name} keeps its addresses: {error}")
            continue
        if name not in world.hosts:
            announce(f"{name} has other prefixes: {', '.join(event.addresses)}")
            continue
        if world.hosts[name].asking is not None:
            announce(f"{name} is to have other addresses when it renews")
            continue
        shown = ", ".join(format_address(address) for address in world.addresses(name))
        announce(f"{name} has other addresses: {shown}")


def _move(world: World, event: EventPlan, announce: Announce) -> None:
    for name in event.groups[0]:
        announce(f"{name} moves to {event.network}")
        world.move(name, event.network)


def _link(world: World, event: EventPlan, announce: Announce) -> None:
    names = event.groups[0]
    topology = world.topology
    before = topology.properties(*names)
    properties = link_properties(event.changes, before or topology.defaults)
    changes = ", ".join(f"{key} {value}" for key, value in event.changes.items())
    announce(f"link of {' and '.join(names)}: {changes}")
    _set_link(world, names, properties)

    def restore() -> None:
        announce(f"link of {' and '.join(names)}: as it was")
        _set_link(world, names, before)

    _schedule_end(world, event, restore)


def _set_link(world: World, names: tuple[str, ...], properties: LinkProperties | None) -> None:
    """Set the link of one host or between two; None takes the link between two away."""
    if properties is None:
        world.topology.unlink(*names)
    elif len(names) == 1:
        world.topology.change(names[0], properties)
    else:
        world.topology.link(names[0], names[1], properties)
    world.refresh_routes()


def _clock(world: World, event: EventPlan, announce: Announce) -> None:
    changes = {key: parse_clock_change(key, value) for key, value in event.changes.items()}
    text = ", ".join(f"{key} {value}" for key, value in event.changes.items())
    for name in event.groups[0]:
        announce(f"clock of {name}: {text}")
        host = world.hosts[name]
        if "step" in changes:
            host.step_clock(changes["step"])
        host.change_clock(changes.get("drift"), changes.get("wander"))


def _schedule_end(world: World, event: EventPlan, action: Callable[[], None]) -> None:
    if event.duration is not None:
        world.at(event.at + event.duration, action)


_ACTIONS = {
    "partition": _partition,
    "heal": _heal,
    "crash": _crash,
    "restart": _restart,
    "link": _link,
    "pause": _hold,
    "resume": _release,
    "freeze": _hold,
    "thaw": _release,
    "renumber": _renumber,
    "move": _move,
    "clock": _clock,
}
