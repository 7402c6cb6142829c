"""Each limit of `catenet.http.limits.Limits`, attacked."""

import pytest
from h2wire import FIELDS, HEAD, REPLY, Pair, Raw

from catenet.http import events as ev
from catenet.http.errors import ErrorCode
from catenet.http.h2 import frames
from catenet.http.h2.connection import Connection
from catenet.http.h2.hpack import Encoder, Memo
from catenet.http.limits import Limits

CALM = ErrorCode.ENHANCE_YOUR_CALM
TIGHT = Limits(glitch_burst=100, glitch_rate=10.0)


def flood(raw, attack, most=1000):
    """Repeat an attack until the server has had enough; return how often it took."""
    for count in range(most):
        attack(count)
        if raw.server.failed is not None:
            return count
    return None


def test_rapid_reset():
    """CVE-2023-44487: open and reset, over and over."""
    raw = Raw(TIGHT)

    def attack(count):
        raw.headers(1 + 2 * count, end=False)
        raw.frame(frames.RST_STREAM, 0, 1 + 2 * count, b"\0\0\0\x08")

    assert flood(raw, attack) == pytest.approx(100, abs=8)
    assert raw.goaway() == CALM
    assert len(raw.server.streams) <= 1


def test_a_client_that_cancels_as_often_as_it_completes_is_served():
    raw = Raw(TIGHT)
    for count in range(0, 2000, 2):
        raw.headers(1 + 2 * count, end=False)
        raw.frame(frames.RST_STREAM, 0, 1 + 2 * count, b"\0\0\0\x08")
        (head,) = raw.headers(3 + 2 * count)
        raw.server.send_reply(head[1], REPLY, b"", None)
    assert raw.server.failed is None


def test_made_you_reset():
    """CVE-2025-8671: frames that make the server reset, instead of resets of the client's own."""
    raw = Raw(TIGHT)

    def attack(count):
        raw.headers(1 + 2 * count, end=False)
        raw.frame(frames.WINDOW_UPDATE, 0, 1 + 2 * count, bytes(4))

    assert flood(raw, attack) == pytest.approx(100, abs=8)
    assert raw.goaway() == CALM


@pytest.mark.parametrize(
    ("kind", "flags", "stream", "payload", "most"),
    [
        (frames.PING, 0, 0, b"12345678", 105),
        (frames.SETTINGS, 0, 0, b"", 30),
        (frames.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff", 30),
        (frames.PRIORITY, 0, 7, b"\0\0\0\1\0", 105),
        (frames.DATA, 0, 1, b"", 105),
        (0xBB, 0, 0, b"unknown", 105),
        (frames.GOAWAY, 0, 0, bytes(8), 105),
        (frames.DATA, frames.PADDED, 1, b"\x05" + bytes(5), 105),
    ],
)
def test_floods_of_frames_that_do_no_work(kind, flags, stream, payload, most):
    raw = Raw(TIGHT)
    raw.headers(1, end=False)
    assert flood(raw, lambda _: raw.frame(kind, flags, stream, payload)) in range(15, most)
    assert raw.goaway() == CALM


def test_the_same_frames_in_good_measure_are_welcome():
    raw = Raw(TIGHT)
    for second in range(500):
        raw.now = float(second)
        raw.frame(frames.PING, 0, 0, b"12345678")
        raw.frame(frames.SETTINGS, 0, 0, b"")
    assert raw.server.failed is None


def test_continuation_flood_without_end():
    """CVE-2024-27316: a header block that never ends, in many frames or in large ones."""
    raw = Raw()
    raw.frame(frames.HEADERS, 0, 1, Encoder(Memo()).encode(FIELDS))
    assert flood(raw, lambda _: raw.frame(frames.CONTINUATION, 0, 1, b"")) < 40
    assert raw.goaway() == CALM
    raw = Raw(Limits(max_header_list=30_000, max_continuations=10_000))
    raw.frame(frames.HEADERS, 0, 1, b"")
    assert flood(raw, lambda _: raw.frame(frames.CONTINUATION, 0, 1, bytes(16_000))) < 8  # four times the limit
    assert raw.goaway() == CALM


def test_heads_over_the_limit_are_answered_431_and_the_connection_stays():
    raw = Raw(Limits(max_header_list=2000))
    raw.headers(1, (*FIELDS, (b"x", b"y" * 3000)))
    assert raw.server.failed is None
    assert [kind for kind, *_ in raw.events if kind == ev.HEAD] == []
    assert frames.HEADERS in raw.kinds()
    raw.headers(3)
    assert raw.events[-1][0] == ev.HEAD


def test_hpack_bomb():
    raw = Raw(Limits(max_header_list=20_000))
    raw.headers(1, (*FIELDS, (b"x", b"y" * 3000)))
    block = b"\xbe" * 50
    raw.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 3, block)
    assert all(len(value.fields) < 10 for kind, _, value, _ in raw.events if kind == ev.HEAD)
    assert 3 not in raw.server.streams
    assert raw.server.failed is None
    raw.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 5, block + b"\xbe" * 15_000)
    assert raw.goaway() == CALM


@pytest.mark.parametrize("trailers", [False, True])
def test_fields_over_the_limit_cost_by_their_size(trailers):
    """Of a head, and of trailers of a stream that is long gone: they must be decoded all the same."""
    raw = Raw(Limits(max_header_list=20_000, glitch_burst=100, glitch_rate=0.0))
    raw.headers(1, (*FIELDS, (b"x", b"y" * 3000)), end=not trailers)
    if trailers:
        raw.server.reset(raw.server.streams[1], ErrorCode.CANCEL)
    bomb = b"\xbe" * 79  # over 11 times the limit

    def attack(count):
        stream = 1 if trailers else 3 + 2 * count
        raw.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, bomb)

    assert flood(raw, attack, 50) in range(7, 11)
    assert raw.goaway() == CALM


def test_streams_over_the_limit_are_refused_and_cost():
    raw = Raw(Limits(max_streams=5, glitch_burst=50, glitch_rate=0.0))
    taken = flood(raw, lambda count: raw.headers(1 + 2 * count, end=False))
    assert len([kind for kind, *_ in raw.events if kind == ev.HEAD]) == 5
    assert set(raw.resets().values()) == {ErrorCode.REFUSED_STREAM}
    assert taken < 60 and raw.goaway() == CALM


def test_more_data_than_the_window_allows():
    raw = Raw(Limits(stream_window=65_535, connection_window=1 << 20))
    raw.frame(frames.SETTINGS, frames.ACK, 0)
    raw.headers(1, end=False)
    for _ in range(5):
        raw.frame(frames.DATA, 0, 1, bytes(16_384))
    assert raw.resets() == {1: ErrorCode.FLOW_CONTROL_ERROR}
    raw = Raw(Limits(stream_window=1 << 20, connection_window=65_535, max_held=1000))
    raw.headers(1, end=False)
    for _ in range(5):
        raw.frame(frames.DATA, 0, 1, bytes(16_384))
    assert raw.goaway() == ErrorCode.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("stream", [0, 1])
def test_windows_that_overflow(stream):
    raw = Raw()
    raw.headers(1, end=False)
    for _ in range(2):
        raw.frame(frames.WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")
    if stream:
        assert raw.resets() == {1: ErrorCode.FLOW_CONTROL_ERROR}
    else:
        assert raw.goaway() == ErrorCode.FLOW_CONTROL_ERROR


def test_a_window_that_shrinks_below_zero_and_comes_back():
    """RFC 9113 section 6.9.2."""
    raw = Raw(settings={frames.INITIAL_WINDOW_SIZE: 100})
    (head,) = raw.headers(1)
    raw.server.send_head(head[1], REPLY)
    raw.server.send_data(head[1], b"x" * 150)
    raw.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 10}))
    assert head[1].send_window == -90
    raw.sent.clear()
    raw.frame(frames.WINDOW_UPDATE, 0, 1, (120).to_bytes(4, "big"))
    assert [len(payload) for kind, _, _, payload in raw.sent if kind == frames.DATA] == [30]


def test_settings_are_acknowledged_before_what_they_make_room_for():
    """RFC 9113 section 6.5.3: the acknowledgement is immediate, whatever waited for the new window."""
    raw = Raw(settings={frames.INITIAL_WINDOW_SIZE: 0})
    (head,) = raw.headers(1)
    raw.server.send_reply(head[1], REPLY, b"x" * 20, ())
    raw.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 1}))
    assert raw.kinds() == [frames.HEADERS, frames.SETTINGS, frames.DATA]


def test_a_window_of_one_byte_costs_one_frame_per_byte_and_no_memory():
    """A slow reader in the flow control sense: the queue is bounded by max_queued, tested beside it."""
    pair = Pair(client=Limits(stream_window=1))
    _, served = pair.request()
    pair.server.send_head(served, REPLY)
    pair.server.send_data(served, b"x" * 1000, True)
    assert pair.server.queued >= 990
    pair.client.reset(next(iter(pair.client.streams.values())))
    pair.run()
    assert pair.server.queued == 0


def test_client_is_as_strict_with_servers():
    client = Pair().client
    client.receive(frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2\x88"), 0.0)
    assert client.failed is not None
    pair = Pair()
    pair.client.receive(frames.frame(frames.HEADERS, 5, 2, b"\x88"), 0.0)
    assert pair.client.failed is not None
    pair = Pair()
    stream = pair.client.open(HEAD, True)
    pair.client.transmit()
    events = pair.client.receive(frames.frame(frames.DATA, 0, stream.id, b"before the head"), 0.0)
    assert [kind for kind, *_ in events] == [ev.RESET]


def test_when_a_header_block_began():
    """What a server needs to know of a head that trickles: partial frames, and blocks in many frames."""
    raw = Raw()
    block = raw.encoder.encode(FIELDS)
    whole = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    for count in range(len(whole) - 1):
        raw.now = float(count)
        raw.send(whole[count : count + 1])
        assert raw.server.unfinished
    assert raw.server.head_since == 8.0  # from its frame header on it is known to be a head
    raw.send(whole[-1:])
    assert raw.server.head_since is None and not raw.server.unfinished
    raw.now = 100.0
    raw.frame(frames.HEADERS, 0, 3, raw.encoder.encode(FIELDS)[:4])
    raw.now = 101.0
    raw.frame(frames.CONTINUATION, 0, 3, b"")
    assert raw.server.head_since == 100.0
    raw.frame(frames.CONTINUATION, frames.END_HEADERS, 3, raw.encoder.encode(FIELDS)[4:])
    assert raw.server.head_since is None and not raw.server.unfinished
    raw.frame(frames.PING, 0, 0, bytes(8))
    assert not raw.server.unfinished


def test_the_preface_is_complete_with_settings():
    server = Connection(False)
    for piece in (frames.PREFACE[:10], frames.PREFACE[10:], frames.settings({})[:5]):
        server.receive(piece, 0.0)
        assert not server.begun
    server.receive(frames.settings({})[5:], 0.0)
    assert server.begun


def test_when_a_connection_fails_every_stream_hears_it():
    pair = Pair()
    streams = [pair.client.open(HEAD, False) for _ in range(3)]
    events = pair.client.receive(frames.window_update(0, 0), 0.0)
    assert [(kind, stream) for kind, stream, _, _ in events[:-1]] == [(ev.RESET, stream) for stream in streams]
    assert {event[2].message for event in events[:-1]} == {"WINDOW_UPDATE of nothing"}
    assert events[-1][0] == ev.CLOSED and pair.client.streams == {} and pair.client.queued == 0


def test_whether_the_peer_may_go_on():
    """A peer that our own windows hold back owes nothing."""
    raw = Raw(Limits(stream_window=65_535))
    raw.frame(frames.SETTINGS, frames.ACK, 0)
    raw.headers(1, end=False)
    stream = raw.server.streams[1]
    assert raw.server.may_receive(stream)
    for size in (16_384, 16_384, 16_384, 16_383):
        raw.frame(frames.DATA, 0, 1, bytes(size))
    assert not raw.server.may_receive(stream)
    raw.server.consume(stream, 65_535)
    assert raw.server.may_receive(stream)
