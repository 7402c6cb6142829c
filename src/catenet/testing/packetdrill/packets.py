"""Packet lines of a script: `< [ect0] P. 1:1001(1000) ack 1 win 257 <nop,nop,sack 1:2>` and its UDP and ICMP kin."""

from __future__ import annotations

import struct
from typing import Final

from catenet.testing.packetdrill.cursor import Cursor
from catenet.testing.packetdrill.syntax import (
    EcnCheck,
    IcmpSpec,
    IpInfo,
    OuterHeader,
    PacketSpec,
    TcpOption,
    TcpSpec,
    UdpSpec,
)

__all__ = ["ACE_SHIFT", "FAST_OPEN_MAGIC", "FLAGS", "parse_packet"]

FLAGS: Final = {
    "F": 0x001,
    "S": 0x002,
    "R": 0x004,
    "P": 0x008,
    ".": 0x010,
    "U": 0x020,
    "E": 0x040,
    "W": 0x080,
    "A": 0x100,  # AE, once NS
}
"""Letters of TCP flags and their bits (RFC 9293 section 3.1, RFC 9768)."""

ACE_SHIFT: Final = 6
"""The ACE field is the three bits AE, CWR, ECE (RFC 9768 section 3.2.1)."""

FAST_OPEN_MAGIC: Final = b"\xf9\x89"
"""Experiment identifier of Fast Open in option 254 (RFC 7413 section 4.1.1 and appendix)."""

_ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
_HEX_BLOB_KINDS = ("word", "int", "hex")


def parse_packet(cursor: Cursor) -> PacketSpec:
    """A packet from its direction on.

    Raises:
        ScriptError: not a packet.
    """
    outbound = cursor.next().kind == ">"
    outer: list[OuterHeader] = []
    while (header := _outer_header(cursor)) is not None:
        outer.append(header)
    quoted = _quoted(cursor) if cursor.at("[") and cursor.peek().kind == "int" else None
    ip = _ip_info(cursor)
    if ip.check is EcnCheck.ECT01 and not outbound:
        raise cursor.error("[ect01] says what to expect: it is for outbound packets only, before")
    if cursor.word("udp"):
        ports = _ports(cursor)
        cursor.expect("(")
        length = cursor.integer("size of the UDP payload", 0, 0xFFFF)
        cursor.expect(")")
        return PacketSpec(outbound, UdpSpec(length), ip, *ports, outer=tuple(outer))
    if quoted is not None and not cursor.at("word", "icmp"):
        raise cursor.error("a quoted segment is followed by icmp")
    if cursor.word("icmp"):
        return PacketSpec(outbound, _icmp(cursor, quoted), ip, outer=tuple(outer))
    ports = _ports(cursor)
    spec = PacketSpec(outbound, _tcp(cursor), ip, *ports, outer=tuple(outer))
    if cursor.at("{"):
        raise cursor.error("changes to a packet ({ … } after it, for fuzzing) are not supported")
    if not outbound and isinstance(spec.body, TcpSpec) and spec.body.options is None:
        raise cursor.error("<...> says not to compare options: it is for outbound packets only, before")
    return spec


def _outer_header(cursor: Cursor) -> OuterHeader | None:
    if not (cursor.at("word") and cursor.token.text in ("ipv4", "ipv6", "gre", "GREv0", "mpls")):
        return None
    kind = cursor.next().text.lower().removesuffix("v0")
    words: list[str] = []
    while not cursor.take(":"):
        if cursor.at("end"):
            raise cursor.error("expected ':' after an outer header")
        words.append(cursor.next().text)
    return OuterHeader(kind, tuple(words))


def _ip_info(cursor: Cursor) -> IpInfo:
    if not (cursor.at("[") or cursor.at("(")):
        return IpInfo()
    close = "]" if cursor.next().kind == "[" else ")"
    check, tos, label, ttl = EcnCheck.NOTHING, 0, 0, 0
    while True:
        word = cursor.expect("word", what="ect0, ect1, ce, noecn, ect01, tos, flowlabel or ttl").text
        if word in _ECN:
            check, tos = EcnCheck.ECN, _ECN[word]
        elif word == "ect01":
            check = EcnCheck.ECT01
        elif word == "tos":
            check, tos = EcnCheck.TOS, cursor.integer("tos", 0, 0xFF)
        elif word == "flowlabel":
            label = cursor.integer("flowlabel", 0, 0xFFFFF)
        elif word == "ttl":
            ttl = cursor.integer("ttl", 0, 0xFF)
        else:
            raise cursor.error(
                f"unknown word {word!r} about the IP header (ect0, ect1, ce, noecn, ect01, tos, flowlabel, ttl)"
            )
        if not cursor.take(","):
            break
    cursor.expect(close)
    return IpInfo(check, tos, label, ttl)


def _ports(cursor: Cursor) -> tuple[int, int]:
    if not (cursor.at("int") and cursor.peek().kind == ">"):
        return 0, 0
    source = cursor.integer("source port", 0, 0xFFFF)
    cursor.expect(">")
    return source, cursor.integer("destination port", 0, 0xFFFF)


def _flags(cursor: Cursor) -> tuple[int, int | None]:
    """Flags as a mask, and the ACE counter when a digit gives it: `P.5` lexes as `P` and the number `.5`."""
    text = ""
    while cursor.token.kind in ("word", ".", "float", "-") and not (text and cursor.at("-")):
        text += cursor.next().text
    if not text:
        raise cursor.error("expected TCP flags")
    flags, ace = 0, None
    for letter in text:
        if letter in "01234567":
            ace = int(letter)
        elif letter in FLAGS:
            flags |= FLAGS[letter]
        elif letter != "-":
            raise cursor.error(f"unknown TCP flag {letter!r} (F S R P . U E W A, or a digit for ACE) before")
    if ace is not None:
        flags |= ace << ACE_SHIFT
    return flags, ace


def _sequence(cursor: Cursor) -> tuple[int, int]:
    start = cursor.integer("first sequence number")
    cursor.expect(":")
    end = cursor.integer("last sequence number")
    cursor.expect("(")
    length = cursor.integer("size of the payload", 0, 0xFFFF)
    cursor.expect(")")
    if (start + length) & 0xFFFFFFFF != end:
        raise cursor.error(f"{start}:{end}({length}) does not add up, before")
    return start, length


def _tcp(cursor: Cursor) -> TcpSpec:
    flags, ace = _flags(cursor)
    seq, length = _sequence(cursor)
    ack = cursor.integer("ack") if cursor.word("ack") else 0
    window = cursor.integer("win", 0, 0xFFFF) if cursor.word("win") else None
    urgent = cursor.integer("urg", 0, 0xFFFF) if cursor.word("urg") else 0
    options: tuple[TcpOption, ...] | None = ()
    if cursor.take("<"):
        options = None if cursor.take("dots") else _options(cursor)
        cursor.expect(">", what="'>' after the TCP options")
    return TcpSpec(flags, seq, length, ack, window, urgent, options, ace)


def _options(cursor: Cursor) -> tuple[TcpOption, ...]:
    options = [_option(cursor)]
    while cursor.take(","):
        options.append(_option(cursor))
    size = sum(1 if option.kind < 2 else 2 + len(option.value) for option in options)
    if size % 4:
        raise cursor.error(f"TCP options take {size} octets, which is not a multiple of 4, before")
    if size > 40:
        raise cursor.error(f"TCP options take {size} octets, more than the 40 that there are, before")
    return tuple(options)


def _option(cursor: Cursor) -> TcpOption:
    name = cursor.expect("word", what="a TCP option").text
    match name:
        case "nop":
            return TcpOption(1, name=name)
        case "eol":
            return TcpOption(0, name=name)
        case "mss":
            return TcpOption(2, struct.pack("!H", cursor.integer("mss", 0, 0xFFFF)), name)
        case "wscale":
            return TcpOption(3, bytes((cursor.integer("wscale", 0, 0xFF),)), name)
        case "sackOK":
            return TcpOption(4, name=name)
        case "sack":
            return TcpOption(5, _sack_blocks(cursor), name)
        case "TS":
            return TcpOption(8, _timestamps(cursor), name)
        case "md5":
            return TcpOption(19, _hex(cursor, 16), name)
        case "FO":
            return TcpOption(34, _hex(cursor, 38), name)
        case "FOEXP":
            return TcpOption(254, FAST_OPEN_MAGIC + _hex(cursor, 36), name)
        case "ECN":
            return _accurate_ecn(cursor)
        case "exp":
            return TcpOption(254, _hex(cursor, 38), name)
    known = "mss, wscale, sackOK, sack, TS, nop, eol, FO, FOEXP, ECN, md5 or exp"
    raise cursor.error(f"unknown TCP option {name!r} ({known}) before")


def _sack_blocks(cursor: Cursor) -> bytes:
    blocks = b""
    while cursor.at("int"):
        left = cursor.integer("left edge of a SACK block")
        cursor.expect(":")
        blocks += struct.pack("!II", left, cursor.integer("right edge of a SACK block"))
    if not blocks:
        raise cursor.error("expected a SACK block, as 1001:2001")
    return blocks


def _timestamps(cursor: Cursor) -> bytes:
    cursor.expect("word", "val")
    value = cursor.integer("timestamp value")
    cursor.expect("word", "ecr")
    return struct.pack("!II", value, cursor.integer("timestamp echo"))


def _hex(cursor: Cursor, limit: int) -> bytes:
    if cursor.token.kind not in _HEX_BLOB_KINDS:
        return b""
    text = cursor.token.text
    try:
        blob = bytes.fromhex(text)
    except ValueError:
        raise cursor.error("expected an even number of hexadecimal digits") from None
    if len(blob) > limit:
        raise cursor.error(f"{len(blob)} octets are more than the {limit} that fit")
    cursor.next()
    return blob


def _accurate_ecn(cursor: Cursor) -> TcpOption:
    """`ECN e0b 1 ceb 0 e1b 1`: kind 172 counts in the order e0b, ceb, e1b, kind 174 in the reverse (RFC 9768 3.2.3)."""
    names: list[str] = []
    value = b""
    while cursor.at("word") and cursor.token.text in ("e0b", "ceb", "e1b"):
        names.append(cursor.next().text)
        value += cursor.integer(names[-1], 0, 0xFFFFFF).to_bytes(3, "big")
    for kind, order in ((172, ["e0b", "ceb", "e1b"]), (174, ["e1b", "ceb", "e0b"])):
        if names == order[: len(names)]:
            return TcpOption(kind, value, "ECN")
    raise cursor.error("counters of the AccECN option come as e0b, ceb, e1b or e1b, ceb, e0b, before")


def _quoted(cursor: Cursor) -> tuple[str, int, int]:
    """What an ICMP error quotes, `[1:1001(1000)]`: protocol, sequence number, size. It may stand before `icmp`."""
    cursor.expect("[")
    protocol, seq = "tcp", 0
    if cursor.at("word", "udp") or cursor.at("word", "raw"):
        protocol = cursor.next().text
        cursor.expect("(")
        length = cursor.integer("size of the quoted payload", 0, 0xFFFF)
        cursor.expect(")")
    else:
        seq, length = _sequence(cursor)
    cursor.expect("]")
    return protocol, seq, length


def _icmp(cursor: Cursor, quoted: tuple[str, int, int] | None) -> IcmpSpec:
    type_name = cursor.expect("word", what="the name of an ICMP type").text
    code = None
    if cursor.at("word") and cursor.token.text not in ("mtu", "id"):
        code = cursor.next().text
    mtu = cursor.integer("mtu") if cursor.word("mtu") else None
    identifier = cursor.integer("id", 0, 0xFFFF) if cursor.word("id") else 0
    if quoted is None and cursor.at("["):
        quoted = _quoted(cursor)
    if quoted is None:
        return IcmpSpec(type_name, code, mtu, identifier)
    return IcmpSpec(type_name, code, mtu, identifier, *quoted)
