"""The fast path of a segment that is what the connection expects next (header prediction, as in BSD and Linux).

An established connection without losses, marks or urgent data receives two kinds of segments: the next data in order,
and acknowledgments of what was sent first. `try_fast_receive` processes these as `input.segment_arrives` processes all,
step by step and with the same outcome, without building what they do not need. Any other segment falls back to the slow
path, with nothing changed. `tests/stack/tcp/test_predict.py` runs the same worlds either way.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.control.delivery_rate import finish_in_order
from catenet.control.states import CA_OPEN
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import EPOCH, MASK, Connection
from catenet.stack.tcp.control.lifecycle import wake
from catenet.stack.tcp.control.rto import sample_rtt, update_min_rtt
from catenet.stack.tcp.parking.pool import Parked
from catenet.stack.tcp.receiving.input import respond
from catenet.stack.tcp.receiving.receive_data import take_in_order
from catenet.stack.tcp.recovery import rack
from catenet.stack.tcp.sending import chrono
from catenet.stack.tcp.sending.acknowledge import take_timestamp, update_window
from catenet.stack.tcp.sending.header import TIMESTAMP_LEAD, TIMESTAMPED_LENGTH, header_of
from catenet.stack.tcp.sending.output import rearm_rto, schedule_loss_probe
from catenet.stack.tcp.sending.pacing import update_rate
from catenet.stack.units import Micros, Seconds
from catenet.wire.ip import FRAGMENT_BITS
from catenet.wire.offload import VIEW_THRESHOLD
from catenet.wire.tcp import ACK, PROTOCOL, PSH

if TYPE_CHECKING:
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.sending.header import Header

__all__ = ["try_fast_receive"]

# By words of 32 bits: the fewer values, the faster. The third of IPv4 and the second of IPv6 hold the protocol.
_unpack4: Final = struct.Struct("!III12xIIIHxxIII").unpack_from
_unpack6: Final = struct.Struct("!II36xIIIHxxIII").unpack_from
# Declared, or a compiler would take what a struct unpacks for any kind of object.
_Words4: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]
_Words6: TypeAlias = tuple[int, int, int, int, int, int, int, int, int]
_LEAST4: Final = 20 + TIMESTAMPED_LENGTH
_LEAST6: Final = 40 + TIMESTAMPED_LENGTH
_PLAIN: Final = TIMESTAMPED_LENGTH << 10 | ACK
_MARKS4: Final = 3 << 16
_MARKS6: Final = 3 << 20
"""ECN bits in the first word."""
_HALF: Final = 0x80000000


def try_fast_receive(layer: TcpLayer, packet: bytes | memoryview, now: Seconds, verified: bool, loopback: bool) -> bool:
    """Process an IP packet if it carries the segment that its connection expects.

    Args:
        layer: TCP of the host.
        packet: the whole packet, a view when it is large.
        now: seconds.
        verified: whether the device has seen to the checksum.
        loopback: whether the packet comes from this host.

    Returns:
        Whether it was processed; if not, nothing has changed, and the slow path has to take it.
    """
    size = len(packet)
    if size < _LEAST4:
        return False
    head = packet if isinstance(packet, bytes) else bytes(packet if size <= VIEW_THRESHOLD else packet[:_LEAST6])
    # Addresses and ports stand together in a packet, as they do in the key of a connection.
    if head[0] == 0x45:
        start = _LEAST4
        c = _connection(layer, head[12:24])
    else:
        start = _LEAST6
        c = _connection(layer, head[8:44])
    if c is None:
        return False
    header = header_of(c)
    if header is None or header.is_loopback != loopback:
        return False
    if start == _LEAST4:
        words4: _Words4 = _unpack4(head)
        first, second, third, seq, ack, control, checksum, lead, value, echo = words4
        if first & 0xFFFF != size or second & FRAGMENT_BITS or third >> 16 & 0xFF != PROTOCOL or first & _MARKS4:
            return False
        if (first + second + third + header.address_sum) % 65535:
            return False
    else:
        if size < _LEAST6 or head[0] >> 4 != 6:
            return False
        words6: _Words6 = _unpack6(head)
        first, second, seq, ack, control, checksum, lead, value, echo = words6
        if (second >> 16) + 40 != size or second >> 8 & 0xFF != PROTOCOL or first & _MARKS6:
            return False
    bits = control >> 16
    if bits & ~PSH != _PLAIN or lead != TIMESTAMP_LEAD or seq != c.rcv_nxt & MASK:
        return False
    length = size - start
    if not verified and (not layer.offload or checksum != (header.pseudo + TIMESTAMPED_LENGTH + length) % 65535):
        return False
    taken = _whole_entries(c, ack, value, length)
    if taken < 0:
        return False
    layer.us = int(now * 1_000_000 + EPOCH)
    _count(layer, header)
    data = memoryview(packet)[start:] if size > VIEW_THRESHOLD else head[start:]
    _advance(c, ack, control & 0xFFFF, value, taken, data, echo, bits & PSH != 0)
    return True


def _connection(layer: TcpLayer, key: bytes) -> Connection | None:
    """The connection with this key, unparked if it was parked."""
    found = layer.connections.get(key)
    if isinstance(found, Connection):
        return found
    return layer.idle_pool.unpark(found) if isinstance(found, Parked) else None


def _count(layer: TcpLayer, header: Header) -> None:
    counters, mine = header.counters, layer.counters
    counters.InReceives += 1
    counters.InDelivers += 1
    mine.in_segments += 1
    mine.in_predicted += 1


def _whole_entries(c: Connection, ack: int, value: int, length: int) -> int:
    """Entries of the retransmission queue that the segment acknowledges; -1: it is not what is expected."""
    if c.state != states.ESTABLISHED or c.ca_state != CA_OPEN or c.ecn or not c.timestamps or c.endpoint is None:
        return -1
    if c.reassembly is not None or c.accecn is not None or c.mtu_probing is not None or c.tlp_high_seq is not None:
        return -1
    if c.tx_timestamps is not None or c.memory is not None:
        return -1
    if 1 < (c.ts_recent - value) & MASK < _HALF and c.ts_recent:
        return -1
    if length and c.rcv_nxt >= c.rcv_wup + c.rcv_wnd:
        return -1
    una = c.snd_una
    acked = (ack - una) & MASK
    if not c.packets_out:
        # Only data can be expected, and nothing that waits for the window to open.
        return 0 if length and not acked and c.write_seq <= c.snd_nxt else -1
    if c.congestion.controls or not c.sack_ok or c.sacked_out or c.lost_out or c.retransmitted_out or c.reneging:
        return -1
    if not acked:
        return 0 if length else -1
    if acked > c.snd_nxt - una or c.sent[0].seq != una:
        return -1
    una += acked
    taken = 0
    for sent in c.sent:
        if sent.end > una:
            return taken if sent.seq >= una else -1
        if sent.marks:
            return -1
        taken += 1
    return taken


def _advance(
    c: Connection, ack: int, window: int, value: int, taken: int, data: bytes | memoryview, echo: int, pushed: bool
) -> None:
    """Do what `segment_arrives` does with such a segment."""
    seq = c.rcv_nxt
    now = c.layer.us
    c.segments_in += 1
    take_timestamp(c, value, seq)
    prior_una = c.snd_una
    update_window(c, window << c.snd_scale, seq, prior_una + ((ack - prior_una) & MASK))
    c.soft_error = None
    c.probes_out = 0
    c.last_heard = now
    if taken:
        _acknowledge(c, prior_una, taken, now)
    elif c.packets_out:
        _acknowledge_nothing(c)
    if data:
        take_in_order(c, data, echo, pushed)
        wake(c)
    if c.write_seq > c.snd_nxt or c.no_space or c.ack_pending:
        respond(c)


def _acknowledge(c: Connection, prior_una: int, taken: int, now: Micros) -> None:
    """Take `taken` entries, each sent once, off the queue, and update round trip, timers and congestion window."""
    queue = c.sent
    una = c.snd_una
    c.retransmits = 0
    first, last = queue[0], queue[taken - 1]
    packets = freed = 0
    for sent in queue[:taken]:
        packets += sent.count
        freed += sent.size
    del queue[:taken]
    c.buffered -= freed
    c.packets_out -= packets
    c.delivered += packets
    rack.advance(c, 0, last.end, last.sent_at)
    if not queue:
        chrono.stop(c, chrono.BUSY)
    if prior_una <= c.snd_up <= una:
        c.snd_up = una
        c.urgent_mode = False
    ca_rtt = now - last.sent_at
    # One short segment alone may have waited for a delayed ACK: that is no minimum.
    delayed = packets == 1 and una - prior_una < c.mss
    if not (delayed and c.rtt.min_track is not None and ca_rtt > c.rtt.min_track[0][1]):
        update_min_rtt(c, ca_rtt, now)
    sample_rtt(c, now - first.sent_at)
    c.backoff = 0
    congestion = c.congestion
    congestion.on_rtt(c, ca_rtt)
    rack.update_window(c, last.delivered)
    if not schedule_loss_probe(c, True):
        rearm_rto(c)
    finish_in_order(c, last, now)
    congestion.on_ack(c, packets)
    c.cwnd_stamp = now
    update_rate(c)


def _acknowledge_nothing(c: Connection) -> None:
    """Note an acknowledgment that acknowledges nothing new: data arrived while something of ours is in flight."""
    if c.snd_up == c.snd_una:
        c.urgent_mode = False
    if c.app_limited and c.delivered > c.app_limited:
        c.app_limited = 0
    update_rate(c)
