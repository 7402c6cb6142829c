"""epoll(7): the ready list, and level, edge, one-shot and exclusive triggering, which live only here.

An item enters its epoll's ready list when its file notifies it and at least one wanted bit holds, and when it is added
or modified while one holds. `collect` walks that list and asks each file for its bits once more: an item without any
leaves the list; a level-triggered one that was reported goes to the end and stays, so that the next call looks at it
again; an edge-triggered one leaves until its file notifies it anew; a one-shot one leaves and sleeps until it is
modified.
"""

from __future__ import annotations

import errno
import stat
from typing import ClassVar, Final

from catenet.posix.errors import os_error
from catenet.posix.file import ALWAYS_REPORTED, File, Watcher
from catenet.stack.endpoint import Readiness

__all__ = ["Epoll"]

EPOLLET: Final = 1 << 31
EPOLLONESHOT: Final = 1 << 30
EPOLLEXCLUSIVE: Final = 1 << 28
EPOLLWAKEUP: Final = 1 << 29
EPOLLRDNORM: Final = 0x040
EPOLLWRNORM: Final = 0x100
NORMAL: Final = EPOLLRDNORM | EPOLLWRNORM
EXCLUSIVE_EVENTS: Final = Readiness.IN | Readiness.OUT | ALWAYS_REPORTED | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE
"""Events that are allowed with EPOLLEXCLUSIVE."""

MAXIMUM_DEPTH: Final = 5
"""Limit of the depth of epolls that watch epolls (EP_MAX_NESTS)."""


class _Item(Watcher):
    """One watched file of one epoll."""

    __slots__ = ("asleep", "data", "epoll", "events", "exclusive", "file")

    def __init__(self, epoll: Epoll, file: File, data: int, events: int) -> None:
        self.epoll = epoll
        self.file = file
        self.data = data
        self.exclusive = bool(events & EPOLLEXCLUSIVE)
        self.events = 0
        self.arm(events)

    def arm(self, events: int) -> None:
        self.file.edges += _is_edge(events) - _is_edge(self.events)
        self.events = events
        self.asleep = False

    def bits(self) -> int:
        """Return the wanted bits that hold now."""
        held, events = self.file.readiness(), self.events
        if events & NORMAL:
            held |= (held & Readiness.IN and EPOLLRDNORM) | (held & Readiness.OUT and EPOLLWRNORM)
        return held & (events | ALWAYS_REPORTED)

    def file_ready(self, file: File) -> bool:
        if self.asleep or not self.bits():
            return False
        epoll = self.epoll
        epoll.ready[self] = None
        if not epoll.watchers:
            return False
        epoll.notify()
        return True

    def is_exclusive(self) -> bool:
        return self.exclusive

    def file_closed(self, file: File) -> None:
        self.epoll.forget(self)


def _is_edge(events: int) -> int:
    return 1 if events & EPOLLET and events & Readiness.OUT else 0


class Epoll(File):
    """One epoll instance."""

    __slots__ = ("_items", "ready")

    kind: ClassVar[str] = "epoll"
    mode: ClassVar[int] = stat.S_IRUSR | stat.S_IWUSR

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[tuple[int, int], _Item] = {}
        self.ready: dict[_Item, None] = {}

    def readiness(self) -> int:
        """IN when a call of `collect` would return something."""
        return Readiness.IN if any(item.bits() for item in self.ready) else 0

    def add(self, descriptor: int, file: File, events: int) -> None:
        """EPOLL_CTL_ADD; EEXIST, ELOOP, EINVAL."""
        if (descriptor, id(file)) in self._items:
            raise os_error(errno.EEXIST)
        if events & EPOLLEXCLUSIVE and (events & ~EXCLUSIVE_EVENTS or isinstance(file, Epoll)):
            raise os_error(errno.EINVAL)
        if isinstance(file, Epoll):
            if file is self:
                raise os_error(errno.EINVAL)
            if file.watches(self) or file.depth() + 1 >= MAXIMUM_DEPTH:
                raise os_error(errno.ELOOP)
        item = self._items[descriptor, id(file)] = _Item(self, file, descriptor, events)
        file.watchers[item] = None
        file.exclusive += item.exclusive
        item.file_ready(file)

    def modify(self, descriptor: int, file: File, events: int) -> None:
        """EPOLL_CTL_MOD; ENOENT, EINVAL."""
        if events & EPOLLEXCLUSIVE:
            raise os_error(errno.EINVAL)
        item = self._find(descriptor, file)
        if item.exclusive:
            raise os_error(errno.EINVAL)
        item.arm(events)
        self.ready.pop(item, None)
        item.file_ready(file)

    def remove(self, descriptor: int, file: File) -> None:
        """EPOLL_CTL_DEL; ENOENT."""
        self.forget(self._find(descriptor, file))

    def forget(self, item: _Item) -> None:
        """Remove an item whose file was closed or removed."""
        self._items.pop((item.data, id(item.file)), None)
        self.ready.pop(item, None)
        if item.file.watchers.pop(item, item) is None:
            item.file.exclusive -= item.exclusive
            item.file.edges -= _is_edge(item.events)

    def collect(self, limit: int) -> list[tuple[int, int]]:
        """Return up to `limit` (descriptor, bits) of what is ready now."""
        found: list[tuple[int, int]] = []
        ready = self.ready
        if not ready:
            return found
        for item in tuple(ready):
            if len(found) >= limit:
                break
            bits = item.bits()
            del ready[item]
            if not bits:
                continue
            found.append((item.data, bits))
            events = item.events
            if events & EPOLLONESHOT:
                item.asleep = True
            elif not events & EPOLLET:
                ready[item] = None
        return found

    def watches(self, other: Epoll) -> bool:
        """Whether `other` is watched by this one, directly or through others."""
        below = [item.file for item in self._items.values() if isinstance(item.file, Epoll)]
        return other in below or any(epoll.watches(other) for epoll in below)

    def depth(self) -> int:
        """Return the depth of epolls that this one watches."""
        below = [item.file.depth() for item in self._items.values() if isinstance(item.file, Epoll)]
        return 1 + max(below) if below else 0

    def close(self) -> None:
        """Stop watching."""
        for item in tuple(self._items.values()):
            self.forget(item)

    def describe(self) -> str:
        """Describe what it watches, for reports."""
        names = [item.file.describe() for item in self._items.values()]
        shown = [name for name in names if not name.startswith("local")]
        return f"epoll of {', '.join(shown[:4] or names[:1]) or 'nothing'}{', …' if len(shown) > 4 else ''}"

    def _find(self, descriptor: int, file: File) -> _Item:
        item = self._items.get((descriptor, id(file)))
        if item is None:
            raise os_error(errno.ENOENT)
        return item
