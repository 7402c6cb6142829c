"""What became of a case: a letter, and what was understood.

`R`: refused (4xx, 5xx, or closed without an answer). `A`: accepted as one message, and what follows on the connection
is a message of its own. `S`: accepted, and the rest taken otherwise: for part of it, for more messages, or refused
behind it. `W`: the reader waits for more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["NEXT", "seen", "summary"]

NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
"""What follows each request on its connection."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_ECHO = re.compile(rb"<<(\S+) (\S*) (\d+)>>")


def seen(method: str, target: str, size: int) -> bytes:
    """What an application of a peer answers: the request as it understood it."""
    return f"<<{method} {target.replace(' ', '_')} {size}>>".encode()


def summary(received: bytes, waits: bool) -> str:
    """Return the outcome at a server from all that it sent; `waits`: it has not closed the connection."""
    echoes = [(method.decode("latin-1"), target, int(size)) for method, target, size in _ECHO.findall(received)]
    statuses = [int(status) for status in _STATUS.findall(received) if status[:1] != b"1"]
    return verdict(
        [(method, size) for method, target, size in echoes if not target.endswith(b"/next")],
        any(target.endswith(b"/next") for _, target, _ in echoes),
        any(status >= 400 for status in statuses),
        waits,
        len([status for status in statuses if status < 400]),
    )


def verdict(found: Sequence[tuple[str, int]], followed: bool, refused: bool, waits: bool, answers: int = 0) -> str:
    """Return the outcome: the requests that were understood, whether the next one was, and how it ended."""
    told = " + ".join(f"{method} {size}" for method, size in found)
    if not found:
        if answers > followed:  # the answer to HEAD shows no more
            told, found = "HEAD", [("HEAD", 0)]
        elif waits and not refused:
            return "W"
        else:
            return "R" if not followed else "S nothing"
    if len(found) > 1 or refused:
        return f"S {told}{' + refused' if refused else ''}"
    if waits and not followed:
        return f"S {told} + waits"
    return f"A {told}"
