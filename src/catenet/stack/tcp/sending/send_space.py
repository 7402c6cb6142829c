"""Room in the send buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["can_write", "low_water"]


def can_write(c: Connection, waking: int = 0) -> bool:
    """Linux's rule: a third of the buffer is free, and not too much waits unsent (TCP_NOTSENT_LOWAT).

    A writer is woken (`waking` 1) only when twice as much could wait, so that it is not woken for every segment.
    """
    free = c.send_buffer - c.buffered
    if free <= 0 or free < c.buffered >> 1:
        return False
    return (c.write_seq - c.snd_nxt) << waking < low_water(c)


def low_water(c: Connection) -> int:
    """Most unsent bytes that still let a writer continue."""
    chosen = c.option("TCP_NOTSENT_LOWAT", 0) if c.options else 0
    return chosen or c.layer.settings.tcp_notsent_lowat
