"""ICMP errors (RFC 5927): believed only for what is in flight, and hard only before a connection is established."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.ip.icmp import fault_of
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import RTO_TIMER, Connection, position
from catenet.stack.tcp.control.constants import TIMEOUT_INIT
from catenet.stack.tcp.control.lifecycle import fail, wake
from catenet.stack.tcp.control.rto import set_rto
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.opening.fast_open import ServerHandshake
from catenet.stack.tcp.opening.listener import HalfOpen
from catenet.stack.tcp.recovery.machine import simple_retransmit
from catenet.stack.tcp.sending.acknowledge import sync_mss
from catenet.stack.tcp.sending.retransmit import retransmit
from catenet.wire.errors import Malformed
from catenet.wire.icmp import Problem
from catenet.wire.tcp import quoted_ports

if TYPE_CHECKING:
    from catenet.stack.ip.icmp import ErrorReport
    from catenet.stack.tcp.layer import TcpLayer

__all__ = ["find_sender", "on_error", "on_path_mtu"]


_DROPS_HALF_OPEN = (
    Problem.NO_ROUTE,
    Problem.ADDRESS_UNREACHABLE,
    Problem.HOP_LIMIT,
    Problem.REASSEMBLY_TIME,
    Problem.ERRONEOUS_FIELD,
    Problem.MISSING_OPTION,
    Problem.BAD_LENGTH,
)


_UNREACHABLE = (Problem.NO_ROUTE, Problem.ADDRESS_UNREACHABLE)
"""Codes 0 and 1 of IPv4, 0 and 3 of IPv6 (RFC 6069 3)."""


def find_sender(layer: TcpLayer, report: ErrorReport) -> Connection | HalfOpen | None:
    """Sender of the quoted segment; None when that sequence number is not in flight, as in a blind attack."""
    try:
        source_port, destination_port, number = quoted_ports(report.payload)
    except Malformed:
        return None
    key = layer.key(report.destination, report.source, destination_port, source_port)
    found = layer.find(key)
    if isinstance(found, HalfOpen):
        return found if number == found.iss & 0xFFFFFFFF else None
    if isinstance(found, Connection) and _oldest(found) <= position(number, found.snd_una) <= found.snd_nxt:
        return found
    return None


def _oldest(c: Connection) -> int:
    """Oldest position in flight; a SYN-ACK of Fast Open is in flight beside the queue."""
    if isinstance(c.fast_open, ServerHandshake) and c.state == states.SYN_RECEIVED:
        return c.iss
    return c.snd_una


def on_error(layer: TcpLayer, report: ErrorReport) -> None:
    """Process an ICMP error that quotes a segment of ours."""
    found = find_sender(layer, report)
    if isinstance(found, HalfOpen):
        if report.problem is not Problem.PACKET_TOO_BIG:
            outcome = fault_of(report)
            hard = outcome is not None and outcome[1]
            # Linux drops on another set for IPv4: an unreachable peer is not worth the retransmissions.
            if report.problem in _DROPS_HALF_OPEN if len(found.source) == 4 else hard:
                found.listener.drop(found)
        return
    if found is None:
        return
    if report.problem is Problem.PACKET_TOO_BIG:
        on_path_mtu(found, report.mtu)
        return
    outcome = fault_of(report)
    if outcome is None:
        return
    if report.problem in _UNREACHABLE:
        _revert_back_off(found, report)
    fault = outcome[0]
    accepted = found.fast_open is not None and found.endpoint is not None
    if found.state == states.SYN_SENT or (found.state == states.SYN_RECEIVED and not accepted):
        fail(found, fault)
        return
    if found.endpoint is not None and (found.option("IP_RECVERR", 0) or found.option("IPV6_RECVERR", 0)):
        found.error = fault
        wake(found)
    else:
        found.soft_error = fault


def _revert_back_off(c: Connection, report: ErrorReport) -> None:
    """Take back one doubling: the retransmission was lost for lack of a route, not by congestion (RFC 6069 4.2)."""
    number = quoted_ports(report.payload)[2]
    if not c.retransmits or not c.backoff or not c.sent or position(number, c.snd_una) != c.snd_una:
        return
    c.backoff -= 1
    if c.rtt.srtt:
        set_rto(c)
    else:
        c.rto = TIMEOUT_INIT
    c.rto = min(c.rto << c.backoff, c.layer.rto_max)
    set_timer(c, RTO_TIMER, max(c.rto - (c.layer.us - c.sent[0].sent_at), 0))


def on_path_mtu(c: Connection, mtu: int) -> None:
    """Adopt a smaller path MTU, and cut what is in flight anew (RFC 1191 6.4, RFC 8201 5.4)."""
    if mtu >= c.path_mtu or c.state in (states.CLOSED, states.LISTEN):
        return
    c.path_mtu = mtu
    sync_mss(c)
    if c.state == states.SYN_SENT:
        # The path may well refuse the same size in the other direction: the next SYN asks for less, as Linux did.
        c.advertised_mss = min(c.advertised_mss, mtu - (40 if len(c.source) == 4 else 60))
        if c.syn_data:
            retransmit(c, c.sent[0], 1)  # the data made it too big: they follow the handshake (RFC 7413 4.1.3)
        return
    simple_retransmit(c)
