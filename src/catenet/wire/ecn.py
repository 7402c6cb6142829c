"""Explicit congestion notification in the IP header (RFC 3168 section 5), read and set in whole packets."""

from __future__ import annotations

from typing import Final

from catenet.wire.checksum import update

__all__ = ["CE", "ECT0", "ECT1", "NOT_ECT", "codepoint", "mark"]

NOT_ECT: Final = 0
ECT1: Final = 1
ECT0: Final = 2
CE: Final = 3


def codepoint(packet: bytes) -> int:
    """The two ECN bits of a packet of either version."""
    if packet[0] >= 0x60:
        return packet[1] >> 4 & 3
    return packet[1] & 3


def mark(packet: bytes) -> bytes | None:
    """The packet marked CE, its IPv4 checksum updated; None when it is not ECN-capable."""
    found = codepoint(packet)
    if found == NOT_ECT:
        return None
    if found == CE:
        return packet
    if packet[0] >= 0x60:
        return packet[:1] + bytes([packet[1] | CE << 4]) + packet[2:]
    word = packet[0] << 8 | packet[1]
    checksum = update(packet[10] << 8 | packet[11], word, word | CE)
    return packet[:1] + bytes([packet[1] | CE]) + packet[2:10] + checksum.to_bytes(2, "big") + packet[12:]
