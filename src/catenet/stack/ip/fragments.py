"""Fragmentation, and reassembly for both versions (RFC 791 3.2, RFC 815, RFC 8200 4.5).

Its memory is bounded: fragments are counted in bytes against one limit, the oldest packet is dropped, and a packet
that is not whole in time is forgotten. Overlaps end a packet (RFC 5722, for IPv4 too, as Linux), tiny first fragments
that hide ports from a filter are dropped (RFC 1858, 3128), and so are first fragments without the whole header
chain (RFC 7112).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.stack.counters import IpCounters
from catenet.stack.timers import Timer, Timers
from catenet.stack.units import Seconds
from catenet.wire import tcp
from catenet.wire.ecn import CE, NOT_ECT
from catenet.wire.errors import HeaderProblem, Malformed
from catenet.wire.ip import IpPacket, header_length, walk_extensions
from catenet.wire.offload import complete_payload
from catenet.wire.options import END, NOP, pad_options, split_options

if TYPE_CHECKING:
    from catenet.stack.settings import Settings

__all__ = ["Reassembler", "split"]

_Key: TypeAlias = tuple[bytes, bytes, int, int]

_OVERHEAD: Final = 256
"""Bytes a fragment is counted for beyond its data: objects cost, and an attacker would send small ones."""
_PARTIAL_OVERHEAD: Final = 1024
"""The same for a packet of which the first fragment comes: its tables and its timer."""

_ECN: Final = 3
_MINIMUM_FIRST: Final = {tcp.PROTOCOL: 16}
"""Bytes of the transport header that a filter has to see in the first fragment (RFC 1858 3): ports and flags."""
_UPPER_HEADERS: Final = {6: 20, 17: 8, 58: 4}


def split(packet: IpPacket, mtu: int) -> list[IpPacket]:
    """Cut a packet into fragments of at most `mtu` bytes; `identification` must be set, and unique for the pair.

    A checksum that was left to the device is put in first: a device that damages a fragment could not.

    Raises:
        ValueError: `mtu` leaves no room for 8 bytes of data.
    """
    if not packet.is_fragment:
        payload = complete_payload(packet.payload, packet.source, packet.destination, packet.protocol)
        packet = packet._replace(payload=payload)
    followers = packet if not packet.options else packet._replace(options=_copied_options(packet.options))
    fragments: list[IpPacket] = []
    position, offset = 0, packet.fragment_offset
    payload, current = packet.payload, packet._replace(more_fragments=True)
    while position < len(payload):
        room = mtu - header_length(current)
        last = len(payload) - position <= room
        if not last:
            room &= ~7
            if room < 8:
                raise ValueError(f"an MTU of {mtu} leaves no room for data")
        fragments.append(
            current._replace(
                payload=payload[position : position + room],
                fragment_offset=offset,
                more_fragments=packet.more_fragments if last else True,
            )
        )
        position += room
        offset += room
        current = followers._replace(more_fragments=True)
    return fragments


def _copied_options(raw: bytes) -> bytes:
    """Options that go into every fragment: those with the copy bit (RFC 791 3.1)."""
    kept = [
        bytes((kind, len(body) + 2)) + body
        for kind, body in split_options(raw)
        if kind not in (END, NOP) and kind & 0x80
    ]
    return pad_options(b"".join(kept))


class _Partial:
    """A packet of which some fragments are here."""

    __slots__ = ("ecn", "first", "key", "offsets", "parts", "size", "timer", "total")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.offsets: list[int] = []
        self.parts: dict[int, bytes] = {}
        self.first: IpPacket | None = None
        self.total: int | None = None
        self.size = 0
        self.ecn = 0
        self.timer: Timer | None = None


class Reassembler:
    """Reassembles packets.

    `on_timeout(first)` is called with the first fragment of a packet that was given up for time, if it had come: an
    ICMP error says so to its sender.
    """

    def __init__(
        self,
        settings: Settings,
        timers: Timers,
        counters: dict[int, IpCounters],
        on_timeout: Callable[[IpPacket], None],
    ) -> None:
        self._settings = settings
        self._timers = timers
        self._counters = counters
        self._on_timeout = on_timeout
        self._partials: dict[_Key, _Partial] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that fragments are counted for now."""
        return self._size

    def __len__(self) -> int:
        return len(self._partials)

    def receive_fragment(self, fragment: IpPacket, now: Seconds) -> IpPacket | None:
        """Take a fragment; returns the packet when it is whole.

        Raises:
            Malformed: a fragment that must not be (`HeaderProblem`: and whose sender is to be told).
        """
        version = fragment.version
        counters = self._counters[version]
        counters.ReasmReqds += 1
        try:
            _check(fragment)
        except Malformed:
            counters.ReasmFails += 1
            raise
        key = (
            fragment.source,
            fragment.destination,
            fragment.identification,
            fragment.protocol if version == 4 else 0,
        )
        partial = self._partials.get(key)
        if partial is None:
            partial = self._begin(key, version, now)
        outcome = self._insert(partial, fragment)
        if not outcome:
            if outcome is None:
                counters.ReasmOverlaps += 1
                counters.ReasmFails += 1
                self._forget(partial)
            return None
        if partial.total is None or partial.size != partial.total or partial.first is None:
            self._make_room(partial)
            return None
        self._forget(partial)
        return self._finish(partial, counters)

    def clear(self) -> None:
        """Forget all fragments, as at a crash."""
        for partial in list(self._partials.values()):
            self._forget(partial)

    def _begin(self, key: _Key, version: int, now: Seconds) -> _Partial:
        partial = self._partials[key] = _Partial(key)
        self._size += _PARTIAL_OVERHEAD
        seconds = self._settings.ipfrag_time if version == 4 else self._settings.ip6frag_time
        partial.timer = self._timers.call_at(now + seconds, self._expire, partial)
        return partial

    def _insert(self, partial: _Partial, fragment: IpPacket) -> bool | None:
        """True: taken; False: already here; None: it overlaps or contradicts what is here."""
        offset, data = fragment.fragment_offset, bytes(fragment.payload)
        end = offset + len(data)
        known = partial.parts.get(offset)
        if known is not None:
            # The same fragment again is a duplicate of the network, not an attack.
            return False if len(known) == len(data) else None
        if not fragment.more_fragments:
            if partial.total is not None or (partial.offsets and self._end(partial) > end):
                return None
            partial.total = end
        elif partial.total is not None and end > partial.total:
            return None
        index = bisect.bisect(partial.offsets, offset)
        if index and partial.offsets[index - 1] + len(partial.parts[partial.offsets[index - 1]]) > offset:
            return None
        if index < len(partial.offsets) and partial.offsets[index] < end:
            return None
        partial.offsets.insert(index, offset)
        partial.parts[offset] = data
        partial.size += len(data)
        partial.ecn |= 1 << (fragment.traffic_class & _ECN)
        if offset == 0:
            partial.first = fragment
        self._size += len(data) + _OVERHEAD
        return True

    @staticmethod
    def _end(partial: _Partial) -> int:
        last = partial.offsets[-1]
        return last + len(partial.parts[last])

    def _make_room(self, newest: _Partial) -> None:
        while self._size > self._settings.ipfrag_high_thresh and self._partials:
            oldest = next(iter(self._partials.values()))
            self._counters[4 if len(oldest.key[0]) == 4 else 6].ReasmFails += 1
            self._forget(oldest)
            if oldest is newest:
                return

    def _forget(self, partial: _Partial) -> None:
        del self._partials[partial.key]
        self._size -= partial.size + _OVERHEAD * len(partial.parts) + _PARTIAL_OVERHEAD
        if partial.timer is not None:
            partial.timer.cancel()

    def _expire(self, partial: _Partial) -> None:
        self._forget(partial)
        counters = self._counters[4 if len(partial.key[0]) == 4 else 6]
        counters.ReasmTimeout += 1
        counters.ReasmFails += 1
        if partial.first is not None:
            self._on_timeout(partial.first)

    def _finish(self, partial: _Partial, counters: IpCounters) -> IpPacket | None:
        first = partial.first
        assert first is not None
        traffic_class = first.traffic_class
        if partial.ecn & 1 << CE:
            if partial.ecn & 1 << NOT_ECT:
                counters.ReasmFails += 1  # RFC 3168 5.3: no conforming path makes this mixture
                return None
            traffic_class |= CE
        payload = b"".join(partial.parts[offset] for offset in partial.offsets)
        counters.ReasmOKs += 1
        packet = first._replace(payload=payload, traffic_class=traffic_class, more_fragments=False)
        return packet if packet.version == 4 else walk_extensions(packet)


def _check(fragment: IpPacket) -> None:
    """Refuse fragments that hide something, or that end between two units of 8 bytes."""
    size = len(fragment.payload)
    if size == 0 or (fragment.more_fragments and size & 7):
        raise Malformed("ip: fragment length")
    needed = _MINIMUM_FIRST.get(fragment.protocol, 0)
    if 0 < fragment.fragment_offset < needed:
        raise Malformed("ip: fragment inside a transport header")
    if fragment.fragment_offset:
        return
    if fragment.version == 4:
        if size < needed:
            raise Malformed("ip: tiny fragment")
        return
    try:
        whole = walk_extensions(fragment._replace(more_fragments=False))
    except Malformed:
        whole = None
    if whole is None or len(whole.payload) < _UPPER_HEADERS.get(whole.protocol, 0):
        raise HeaderProblem("ip: incomplete first fragment", 0, HeaderProblem.INCOMPLETE_FIRST_FRAGMENT)
