"""Connections that are kept and shared: who gets which, what is opened, what is closed.

`Pool` decides and does nothing (`catenet.net.async_pool` does). It is told what happens: a caller waits, a
connection is made, has room again, is lost. It returns what to do: connections to open and to close, callers to let go
on. It knows neither sockets nor protocols: a connection is a `Member`, which says how many exchanges it can take
now. HTTP/1.1 has room for one, HTTP/2 for many (`shared`).

* Callers are served in the order in which they came, also across keys when the number of connections is at its limit.
* The connection used last is used next, so that those not needed grow old and are closed.
* What a connection says about its room is the truth; nothing is booked when a caller picks one. So a caller that picks
  one and then does not use it leaves nothing behind. It must begin its exchange before it lets others run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from catenet.checks import check_numbers

__all__ = ["NEVER", "C", "Decisions", "K", "Member", "Pool", "PoolLimits", "Slot", "Ticket"]

NEVER = float("inf")


class Member(Protocol):
    """A connection, as the pool sees it."""

    @property
    def room(self) -> int:
        """How many more exchanges it can take now; 0 once it is closing."""

    @property
    def busy(self) -> bool:
        """Whether it carries any exchange."""

    @property
    def idle_since(self) -> float:
        """When it was last in use, if it is not busy."""

    @property
    def shared(self) -> bool:
        """Whether it carries several exchanges at once."""

    @property
    def lasting(self) -> bool:
        """Whether it is kept however long it is idle."""


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Member)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits of one pool. Times in seconds; None: no limit. Raises `ValueError` that names the field.

    * `max_connections`: open or being opened, over all keys.
    * `max_keepalive`, `keepalive_expiry`: idle ones that are kept, and for how long.
    * `acquire_timeout`: how long a caller waits for a connection.
    * `max_shared`: connections to one key that carry several exchanges each. Callers beyond what these take wait.
    """

    max_connections: int | None = 100
    max_keepalive: int | None = 20
    keepalive_expiry: float | None = 5.0
    acquire_timeout: float | None = None
    max_shared: int = 1

    def __post_init__(self) -> None:
        check_numbers(self, ("max_connections",), 1, none=True, whole=True)
        check_numbers(self, ("max_keepalive",), none=True, whole=True)
        check_numbers(self, ("keepalive_expiry", "acquire_timeout"), none=True)
        check_numbers(self, ("max_shared",), 1, whole=True)


class Slot(Generic[K, C]):
    """A place for one connection; `member` is None while it is being opened."""

    __slots__ = ("due", "group", "key", "listed", "member", "reserved")

    def __init__(self, key: K, group: _Group[K, C]) -> None:
        self.key = key
        self.group = group
        self.member: C | None = None
        self.reserved = 0
        """Exchanges that are promised to callers who have not gone on yet."""
        self.listed = False
        """Whether it is among the idle ones of its group, which those that are picked do not leave at once."""
        self.due = NEVER
        """When to look whether it has been idle for too long."""


class Ticket(Generic[K, C]):
    """A caller who waits. `slot`: where it may begin its exchange, once there is one.

    A `patient` caller goes on waiting when connecting fails.
    """

    __slots__ = ("forgotten", "group", "key", "number", "patient", "slot", "waiter")

    def __init__(self, key: K, group: _Group[K, C], number: int, patient: bool) -> None:
        self.key = key
        self.group = group
        self.number = number
        self.patient = patient
        self.forgotten = False
        self.slot: Slot[K, C] | None = None
        self.waiter: Any = None
        """The driver's own."""


@dataclass(slots=True)
class Decisions(Generic[K, C]):
    """What to do: open connections for slots, close others, let callers go on."""

    open: list[Slot[K, C]] = field(default_factory=list)
    close: list[C] = field(default_factory=list)
    grant: list[Ticket[K, C]] = field(default_factory=list)


class _Group(Generic[K, C]):
    """What belongs to one key. `idle` has what was idle when last heard of; what became so last comes last."""

    __slots__ = ("dialling", "exclusive", "idle", "live", "paused_until", "queue")

    def __init__(self) -> None:
        self.queue: OrderedDict[Ticket[K, C], None] = OrderedDict()
        self.idle: OrderedDict[Slot[K, C], None] = OrderedDict()
        self.live: dict[Slot[K, C], None] = {}
        self.dialling: dict[Slot[K, C], None] = {}
        self.paused_until = -NEVER
        self.exclusive = False
        """Whether connections to this key are known to take one exchange each."""


class Pool(Generic[K, C]):
    """The decisions; `now` is handed in. After any call but `pick` ask `decide` what is to be done."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._keep = NEVER if limits.max_keepalive is None else limits.max_keepalive
        self._groups: dict[K, _Group[K, C]] = {}
        self._wanting: dict[K, _Group[K, C]] = {}
        self._count = 0
        self._number = 0
        self._decisions: Decisions[K, C] = Decisions()
        self.outstanding = 0
        """Callers that wait, or have been let go on and have not yet."""
        self.undecided = False
        """Whether `pick` has found something to close."""

    # Questions.

    @property
    def count(self) -> int:
        """Connections that are open or being opened."""
        return self._count

    def waiting(self, key: K) -> bool:
        """Whether callers wait for a connection to `key`."""
        return key in self._wanting

    def members(self, key: K) -> Iterator[C]:
        """Return the open connections to `key`."""
        group = self._groups.get(key)
        return iter([slot.member for slot in group.live if slot.member is not None] if group is not None else [])

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""
        pauses = [group.paused_until for group in self._wanting.values() if group.paused_until > -NEVER]
        due = min(pauses, default=NEVER)
        expiry = self._limits.keepalive_expiry
        if expiry is not None:
            for group in self._groups.values():
                due = min([due, *(slot.due for slot in group.idle)])
        return due if due < NEVER else None

    # Callers.

    def pick(self, key: K, now: float) -> C | None:
        """Return a connection that can take an exchange at once; None if there is none, or if others wait already."""
        group = self._groups.get(key)
        if group is None or group.queue:
            return None
        slot = self._available(group, now)
        return None if slot is None else slot.member

    def wait(self, key: K, first: bool = False, patient: bool = False) -> Ticket[K, C]:
        """Queue a caller; `first`: before all others, as it was promised a connection that broke meanwhile."""
        self._number += 1
        group = self._group(key)
        ticket: Ticket[K, C] = Ticket(key, group, 0 if first else self._number, patient)
        group.queue[ticket] = None
        if first:
            group.queue.move_to_end(ticket, last=False)
        self._wanting[key] = group
        self.outstanding += 1
        return ticket

    def begun(self, ticket: Ticket[K, C]) -> None:
        """The caller goes on, and begins its exchange before anything else happens here."""
        slot = ticket.slot
        assert slot is not None
        slot.reserved -= 1
        self.outstanding -= 1
        group = slot.group
        if slot in group.live and slot.member is not None and not slot.member.shared:
            self._list(group, slot)

    def forget(self, ticket: Ticket[K, C]) -> None:
        """The caller has given up, or was refused before. What it was promised goes to the next."""
        if ticket.forgotten:
            return
        ticket.forgotten = True
        self.outstanding -= 1
        group = ticket.group
        if ticket.slot is None:
            group.queue.pop(ticket, None)
            if not group.queue:
                self._wanting.pop(ticket.key, None)
            return
        ticket.slot.reserved -= 1
        self.changed(ticket.slot)

    def impatient(self, key: K) -> list[Ticket[K, C]]:
        """Return the callers who do not wait until connecting succeeds; each is to be forgotten."""
        group = self._groups.get(key)
        return [] if group is None else [ticket for ticket in group.queue if not ticket.patient]

    def all_waiting(self) -> list[Ticket[K, C]]:
        """Return all callers who wait."""
        return [ticket for group in self._wanting.values() for ticket in group.queue]

    # Connections.

    def add(self, key: K, member: C) -> Slot[K, C]:
        """Take a connection that was not asked for; it counts, also beyond the limit."""
        slot = self._new_slot(key, self._group(key))
        self.connected(slot, member)
        return slot

    def connected(self, slot: Slot[K, C], member: C) -> None:
        """A connection that was asked for has been made."""
        group = slot.group
        group.dialling.pop(slot, None)
        group.live[slot] = None
        group.exclusive = not member.shared
        slot.member = member
        self.changed(slot)

    def failed(self, slot: Slot[K, C]) -> None:
        """A connection that was asked for cannot be made. Without a `pause`, it will be tried again at once."""
        if slot.group.dialling.pop(slot, slot) is None:
            self._count -= 1

    def lost(self, slot: Slot[K, C]) -> None:
        """The connection is gone, or takes nothing more."""
        group = slot.group
        _unlist(group, slot)
        if group.live.pop(slot, slot) is None:
            self._count -= 1

    def changed(self, slot: Slot[K, C]) -> bool:
        """The connection may have room again; return whether there may be something to decide.

        It costs next to nothing while nobody waits and one connection is picked again and again.
        """
        crowded = self._count > self._keep
        if slot.listed and not self._wanting and not crowded:
            return False
        group, member = slot.group, slot.member
        if member is None or slot not in group.live or member.room <= slot.reserved:
            return False
        if not member.shared or not (member.lasting or member.busy):
            self._list(group, slot)
        return crowded or bool(self._wanting)

    def pause(self, key: K, until: float = NEVER) -> None:
        """Open nothing more to `key` for a while."""
        self._group(key).paused_until = until

    def resume(self, key: K) -> None:
        """Open again what is needed."""
        self._group(key).paused_until = -NEVER

    # Decisions.

    def handle_timeout(self, now: float) -> None:
        """Close what has been idle for too long; open again where a pause is over."""
        for group in self._wanting.values():
            if group.paused_until <= now:
                group.paused_until = -NEVER
        expiry = self._limits.keepalive_expiry
        if expiry is None:
            return
        for group in self._groups.values():
            for slot in [slot for slot in group.idle if slot.due <= now]:
                idle = slot.member is not None and not slot.member.busy
                slot.due = (_idle_since(slot) if idle else now) + expiry
                if slot.due <= now:
                    self._retire(group, slot)

    def decide(self, now: float) -> Decisions[K, C]:
        """Return what is to be done now."""
        if self._wanting:
            for group in sorted(self._wanting.values(), key=_oldest):
                self._serve(group, now)
            for key in [key for key, group in self._wanting.items() if not group.queue]:
                del self._wanting[key]
        self._trim()
        decisions, self._decisions = self._decisions, Decisions()
        self.undecided = False
        return decisions

    def _new_slot(self, key: K, group: _Group[K, C]) -> Slot[K, C]:
        slot: Slot[K, C] = Slot(key, group)
        group.dialling[slot] = None
        self._count += 1
        return slot

    def _group(self, key: K) -> _Group[K, C]:
        group = self._groups.get(key)
        if group is None:
            self._sweep()
            group = self._groups[key] = _Group()
        return group

    def _sweep(self) -> None:
        """Forget keys that have nothing left, now and then: a client may visit any number of hosts."""
        if len(self._groups) & (len(self._groups) + 1) == 0:
            unused = [key for key, group in self._groups.items() if _is_empty(group)]
            for key in unused:
                del self._groups[key]

    def _list(self, group: _Group[K, C], slot: Slot[K, C]) -> None:
        group.idle[slot] = None
        group.idle.move_to_end(slot)
        slot.listed = True
        slot.due = _idle_since(slot) + (self._limits.keepalive_expiry or 0.0)

    def _available(self, group: _Group[K, C], now: float) -> Slot[K, C] | None:
        """Return a slot with room. Entries of `idle` that are not idle any more are dropped on the way."""
        expiry = self._limits.keepalive_expiry
        while group.idle:
            slot = next(reversed(group.idle))
            member = slot.member
            if member is None or member.room <= slot.reserved:
                _unlist(group, slot)
            elif expiry is not None and _idle_since(slot) + expiry < now:
                self._retire(group, slot)
            else:
                return slot
        if not group.exclusive:  # otherwise all that has room is among the idle ones
            for slot in group.live:
                member = slot.member
                if member is not None and member.shared and member.room > slot.reserved:
                    return slot
        return None

    def _serve(self, group: _Group[K, C], now: float) -> None:
        """Give the callers of one key what there is, and open what is missing."""
        while group.queue:
            slot = self._available(group, now)
            if slot is None:
                break
            ticket, _ = group.queue.popitem(last=False)
            ticket.slot = slot
            slot.reserved += 1
            _unlist(group, slot)
            self._decisions.grant.append(ticket)
        if group.paused_until > now:
            return
        wanted = self._missing(group)
        while wanted > 0 and self._make_room(group):
            self._decisions.open.append(self._new_slot(next(iter(group.queue)).key, group))
            wanted -= 1

    def _missing(self, group: _Group[K, C]) -> int:
        """How many more connections the waiting callers need."""
        if group.exclusive:
            return len(group.queue) - len(group.dialling)
        # Not known yet, or shared: one at a time, and no more than that many.
        shared = sum(slot.member is not None and slot.member.shared for slot in group.live)
        return int(bool(group.queue) and not group.dialling and shared < self._limits.max_shared)

    def _make_room(self, group: _Group[K, C]) -> bool:
        """Whether one more connection is within the limit; an idle one of another key gives way."""
        limit = self._limits.max_connections
        if limit is None or self._count < limit:
            return True
        others = (other for other in self._groups.values() if other is not group and not other.queue)
        return self._retire_oldest(list(others)) or self._retire_oldest(
            [other for other in self._wanting.values() if other is not group and _oldest(other) > _oldest(group)]
        )

    def _trim(self) -> None:
        """Keep no more idle connections than `max_keepalive`."""
        if self._count <= self._keep:
            return
        groups = list(self._groups.values())
        while sum(len(group.idle) for group in groups) > self._keep:
            if not self._retire_oldest(groups):
                return

    def _retire_oldest(self, groups: list[_Group[K, C]]) -> bool:
        """Close the connection that has been idle for longest; False if there is none."""
        while True:
            idle = [(_idle_since(slot), group, slot) for group in groups for slot in group.idle]
            since, group, slot = min(idle, key=_first, default=(NEVER, None, None))
            if since == NEVER or group is None or slot is None:
                return False
            if self._retire(group, slot):
                return True

    def _retire(self, group: _Group[K, C], slot: Slot[K, C]) -> bool:
        """Close an idle connection; False if it turns out that it is not idle."""
        _unlist(group, slot)
        member = slot.member
        if member is None or member.busy or slot.reserved:
            return False
        self.lost(slot)
        self._decisions.close.append(member)
        self.undecided = True
        return True


def _oldest(group: _Group[K, C]) -> int:
    return next(iter(group.queue)).number if group.queue else 1 << 62


def _unlist(group: _Group[K, C], slot: Slot[K, C]) -> None:
    group.idle.pop(slot, None)
    slot.listed = False


def _first(entry: tuple[float, object, object]) -> float:
    return entry[0]


def _idle_since(slot: Slot[K, C]) -> float:
    member = slot.member
    return NEVER if member is None or member.lasting else member.idle_since


def _is_empty(group: _Group[K, C]) -> bool:
    return not (group.queue or group.live or group.dialling) and group.paused_until == -NEVER
