"""The interpreter while the hub of a world runs in it: streams, hooks and the garbage collector."""

from __future__ import annotations

import gc
import sys
from asyncio import events
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from catenet.world.engine.current import current
from catenet.world.patches import install

__all__ = ["prepared_interpreter"]


@contextmanager
def prepared_interpreter() -> Iterator[None]:
    """Prepare the interpreter for the hub, and restore its state afterwards.

    `sys.stdout`, `sys.stderr` and `sys.stdin` become those of the running process. No event loop runs, no hooks for
    asynchronous generators are set, and no garbage is collected but by the hub.
    """
    streams = sys.stdout, sys.stderr, sys.stdin
    loop, hooks = events._get_running_loop(), sys.get_asyncgen_hooks()
    install.install()
    collects = install.original(gc, "isenabled")()
    install.original(gc, "disable")()
    try:
        events._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)
        sys.stdout, sys.stderr, sys.stdin = (
            _Redirect(name, stream) for name, stream in zip(("stdout", "stderr", "stdin"), streams, strict=True)
        )
        yield
    finally:
        sys.stdout, sys.stderr, sys.stdin = streams
        events._set_running_loop(loop)
        sys.set_asyncgen_hooks(*hooks)
        if collects:
            install.original(gc, "enable")()


class _Redirect:
    """Takes the place of a standard stream while a world runs: the stream of the running process, or the original."""

    def __init__(self, name: str, original: Any) -> None:
        self.__dict__["_name"] = name
        self.__dict__["_original"] = original

    def _target(self) -> Any:
        task = current.task
        return self._original if task is None else getattr(task.process.streams, self._name)

    def write(self, text: str) -> int:
        """Write to the stream of the running process."""
        target = self._target()
        count: int = target.write(text)
        if target is not self._original:
            target.flush()
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target(), name, value)

    def __iter__(self) -> Any:
        return iter(self._target())

    def __next__(self) -> Any:
        return next(self._target())

    def __enter__(self) -> Any:
        return self._target().__enter__()

    def __exit__(self, *details: Any) -> Any:
        return self._target().__exit__(*details)
