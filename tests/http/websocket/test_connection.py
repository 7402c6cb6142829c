"""The core, in the groups of the Autobahn suite: frames, pings, reserved bits, opcodes, UTF-8, closing, limits."""

import dataclasses
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http.websocket.wire import KEY, QUIET, client, events, feed, frame, sent, server

from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.deflate import Deflate
from catenet.http.websocket.errors import WebSocketClosed
from catenet.http.websocket.events import Closed, Ping, Pong
from catenet.http.websocket.limits import WebSocketLimits
from catenet.http.websocket.mask import mask, mask_in_python

STEPS = [0, 1, 3]
SIZES = [0, 1, 125, 126, 127, 128, 1023, 1024, 65535, 65536, 65537]


def code_sent(socket):
    """The code of the Close frame that the core has sent last."""
    data = sent(socket)
    place = data.rindex(b"\x88")
    return int.from_bytes(data[place + 2 : place + 4]) if data[place + 1] & 0x7F else None


def fails(data, code, socket=None, step=0):
    socket = socket or server()
    found = feed(socket, data, step)
    assert isinstance(found[-1], Closed), found
    assert (found[-1].code, found[-1].clean) == (code, False)
    assert found[-1].error
    assert code_sent(socket) == code
    assert socket.closed
    assert feed(socket, frame(0x81, b"more")) == []
    return found


# 1: framing, 9: sizes.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("size", SIZES)
def test_messages_of_all_sizes_in_pieces_of_all_sizes(size, step):
    text, data = "é" * (size // 2) + "x" * (size % 2), bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    peer, socket = client(), server()
    peer.send(text)
    peer.send(data)
    assert feed(socket, sent(peer), step if size < 2000 else step * 4096) == [text, data]
    for message in (text, data):
        socket.send(message)
    assert feed(peer, sent(socket), step if size < 2000 else step * 4096) == [text, data]


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
def test_masks(data, key):
    for function in (mask, mask_in_python):
        masked = function(data, key)
        assert masked == bytes(byte ^ key[place % 4] for place, byte in enumerate(data))
        assert function(masked, key) == data


def test_without_the_function_in_c():
    code = "import sys; sys.modules['websockets'] = None; from catenet.http.websocket import mask as m; "
    code += "assert m.mask is m.mask_in_python; print(m.mask(b'hello', b'abcd'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == repr(mask(b"hello", b"abcd")) + "\n"


@given(
    st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=8), st.integers(1, 50), st.booleans()
)
def test_whatever_is_sent_arrives(messages, step, packed):
    deflate = Deflate(min_size=0) if packed else None
    left, right = client(deflate=deflate), server(deflate=deflate)
    for message in messages:
        left.send(message)
        right.send(message)
    assert feed(right, sent(left), step) == messages
    assert feed(left, sent(right), step) == messages


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 20))
def test_no_bytes_make_it_raise(data, packed, step):
    for socket in (server(deflate=Deflate() if packed else None), client(deflate=Deflate() if packed else None)):
        found = feed(socket, data, step)
        assert all(not isinstance(event, Closed) for event in found[:-1])


@pytest.mark.parametrize(
    ("length", "payload"),
    [
        (b"\x7e\x00\x7d", b"x" * 125),
        (b"\x7f" + bytes(7) + b"\x05", b"hello"),
        (b"\x7f" + (65535).to_bytes(8), b""),
        (b"\x7f\x80" + bytes(7), b""),
        (b"\x7f" + b"\xff" * 8, b""),
    ],
)
def test_lengths_that_are_not_minimal_or_negative(length, payload):
    fails(frame(0x82, payload, length=length), 1002)


def test_who_masks():
    fails(frame(0x81, b"hello", key=b""), 1002)
    socket = client()
    assert feed(socket, frame(0x81, b"hello"))[-1].code == 1002
    assert socket.closed


# 2: pings.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125])
def test_a_ping_is_answered_and_told(payload, step):
    socket = server()
    assert feed(socket, frame(0x89, payload), step) == [Ping(payload)]
    assert sent(socket) == frame(0x8A, payload, key=b"")


@pytest.mark.parametrize(("data", "code"), [(frame(0x89, b"x" * 126), 1002), (frame(0x09), 1002), (frame(0x08), 1002)])
def test_control_frames_are_short_and_whole(data, code):
    fails(data, code)


def test_pongs_that_nobody_asked_for_are_told_and_not_answered():
    socket = server()
    assert feed(socket, frame(0x8A, b"so")) == [Pong(b"so")]
    assert sent(socket) == b""


def test_of_pings_that_wait_the_latest_are_answered():
    limits = dataclasses.replace(QUIET, max_pongs=3)
    socket = server(limits)
    feed(socket, b"".join(frame(0x89, b"%d" % number) for number in range(1000)))
    assert sent(socket) == b"".join(frame(0x8A, b"%d" % number, key=b"") for number in (997, 998, 999))


def test_a_pong_does_not_come_between_the_head_and_the_payload_of_a_frame():
    socket = server()
    socket.send(b"x" * 100_000)
    begun = socket.transmit(0.0)
    feed(socket, frame(0x89, b"now"))
    assert feed(client(), begun + sent(socket)) == [b"x" * 100_000, Pong(b"now")]


# 3 and 4: reserved bits and opcodes.


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("opcode", [0x80, 0x81, 0x82, 0x88, 0x89, 0x8A])
def test_reserved_bits(bits, opcode):
    fails(frame(opcode | bits << 4, b"hello"), 1002)


def test_rsv1_without_negotiation_is_refused_at_its_first_byte():
    fails(b"\xc1", 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes(opcode):
    assert fails(frame(0x81, b"before") + frame(0x80 | opcode, b"hello"), 1002)[0] == "before"


# 5: fragments.


@pytest.mark.parametrize("step", STEPS)
def test_fragments_with_control_frames_between_them(step):
    data = (
        frame(0x01, b"one ") + frame(0x89, b"p") + frame(0x00) + frame(0x00, b"two") + frame(0x8A) + frame(0x80, b"!")
    )
    assert feed(server(), data, step) == [Ping(b"p"), Pong(b""), "one two!"]


@pytest.mark.parametrize(
    "data",
    [
        frame(0x00, b"continues nothing"),
        frame(0x80, b"continues nothing"),
        frame(0x01, b"one") + frame(0x81, b"another"),
        frame(0x02, b"one") + frame(0x01, b"another"),
        frame(0x81, b"whole") + frame(0x80, b"more"),
    ],
)
def test_fragments_out_of_order(data):
    fails(data, 1002)


def test_fragments_that_are_sent():
    socket = client()
    socket.send("one ", end=False)
    socket.ping(b"between")
    socket.send("two ", end=False)
    with pytest.raises(TypeError, match="all text or all binary"):
        socket.send(b"binary")
    socket.send("three")
    assert feed(server(), sent(socket)) == [Ping(b"between"), "one two three"]


# 6: UTF-8.

WRONG = {
    "after a good prefix": "κόσμε".encode() + b"\xed\xa0\x80edited",
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\xaf",
    "overlong of four": b"\xf0\x80\x80\xaf",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "continuation alone": b"\x80",
    "ff": b"\xff",
    "cut off": b"\xce\xba\xcf",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", WRONG)
def test_text_that_is_not_utf_8(name, step):
    fails(frame(0x81, WRONG[name]), 1007, step=step)
    half = len(WRONG[name]) // 2
    fails(frame(0x01, WRONG[name][:half]) + frame(0x80, WRONG[name][half:]), 1007, step=step)


@pytest.mark.parametrize("name", [name for name in WRONG if name != "cut off"])
def test_it_is_refused_before_the_frame_is_complete(name):
    socket = server()
    found = feed(socket, frame(0x01, WRONG[name] + b"x" * 1000)[:-(1000)], 1)
    assert found[-1].code == 1007
    assert socket.closed


def test_a_byte_that_can_not_follow_is_refused_at_once():
    socket = server()
    assert feed(socket, frame(0x01, b"\xce\xba\xf4")) == []
    assert feed(socket, frame(0x00, b"\x90"))[-1].code == 1007  # of four bytes the second


@pytest.mark.parametrize("step", STEPS)
def test_characters_may_be_cut_between_frames(step):
    text = "κόσμε \U0001f600"
    data = text.encode()
    frames = b"".join(frame(0x00, data[place : place + 1]) for place in range(1, len(data)))
    assert feed(server(), frame(0x01, data[:1]) + frames + frame(0x80), step) == [text]


# 7: closing.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_codes_that_may_come_are_answered(code, step):
    socket = server()
    assert feed(socket, frame(0x88, code.to_bytes(2) + "é".encode()), step) == [Closed(code, "é", clean=True)]
    assert code_sent(socket) == code
    assert socket.closed


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_may_not(code):
    fails(frame(0x88, code.to_bytes(2)), 1002)


def test_close_frames_that_are_malformed():
    fails(frame(0x88, b"\x03"), 1002)
    fails(frame(0x88, b"\x03\xe8\xff\xff"), 1007)
    fails(frame(0x88, b"x" * 126), 1002)


def test_a_close_frame_without_a_code():
    socket = server()
    assert feed(socket, frame(0x88)) == [Closed(1005, clean=True)]
    assert sent(socket) == b"\x88\x00"


def test_nothing_counts_after_a_close_frame():
    socket = server()
    assert feed(socket, frame(0x88, b"\x03\xe8") + frame(0x81, b"more") + frame(0x89)) == [Closed(1000, clean=True)]
    assert sent(socket) == b"\x88\x02\x03\xe8"


def test_closing_by_us_drops_messages_and_answers_no_pings():
    socket = server()
    socket.close(1001, "bye")
    assert feed(socket, frame(0x81, b"late") + frame(0x89)) == [Ping(b"")]
    assert not socket.closed
    assert sent(socket) == b"\x88\x05\x03\xe9bye"
    assert feed(socket, frame(0x88, b"\x03\xe9")) == [Closed(1001, clean=True)]
    assert socket.closed
    assert sent(socket) == b""


def test_a_client_waits_for_the_server_to_close_the_connection():
    socket = client()
    socket.close()
    assert feed(socket, frame(0x88, b"\x03\xe8", key=b"")) == [Closed(1000, clean=True)]
    assert not socket.closed
    socket.receive(b"", 1.0)
    assert events(socket) == []
    assert socket.closed


@pytest.mark.parametrize("answers", [True, False])
def test_but_not_for_ever(answers):
    socket = client()
    socket.close()
    sent(socket)
    if answers:
        feed(socket, frame(0x88, b"\x03\xe8", key=b""))
    assert socket.next_deadline() == 0.0  # it does not know yet what time it is
    socket.handle_timeout(100.0)
    assert socket.next_deadline() == 110.0
    socket.handle_timeout(109.0)
    assert not socket.closed
    socket.handle_timeout(110.0)
    assert socket.closed
    assert [event.code for event in events(socket)] == ([] if answers else [1006])


@pytest.mark.parametrize("data", [b"", frame(0x81, b"x" * 100)[:20], frame(0x01, b"part"), b"\x81"])
def test_a_connection_that_ends_without_a_close_frame(data):
    socket = server()
    feed(socket, data)
    assert socket.unfinished == bool(data)
    socket.receive(b"", 1.0)
    assert [event.code for event in events(socket)] == [1006]
    assert socket.closed


def test_calls_after_the_end():
    socket = server()
    socket.close(4000, "enough")
    for call in (lambda: socket.send("x"), socket.ping, socket.pong):
        with pytest.raises(WebSocketClosed, match="4000, 'enough'"):
            call()
    socket.close(1000)  # without effect
    assert sent(socket) == b"\x88\x08\x0f\xa0enough"


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2000, 5000])
def test_codes_that_we_do_not_send(code):
    with pytest.raises(ValueError, match="may not be sent"):
        server().close(code)


def test_what_does_not_fit_into_a_control_frame():
    with pytest.raises(ValueError, match="the reason has 124 bytes"):
        server().close(1000, "x" * 124)
    with pytest.raises(ValueError, match="takes 125 bytes, not 126"):
        server().ping(b"x" * 126)
    with pytest.raises(TypeError, match="not int"):
        server().send(1)


def test_draining_says_going_away():
    socket = server()
    socket.drain(0.0)
    assert code_sent(socket) == 1001


# Limits.

SMALL = dataclasses.replace(QUIET, max_message=1000, max_frame=600, max_fragments=5)


@pytest.mark.parametrize(
    "data",
    [
        frame(0x82, b"", length=b"\x7e" + (601).to_bytes(2)),
        frame(0x82, b"", length=b"\x7f" + (1 << 40).to_bytes(8)),
        frame(0x02, b"x" * 600) + frame(0x80, b"x" * 401),
        frame(0x02) + frame(0x00) * 5,
    ],
    ids=["frame", "huge frame", "message", "fragments"],
)
def test_limits(data):
    fails(data, 1009, server(SMALL))


def test_up_to_the_limits():
    assert feed(server(SMALL), frame(0x02, b"x" * 600) + frame(0x80, b"x" * 400)) == [b"x" * 1000]
    assert feed(server(SMALL), frame(0x02) + frame(0x00) * 3 + frame(0x80)) == [b""]


def test_what_nobody_asks_for_fills_it():
    socket = server()
    socket.receive(frame(0x82, b"x" * 1000) * 60, 0.0)
    assert not socket.full
    socket.receive(frame(0x82, b"x" * 1000) * 10, 0.0)
    assert socket.full
    assert len(events(socket)) == 70
    assert not socket.full


def test_a_message_in_a_million_pieces_costs_its_size():
    socket = server(dataclasses.replace(QUIET, max_fragments=1 << 20))
    feed(socket, frame(0x01, b"x") + frame(0x00, b"x") * 99_998)
    assert feed(socket, frame(0x80, b"x")) == ["x" * 100_000]


# Keepalive.


def test_a_peer_that_says_nothing_is_asked_and_then_given_up():
    socket = client(WebSocketLimits(ping_interval=20, ping_timeout=5))
    socket.handle_timeout(100.0)
    assert socket.next_deadline() == 120.0
    socket.handle_timeout(120.0)
    assert sent(socket) == frame(0x89, (1).to_bytes(4))
    assert socket.next_deadline() == 125.0
    socket.handle_timeout(125.0)
    (event,) = events(socket)
    assert (event.code, event.clean) == (1011, False)
    assert socket.closed


def test_an_answer_keeps_it_and_tells_the_latency():
    socket = client(WebSocketLimits(ping_interval=20, ping_timeout=5))
    socket.handle_timeout(100.0)
    socket.handle_timeout(120.0)
    socket.receive(frame(0x8A, (1).to_bytes(4), key=b""), 120.25)
    assert events(socket) == [Pong((1).to_bytes(4))]
    assert socket.latency == 0.25
    assert socket.next_deadline() == 140.25


def test_a_long_frame_is_a_sign_of_life():
    socket = client(WebSocketLimits(ping_interval=20, ping_timeout=5))
    socket.handle_timeout(100.0)
    socket.handle_timeout(120.0)
    socket.receive(b"\x82\x7f" + (1 << 20).to_bytes(8), 121.0)
    events(socket)
    socket.handle_timeout(125.0)
    assert not socket.closed


# 12 and 13: compression.

AGREED = [Deflate(fresh, fresh, bits, bits, min_size=0) for fresh in (False, True) for bits in (8, 9, 10, 12, 15)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("agreed", AGREED, ids=str)
def test_compressed_messages(agreed, step):
    messages = ["", "x" * 1000, b"", "hello" * 20, "hello" * 20, bytes(range(256)) * 8, "é\U0001f600" * 300]
    left, right = client(deflate=agreed), server(deflate=agreed)
    for message in messages:
        left.send(message)
        right.send(message)
    there, back = sent(left), sent(right)
    if agreed.server_max_window_bits > 8:
        assert len(there) < 3000
    assert feed(right, there, step) == messages
    assert feed(left, back, step) == messages


def test_compressed_fragments():
    left, right = client(deflate=Deflate(min_size=0)), server(deflate=Deflate(min_size=0))
    for end in (False, False, True):
        left.send("hello hello " * 10, end=end)
    left.send("again")
    data = sent(left)
    assert data[0] == 0x41  # RSV1 in the first frame only
    assert feed(right, data, 1) == ["hello hello " * 30, "again"]


def test_the_examples_of_the_rfc():
    """RFC 7692 section 7.2.3."""
    for payloads in ([b"\xf2\x48\xcd\xc9\xc9\x07\x00"], [b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00"],
                     [b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"], [b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"],
                     [b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"]):  # fmt: skip
        socket = server(deflate=Deflate())
        assert feed(socket, b"".join(frame(0xC1, payload) for payload in payloads)) == ["Hello"] * len(payloads)


def test_messages_may_go_uncompressed():
    assert feed(server(deflate=Deflate()), frame(0x81, b"plain") + frame(0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00")) == [
        "plain",
        "Hello",
    ]


@pytest.mark.parametrize("first", [0xC8, 0xC9, 0xCA, 0xA1, 0x91])
def test_bits_that_the_extension_does_not_have(first):
    fails(frame(first), 1002, server(deflate=Deflate()))


def test_only_the_first_fragment_has_the_bit():
    fails(frame(0x41, b"\xf2\x48") + frame(0xC0, b"\xcd\xc9\xc9\x07\x00"), 1002, server(deflate=Deflate()))


def test_damaged_data():
    fails(frame(0xC1, b"\xff\xff\xff"), 1007, server(deflate=Deflate()))
    fails(frame(0xC1, b"\x03\x00" * 1000), 1008, server(deflate=Deflate()))


def packed(data):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_a_bomb_ends_at_the_limit():
    limits = dataclasses.replace(QUIET, max_message=1 << 20)
    bomb = packed(bytes(64 << 20))
    fails(frame(0xC2, bomb), 1009, server(limits, Deflate()))
    fails(frame(0xC2, bomb), 1009, server(limits, Deflate()), step=4096)
    exact = server(limits, Deflate())
    assert feed(exact, frame(0xC2, packed(bytes(1 << 20)))) == [bytes(1 << 20)]
    fails(frame(0xC2, packed(bytes((1 << 20) + 1))), 1009, server(limits, Deflate()))


def test_compressed_text_is_checked_as_it_comes():
    socket = server(deflate=Deflate())
    assert feed(socket, frame(0x41, packed(b"good \xed\xa0\x80 bad") + b"\x00\x00\xff\xff"))[-1].code == 1007


def test_the_mask_key_is_fresh_for_every_frame():
    keys = []
    socket = WebSocket(True, limits=QUIET, entropy=lambda count: bytes(range(256)) * (count // 256))
    for _ in range(3):
        socket.send("")
        keys.append(sent(socket)[2:6])
    assert len(set(keys)) == 3
    assert KEY not in keys
