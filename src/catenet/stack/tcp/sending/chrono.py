"""For how long a connection was busy, and what held it up: the peer's window or the send buffer (TCP_INFO)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["BUFFER", "BUSY", "WINDOW", "start", "stop", "times"]

BUSY: Final = 1
WINDOW: Final = 2
BUFFER: Final = 3


def start(c: Connection, kind: int) -> None:
    """The connection is `kind` from now on, unless something that counts for more holds it up."""
    if kind > c.chrono:
        _change(c, kind)


def stop(c: Connection, kind: int) -> None:
    """`kind` no longer holds the connection up."""
    if not c.sent and c.write_seq <= c.snd_nxt:
        _change(c, 0)
    elif kind == c.chrono and kind != BUSY:
        _change(c, BUSY)


def _change(c: Connection, kind: int) -> None:
    now = c.layer.us
    if c.chrono:
        spent = list(c.chrono_times)
        spent[c.chrono - 1] += now - c.chrono_at
        c.chrono_times = (spent[0], spent[1], spent[2])
    c.chrono = kind
    c.chrono_at = now


def times(c: Connection) -> tuple[int, int, int]:
    """Microseconds (busy for whatever reason, held up by the window, by the buffer)."""
    spent = list(c.chrono_times)
    if c.chrono:
        spent[c.chrono - 1] += c.layer.us - c.chrono_at
    return sum(spent), spent[1], spent[2]
