"""Work that a program's calls have scheduled, done once the time is known (`TcpLayer.transmit`)."""

from __future__ import annotations

from typing import Final

from catenet.stack.endpoint import StackError
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import NAGLE_CORK, NAGLE_OFF, NAGLE_PUSH, Connection
from catenet.stack.tcp.control.constants import SECOND, TIME_WAIT_LENGTH
from catenet.stack.tcp.control.errors import on_path_mtu
from catenet.stack.tcp.control.lifecycle import done
from catenet.stack.tcp.control.timeouts import cap_to_user_timeout, fin_timeout, set_keepalive
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.opening.establish import start_connect
from catenet.stack.tcp.receiving.receive_data import ack_after_read
from catenet.stack.tcp.sending.output import current_mss, push, restart_after_idle, send_ack, send_reset

__all__ = [
    "WORK_ACK",
    "WORK_CONNECT",
    "WORK_FIN",
    "WORK_KEEPALIVE",
    "WORK_MORE",
    "WORK_ORPHAN",
    "WORK_PATH_MTU",
    "WORK_READ",
    "WORK_RESET",
    "WORK_RETIME",
    "WORK_SEND",
    "flush",
    "hold",
    "reset",
    "schedule",
    "schedule_reset",
    "uncork",
]

WORK_CONNECT: Final = 1
WORK_SEND: Final = 2
WORK_READ: Final = 4
WORK_RESET: Final = 8
WORK_FIN: Final = 16
WORK_MORE: Final = 32
WORK_ACK: Final = 64
WORK_KEEPALIVE: Final = 128
WORK_ORPHAN: Final = 256
WORK_RETIME: Final = 512
WORK_UNCORK: Final = 1024
WORK_PATH_MTU: Final = 2048


def schedule(c: Connection, bits: int) -> None:
    """Have `flush` do for a connection what the WORK bits say, once the time is known."""
    if not c.work:
        c.layer.mark_dirty(c)
    c.work |= bits


def schedule_reset(c: Connection) -> None:
    """Schedule the reset of a connection that its program has given up; its names are free at once."""
    c.endpoint = None
    c.layer.release_names(c)
    schedule(c, WORK_RESET)


def flush(c: Connection) -> None:
    """Do all that is scheduled for a connection."""
    bits, c.work = c.work, c.work & WORK_RESET
    if bits & WORK_CONNECT and c.state == states.SYN_SENT:
        start_connect(c)
    if c.state == states.CLOSED:
        return
    if bits & WORK_PATH_MTU:
        _adopt_path_mtu(c)
    if bits & WORK_RESET:
        _reset(c, bits)
        return
    if bits & WORK_READ:
        count, c.read_count = c.read_count, 0
        ack_after_read(c, count)
    if bits & WORK_ACK and c.ack_pending:
        send_ack(c)
    if bits & (WORK_SEND | WORK_FIN | WORK_UNCORK):
        _send(c, bits)
    if bits & WORK_KEEPALIVE:
        _restart_keepalive(c)
    if bits & WORK_RETIME and c.timer:
        c.timer_at = min(c.timer_at, c.layer.us + cap_to_user_timeout(c, max(c.timer_at - c.layer.us, 0)))
        set_timer(c, c.timer, max(c.timer_at - c.layer.us, 0))
    if bits & WORK_ORPHAN:
        _orphan(c)


def _reset(c: Connection, bits: int) -> None:
    """Reset the connection; what was written before leaves first, as far as the windows allow.

    A program that answers and closes without having read everything counts on that. To a peer on this host the rest
    leaves as its acknowledgments arrive, as on Linux, whose loopback delivers a packet before the next is sent.
    """
    if bits & (WORK_SEND | WORK_FIN | WORK_UNCORK):
        _send(c, bits)
    if c.write_seq > c.snd_nxt and c.layer.output.loop:
        c.layer.resets.append(c)
    else:
        reset(c)


def reset(c: Connection) -> None:
    """Reset the connection now.

    A FIN in flight has said already that no more follows: the connection closes silently, unless data was left unread.
    """
    if c.state == states.CLOSED:
        return
    ending = c.state in (states.CLOSING, states.LAST_ACK) and c.write_seq <= c.snd_nxt and not c.received
    if c.state != states.SYN_SENT and not ending:
        send_reset(c)
    done(c)


def _adopt_path_mtu(c: Connection) -> None:
    """Adopt the path MTU that IP has learnt before us."""
    try:
        route = c.layer.output.route(c.destination, c.source, c.interface)
    except StackError:
        return
    on_path_mtu(c, route.mtu)


def hold(c: Connection) -> None:
    """Note that what is written from here on may be held back (MSG_MORE, TCP_CORK), but not what was written before."""
    if c.work & WORK_SEND and not c.work & WORK_MORE and not c.nagle & NAGLE_CORK:
        c.due = c.write_seq


def uncork(c: Connection) -> None:
    """Let all that was written up to here leave, even as a short segment."""
    c.due = c.write_seq
    schedule(c, WORK_UNCORK)


def _send(c: Connection, bits: int) -> None:
    due, c.due = c.due, 0
    if c.write_seq <= c.snd_nxt or c.state == states.SYN_SENT:
        return
    if not c.packets_out:
        restart_after_idle(c)
    _check_app_limited(c)
    if bits & WORK_FIN:
        push(c, NAGLE_OFF)
    else:
        if due > c.snd_nxt:
            _push_up_to(c, due, c.nagle & ~NAGLE_CORK | (NAGLE_PUSH if bits & WORK_UNCORK else 0))
        push(c, NAGLE_CORK if bits & WORK_MORE else c.nagle)
    _check_app_limited(c)


def _push_up_to(c: Connection, end: int, nagle: int) -> None:
    """`push`, as if nothing had been written from `end` on."""
    written, c.write_seq = c.write_seq, end
    push(c, nagle)
    c.write_seq = written


def _check_app_limited(c: Connection) -> None:
    """Mark samples of the delivery rate as limited by the application if there is too little data for the window."""
    if c.write_seq - c.snd_nxt < current_mss(c) and c.in_flight < c.cwnd and c.lost_out <= c.retransmitted_out:
        c.app_limited = c.delivered + c.in_flight or 1


def _restart_keepalive(c: Connection) -> None:
    if not c.option("SO_KEEPALIVE", 0) or c.state in (states.SYN_SENT, states.CLOSED):
        return
    idle = c.layer.us - max(c.last_data_in, c.last_heard)
    limit = (c.option("TCP_KEEPIDLE", 0) or c.layer.settings.tcp_keepalive_time) * SECOND
    set_keepalive(c, max(limit - idle, 0))


def _orphan(c: Connection) -> None:
    """Begin the limited FIN-WAIT-2 of a connection that its program has closed."""
    if c.state == states.FIN_WAIT_2:
        linger = fin_timeout(c)
        if linger < 0:
            send_reset(c)
            done(c)
        elif linger > TIME_WAIT_LENGTH:
            set_keepalive(c, linger - TIME_WAIT_LENGTH)
        else:
            c.layer.enter_time_wait(c, linger, states.FIN_WAIT_2)
