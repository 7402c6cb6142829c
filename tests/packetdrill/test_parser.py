"""The language: every construct once, and errors that name the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.testing.packetdrill import ScriptError, parse_script
from catenet.testing.packetdrill.syntax import (
    Assignment,
    Call,
    Clock,
    Code,
    Command,
    EcnCheck,
    Ellipsis_,
    Function,
    IcmpSpec,
    Integer,
    Items,
    Or,
    PacketSpec,
    Quoted,
    Structure,
    TcpSpec,
    UdpSpec,
    When,
    Word,
)


def packet(line: str) -> PacketSpec:
    action = parse_script(f"0 {line}").events[0].action
    assert isinstance(action, PacketSpec)
    return action


def segment(line: str) -> TcpSpec:
    body = packet(line).body
    assert isinstance(body, TcpSpec)
    return body


def call(line: str, **defines: str) -> Call:
    action = parse_script(f"0 {line}", defines).events[0].action
    assert isinstance(action, Call)
    return action


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", When(Clock.ABSOLUTE, 0)),
        ("1.5", When(Clock.ABSOLUTE, 1_500_000)),
        ("+0", When(Clock.RELATIVE, 0)),
        ("+.002", When(Clock.RELATIVE, 2000)),
        ("+.1~+.25", When(Clock.RELATIVE, 100_000, 250_000)),
        ("0.1~0.2", When(Clock.ABSOLUTE, 100_000, 200_000)),
        ("*", When(Clock.ANY, 0)),
        ("+0.3000007", When(Clock.RELATIVE, 300_000)),
    ],
)
def test_times(text: str, expected: When) -> None:
    assert parse_script(f"{text} > . 1:1(0) ack 1").events[0].when == expected


@pytest.mark.parametrize(
    ("flags", "bits", "ace"),
    [
        ("S", 0x002, None),
        ("S.", 0x012, None),
        ("FP.", 0x019, None),
        ("-", 0, None),
        (".", 0x010, None),
        ("U.", 0x030, None),
        ("SEWA", 0x1C2, None),
        ("EAP.", 0x158, None),
        (".5", 0x150, 5),
        ("P.6", 0x198, 6),
        ("F5.", 0x151, 5),
        ("S.0", 0x012, 0),
    ],
)
def test_flags_and_ace(flags: str, bits: int, ace: int | None) -> None:
    read = segment(f"> {flags} 1:1(0)")
    assert (read.flags, read.ace) == (bits, ace)


def test_segment_with_everything() -> None:
    line = "< U. 1:1001(1000) ack 7 win 257 urg 100 <nop,nop,TS val 5 ecr 6,nop,nop,sack 10:20 30:40>"
    read = segment(line)
    assert (read.seq, read.length, read.ack, read.window, read.urgent) == (1, 1000, 7, 257, 100)
    assert read.options is not None
    assert [option.kind for option in read.options] == [1, 1, 8, 1, 1, 5]
    assert read.options[2].value == bytes.fromhex("0000000500000006")
    assert read.options[5].value == bytes.fromhex("0000000a000000140000001e00000028")


@pytest.mark.parametrize(
    ("text", "kinds", "value"),
    [
        ("mss 1460", [2], "05b4"),
        ("nop,wscale 8", [1, 3], "08"),
        ("sackOK,nop,nop", [4, 1, 1], ""),
        ("eol,nop,nop,nop", [0, 1, 1, 1], ""),
        ("FO,nop,nop", [34, 1, 1], ""),
        ("FO 3021b9d889017eeb,nop,nop", [34, 1, 1], "3021b9d889017eeb"),
        ("FO 12345678,nop,nop", [34, 1, 1], "12345678"),
        ("FOEXP", [254], "f989"),
        ("md5 000102030405060708090a0b0c0d0e0f,nop,nop", [19, 1, 1], "000102030405060708090a0b0c0d0e0f"),
        ("ECN e0b 1 ceb 2 e1b 3,nop", [172, 1], "000001000002000003"),
        ("ECN e1b 1 ceb 0 e0b 1,nop", [174, 1], "000001000000000001"),
        ("ECN e1b 1 ceb 0", [174], "000001000000"),
        ("exp f98912", [254], "f98912"),
    ],
)
def test_tcp_options(text: str, kinds: list[int], value: str) -> None:
    if text == "exp f98912":
        text, kinds = text + ",nop,nop,nop", [*kinds, 1, 1, 1]
    options = segment(f"< S 0:0(0) win 1 <{text}>").options
    assert options is not None
    assert [option.kind for option in options] == kinds
    assert next((option.value for option in options if option.value), b"") == bytes.fromhex(value)


def test_options_not_compared() -> None:
    assert segment("> S. 0:0(0) ack 1 <...>").options is None
    with pytest.raises(ScriptError, match="outbound packets only"):
        segment("< S 0:0(0) win 1 <...>")


@pytest.mark.parametrize(
    ("text", "check", "tos", "label", "ttl"),
    [
        ("[ect0]", EcnCheck.ECN, 2, 0, 0),
        ("[ect1]", EcnCheck.ECN, 1, 0, 0),
        ("[ce]", EcnCheck.ECN, 3, 0, 0),
        ("[noecn]", EcnCheck.ECN, 0, 0, 0),
        ("[ect01]", EcnCheck.ECT01, 0, 0, 0),
        ("(tos 0x10)", EcnCheck.TOS, 16, 0, 0),
        ("[flowlabel 0x1]", EcnCheck.NOTHING, 0, 1, 0),
        ("[ttl 64]", EcnCheck.NOTHING, 0, 0, 64),
        ("[ect0, flowlabel 0x2]", EcnCheck.ECN, 2, 2, 0),
    ],
)
def test_ip_header(text: str, check: EcnCheck, tos: int, label: int, ttl: int) -> None:
    ip = packet(f"> {text} P. 1:2(1) ack 1").ip
    assert (ip.check, ip.tos, ip.flow_label, ip.ttl) == (check, tos, label, ttl)


def test_ports_and_udp() -> None:
    read = packet("< 5000 > 8080 S 0:0(0) win 1 <mss 1000>")
    assert (read.source_port, read.destination_port) == (5000, 8080)
    read = packet("> udp 7 > 9 (100)")
    assert (read.body, read.source_port, read.destination_port) == (UdpSpec(100), 7, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "icmp unreachable host_unreachable [5:15(10)]",
            IcmpSpec("unreachable", "host_unreachable", None, 0, "tcp", 5, 10),
        ),
        (
            "icmp unreachable frag_needed mtu 1200 [1:1(0)]",
            IcmpSpec("unreachable", "frag_needed", 1200, 0, "tcp", 1, 0),
        ),
        ("icmp unreachable [udp (25)]", IcmpSpec("unreachable", None, None, 0, "udp", 0, 25)),
        ("icmp echo_request id 7 [raw (64)]", IcmpSpec("echo_request", None, None, 7, "raw", 0, 64)),
        ("icmp packet_too_big mtu 1280 [1:1(0)]", IcmpSpec("packet_too_big", None, 1280, 0, "tcp", 1, 0)),
        ("icmp echo_reply", IcmpSpec("echo_reply")),
        ("[1:11(10)] icmp unreachable", IcmpSpec("unreachable", None, None, 0, "tcp", 1, 10)),
    ],
)
def test_icmp(text: str, expected: IcmpSpec) -> None:
    assert packet(f"< {text}").body == expected


def test_encapsulation_is_kept_as_written() -> None:
    read = packet("< ipv4 10.0.0.1 > 10.0.0.2: ipv6 2001:db8::1 > fe80::2: . 1:1(0) ack 1 win 1")
    assert [(header.kind, header.text) for header in read.outer] == [
        ("ipv4", ("10.0.0.1", ">", "10.0.0.2")),
        ("ipv6", ("2001:db8::1", ">", "fe80::2")),
    ]


def test_calls() -> None:
    read = call("socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3")
    assert read == Call(
        "socket", (Ellipsis_(), Or(Word("SOCK_STREAM"), Word("SOCK_NONBLOCK")), Word("IPPROTO_TCP")), Integer(3)
    )
    read = call("connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)")
    assert (read.result, read.errno, read.note) == (Integer(-1), "EINPROGRESS", "Operation now in progress")
    read = call("fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)")
    assert (read.result, read.errno, read.note) == (Integer(2), None, "flags O_RDWR")
    assert call('setsockopt(3, SOL_TCP, TCP_FASTOPEN_KEY, "", 0) = -1 (Invalid Argument)').errno is None


@pytest.mark.parametrize("text", ["+0...0.300 write(4, ..., 9) = 9", "+.002 ... 0.302 write(4, ..., 9) = 9"])
def test_blocking_calls(text: str) -> None:
    event = parse_script(text).events[0]
    assert isinstance(event.action, Call)
    assert event.action.end in (300_000, 302_000)
    assert event.when.clock is Clock.RELATIVE


def test_structures() -> None:
    read = call("poll([{fd=4, events=POLLIN|POLLERR, revents=POLLIN}], 1, 0) = 1").arguments[0]
    assert isinstance(read, Items)
    pollfd = read.values[0]
    assert isinstance(pollfd, Structure)
    assert pollfd.get("revents") == Word("POLLIN")
    assert pollfd.get("absent") is None
    read = call("sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 40}, {..., 2}], msg_flags=0}, 0) = 42").arguments[1]
    assert isinstance(read, Structure)
    assert [field.name for field in read] == ["msg_name", "msg_iov", "msg_flags"]
    iov = read.get("msg_iov")
    assert isinstance(iov, Items)
    assert iov.values[0] == Items((Ellipsis_(), Integer(40)), braces=True)
    read = call(
        'bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("10.0.0.1")}, ...) = 0'
    ).arguments[1]
    assert isinstance(read, Structure)
    assert read.get("sin_port") == Function("htons", (Integer(80),))
    assert call("f(x=3) = 0").arguments == (Assignment("x", Integer(3)),)
    with pytest.raises(ScriptError, match="names for all"):
        call("f({x=3, 4}) = 0")


def test_strings() -> None:
    read = call(r'f("a\xa1\n\"" "b", "c"...) = 0').arguments
    assert read == (Quoted(b'a\xa1\n"b'), Quoted(b"c", open_ended=True))


def test_options_commands_code_and_comments() -> None:
    script = parse_script(
        """// first
--mss=1000 /* second
*/ --send_omit_free  // third
--define=PROTO=IPPROTO_TCP
--local_ip=fd3d:0a0b:17d6::1
# fourth
`./defaults.sh
sysctl -q net.ipv4.tcp_ecn=1  # kept for the shell
`
0 `true`
+0 socket(..., SOCK_STREAM, PROTO) = 3
+0 %{ assert tcpi_state == 1, "}x"
x = {}
}%
`cleanup`
"""
    )
    assert [(name, value) for _, name, value in script.options] == [
        ("mss", "1000"),
        ("send_omit_free", None),
        ("define", "PROTO=IPPROTO_TCP"),
        ("local_ip", "fd3d:0a0b:17d6::1"),
    ]
    assert script.init is not None
    assert "tcp_ecn=1  # kept" in script.init[1].text
    assert script.cleanup == (15, Command("cleanup"))
    assert [event.line for event in script.events] == [10, 11, 12]
    assert isinstance(script.events[1].action, Call)
    assert script.events[1].action.arguments[2] == Word("IPPROTO_TCP")
    assert script.events[2].action == Code('assert tcpi_state == 1, "}x"\nx = {}\n')


def test_definitions_may_be_strings_and_commands() -> None:
    assert call("f(NAME) = 0", NAME='"text"').arguments == (Quoted(b"text"),)
    assert parse_script("0 GO", {"GO": "`run`"}).events[0].action == Command("run")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("0 > S 0:0(0)\n+0 > X. 1:1(0)", 2, "unknown TCP flag 'X'"),
        ("0 > . 1:5(3) ack 1", 1, "does not add up"),
        ("0 > . 1:1(0) ack 1 win 70000", 1, "not between 0 and 65535"),
        ("\n\n0 socket(...) 3", 3, "expected '='"),
        ("0 > . 1:1(0) <mss 5,bogus 7>", 1, "unknown TCP option 'bogus'"),
        ("0 > . 1:1(0) <nop>", 1, "not a multiple of 4"),
        ("0 < S 0:0(0) <FO 123>", 1, "even number of hexadecimal digits"),
        ("+.2~+.1 > . 1:1(0)", 1, "runs backwards"),
        ("+.1~+.2 < . 1:1(0) win 1", 1, "outbound packets only"),
        ("* write(4, ..., 1) = 1", 1, "outbound packets only"),
        ("0 `never closed", 1, "no closing `"),
        ("0 < [ect01] . 1:1(0) win 1", 1, "outbound packets only"),
        ("0 < [what] . 1:1(0) win 1", 1, "unknown word 'what'"),
        ("", 1, "at least one event"),
        ("0 f(", 1, "expected"),
        ("0 f(1) = 1 (never closed", 1, r"expected '\)'"),
        ("nonsense", 1, "expected the time of an event"),
    ],
)
def test_errors_name_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ScriptError, match=message) as caught:
        parse_script(text)
    assert caught.value.line == line


@given(st.text(max_size=80) | st.text("0123456789+.~<>SFRP:() `%{}\"'ackwinmsnop,[]=-*/#\n", max_size=120))
def test_garbage_raises_nothing_else(text: str) -> None:
    try:
        parse_script(text)
    except ScriptError as error:
        assert error.line >= 1
