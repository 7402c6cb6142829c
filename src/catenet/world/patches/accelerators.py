"""What takes a library in C when it is installed, and means the same without: here it goes on without.

* uvloop has asyncio's interface, and is made to take the place of its loop. Its sockets are those of libuv, so in a
  process asyncio's own loop takes its place: by `install`, `run`, `new_event_loop` and the policy, which asks for the
  latter. A line on standard error says so, once in a process. Who makes a `uvloop.Loop` by its class gets a refusal.
* uvicorn takes uvloop when it is installed unless told otherwise: it takes asyncio's own loop, as it does without.
* aiohttp asks c-ares for names when aiodns is installed; it asks `getaddrinfo`, as it does without.
* mysql.connector takes its C extension when that is there; it takes its driver in Python, as it does without.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from catenet.world.patches.patching import Patcher, dispatch

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

RESOLVER: Final = "DefaultResolver"


def _patch_uvloop(patcher: Patcher, module: types.ModuleType) -> None:
    told: weakref.WeakSet[Process] = weakref.WeakSet()

    def tell(process: Process) -> None:
        if process not in told:
            told.add(process)
            print("uvloop: asyncio's own event loop takes its place on a simulated host", file=sys.stderr)

    def new_event_loop(process: Process) -> asyncio.AbstractEventLoop:
        tell(process)
        return asyncio.SelectorEventLoop()

    def install(process: Process) -> None:
        tell(process)
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())

    def run(process: Process, main: Any, *, loop_factory: Any = None, debug: bool | None = None, **_: Any) -> Any:
        factory = partial(new_event_loop, process) if loop_factory is None else loop_factory
        with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
            return runner.run(main)

    for simulated in (new_event_loop, install, run):
        patcher.function(module, simulated.__name__, simulated)


def _patch_uvicorn(patcher: Patcher, module: types.ModuleType) -> None:
    """Patch `auto_loop_factory` (in older versions `auto_loop_setup`) of `uvicorn.loops.auto`."""

    def choose(name: str) -> Any:
        def simulated(process: Process, *args: Any, **kwargs: Any) -> Any:
            plain = importlib.import_module("uvicorn.loops.asyncio")
            return getattr(plain, name)(*args, **kwargs)

        return simulated

    patcher.function(module, "auto_loop_factory", choose("asyncio_loop_factory"))
    patcher.function(module, "auto_loop_setup", choose("asyncio_setup"))


def _patch_aiohttp(patcher: Patcher, module: types.ModuleType) -> None:
    """Patch the name under which `aiohttp` and its modules have the resolver of those who name none."""

    def simulated(process: Process, *args: Any, **kwargs: Any) -> Any:
        return sys.modules["aiohttp.resolver"].ThreadedResolver(*args, **kwargs)

    # Not `replace`, which would do so with the resolver's own name too: they are one class.
    original: Any = getattr(module, RESOLVER, None)
    if isinstance(original, type):
        patcher.attribute(module, RESOLVER, dispatch(original, simulated))


def _patch_mysql(patcher: Patcher, module: types.ModuleType) -> None:
    """Patch `mysql.connector.connect`, where it would take `_mysql_connector` unasked."""
    original: Callable[..., Any] = module.connect

    def connect(process: Process, *args: Any, **kwargs: Any) -> Any:
        return original(*args, **{"use_pure": True, **kwargs})

    for name in ("connect", "Connect"):
        patcher.function(module, name, connect)


def apply(patcher: Patcher) -> None:
    """Patch these libraries now or when they are loaded."""
    patcher.on_import("uvloop", _patch_uvloop, again=True)
    patcher.on_import("uvicorn.loops.auto", _patch_uvicorn, again=True)
    patcher.on_import("mysql.connector", _patch_mysql, again=True)
    for name in ("aiohttp.resolver", "aiohttp.connector", "aiohttp"):
        patcher.on_import(name, _patch_aiohttp, again=True)
