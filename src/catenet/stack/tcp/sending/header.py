"""The header that the segments of one connection have in common, for the fast paths of both directions.

Addresses, ports and the hop that packets take do not change while a connection lives, unless the host's addresses or
routes do (`Output.generation`). So a segment is packed with its IP header by one struct call, and one that comes in
is taken apart by one. Only segments with timestamps and nothing else in their options have this layout (RFC 7323
appendix A), which is nearly all there are.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.control.connection import MASK
from catenet.wire.ip import ATOMIC
from catenet.wire.tcp import PROTOCOL

if TYPE_CHECKING:
    from catenet.stack.counters import IpCounters
    from catenet.stack.endpoint import Buffer
    from catenet.stack.ip.output import Hop
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["TIMESTAMPED_LENGTH", "TIMESTAMP_LEAD", "Header", "header_of"]

TIMESTAMPED_LENGTH: Final = 32
"""Bytes of a TCP header whose only option is NOP NOP timestamps."""
TIMESTAMP_LEAD: Final = 0x0101080A
_BITS: Final = TIMESTAMPED_LENGTH << 10

# By words of 32 bits: the fewer values, the faster.
_pack4: Final = struct.Struct("!III12sIIIIIII").pack
_pack6: Final = struct.Struct("!II36sIIIIIII").pack


class Header:
    """The constant part of a connection's packets, and where they go."""

    __slots__ = (
        "address_sum",
        "can_send",
        "counters",
        "default_hop_limit",
        "generation",
        "hop",
        "is_loopback",
        "max_payload",
        "names",
        "pseudo",
    )

    def __init__(self, c: Connection, hop: Hop, counters: IpCounters, generation: int) -> None:
        self.generation = generation
        self.hop = hop
        self.counters = counters
        self.names = c.source + c.destination + c.source_port.to_bytes(2, "big") + c.destination_port.to_bytes(2, "big")
        self.max_payload = min(hop.mtu, 65535) - TIMESTAMPED_LENGTH - (20 if len(c.source) == 4 else 40)
        """Bytes of data in one packet, at most."""
        self.is_loopback = hop.local
        self.can_send = (hop.plain or hop.local) and not hop.locked
        self.pseudo = c.pseudo
        # Sum of the words of both addresses: what the IPv4 checksum needs of them, either way.
        self.address_sum = int.from_bytes(c.source, "big") + int.from_bytes(c.destination, "big")
        self.default_hop_limit = hop.metrics.hop_limit

    def pack(self, c: Connection, seq: int, flags: int, window: int, data: Buffer, beside: int = 0) -> bytes:
        """Build a whole packet that carries one segment, its TCP checksum left to the device (`wire/offload.py`).

        Or all of it but the last `beside` bytes of its payload.
        """
        layer = c.layer
        hop_limit = c.hop_limit
        if hop_limit is None:
            hop_limit = self.default_hop_limit or layer.settings.ip_default_ttl
        length = TIMESTAMPED_LENGTH + len(data) + beside
        total = (self.pseudo + length) % 65535 << 16
        stamp = (layer.us // 1000 + c.ts_offset) & MASK
        control = (_BITS | flags) << 16 | window
        seq &= MASK
        ack = c.rcv_nxt & MASK
        recent = c.ts_recent
        if len(c.source) == 4:
            first = (0x4500 | c.traffic_class) << 16 | length + 20
            life = hop_limit << 24 | PROTOCOL << 16
            life |= -(first + ATOMIC + life + self.address_sum) % 65535
            head = _pack4(first, ATOMIC, life, self.names, seq, ack, control, total, TIMESTAMP_LEAD, stamp, recent)
        else:
            first = 0x60000000 | c.traffic_class << 20
            second = length << 16 | PROTOCOL << 8 | hop_limit
            head = _pack6(first, second, self.names, seq, ack, control, total, TIMESTAMP_LEAD, stamp, recent)
        if isinstance(data, bytes):
            return head + data if data else head
        return b"".join((head, data))


def header_of(c: Connection) -> Header | None:
    """The connection's header as of now; None where only the slow paths may be taken."""
    layer = c.layer
    output = layer.output
    header = c.header
    if header is not None and header.generation == output.generation and header.hop.expires > output.now:
        return header
    c.header = None
    if not layer.fast_paths:
        return None
    hop = output.found(c.destination, c.interface)
    if hop is None or hop.cast or c.source not in output.address_table.local:
        return None
    counters = output.counters[4 if len(c.source) == 4 else 6].ip
    c.header = Header(c, hop, counters, output.generation)
    return c.header
