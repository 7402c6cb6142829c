"""HTTP/2 between two of our machines, and against frames made by hand."""

import random
from itertools import pairwise

import pytest
from h2wire import FIELDS, HEAD, OK, REPLY, Pair, Raw, body_of, cut
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError
from catenet.http.h2 import frames
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead


def test_a_call_and_its_answer():
    pair = Pair()
    stream, served = pair.request(body=b"question")
    assert body_of(pair.at_server, served) == b"question"
    pair.server.send_reply(served, REPLY, b"answer", OK)
    pair.run()
    assert [(kind, value, end) for kind, at, value, end in pair.at_client if at is stream] == [
        (ev.HEAD, REPLY, False),
        (ev.DATA, b"answer", False),
        (ev.TRAILERS, OK, True),
    ]
    assert not pair.client.streams and not pair.server.streams


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=30), st.randoms(use_true_random=False))
def test_frames_cut_anywhere_give_the_same_events(cuts, rng):
    """What a server makes of a conversation does not depend on how TCP cut it."""
    client = Connection(True)
    for number in range(4):
        stream = client.open(HEAD, False)
        client.send_data(stream, bytes(rng.randrange(256) for _ in range(rng.randrange(80))), number % 2 == 0)
    client.ping(b"12345678")
    data = client.transmit()

    def events(pieces):
        server = Connection(False)
        seen = []
        for piece in pieces:
            seen += server.receive(piece, 0.0)
        return [(kind, at and at.id, value, end) for kind, at, value, end in seen], server.transmit()

    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:stop] for start, stop in pairwise(edges)]
    assert events(pieces) == events([data]) == events([data[i : i + 1] for i in range(len(data))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_garbage_ends_the_connection_and_raises_nothing(garbage, is_client, well_begun):
    machine = Connection(is_client)
    if well_begun:
        machine.receive((b"" if is_client else frames.PREFACE) + frames.settings({}), 0.0)
    machine.receive(garbage, 0.0)
    machine.transmit()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 255), st.sampled_from([0, 1, 1, 3, 5, 2]), st.binary(max_size=20)),
        max_size=30,
    )
)
def test_random_frames_raise_nothing(script):
    raw = Raw()
    for kind, flags, stream, payload in script:
        for event in raw.frame(kind, flags, stream, payload):
            if event[0] in (ev.HEAD, ev.DATA) and event[3]:
                raw.server.send_reply(event[1], REPLY, b"x", OK)
    assert not raw.server.failed or raw.goaway() is not None


@pytest.mark.parametrize("window", [1, 100, 70_000])
def test_large_bodies_pass_small_windows_both_ways(window):
    """Flow control never deadlocks as long as the readers consume."""
    limits = Limits(stream_window=window, connection_window=65_535)
    pair = Pair(limits, limits)
    body = random.Random(1).randbytes(20_000 if window == 1 else 300_000)
    if window == 1:
        body = body[:2000]
    stream = pair.client.open(HEAD, False)
    pair.client.send_data(stream, body, True)
    while not any(kind == ev.DATA and end for kind, _, _, end in pair.at_server):
        before = len(pair.at_server)
        pair.run()
        for kind, at, value, _ in pair.at_server[before:]:
            if kind == ev.DATA:
                pair.server.consume(at, len(value))
        assert len(pair.at_server) > before, "nothing moves"
    served = pair.at_server[-1][1]
    assert body_of(pair.at_server, served) == body
    assert not pair.client.queued


def test_a_call_that_nobody_reads_does_not_starve_the_others():
    limits = Limits(stream_window=65_535, connection_window=65_535)
    pair = Pair(limits, limits)
    stuck = pair.client.open(HEAD, False)
    pair.client.send_data(stuck, b"x" * 200_000, False)
    pair.run()
    for _ in range(10):
        _, served = pair.request(body=b"y" * 1000)
        assert body_of(pair.at_server, served) == b"y" * 1000
        pair.server.send_reply(served, REPLY, b"", OK)
        pair.run()
    assert pair.client.queued == 200_000 - 65_535


def test_held_data_closes_the_connection_window_at_the_limit():
    limits = Limits(stream_window=65_535, connection_window=65_535, max_held=100_000, max_streams=100)
    pair = Pair(Limits(), limits)
    for _ in range(20):
        pair.client.send_data(pair.client.open(HEAD, False), b"x" * 60_000, False)
    pair.run()
    held = sum(len(value) for kind, _, value, _ in pair.at_server if kind == ev.DATA)
    assert 100_000 <= held <= 100_000 + 2 * 65_535
    for kind, at, value, _ in list(pair.at_server):
        if kind == ev.DATA:
            pair.server.consume(at, len(value))
    pair.run()
    assert sum(len(value) for kind, _, value, _ in pair.at_server if kind == ev.DATA) > held


def test_what_is_expected_comes_without_waiting_for_its_consumption():
    pair = Pair(server=Limits(stream_window=65_535, connection_window=1 << 20))
    stream = pair.client.open(HEAD, False)
    pair.client.send_data(stream, b"x" * 500_000, False)
    pair.run()
    at = pair.server.streams[stream.id]
    assert at.held == 65_535
    pair.server.consume(at, 65_535)
    pair.server.expect(at, 300_000)
    pair.run()
    assert at.held == 300_000
    pair.server.consume(at, 300_000)  # the advance is not given back twice: the window is as wide as ever
    pair.run()
    assert at.held == 65_535


def test_a_transport_that_gathers_gets_the_same_bytes():
    pair, other = Pair(), Pair()
    for each in (pair, other):
        each.client.send_data(each.client.open(HEAD, False), b"x" * 300_000, True)
    assert pair.client.bulky
    assert b"".join(pair.client.transmit_pieces()) == other.client.transmit()
    assert not pair.client.bulky


def test_streams_share_the_connection_window_in_turn():
    pair = Pair(server=Limits(stream_window=1 << 20, connection_window=65_535, max_frame=16_384))
    streams = [pair.client.open(HEAD, False) for _ in range(3)]
    for stream in streams:
        pair.client.send_data(stream, b"x" * 300_000, False)
    data = [frame for frame in cut(pair.client.transmit()) if frame[0] == frames.DATA]
    assert len(data) >= 4
    pair.server.receive(b"", 0.0)
    update = frames.window_update(0, 16_384 * 6)
    pair.client.receive(update, 0.0)
    order = [stream for kind, _, stream, _ in cut(pair.client.transmit()) if kind == frames.DATA]
    assert [order.count(stream.id) for stream in streams] == [2, 2, 2]


def test_hold_and_release():
    pair = Pair()
    _, served = pair.request()
    pair.server.hold()
    pair.server.send_head(served, REPLY)
    assert pair.server.send_data(served, b"abc") is False
    pair.run()
    assert body_of(pair.at_client, pair.at_client[-1][1]) == b""
    assert (ev.DRAINED, served, None, False) in pair.server.release()
    pair.run()
    assert body_of(pair.at_client, pair.at_client[-1][1]) == b"abc"


def test_a_peer_that_does_not_read_is_given_up_at_the_limit():
    pair = Pair(server=Limits(max_queued=100_000))
    _, served = pair.request()
    pair.server.send_head(served, REPLY)
    pair.server.hold()
    for _ in range(20):
        pair.server.send_data(served, b"x" * 10_000)
    assert isinstance(pair.server.failed, HttpError)
    assert pair.server.failed.code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_server_that_answers_early_resets_the_rest_of_the_request():
    pair = Pair()
    stream, served = pair.request(body=b"part", end=False)
    pair.server.send_reply(served, ResponseHead(413), b"", None)
    pair.run()
    assert [(kind, end) for kind, at, _, end in pair.at_client if at is stream] == [(ev.HEAD, True), (ev.RESET, True)]
    pair.client.send_data(stream, b"more", True)  # crossed on the way: ignored
    pair.run()
    assert pair.server.failed is None


def test_goaway_spares_what_runs_and_refuses_the_rest():
    pair = Pair()
    first, served = pair.request()
    late = pair.client.open(HEAD, True)
    pair.client.transmit()  # lost on its way
    pair.server.go_away()
    pair.run()
    (reset,) = [value for kind, at, value, _ in pair.at_client if kind == ev.RESET and at is late]
    assert reset.unprocessed
    assert not pair.client.can_open
    pair.server.send_reply(served, REPLY, b"", OK)
    pair.run()
    assert (ev.TRAILERS, first, OK, True) in pair.at_client


def test_drain_lets_in_what_was_on_its_way():
    pair = Pair()
    pair.server.drain()
    down = pair.server.transmit()
    stream = pair.client.open(HEAD, True)
    pair.at_server += pair.server.receive(pair.client.transmit(), 0.0)
    served = pair.at_server[-1][1]
    assert not pair.server.may_close
    pair.client.receive(down, 0.0)
    assert not pair.client.can_open
    pair.server.send_reply(served, REPLY, b"", OK)
    pair.run()
    assert (ev.TRAILERS, stream, OK, True) in pair.at_client
    assert pair.server.may_close


def test_client_holds_to_the_servers_limit_of_streams():
    pair = Pair(server=Limits(max_streams=3))
    for _ in range(3):
        assert pair.client.can_open
        pair.client.open(HEAD, False)
    assert not pair.client.can_open


def test_a_limit_of_streams_stays_until_it_is_changed():
    """The h2 library sends the default of 100, then other settings in a second frame."""
    client = Pair().client
    for settings_frame, limit in (
        ({frames.MAX_CONCURRENT_STREAMS: 100}, 100),
        ({frames.INITIAL_WINDOW_SIZE: 1 << 20}, 100),
        ({frames.MAX_CONCURRENT_STREAMS: 7}, 7),
    ):
        client.receive(frames.settings(settings_frame), 0.0)
        assert client.peer_max_streams == limit
    unlimited = Connection(True)
    assert unlimited.peer_max_streams == 100
    unlimited.receive(frames.settings({}), 0.0)
    assert unlimited.peer_max_streams == frames.MAX_STREAM_ID


def test_trailers_larger_than_a_frame_are_continued():
    pair = Pair(client=Limits(max_frame=16_384))
    stream, served = pair.request()
    trailers = tuple((b"x-%d" % n, bytes([97 + n % 26]) * 3000) for n in range(12))
    pair.server.send_reply(served, REPLY, b"", trailers)
    kinds = [kind for kind, _, _, _ in cut(pair.server.transmit())]
    assert frames.CONTINUATION in kinds
    pair = Pair(client=Limits(max_frame=16_384))
    stream, served = pair.request()
    pair.server.send_reply(served, REPLY, b"", trailers)
    pair.run()
    assert (ev.TRAILERS, stream, trailers, True) in pair.at_client


def test_unread_padding_does_not_eat_the_window():
    raw = Raw(Limits(stream_window=65_535, connection_window=65_535))
    raw.headers(1, end=False)
    for _ in range(400):
        raw.frame(frames.DATA, frames.PADDED, 1, b"\xff" + b"x" + bytes(255))
        raw.server.consume(raw.server.streams[1], 1)
    assert raw.goaway() is None and not raw.resets()


@pytest.mark.parametrize(
    "fields",
    [
        (*FIELDS, (b"Upper", b"x")),
        (*FIELDS, (b"connection", b"close")),
        (*FIELDS, (b"transfer-encoding", b"chunked")),
        (*FIELDS, (b"te", b"gzip")),
        (*FIELDS, (b"x", b"a\r\nevil: 1")),
        (*FIELDS, (b"x", b"a\0b")),
        (*FIELDS, (b"x", b" a")),
        (*FIELDS, (b"a b", b"x")),
        (*FIELDS, (b"", b"x")),
        (*FIELDS, (b":path", b"/other")),
        (*FIELDS, (b":status", b"200")),
        (*FIELDS, (b"host", b"other")),
        (*FIELDS, (b"content-length", b"1"), (b"content-length", b"1")),
        (*FIELDS, (b"content-length", b"+1")),
        (*FIELDS, (b"content-length", b"5")),
        FIELDS[1:],
        FIELDS[:2] + FIELDS[3:],
        ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"x y"), (b":authority", b"h")),
        ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"*"), (b":authority", b"h")),
        ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"h@x")),
        ((b":method", b"CONNECT"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"h")),
        ((b"x", b"y"), *FIELDS),
    ],
    ids=lambda fields: repr(fields[-1] if len(fields) > 4 else fields)[:50],
)
def test_smuggled_and_malformed_heads_reset_their_stream_only(fields):
    raw = Raw()
    raw.headers(1, fields)
    assert raw.resets() == {1: ErrorCode.PROTOCOL_ERROR}
    assert not any(kind == ev.HEAD for kind, *_ in raw.events)
    raw.headers(3)
    assert raw.events[-1][0] == ev.HEAD


def test_content_length_must_be_true():
    for body in (b"four", b"sixsix"):
        raw = Raw()
        raw.headers(1, (*FIELDS, (b"content-length", b"5")), end=False)
        raw.frame(frames.DATA, frames.END_STREAM, 1, body)
        assert raw.resets() == {1: ErrorCode.PROTOCOL_ERROR}
    raw = Raw()
    raw.headers(1, (*FIELDS, (b"content-length", b"5")), end=False)
    raw.frame(frames.DATA, 0, 1, b"12")
    raw.frame(frames.DATA, frames.END_STREAM, 1, b"345")
    assert not raw.resets()


def test_request_head_keeps_its_query_and_host():
    raw = Raw()
    raw.headers(1, ((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/a?b=c"), (b"host", b"h:1")))
    assert raw.events[-1][2] == RequestHead(b"GET", b"/a?b=c", ((b"host", b"h:1"),), b"h:1", b"https")


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (b"10.0.0.1:1,10.0.0.2:2", b"10.0.0.1:1"),
        (b"[::1]:1,[2001:db8::2]:2,[::3]:3", b"[::1]:1"),
        (b"10.0.0.1:1,a.example:2", None),
        (b"10.0.0.1:1,10.0.0.2:2,", None),
        (b"10.0.0.1:1,10.0.0.2", None),
        (b"10.0.0.1:1,,10.0.0.2:2", None),
    ],
)
def test_of_a_list_of_addresses_the_first_is_the_authority(sent, taken):
    """C's gRPC sends one for a target `ipv4:` or `ipv6:` with several addresses."""
    raw = Raw()
    fields = tuple((name, sent if name == b":authority" else value) for name, value in FIELDS)
    events = raw.headers(1, fields)
    heads = [event[2] for event in events if isinstance(event[2], RequestHead)]
    assert [head.authority for head in heads] == ([] if taken is None else [taken])
    # Beside a Host, with which it must agree, a list is none.
    assert not [event for event in raw.headers(3, (*fields, (b"host", sent))) if isinstance(event[2], RequestHead)]


_ANSWERS = (
    (REPLY, OK),
    (REPLY, None),
    (ResponseHead(200, ((b"content-type", b"text/plain"), (b"x", b"y"))), None),
    (ResponseHead(404, ((b"content-type", b"application/grpc"),)), ((b"grpc-status", b"5"), (b"z", b"w" * 40))),
    (ResponseHead(204), None),
)
_STEPS = st.lists(
    st.tuples(st.sampled_from(range(len(_ANSWERS))), st.sampled_from((0, 1, 10, 300, 512, 513, 2000)), st.booleans())
    | st.sampled_from((0, 100, 4096)),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(_STEPS)
def test_what_is_remembered_of_the_last_message_changes_nothing(steps):
    """Replies and requests that come again, of any size, while the peer changes the size of its table."""
    pair, heads = Pair(), (HEAD, RequestHead(b"POST", b"/s/other", (), b"host"))
    for step in steps:
        if isinstance(step, int):
            for one in (pair.client, pair.server):
                one.receive(frames.settings({frames.HEADER_TABLE_SIZE: step}), 0.0)
                one.receive(frames.settings({frames.HEADER_TABLE_SIZE: 4096}), 0.0)
            continue
        which, size, other = step
        (head, trailers), body = _ANSWERS[which], bytes(size)
        pair.at_client.clear()
        stream = pair.client.send_request(heads[other], body)
        pair.run()
        served = pair.server.streams[stream.id]
        assert [value for kind, at, value, _ in pair.at_server if at is served and kind == ev.HEAD] == [heads[other]]
        assert body_of(pair.at_server, served) == body
        pair.server.send_reply(served, head, body, trailers)
        pair.run()
        found = [(kind, value) for kind, at, value, _ in pair.at_client if at is stream]
        assert found[0] == (ev.HEAD, head)
        assert body_of(pair.at_client, stream) == (b"" if head.status == 204 and trailers is None else body)
        assert trailers is None or found[-1] == (ev.TRAILERS, trailers)
        assert not pair.client.streams and not pair.server.streams
