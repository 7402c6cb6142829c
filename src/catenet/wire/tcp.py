"""TCP segments (RFC 9293 3.1) and all of their standard options.

`parse` has a fast path for the two layouts that nearly every segment of a connection has (no options; NOP NOP
timestamps), and `pack` builds a segment from plain numbers for the sender's fast path: one struct call each.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Final

from catenet.wire.checksum import is_pseudo_sum, pseudo_sum, residue
from catenet.wire.errors import Malformed
from catenet.wire.options import split_options

__all__ = [
    "ACK",
    "AE",
    "CWR",
    "ECE",
    "FIN",
    "HEADER_LENGTH",
    "MAX_OPTIONS",
    "PROTOCOL",
    "PSH",
    "RST",
    "SYN",
    "TIMESTAMPS_LENGTH",
    "URG",
    "OptionKind",
    "TcpOptions",
    "TcpSegment",
    "build",
    "encode_options",
    "encode_timestamps",
    "flag_names",
    "pack",
    "parse",
    "parse_options",
    "quoted_ports",
    "split_options",
]

PROTOCOL: Final = 6
HEADER_LENGTH: Final = 20
MAX_OPTIONS: Final = 40
TIMESTAMPS_LENGTH: Final = 12
"""Bytes that `encode_timestamps` takes."""

FIN: Final = 0x001
SYN: Final = 0x002
RST: Final = 0x004
PSH: Final = 0x008
ACK: Final = 0x010
URG: Final = 0x020
ECE: Final = 0x040
CWR: Final = 0x080
AE: Final = 0x100
"""Accurate ECN's third bit (RFC 9768), once NS (RFC 3540)."""


class OptionKind:
    """Option kinds (IANA, TCP parameters)."""

    END: Final = 0
    NOP: Final = 1
    MSS: Final = 2
    WINDOW_SCALE: Final = 3
    SACK_PERMITTED: Final = 4
    SACK: Final = 5
    TIMESTAMPS: Final = 8
    MD5: Final = 19
    USER_TIMEOUT: Final = 28
    AO: Final = 29
    MPTCP: Final = 30
    FAST_OPEN: Final = 34
    ACCECN0: Final = 172
    ACCECN1: Final = 174
    EXPERIMENTAL: Final = 254


_FAST_OPEN_MAGIC: Final = b"\xf9\x89"
_TIMESTAMP_LEAD: Final = b"\x01\x01\x08\x0a"
_TIMESTAMP_WORD: Final = 0x0101080A

_HEADER: Final = struct.Struct("!HHIIHHHH")
_TWO_WORDS: Final = struct.Struct("!II")
_THREE_WORDS: Final = struct.Struct("!III")
_PORTS_SEQ: Final = struct.Struct("!HHI")

_from_bytes = int.from_bytes


@dataclass(eq=True, repr=True)
class TcpOptions:
    """Options of one segment; None or empty: absent."""

    mss: int | None = None
    """Maximum segment size in bytes (RFC 9293 3.7.1)."""
    window_scale: int | None = None
    """Shift count as received, so up to 255 (RFC 7323 2)."""
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    """Blocks (left edge, right edge), the first is the most recent or a D-SACK (RFC 2018, 2883)."""
    timestamps: tuple[int, int] | None = None
    """(TSval, TSecr) (RFC 7323 3)."""
    fast_open: bytes | None = None
    """Cookie; b"" asks for one (RFC 7413)."""
    fast_open_experimental: bool = False
    """The cookie travels in option 254 with magic 0xf989, as before RFC 7413."""
    accecn: tuple[int, tuple[int, ...]] | None = None
    """(order, counters of 24 bits as they stand on the wire, at most three): order 0: E0B, CEB, E1B; order 1: E1B,
    CEB, E0B (RFC 9768 3.2.3)."""
    user_timeout: int | None = None
    """Granularity bit and 15 bits of time, as one number (RFC 5482)."""
    md5: bytes | None = None
    """Digest of 16 bytes (RFC 2385)."""
    ao: bytes | None = None
    """KeyID, RNextKeyID and MAC (RFC 5925)."""
    unknown: tuple[tuple[int, bytes], ...] = ()
    """(kind, body) of all others, and of known ones whose length is wrong, in order."""


NO_OPTIONS: Final = TcpOptions()
"""The options of a segment without any; shared, so never changed."""


_fields = attrgetter(
    "source_port",
    "destination_port",
    "seq",
    "ack",
    "flags",
    "window",
    "urgent",
    "options",
    "payload",
)


class TcpSegment:
    """One segment. `options` may be shared with other segments: replace it, do not change it."""

    __slots__ = (
        "ack",
        "destination_port",
        "flags",
        "options",
        "payload",
        "seq",
        "source_port",
        "urgent",
        "window",
    )

    def __init__(
        self,
        source_port: int,
        destination_port: int,
        seq: int,
        ack: int = 0,
        flags: int = 0,
        window: int = 0,
        urgent: int = 0,
        options: TcpOptions = NO_OPTIONS,
        payload: bytes | memoryview = b"",
    ) -> None:
        self.source_port = source_port
        self.destination_port = destination_port
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.urgent = urgent
        self.options = options
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TcpSegment):
            return NotImplemented
        return bool(_fields(self) == _fields(other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"<TcpSegment {self.source_port}>{self.destination_port} {flag_names(self.flags)} seq={self.seq} "
            f"ack={self.ack} window={self.window} length={len(self.payload)}>"
        )


_FLAG_NAMES: Final = (
    (FIN, "FIN"),
    (SYN, "SYN"),
    (RST, "RST"),
    (PSH, "PSH"),
    (ACK, "ACK"),
    (URG, "URG"),
    (ECE, "ECE"),
    (CWR, "CWR"),
    (AE, "AE"),
)


def flag_names(flags: int) -> str:
    """Names of the set bits, as "SYN|ACK"; "-" for none."""
    return "|".join(name for bit, name in _FLAG_NAMES if flags & bit) or "-"


def parse(
    data: bytes | memoryview,
    source: bytes,
    destination: bytes,
    verify: bool = True,
    headers_only: bool = False,
    offload: bool = False,
) -> TcpSegment:
    """Read one segment; the payload is a slice of `data` (a copy of bytes, a view of a memoryview).

    Args:
        data: the segment, the whole payload of an IP packet.
        source: IP source address, 4 or 16 bytes, for the checksum.
        destination: IP destination address.
        verify: whether to verify the checksum; False where a device has done it.
        headers_only: leave the payload out, for a segment quoted by an ICMP error.
        offload: whether a checksum that was left out (`wire/offload.py`) is right.

    Raises:
        Malformed: shorter than its header, a data offset below 5, or a wrong checksum. Options of a wrong length end
            the list of options and are no error, as every implementation in use has it.
    """
    length = len(data)
    if length < 20:
        raise Malformed("tcp: segment shorter than its header")
    # Summed with bytes swapped, as `residue` does it; times 256 swaps those of length and protocol.
    if offload and is_pseudo_sum(data[16] << 8 | data[17], pseudo_sum(source, destination, PROTOCOL) + length, False):
        verify = False
    if verify and (residue(data) + _from_bytes(source + destination, "little") + (length + 6 << 8)) % 65535:
        raise Malformed("tcp: checksum")
    source_port, destination_port, seq, ack, bits, window, _, urgent = _HEADER.unpack_from(data)
    offset = bits >> 10 & 0x3C
    if offset == 20:
        options = NO_OPTIONS
    elif offset < 20 or offset > length:
        raise Malformed("tcp: data offset")
    elif offset == 32 and data[20:24] == _TIMESTAMP_LEAD:
        options = TcpOptions(timestamps=_TWO_WORDS.unpack_from(data, 24))
    else:
        options = parse_options(bytes(data[20:offset]))
    payload = b"" if headers_only else data[offset:]
    return TcpSegment(source_port, destination_port, seq, ack, bits & 0x1FF, window, urgent, options, payload)


def parse_options(raw: bytes) -> TcpOptions:
    """Read the bytes between header and payload; the last of a repeated option counts, as in Linux."""
    options = TcpOptions()
    unknown: list[tuple[int, bytes]] = []
    for kind, body in split_options(raw):
        if kind <= OptionKind.NOP:
            continue
        reader = _READERS.get(kind)
        if reader is None or not reader(options, body):
            unknown.append((kind, body))
    if unknown:
        options.unknown = tuple(unknown)
    return options


def _read_mss(options: TcpOptions, body: bytes) -> bool:
    if len(body) != 2:
        return False
    options.mss = body[0] << 8 | body[1]
    return True


def _read_window_scale(options: TcpOptions, body: bytes) -> bool:
    if len(body) != 1:
        return False
    options.window_scale = body[0]
    return True


def _read_sack_permitted(options: TcpOptions, body: bytes) -> bool:
    if body:
        return False
    options.sack_permitted = True
    return True


def _read_sack(options: TcpOptions, body: bytes) -> bool:
    if not body or len(body) % 8:
        return False
    options.sack = tuple(_TWO_WORDS.iter_unpack(body))
    return True


def _read_timestamps(options: TcpOptions, body: bytes) -> bool:
    if len(body) != 8:
        return False
    options.timestamps = _TWO_WORDS.unpack(body)
    return True


def _read_fast_open(options: TcpOptions, body: bytes) -> bool:
    if body and not _is_cookie(body):
        return False
    options.fast_open = body
    return True


def _read_experimental(options: TcpOptions, body: bytes) -> bool:
    if body[:2] != _FAST_OPEN_MAGIC or (len(body) > 2 and not _is_cookie(body[2:])):
        return False
    options.fast_open = body[2:]
    options.fast_open_experimental = True
    return True


def _is_cookie(body: bytes) -> bool:
    """Cookies are 4 to 16 bytes and even (RFC 7413 4.1.1)."""
    return 4 <= len(body) <= 16 and not len(body) & 1


def _read_accecn(order: int, options: TcpOptions, body: bytes) -> bool:
    if len(body) not in (0, 3, 6, 9):
        return False
    options.accecn = (order, tuple(_from_bytes(body[at : at + 3], "big") for at in range(0, len(body), 3)))
    return True


def _read_user_timeout(options: TcpOptions, body: bytes) -> bool:
    if len(body) != 2:
        return False
    options.user_timeout = body[0] << 8 | body[1]
    return True


def _read_md5(options: TcpOptions, body: bytes) -> bool:
    if len(body) != 16:
        return False
    options.md5 = body
    return True


def _read_ao(options: TcpOptions, body: bytes) -> bool:
    if len(body) < 2:
        return False
    options.ao = body
    return True


_READERS: Final[dict[int, Callable[[TcpOptions, bytes], bool]]] = {
    OptionKind.MSS: _read_mss,
    OptionKind.WINDOW_SCALE: _read_window_scale,
    OptionKind.SACK_PERMITTED: _read_sack_permitted,
    OptionKind.SACK: _read_sack,
    OptionKind.TIMESTAMPS: _read_timestamps,
    OptionKind.MD5: _read_md5,
    OptionKind.USER_TIMEOUT: _read_user_timeout,
    OptionKind.AO: _read_ao,
    OptionKind.FAST_OPEN: _read_fast_open,
    OptionKind.EXPERIMENTAL: _read_experimental,
    OptionKind.ACCECN0: partial(_read_accecn, 0),
    OptionKind.ACCECN1: partial(_read_accecn, 1),
}


def encode_timestamps(value: int, echo: int) -> bytes:
    """The 12 bytes NOP NOP timestamps, the layout of RFC 7323 appendix A."""
    return _THREE_WORDS.pack(_TIMESTAMP_WORD, value, echo)


def encode_options(options: TcpOptions) -> bytes:
    """Options as bytes, in the order and with the padding of Linux, a multiple of 4 long.

    Raises:
        ValueError: more than 40 bytes, or a value that does not fit its field.
    """
    if options is NO_OPTIONS:
        return b""
    parts: list[bytes] = []
    if options.md5 is not None:
        parts.append(b"\x01\x01" + _option(OptionKind.MD5, options.md5))
    if options.ao is not None:
        parts.append(_option(OptionKind.AO, options.ao))
    if options.mss is not None:
        parts.append(_option(OptionKind.MSS, options.mss.to_bytes(2, "big")))
    if options.timestamps is not None:
        lead = b"\x04\x02" if options.sack_permitted else b"\x01\x01"
        parts.append(lead + _option(OptionKind.TIMESTAMPS, _TWO_WORDS.pack(*options.timestamps)))
    elif options.sack_permitted:
        parts.append(b"\x01\x01\x04\x02")
    if options.window_scale is not None:
        parts.append(b"\x01" + _option(OptionKind.WINDOW_SCALE, bytes((options.window_scale,))))
    if options.sack:
        blocks = b"".join(_TWO_WORDS.pack(*block) for block in options.sack)
        parts.append(b"\x01\x01" + _option(OptionKind.SACK, blocks))
    _encode_rare(options, parts)
    raw = b"".join(parts)
    raw += b"\x01" * (-len(raw) % 4)
    if len(raw) > MAX_OPTIONS:
        raise ValueError(f"options take {len(raw)} bytes, a segment has room for {MAX_OPTIONS}")
    return raw


def _encode_rare(options: TcpOptions, parts: list[bytes]) -> None:
    """Options that need no alignment, after those that do."""
    if options.fast_open is not None:
        if options.fast_open_experimental:
            parts.append(_option(OptionKind.EXPERIMENTAL, _FAST_OPEN_MAGIC + options.fast_open))
        else:
            parts.append(_option(OptionKind.FAST_OPEN, options.fast_open))
    if options.accecn is not None:
        order, counters = options.accecn
        kind = OptionKind.ACCECN1 if order else OptionKind.ACCECN0
        parts.append(_option(kind, b"".join(counter.to_bytes(3, "big") for counter in counters)))
    if options.user_timeout is not None:
        parts.append(_option(OptionKind.USER_TIMEOUT, options.user_timeout.to_bytes(2, "big")))
    parts.extend(_option(kind, body) for kind, body in options.unknown)


def _option(kind: int, body: bytes) -> bytes:
    return bytes((kind, len(body) + 2)) + body


def pack(
    pseudo: int,
    source_port: int,
    destination_port: int,
    seq: int,
    ack: int,
    flags: int,
    window: int,
    urgent: int,
    options: bytes,
    payload: bytes,
    summed: bool = True,
) -> bytes:
    """Build a segment from numbers: the sender's fast path.

    `pseudo` is `checksum.pseudo_sum(source, destination, 6)`, constant for a connection; `options` as from
    `encode_options` or `encode_timestamps`; header fields in range. Not `summed`, the checksum is left to the device
    (`wire/offload.py`).
    """
    length = len(payload)
    if not summed:
        total = length + 20 + len(options)
        bits = (20 + len(options) << 10) | flags
        header = _HEADER.pack(source_port, destination_port, seq, ack, bits, window, (pseudo + total) % 65535, urgent)
        return header + options + payload
    bits = (20 + len(options) << 10) | flags
    # The residue of a 32-bit field is that of its two words, so the header is summed as it stands.
    total = pseudo + length + 20 + len(options) + source_port + destination_port + seq + ack + bits + window + urgent
    if payload:
        total += residue(payload) << 8
    if options:
        total += _from_bytes(options, "big")
    return (
        _HEADER.pack(source_port, destination_port, seq, ack, bits, window, -total % 65535, urgent) + options + payload
    )


def build(segment: TcpSegment, source: bytes, destination: bytes) -> bytes:
    """Build a segment, checksum included, for `source` and `destination` addresses.

    Raises:
        ValueError: options longer than 40 bytes or a value that does not fit its field.
    """
    try:
        return pack(
            pseudo_sum(source, destination, PROTOCOL),
            segment.source_port,
            segment.destination_port,
            segment.seq,
            segment.ack,
            segment.flags,
            segment.window,
            segment.urgent,
            encode_options(segment.options),
            bytes(segment.payload),
        )
    except (struct.error, OverflowError) as error:
        raise ValueError(f"tcp segment: {error}") from None


def quoted_ports(data: bytes | memoryview) -> tuple[int, int, int]:
    """(source port, destination port, sequence number) of the 8 bytes that an ICMP error quotes at least (RFC 792).

    Raises:
        Malformed: fewer than 8 bytes.
    """
    if len(data) < 8:
        raise Malformed("tcp: quotation shorter than 8 bytes")
    source_port, destination_port, seq = _PORTS_SEQ.unpack_from(data)
    return source_port, destination_port, seq
