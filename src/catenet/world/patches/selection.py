"""`select` and `selectors`: readiness of simulated descriptors."""

from __future__ import annotations

import select
import selectors
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final

from catenet.posix import pyselect
from catenet.posix.errors import NotModelled
from catenet.world.current import current
from catenet.world.patching import Patcher, in_process

__all__ = ["apply"]

EPOLLIN: Final = 0x001
EPOLLOUT: Final = 0x004


class _Class:
    """Stands for a class of `select`: makes the simulated one inside of a process."""

    def __init__(self, original: Any, simulated: Any) -> None:
        self._original = original
        self._simulated = simulated
        self.__name__ = original.__name__
        self.__doc__ = original.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (self._original if current.task is None else self._simulated)(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, (self._simulated, self._original))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original if current.task is None else self._simulated, name)


def _epoll_select(original: Callable[..., Any]) -> Callable[..., Any]:
    """`EpollSelector.select`, which event loops call twice per message: the same in one function instead of four."""

    def select(self: Any, timeout: float | None = None) -> list[Any]:
        task = current.task
        poll = self._selector
        if task is None or poll.__class__ is not pyselect.EpollObject:
            return original(self, timeout)  # type: ignore[no-any-return]
        keys = self._fd_to_key
        limit = len(keys) or 1
        found = poll.ready(limit)
        if not found:
            if timeout is not None and timeout <= 0:
                task.process.spin()
                return []
            found = poll.wait(limit, timeout)
        ready = []
        for descriptor, bits in found:
            key = keys.get(descriptor)
            if key is not None:
                events = (EVENT_WRITE if bits & ~EPOLLIN else 0) | (EVENT_READ if bits & ~EPOLLOUT else 0)
                ready.append((key, events & key.events))
        return ready

    return in_process(select, original)


def _refuse(process: Any, *args: Any, **kwargs: Any) -> Any:
    raise NotModelled("select.devpoll and select.kqueue are not modelled; use select.epoll or selectors")


def apply(patcher: Patcher) -> None:
    """Patch `select` and what `selectors` has bound of it."""
    patcher.function(select, "select", lambda process, *args: pyselect.select(*args))
    patcher.function(select, "poll", lambda process: pyselect.PollObject())
    for name in ("devpoll", "kqueue"):
        patcher.function(select, name, _refuse)
    patcher.attribute(selectors.SelectSelector, "_select", staticmethod(select.select))
    if hasattr(selectors, "PollSelector"):
        patcher.attribute(selectors.PollSelector, "_selector_cls", staticmethod(select.poll))
    if hasattr(selectors, "EpollSelector"):
        patcher.replace(select, "epoll", _Class(select.epoll, pyselect.EpollObject))
        patcher.attribute(selectors.EpollSelector, "_selector_cls", select.epoll)
        patcher.attribute(selectors.EpollSelector, "select", _epoll_select(selectors.EpollSelector.select))
