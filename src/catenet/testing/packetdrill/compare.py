"""Whether a packet that the stack sent is the one that the script expects, and if not, what differs first.

Segmentation is not compared: `merge` makes one packet of segments in a row, `split` takes the front of a larger one.
"""

from __future__ import annotations

import struct
from typing import Final

from catenet.testing.packetdrill.config import Config
from catenet.testing.packetdrill.flow import SEQUENCE_MASK, TIMESTAMPS_KIND, Flow
from catenet.testing.packetdrill.packets import ACE_SHIFT, FAST_OPEN_MAGIC, FLAGS
from catenet.testing.packetdrill.syntax import EcnCheck, IcmpSpec, PacketSpec, TcpOption, TcpSpec, UdpSpec
from catenet.testing.packetdrill.wire import ICMP, ICMPV6, TCP, UDP, Sent, icmp_numbers

__all__ = ["describe_sent", "describe_spec", "difference", "follows", "merge", "split"]

_FLAG_NAMES: Final = (
    (FLAGS["F"], "FIN"),
    (FLAGS["S"], "SYN"),
    (FLAGS["R"], "RST"),
    (FLAGS["P"], "PSH"),
    (FLAGS["."], "ACK"),
    (FLAGS["U"], "URG"),
)
_ECN_FLAG_NAMES: Final = ((FLAGS["E"], "ECE"), (FLAGS["W"], "CWR"), (FLAGS["A"], "AE"))
_ECN_NAMES: Final = ("noecn", "ect1", "ect0", "ce")
_LAST_ONLY: Final = FLAGS["P"] | FLAGS["F"]


def follows(first: Sent, second: Sent) -> bool:
    """Whether `second` carries the octets right after `first`'s, with the same acknowledgement."""
    return (
        second.protocol == TCP
        and second.seq == (first.seq + len(first.payload)) & SEQUENCE_MASK
        and second.ack == first.ack
        and not second.flags & FLAGS["S"]
        and not first.flags & FLAGS["F"]
        and first.payload != b""
        and second.payload != b""
    )


def merge(first: Sent, second: Sent) -> Sent:
    """One packet of two in a row, as segmentation offload would have handed it on."""
    first.payload += second.payload
    first.flags = first.flags & ~_LAST_ONLY | second.flags
    first.merged = True
    return first


def split(sent: Sent, length: int) -> tuple[Sent, Sent]:
    """The first `length` octets of a packet, and the rest; PSH and FIN belong to the end."""
    values = {name: getattr(sent, name) for name in Sent.__slots__}
    rest = Sent(**values)
    rest.seq = (sent.seq + length) & SEQUENCE_MASK
    rest.options = list(sent.options)
    sent.payload, rest.payload = sent.payload[:length], sent.payload[length:]
    sent.flags &= ~_LAST_ONLY
    return sent, rest


def difference(spec: PacketSpec, sent: Sent, flow: Flow | None, config: Config) -> str | None:
    """First field in which a packet (numbers already the script's) differs from what is expected; None for none."""
    body = spec.body
    if isinstance(body, TcpSpec):
        found = _expect("protocol", TCP, sent.protocol) or _ip(spec, sent, flow) or _tcp(body, sent)
        return found or _options(body, sent, config) or _payload(sent)
    if isinstance(body, UdpSpec):
        found = _expect("protocol", UDP, sent.protocol) or _ip(spec, sent, flow)
        return found or _expect("UDP payload size", body.length, len(sent.payload)) or _payload(sent)
    version = 4 if len(sent.source) == 4 else 6
    kind, code = icmp_numbers(version, body.type_name, body.code_name)
    found = _expect("protocol", ICMP if version == 4 else ICMPV6, sent.protocol) or _ip(spec, sent, flow)
    found = found or _expect("ICMP type", kind, sent.icmp_type) or _expect("ICMP code", code, sent.icmp_code)
    return found or _icmp_details(body, sent, version)


def _expect(what: str, expected: int, actual: int) -> str | None:
    return None if expected == actual else f"{what}: expected {expected}, sent {actual}"


def _icmp_details(body: IcmpSpec, sent: Sent, version: int) -> str | None:
    if body.mtu is not None:
        return _expect("ICMP mtu", body.mtu, sent.icmp_rest & 0xFFFF if version == 4 else sent.icmp_rest)
    if body.identifier:
        return _expect("ICMP id", body.identifier, sent.icmp_rest >> 16)
    return None


def _ip(spec: PacketSpec, sent: Sent, flow: Flow | None) -> str | None:
    want = spec.ip
    ecn = sent.traffic_class & 3
    if want.check is EcnCheck.ECT01 and ecn not in (1, 2):
        return f"IP ECN: expected ect0 or ect1, sent {_ECN_NAMES[ecn]}"
    if want.check is EcnCheck.ECN and ecn != want.tos:
        return f"IP ECN: expected {_ECN_NAMES[want.tos]}, sent {_ECN_NAMES[ecn]}"
    if want.check is EcnCheck.TOS and sent.traffic_class != want.tos:
        return f"IP tos: expected {want.tos:#x}, sent {sent.traffic_class:#x}"
    if want.ttl and want.ttl != sent.ttl:
        return _expect("IP ttl", want.ttl, sent.ttl)
    if want.flow_label and flow is not None and len(sent.source) == 16:
        return _flow_label(want.flow_label, sent.flow_label, flow)
    return None


def _flow_label(script: int, live: int, flow: Flow) -> str | None:
    """Labels are compared for change only: the script cannot know which one the stack takes."""
    if not live:
        return "IP flowlabel: expected one, sent none"
    known = flow.flow_labels
    flow.flow_labels = (script, live)
    if known is None:
        return None
    if (script == known[0]) != (live == known[1]):
        return f"IP flowlabel: expected {'the same' if script == known[0] else 'another'}, sent {live:#x}"
    return None


def _tcp(body: TcpSpec, sent: Sent) -> str | None:
    differ = body.flags ^ sent.flags
    if sent.merged:
        differ &= ~FLAGS[
            "P"
        ]  # Linux sets PSH on whatever segmentation offload gets, so it says nothing about the stack
    for bit, name in _FLAG_NAMES:
        if differ & bit:
            return f"TCP {name}: expected {'set' if body.flags & bit else 'not set'}"
    if body.ace is not None:
        found = _expect("TCP ACE", body.ace, sent.flags >> ACE_SHIFT & 7)
        if found:
            return found
    else:
        for bit, name in _ECN_FLAG_NAMES:
            if (body.flags ^ sent.flags) & bit:
                return f"TCP {name}: expected {'set' if body.flags & bit else 'not set'}"
    return (
        _expect("TCP sequence number", body.seq, sent.seq)
        or _expect("TCP payload size", body.length, len(sent.payload))
        or _expect("TCP ack", body.ack, sent.ack)
        or (None if body.window is None else _expect("TCP window", body.window, sent.window))
        or _expect("TCP urgent pointer", body.urgent, sent.urgent)
    )


def _options(body: TcpSpec, sent: Sent, config: Config) -> str | None:
    if body.options is None:
        return None
    expected = [(option.kind, option.value) for option in body.options]
    if [kind for kind, _ in expected] != [kind for kind, _ in sent.options]:
        return f"TCP options: expected <{_option_names(expected)}>, sent <{_option_names(sent.options)}>"
    for (kind, want), (_, have) in zip(expected, sent.options, strict=True):
        if kind == TIMESTAMPS_KIND:
            ticks = abs(_signed(struct.unpack_from("!I", have)[0] - struct.unpack_from("!I", want)[0]))
            if ticks * config.tcp_ts_tick_usecs > config.tolerance_usecs:
                return f"TCP timestamp: expected {_option_names([(kind, want)])}, sent {_option_names([(kind, have)])}"
        elif want != have:
            return f"TCP option: expected {_option_names([(kind, want)])}, sent {_option_names([(kind, have)])}"
    return None


def _signed(value: int) -> int:
    return (value + 0x80000000 & SEQUENCE_MASK) - 0x80000000


def _payload(sent: Sent) -> str | None:
    if sent.payload.count(0) != len(sent.payload):
        return "payload: expected zeros, sent something else"
    return None


# --- in the script's notation ---


def describe_spec(spec: PacketSpec) -> str:
    """A packet line of a script, written anew."""
    ip = ""
    if spec.ip.check is EcnCheck.ECN:
        ip = f"[{_ECN_NAMES[spec.ip.tos]}] "
    elif spec.ip.check is EcnCheck.ECT01:
        ip = "[ect01] "
    elif spec.ip.check is EcnCheck.TOS:
        ip = f"[tos {spec.ip.tos:#04x}] "
    body = spec.body
    if isinstance(body, UdpSpec):
        return f"{ip}udp ({body.length})"
    if isinstance(body, IcmpSpec):
        return f"{ip}icmp {body.type_name}" + (f" {body.code_name}" if body.code_name else "")
    text = ip + _segment(body.flags, body.seq, body.length, body.ack, body.ace)
    text += "" if body.window is None else f" win {body.window}"
    if body.options is None:
        return text + " <...>"
    return text + _written(body.options, body.urgent)


def describe_sent(sent: Sent) -> str:
    """A packet of the stack in the script's notation."""
    ecn = f"[{_ECN_NAMES[sent.traffic_class & 3]}] " if sent.traffic_class & 3 else ""
    if sent.protocol == UDP:
        return f"{ecn}udp ({len(sent.payload)})"
    if sent.protocol != TCP:
        return f"{ecn}icmp type_{sent.icmp_type} code_{sent.icmp_code}"
    text = ecn + _segment(sent.flags, sent.seq, len(sent.payload), sent.ack, None) + f" win {sent.window}"
    return text + _written(tuple(TcpOption(kind, value) for kind, value in sent.options), sent.urgent)


def _written(options: tuple[TcpOption, ...], urgent: int) -> str:
    text = f" urg {urgent}" if urgent else ""
    return text + (f" <{_option_names([(option.kind, option.value) for option in options])}>" if options else "")


def _segment(flags: int, seq: int, length: int, ack: int, ace: int | None) -> str:
    letters = "".join(letter for letter, bit in FLAGS.items() if flags & bit and letter != ".")
    if ace is not None:
        letters = "".join(letter for letter in letters if letter not in "EWA")
    letters += "." if flags & FLAGS["."] else ""
    letters += "" if ace is None else str(ace)
    text = f"{letters or '-'} {seq}:{(seq + length) & SEQUENCE_MASK}({length})"
    return text + (f" ack {ack}" if flags & FLAGS["."] else "")


_NAMES: Final = {0: "eol", 1: "nop", 4: "sackOK"}


def _option_names(options: list[tuple[int, bytes]]) -> str:
    return ",".join(_option_name(kind, value) for kind, value in options)


def _option_name(kind: int, value: bytes) -> str:
    if kind in _NAMES:
        return _NAMES[kind]
    if kind == 2 and len(value) == 2:
        return f"mss {int.from_bytes(value, 'big')}"
    if kind == 3 and len(value) == 1:
        return f"wscale {value[0]}"
    if kind == 5 and value and len(value) % 8 == 0:
        blocks = struct.iter_unpack("!II", value)
        return "sack " + " ".join(f"{left}:{right}" for left, right in blocks)
    if kind == TIMESTAMPS_KIND and len(value) == 8:
        return "TS val {} ecr {}".format(*struct.unpack("!II", value))
    if kind == 34:
        return f"FO {value.hex()}".rstrip()
    if kind == 254 and value.startswith(FAST_OPEN_MAGIC):
        return f"FOEXP {value[2:].hex()}".rstrip()
    if kind in (172, 174):
        order = ("e0b", "ceb", "e1b") if kind == 172 else ("e1b", "ceb", "e0b")
        counts = [int.from_bytes(value[at : at + 3], "big") for at in range(0, len(value), 3)]
        return "ECN " + " ".join(f"{name} {count}" for name, count in zip(order, counts, strict=False))
    if kind == 19:
        return f"md5 {value.hex()}"
    return f"option {kind} {value.hex()}".rstrip()
