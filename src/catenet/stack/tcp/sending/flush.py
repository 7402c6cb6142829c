"""What a program's calls left to be done, once the time is known (`TcpLayer.transmit`)."""

from __future__ import annotations

from typing import Final

from catenet.stack.endpoint import StackError
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import NAGLE_CORK, NAGLE_OFF, NAGLE_PUSH, Connection
from catenet.stack.tcp.control.errors import on_path_mtu
from catenet.stack.tcp.control.lifecycle import done
from catenet.stack.tcp.control.timeouts import cap_to_user_timeout, fin_timeout, set_keepalive
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.opening.establish import start_connect
from catenet.stack.tcp.receiving.receive_data import ack_after_read
from catenet.stack.tcp.sending.output import current_mss, push, restart_after_idle, send_ack, send_reset

__all__ = ["flush", "hold", "reset", "todo", "todo_reset", "uncork"]

CONNECT: Final = 1
SEND: Final = 2
READ: Final = 4
RESET: Final = 8
FIN: Final = 16
MORE: Final = 32
ACK: Final = 64
KEEPALIVE: Final = 128
ORPHAN: Final = 256
RETIME: Final = 512
UNCORK: Final = 1024
PATH_MTU: Final = 2048

_SECOND: Final = 1_000_000


def todo(c: Connection, bits: int) -> None:
    """Note that something is to be done for a connection."""
    if not c.todo:
        c.layer.mark_dirty(c)
    c.todo |= bits


def todo_reset(c: Connection) -> None:
    """Have a connection reset that its program has given up; its names are free at once."""
    c.endpoint = None
    c.layer.give_names_up(c)
    todo(c, RESET)


def flush(c: Connection) -> None:
    """Do it."""
    bits, c.todo = c.todo, c.todo & RESET
    c.layer.echo = 0
    if bits & CONNECT and c.state == states.SYN_SENT:
        start_connect(c)
    if c.state == states.CLOSED:
        return
    if bits & PATH_MTU:
        _adopt_path_mtu(c)
    if bits & RESET:
        _reset(c, bits)
        return
    if bits & READ:
        count, c.read_count = c.read_count, 0
        ack_after_read(c, count)
    if bits & ACK and c.ack_pending:
        send_ack(c)
    if bits & (SEND | FIN | UNCORK):
        _send(c, bits)
    if bits & KEEPALIVE:
        _restart_keepalive(c)
    if bits & RETIME and c.timer:
        c.timer_at = min(c.timer_at, c.layer.us + cap_to_user_timeout(c, max(c.timer_at - c.layer.us, 0)))
        set_timer(c, c.timer, max(c.timer_at - c.layer.us, 0))
    if bits & ORPHAN:
        _orphan(c)


def _reset(c: Connection, bits: int) -> None:
    """Reset the connection; what was written before leaves first, as far as the windows let it.

    A program that answers and closes without having read everything counts on that. To a peer on this host the rest
    goes while its acknowledgments come, as on Linux, whose loopback is done with a packet before the next is sent.
    """
    if bits & (SEND | FIN | UNCORK):
        _send(c, bits)
    if c.write_seq > c.snd_nxt and c.layer.output.loop:
        c.layer.resets.append(c)
    else:
        reset(c)


def reset(c: Connection) -> None:
    """Reset the connection now.

    A FIN under way has said already that there is nothing to come: the socket just goes, unless it leaves data unread.
    """
    if c.state == states.CLOSED:
        return
    ending = c.state in (states.CLOSING, states.LAST_ACK) and c.write_seq <= c.snd_nxt and not c.received
    if c.state != states.SYN_SENT and not ending:
        send_reset(c)
    done(c)


def _adopt_path_mtu(c: Connection) -> None:
    """The path takes less than we believed: the floor below knew before us."""
    try:
        route = c.layer.ip.route(c.destination, c.source, c.interface)
    except StackError:
        return
    on_path_mtu(c, route.mtu)


def hold(c: Connection) -> None:
    """What is written from here on may be held back (MSG_MORE, TCP_CORK): what went before has left, on Linux."""
    if c.todo & SEND and not c.todo & MORE and not c.nagle & NAGLE_CORK:
        c.due = c.write_seq


def uncork(c: Connection) -> None:
    """Whatever was written up to here leaves, even by itself."""
    c.due = c.write_seq
    todo(c, UNCORK)


def _send(c: Connection, bits: int) -> None:
    due, c.due = c.due, 0
    if c.write_seq <= c.snd_nxt or c.state == states.SYN_SENT:
        return
    if not c.packets_out:
        restart_after_idle(c)
    _check_app_limited(c)
    if bits & FIN:
        push(c, NAGLE_OFF)
    else:
        if due > c.snd_nxt:
            _push_up_to(c, due, c.nagle & ~NAGLE_CORK | (NAGLE_PUSH if bits & UNCORK else 0))
        push(c, NAGLE_CORK if bits & MORE else c.nagle)
    _check_app_limited(c)


def _push_up_to(c: Connection, end: int, nagle: int) -> None:
    """`push`, as if nothing had been written from `end` on."""
    written, c.write_seq = c.write_seq, end
    push(c, nagle)
    c.write_seq = written


def _check_app_limited(c: Connection) -> None:
    """Nothing to fill the window with: samples of the delivery rate from here on say little about the path."""
    if c.write_seq - c.snd_nxt < current_mss(c) and c.in_flight < c.cwnd and c.lost_out <= c.retransmitted_out:
        c.app_limited = c.delivered + c.in_flight or 1


def _restart_keepalive(c: Connection) -> None:
    if not c.option("SO_KEEPALIVE", 0) or c.state in (states.SYN_SENT, states.CLOSED):
        return
    idle = c.layer.us - max(c.last_data_in, c.last_heard)
    limit = (c.option("TCP_KEEPIDLE", 0) or c.layer.settings.tcp_keepalive_time) * _SECOND
    set_keepalive(c, max(limit - idle, 0))


def _orphan(c: Connection) -> None:
    """The program closed a connection that had nothing more to send than a FIN already acknowledged."""
    if c.state == states.FIN_WAIT_2:
        linger = fin_timeout(c)
        if linger < 0:
            send_reset(c)
            done(c)
        elif linger > 60 * _SECOND:
            set_keepalive(c, linger - 60 * _SECOND)
        else:
            c.layer.time_wait(c, linger, states.FIN_WAIT_2)
