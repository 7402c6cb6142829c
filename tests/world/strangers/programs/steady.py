"""What the programs of strangers share: serving by name, and asking again and again whatever happens on the way.

`PROGRAM serve NAME` and `PROGRAM ask NAME HOST [START-END…]`. The client asks until it was answered in each window of
seconds since its start; without windows, once. What a library raises on the way is noted, and asked for again.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

__all__ = ["main"]

PAUSE: Final = 3.0
AGAIN: Final = 1.0
AT_ONCE: Final = ((0.0, 25.0),)


class Attempt:
    """A context in which the server is asked once. `pause`: seconds to wait afterwards."""

    def __init__(self) -> None:
        self.pause = PAUSE
        self.answered = False
        self.error: BaseException | None = None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self.error = error
        self.answered = error is None
        if error is not None:
            self.pause = AGAIN
        return isinstance(error, Exception)


def attempts(windows: tuple[tuple[float, float], ...]) -> Iterator[Attempt]:
    """Attempts until each window has an answer. Exits with a message if one ends without."""
    begun = time.monotonic()
    last: BaseException | None = None
    for number, (start, end) in enumerate(windows):
        while True:
            attempt = Attempt()
            asked = time.monotonic() - begun
            yield attempt
            if attempt.error is not None:
                last = attempt.error
                print(f"{asked:.1f} s: {type(last).__name__}: {last}"[:200], flush=True)
            if attempt.answered and asked >= start:
                print(f"answered in window {number}", flush=True)
                if number == len(windows) - 1:
                    return
                break
            if time.monotonic() - begun > end:
                if last is not None:
                    traceback.print_exception(last)
                sys.exit(f"no answer between {start:g} s and {end:g} s")
            if attempt.pause > PAUSE - 1 and windows is AT_ONCE:
                return


def main(names: dict[str, Any]) -> None:
    """Do what the command line says. `names`: globals with `serve_NAME`, and `ask_NAME` or `open_NAME`."""
    verb, name, *rest = sys.argv[1:]
    if verb == "serve":
        done = names[f"serve_{name}"]()
        if inspect.iscoroutine(done):
            asyncio.run(done)
        return
    host, *words = rest
    windows = tuple((float(start), float(end)) for start, end in (word.split("-") for word in words)) or AT_ONCE
    if opened := names.get(f"open_{name}"):
        if inspect.iscoroutinefunction(opened):
            asyncio.run(_ask_async(opened, host, windows))
        else:
            _ask(opened(host), windows)
        return
    asked = names[f"ask_{name}"]
    if inspect.iscoroutinefunction(asked):

        async def once() -> Callable[[], Any]:
            return lambda: asked(host)

        asyncio.run(_ask_async(lambda _: once(), host, windows))
    else:
        _ask(lambda: asked(host), windows)


def _ask(once: Callable[[], Any], windows: tuple[tuple[float, float], ...]) -> None:
    for attempt in attempts(windows):
        with attempt:
            print(repr(once())[:300], flush=True)
        time.sleep(attempt.pause if windows is not AT_ONCE else 0.3)


async def _ask_async(opened: Callable[[str], Any], host: str, windows: tuple[tuple[float, float], ...]) -> None:
    once = await opened(host)
    for attempt in attempts(windows):
        with attempt:
            print(repr(await once())[:300], flush=True)
        await asyncio.sleep(attempt.pause if windows is not AT_ONCE else 0.3)
