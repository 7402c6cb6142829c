"""`select` and `selectors`: readiness of simulated descriptors."""

from __future__ import annotations

import select
import selectors
from collections.abc import Callable
from typing import Any

from catenet.posix import pyselect
from catenet.posix.errors import CallNotModelled
from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, copy_identity

__all__ = ["apply"]


class _DispatchingClass:
    """Takes the place of a class of `select`: makes the simulated one inside of a process."""

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
    """`EpollSelector.select`, which event loops call twice per message."""

    def select(self: Any, timeout: float | None = None) -> list[Any]:
        task = current.task
        poll = self._selector
        if task is None or poll.__class__ is not pyselect.EpollObject:
            return original(self, timeout)  # type: ignore[no-any-return]
        return poll.select(self._fd_to_key, timeout)

    return copy_identity(select, original)


class _Poll(pyselect.PollObject):
    """What `select.poll` returns, which cannot be made by its type."""

    def __init__(self, *args: Any) -> None:
        raise TypeError("cannot create 'select.poll' instances")


_Poll.__name__ = _Poll.__qualname__ = "poll"
_Poll.__module__ = "select"


def _poll(process: Any) -> pyselect.PollObject:
    made = _Poll.__new__(_Poll)
    pyselect.PollObject.__init__(made)
    return made


def _refuse(process: Any, *args: Any, **kwargs: Any) -> Any:
    raise CallNotModelled("select.devpoll and select.kqueue are not modelled; use select.epoll or selectors")


def apply(patcher: Patcher) -> None:
    """Patch `select` and what `selectors` has bound of it."""
    patcher.function(select, "select", lambda process, *args: pyselect.select(*args))
    patcher.function(select, "poll", _poll)
    for name in ("devpoll", "kqueue"):
        patcher.function(select, name, _refuse)
    patcher.attribute(selectors.SelectSelector, "_select", staticmethod(select.select))
    if hasattr(selectors, "PollSelector"):
        patcher.attribute(selectors.PollSelector, "_selector_cls", staticmethod(select.poll))
    if hasattr(selectors, "EpollSelector"):
        patcher.replace(select, "epoll", _DispatchingClass(select.epoll, pyselect.EpollObject))
        patcher.attribute(selectors.EpollSelector, "_selector_cls", select.epoll)
        patcher.attribute(selectors.EpollSelector, "select", _epoll_select(selectors.EpollSelector.select))
