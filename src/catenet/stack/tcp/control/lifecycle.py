"""How a connection ends, and how its program is woken."""

from __future__ import annotations

from typing import Final

from catenet.stack.endpoint import Fault
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.control.timers import clear_timers

__all__ = [
    "RCV_SHUTDOWN",
    "SEND_SHUTDOWN",
    "SHUTDOWN_BOTH",
    "done",
    "fail",
    "hand_over",
    "on_reset",
    "wake",
]

# Bits of `Connection.shutdown`.
RCV_SHUTDOWN: Final = 1
SEND_SHUTDOWN: Final = 2
SHUTDOWN_BOTH: Final = RCV_SHUTDOWN | SEND_SHUTDOWN


def wake(c: Connection) -> None:
    """Tell the layer above that readiness may have risen."""
    endpoint = c.endpoint
    if endpoint is not None and endpoint.on_ready is not None:
        endpoint.on_ready()


def _purge_sent(c: Connection) -> None:
    """Drop what was written and not acknowledged."""
    c.sent.clear()
    c.pending.clear()
    c.push_marks.clear()
    c.pending_offset = c.buffered = 0
    c.packets_out = c.sacked_out = c.lost_out = c.retransmitted_out = 0
    c.snd_nxt = c.write_seq


def done(c: Connection) -> None:
    """Close the connection; what was received may still be read."""
    if c.state == states.CLOSED:
        return
    listener = c.layer.half_open_listener(c) if c.state == states.SYN_RECEIVED else None
    if c.fast_open is not None:
        c.fast_open.on_end(c)
    c.state = states.after(c.state, states.END)
    c.shutdown = SHUTDOWN_BOTH
    clear_timers(c)
    _purge_sent(c)
    c.reassembly = None
    c.layer.forget(c)
    if listener is not None:
        listener.drop_child(c)
    leave_port(c)
    wake(c)


def hand_over(c: Connection) -> None:
    """End the connection object, whose names a `TimeWait` keeps: no error, and nobody is woken yet."""
    if c.fast_open is not None:
        c.fast_open.on_end(c)
    c.state = states.after(c.state, states.END)
    clear_timers(c)
    _purge_sent(c)
    c.layer.forget(c)
    leave_port(c)


def leave_port(c: Connection) -> None:
    """Release the port of a closed connection, unless the program has bound it."""
    if c.endpoint is not None:
        c.endpoint.leave_port()


def fail(c: Connection, fault: Fault) -> None:
    """End the connection with an error that the program will see."""
    c.error = fault
    done(c)


def on_reset(c: Connection) -> None:
    """Close the connection upon the peer's reset, with the error that fits its state (RFC 9293 3.10.7.4)."""
    if c.state == states.SYN_SENT:
        fault = Fault.CONNECTION_REFUSED
    elif c.state == states.CLOSE_WAIT:
        fault = Fault.BROKEN_PIPE
    else:
        fault = Fault.CONNECTION_RESET
    c.layer.counters.established_resets += c.state in (states.ESTABLISHED, states.CLOSE_WAIT)
    fail(c, fault)
