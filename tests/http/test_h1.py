"""HTTP/1.1: framing that cannot be read in two ways, and the same events as HTTP/2."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, TooSlow
from catenet.http.h1.connection import H1Connection
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead

POST = b"POST /s/m HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /s/m HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = ResponseHead(200, ((b"content-type", b"text/plain"),))


def server(limits=None):
    return H1Connection(False, limits)


def body(events):
    return b"".join(value for kind, _, value, _ in events if kind == ev.DATA)


def test_a_request_and_its_answer():
    machine = server()
    events = machine.receive(POST, 0.0)
    kind, stream, head, end = events[0]
    assert (kind, end) == (ev.HEAD, False)
    assert head == RequestHead(b"POST", b"/s/m", head.fields, b"h")
    assert head.get(b"content-type") == b"application/json"
    assert events[1:] == [(ev.DATA, stream, b"hello", True)]
    machine.send_reply(stream, OK, b"hi", None)
    assert machine.transmit() == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"
    assert machine.may_close and not machine.closing


GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
CONVERSATION = POST + CHUNKED + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nx-t: 1\r\n\r\n" + GET
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@settings(deadline=None)
@given(st.lists(st.integers(1, len(CONVERSATION) - 1), max_size=20))
def test_bytes_cut_anywhere_give_the_same_exchange(cuts):
    def exchange(pieces):
        machine, seen = server(), []
        for piece in pieces:
            events = machine.receive(piece, 0.0)
            while events:
                for kind, stream, value, end in events:
                    seen.append((kind, stream.id, value, end))
                    if end:
                        machine.send_reply(stream, OK, b"ok", None)
                events = machine.receive(b"", 0.0) if machine.pending else []
        joined = {number: b"".join(v for k, n, v, _ in seen if k == ev.DATA and n == number) for number in (1, 3, 5)}
        return joined, [entry for entry in seen if entry[0] != ev.DATA], machine.transmit()

    edges = sorted({0, len(CONVERSATION), *cuts})
    pieces = [CONVERSATION[start:stop] for start, stop in pairwise(edges)]
    once = exchange([CONVERSATION])
    assert exchange(pieces) == once == exchange([bytes((byte,)) for byte in CONVERSATION])
    assert once[0] == {1: b"hello", 3: b"abcdefg", 5: b""}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello",
        b"POST / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nX y: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: h\r\n\r\n",
        b"POST  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1 \r\nHost: h\r\n\r\n",
        b"POST / HTTP/2.0\r\nHost: h\r\n\r\n",
        b"POST x HTTP/1.1\r\nHost: h\r\n\r\n",
        b" POST / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(request_bytes):
    machine = server()
    events = machine.receive(request_bytes, 0.0)
    assert machine.failed is not None
    assert [kind for kind, *_ in events if kind in (ev.HEAD, ev.DATA)] == []
    head, _, why = machine.transmit().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"content-length: %d\r\n" % len(why) in head
    assert len(why) > 5 and why.endswith(b"\n")
    assert events[-1][0] == ev.CLOSED
    assert machine.receive(POST, 0.0) == []


@pytest.mark.parametrize("line", [b"5\n", b"\n", b"5;a=b\n", b"5\r\nhello\n", b"0\r\n\n", b"0\r\nX: a\n"])
@pytest.mark.parametrize("step", [1, 100])
def test_a_bare_lf_in_a_chunked_body_is_refused_at_once(line, step):
    """RFC 9112 section 7.1: nothing that may follow makes a line of it."""
    machine = server()
    machine.receive(CHUNKED, 0.0)
    for start in range(0, len(line), step):
        assert machine.failed is None
        machine.receive(line[start : start + step], 0.0)
    assert machine.failed is not None
    assert machine.transmit().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "chunks",
    [b"5\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n", b"-5\r\n", b"0x5\r\n", b"5\r\nhelloX\r\n", b"5;\0\r\n", b"g\r\n",
     b"11111111111111111\r\n", b"5;" + b"x" * 500, b"0\r\nbad trailer\r\n\r\n", b"0\r\nX: a\r\n b\r\n\r\n"],
)  # fmt: skip
def test_malformed_chunks(chunks):
    machine = server()
    machine.receive(CHUNKED, 0.0)
    events = machine.receive(chunks, 0.0)
    assert machine.failed is not None
    assert tuple(kind for kind, *_ in events[-2:]) == (ev.RESET, ev.CLOSED)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", POST[:30], CHUNKED, POST]), st.booleans())
def test_garbage_raises_nothing(garbage, beginning, is_client):
    machine = H1Connection(is_client)
    if is_client:
        machine.open(RequestHead(b"GET", b"/", (), b"h"), True)
        beginning = beginning.replace(b"POST /s/m HTTP/1.1", b"HTTP/1.1 200 OK")
    machine.receive(beginning + garbage, 0.0)
    machine.receive_eof()
    machine.transmit()


def test_heads_without_end_are_bounded():
    machine = server(Limits(max_header_list=10_000))
    for _ in range(100):
        machine.receive(b"x" * 200, 0.0)
        if machine.failed is not None:
            break
    assert machine.failed is not None and machine.failed.code == ErrorCode.ENHANCE_YOUR_CALM
    assert machine.transmit().startswith(b"HTTP/1.1 431 ")


def test_pipelined_requests_wait_and_the_driver_is_asked_to_stop_reading():
    machine = server()
    (head, _) = machine.receive(POST * 2, 0.0)
    assert not machine.pending
    for _ in range(900):
        assert machine.receive(POST, 0.0) == []
    assert machine.paused
    machine.send_reply(head[1], OK, b"", None)
    assert machine.pending
    (second, _) = machine.receive(b"", 0.0)
    assert second[1] is not head[1]


def test_small_chunks_that_come_together_are_one_piece():
    """What a piece costs whoever reads it is not for the peer to choose; large ones are not copied."""
    machine = server()
    machine.receive(CHUNKED, 0.0)
    (event,) = machine.receive(b"1\r\nx\r\n" * 10_000, 0.0)
    assert event[0] == ev.DATA and event[2] == b"x" * 10_000
    assert machine.receive(b"1\r\ny\r\n" * 10 + b"0\r\n\r\n", 0.0) == [(ev.DATA, event[1], b"y" * 10, True)]
    machine = server()
    machine.receive(CHUNKED, 0.0)
    assert [len(event[2]) for event in machine.receive((b"1000\r\n" + bytes(4096) + b"\r\n") * 6, 0.0)] == [4096] * 6


def test_a_body_nobody_reads_asks_the_driver_to_stop_reading():
    machine = server(Limits(stream_window=1000))
    (head,) = machine.receive(CHUNKED, 0.0)
    machine.receive(b"7d0\r\n" + bytes(2000), 0.0)
    assert machine.paused
    machine.consume(head[1], 2000)
    assert not machine.paused


def test_an_early_answer_closes_and_the_driver_hears_that_more_may_come():
    """RFC 9112 section 9.6: it sees to it that the connection is not reset under the answer."""
    machine = server()
    (head,) = machine.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n", 0.0)
    machine.send_reply(head[1], ResponseHead(413), b"", None)
    assert b"connection: close" in machine.transmit()
    assert machine.pending and machine.receive(b"", 0.0) == [(ev.CLOSED, None, None, True)]
    assert machine.midway
    assert machine.receive(bytes(10_000) + POST, 0.0) == []


def test_an_early_answer_that_announces_no_close_does_not_let_the_client_send_for_ever():
    machine = server(Limits(max_queued=100_000))
    (head,) = machine.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n", 0.0)
    machine.send_head(head[1], ResponseHead(413))
    machine.send_data(head[1], b"", True)
    assert not machine.pending
    seen = [machine.receive(bytes(50_000), 0.0) for _ in range(3)]
    assert seen[-1] == [(ev.CLOSED, None, None, True)]


@given(st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_a_request_that_ends_after_its_answer_is_followed_by_the_next(cuts, framed):
    """An answer in chunks has not announced a close: the client may go on with the connection (RFC 9112 9.3)."""
    machine = server()
    stream = machine.receive(CHUNKED + b"3\r\nabc\r\n", 0.0)[0][1]
    machine.send_head(stream, OK)
    machine.send_data(stream, b"enough", True)
    assert b"connection: close" not in machine.transmit()
    rest = b"5\r\nxyzzy\r\n0\r\n" + (b"x-checksum: 1\r\n" if framed else b"") + b"\r\n" + POST
    places = [0, *sorted(min(cut, len(rest)) for cut in cuts), len(rest)]
    events = []
    for start, stop in pairwise(places):
        events += machine.receive(rest[start:stop], 0.0)
        while machine.pending:
            events += machine.receive(b"", 0.0)
    assert [kind for kind, *_ in events if kind != ev.DATA] == [ev.HEAD]
    assert events[0][1] is not stream
    assert not machine.closing


def test_a_malformed_end_of_a_request_that_was_answered_is_not_answered_again():
    machine = server()
    stream = machine.receive(CHUNKED, 0.0)[0][1]
    machine.send_head(stream, OK)
    machine.send_data(stream, b"enough", True)
    machine.transmit()
    assert [kind for kind, *_ in machine.receive(b"no size\r\n", 0.0)] == [ev.CLOSED]
    assert machine.transmit() == b""


def test_a_client_that_drains_waits_for_its_answer():
    machine = H1Connection(True)
    stream = machine.open(RequestHead(b"POST", b"/", (), b"h"), False)
    machine.drain()
    machine.send_data(stream, b"q", True)
    events = machine.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 0.0)
    assert body(events) == b"abc"
    assert events[-1][0] == ev.CLOSED


def test_client_reads_lengths_chunks_and_bodies_until_close():
    for response, expected in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (
            INTERIM + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"abc",
        ),
        (b"HTTP/1.1 200\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ):
        machine = H1Connection(True)
        stream = machine.open(RequestHead(b"POST", b"/", (), b"h"), False)
        machine.send_data(stream, b"q", True)
        assert machine.transmit() == b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nq"
        events = machine.receive(response, 0.0) + machine.receive_eof()
        assert body(events) == expected
        assert any(end for kind, _, _, end in events if kind in (ev.HEAD, ev.DATA))


def test_client_sends_what_has_no_length_in_chunks():
    machine = H1Connection(True)
    stream = machine.open(RequestHead(b"POST", b"/", (), b"h"), False)
    machine.send_data(stream, b"abc", False)
    machine.send_data(stream, b"", True)
    assert machine.transmit().endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


def test_a_connection_that_breaks_inside_a_response_resets_it():
    machine = H1Connection(True)
    machine.open(RequestHead(b"GET", b"/", (), b"h"), True)
    machine.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 0.0)
    assert [kind for kind, *_ in machine.receive_eof()] == [ev.RESET, ev.CLOSED]


def test_hold_and_release():
    machine = server()
    stream = machine.receive(POST, 0.0)[0][1]
    machine.send_head(stream, OK)
    machine.hold()
    assert machine.send_data(stream, b"abc") is False
    assert b"abc" not in machine.transmit()
    assert machine.release() == [(ev.DRAINED, stream, None, False)]
    assert machine.transmit() == b"3\r\nabc\r\n"


HTTP_1_0 = b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_client_of_http_1_0_hears_that_its_connection_is_kept(times):
    """RFC 9112 section 9.3; without it `ab -k` waits for the end of the connection. Also when heads are known."""
    machine = server()
    for _ in range(times):
        (head,) = machine.receive(HTTP_1_0, 0.0)
        machine.send_reply(head[1], OK, b"hi", None)
        assert machine.transmit() == (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi"
        )
        assert not machine.closing
    (head,) = machine.receive(GET, 0.0)
    machine.send_reply(head[1], OK, b"hi", None)
    assert b"connection" not in machine.transmit()


@pytest.mark.parametrize(
    "reply",
    [
        lambda machine, stream: machine.send_reply(stream, ResponseHead(204), b"", None),
        lambda machine, stream: machine.send_head(stream, ResponseHead(200), end=True),
        lambda machine, stream: machine.send_reply(stream, OK, b"x", ((b"a", b"b"),)),
        lambda machine, stream: (machine.send_head(stream, OK), machine.send_data(stream, b"x", True)),
    ],
)
def test_every_answer_to_http_1_0_says_what_becomes_of_the_connection(reply):
    machine = server()
    (head,) = machine.receive(HTTP_1_0, 0.0)
    reply(machine, head[1])
    answer = machine.transmit()
    assert (b"connection: keep-alive\r\n" in answer) is not machine.closing
    assert (b"connection: close\r\n" in answer) is machine.closing
    assert b"chunked" not in answer
    assert not machine.closing or machine.receive(b"", 0.0)[-1][0] == ev.CLOSED


def test_without_keep_alive_http_1_0_ends_with_its_answer():
    machine = server()
    (head,) = machine.receive(b"GET / HTTP/1.0\r\n\r\n", 0.0)
    machine.send_reply(head[1], OK, b"hi", None)
    assert b"connection: close\r\n" in machine.transmit()
    assert machine.receive(b"", 0.0)[-1][0] == ev.CLOSED


def test_expect_means_something_in_http_1_1_alone():
    """RFC 9110 section 10.1.1."""
    fields = b"Host: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n"
    for version, answer in ((b"1.1", INTERIM), (b"1.0", b"")):
        machine = server()
        (head,) = machine.receive(b"POST / HTTP/" + version + b"\r\n" + fields, 0.0)
        assert machine.transmit() == b""
        machine.invite(head[1])
        machine.invite(head[1])
        assert machine.transmit() == answer


@pytest.mark.parametrize("request_bytes", [GET, POST, HTTP_1_0])
def test_an_empty_line_before_a_request_is_ignored_however_it_comes(request_bytes):
    """RFC 9112 section 2.2; also before later requests, where old clients put it behind a body."""
    for size in (1, 2, 3, 1000):
        machine, heads = server(), 0
        stream = (b"\r\n" + request_bytes) * 3 + b"\r\n"
        for start in range(0, len(stream), size):
            events = machine.receive(stream[start : start + size], 0.0)
            while events:
                for kind, at, _, end in events:
                    heads += kind == ev.HEAD
                    if end:
                        machine.send_reply(at, OK, b"", None)
                events = machine.receive(b"", 0.0) if machine.pending else []
        assert (machine.failed, heads) == (None, 3)
        assert not machine.pending and machine.head_since is None


@pytest.mark.parametrize("beginning", [b"\x16\x03\x01", b"\n", b"\r\n\r", b"\0", b" ", b"\xff", b"\r\r"])
def test_what_cannot_become_a_request_is_refused_at_its_first_bytes(beginning):
    machine = server()
    for byte in beginning:
        machine.receive(bytes((byte,)), 0.0)
    machine.receive(b"\n", 0.0)
    assert machine.failed is not None
    assert machine.transmit().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("beginning", [b"SSH-2.0", b"HTTP/2", b"h", b"\0\0\0\4"])
def test_what_cannot_become_a_response_is_refused_at_its_first_bytes(beginning):
    machine = H1Connection(True)
    machine.open(RequestHead(b"GET", b"/", (), b"h"), True)
    events = machine.receive(beginning, 0.0)
    assert [kind for kind, *_ in events] == [ev.RESET, ev.CLOSED]


def test_when_a_head_began():
    machine = server()
    assert not machine.begun
    machine.receive(b"PO", 1.0)
    assert machine.head_since == 1.0 and not machine.begun
    machine.receive(b"ST / HTTP/1.1\r\nHost: h\r\n", 2.0)
    assert machine.head_since == 1.0
    ((_, stream, _, _),) = machine.receive(b"\r\nGET", 3.0)
    assert machine.begun and machine.head_since is None  # the next is waiting for us, not we for it
    machine.send_reply(stream, OK, b"", None)
    machine.receive(b"", 4.0)
    assert machine.head_since == 4.0
    machine.fail(TooSlow("too late"))
    assert machine.transmit().split(b"\r\n\r\n")[1].startswith(b"HTTP/1.1 408 ")


def test_who_does_not_read_answers_gets_no_more_of_them():
    """Requests that are pipelined while the transport is full wait, and reading stops when they are many."""
    machine = server()
    machine.hold()
    assert machine.receive(GET * 10, 0.0) == []
    assert not machine.pending and not machine.paused
    machine.receive(GET * 10_000, 0.0)
    assert machine.paused
    machine.release()
    assert machine.pending
    assert machine.receive(b"", 0.0)[0][0] == ev.HEAD


def test_large_answers_to_requests_that_came_together_leave_before_more_are_made():
    machine = server()
    (head,) = machine.receive(GET * 50, 0.0)
    made = 0
    while True:
        machine.send_reply(head[1], OK, bytes(40_000), None)
        made += 1
        if not machine.pending:
            break
        (head,) = machine.receive(b"", 0.0)
    assert made == 2
    assert len(machine.transmit()) > 80_000
    assert machine.pending


@pytest.mark.parametrize("surplus", [b"X", b"\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_a_response_end_the_connection(surplus, together):
    machine = H1Connection(is_client=True)
    stream = machine.send_request(RequestHead(b"POST", b"/", (), b"h"), b"{}")
    machine.transmit()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    events = machine.receive(answer + surplus if together else answer, 0.0)
    if not together:
        events += machine.receive(surplus, 0.0)
    for _ in range(3):
        if machine.pending:
            events += machine.receive(b"", 0.0)
    assert [event[0] for event in events if event[1] is stream][:2] == [ev.HEAD, ev.DATA]
    assert machine.closing and not machine.pending


# Bodies whose length the head declares, and responses that have none.

SIZED = ResponseHead(200, ((b"content-type", b"text/plain"), (b"content-length", b"5")))
HEAD_REQUEST = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_body_of_declared_length_is_not_chunked():
    machine = server()
    for request in (GET, HTTP_1_0):
        ((_, stream, _, _),) = machine.receive(request, 0.0)
        machine.send_head(stream, SIZED)
        machine.send_data(stream, b"he")
        machine.send_data(stream, memoryview(b"llo"), True)
        sent = machine.transmit()
        assert sent.endswith(b"\r\n\r\nhello") and sent.count(b"content-length: 5\r\n") == 1
        assert b"transfer-encoding" not in sent and not machine.closing


def test_a_body_that_is_not_as_long_as_declared():
    """RFC 9112 section 6.3: whoever reads on would take the difference for another message."""
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    with pytest.raises(ValueError, match="shorter"):
        machine.send_head(stream, SIZED, end=True)
    assert machine.transmit() == b""
    machine.send_head(stream, SIZED)
    with pytest.raises(ValueError, match="longer"):
        machine.send_data(stream, b"hello!")
    machine.send_data(stream, b"hell", True)
    assert [kind for kind, *_ in machine.receive(b"", 0.0)] == [ev.RESET, ev.CLOSED]
    assert machine.transmit().endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        (lambda machine, stream: machine.send_reply(stream, OK, b"hello", None), b"5"),
        (lambda machine, stream: machine.send_reply(stream, SIZED, b"", None), b"5"),
        (lambda machine, stream: machine.send_reply(stream, OK, b"", None), None),
        (lambda machine, stream: machine.send_head(stream, SIZED), b"5"),
        (lambda machine, stream: machine.send_head(stream, SIZED, end=True), b"5"),
        (lambda machine, stream: (machine.send_head(stream, OK), machine.send_data(stream, b"hello", True)), None),
    ],
)
def test_the_answer_to_head_has_no_body(answer, length):
    machine = server()
    ((_, stream, _, _),) = machine.receive(HEAD_REQUEST, 0.0)
    answer(machine, stream)
    sent = machine.transmit()
    assert sent.endswith(b"\r\n\r\n") and sent.count(b"\r\n\r\n") == 1
    client = H1Connection(True)
    client.send_request(RequestHead(b"HEAD", b"/", (), b"h"), b"")
    ((kind, _, head, end),) = client.receive(sent, 0.0)
    assert (kind, end, head.get(b"content-length")) == (ev.HEAD, True, length)
    assert client.can_open and not machine.closing
    assert machine.receive(GET, 0.0)[0][0] == ev.HEAD


def test_an_answer_of_304_may_say_how_long_the_body_would_be():
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    machine.send_reply(stream, ResponseHead(304, SIZED.fields), b"", None)
    assert machine.transmit().endswith(b"content-length: 5\r\n\r\n")


@pytest.mark.parametrize(
    "head", [ResponseHead(200, ((b"x", b"a\r\nset-cookie: b"),)), ResponseHead(200, ((b"x\n", b"a"),))]
)
def test_a_field_of_the_application_cannot_become_two(head):
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    for send in (
        lambda: machine.send_reply(stream, head, b"", None),
        lambda: machine.send_head(stream, head),
    ):
        with pytest.raises(ValueError, match="line break"):
            send()
    assert machine.transmit() == b""


@pytest.mark.parametrize(
    "head",
    [
        RequestHead(b"GET", b"/ HTTP/1.1\r\nx: y", (), b"h"),
        RequestHead(b"GET", b"/a b", (), b"h"),
        RequestHead(b"GET / HTTP/1.1\r\n", b"/", (), b"h"),
        RequestHead(b"GET", b"/", (), b"h\r\nx: y"),
        RequestHead(b"GET", b"", (), b"h"),
        RequestHead(b"GET", b"/", ((b"x", b"\0"),), b"h"),
        RequestHead(b"CONNECT", b"/", (), b"h", b"https", b"websocket"),
    ],
)
def test_a_request_of_the_application_cannot_become_two(head):
    machine = H1Connection(True)
    with pytest.raises(ValueError):
        machine.open(head, True)
    assert machine.transmit() == b"" and machine.can_open


def test_an_application_can_ask_for_the_end_of_the_connection():
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    machine.send_reply(stream, ResponseHead(200, ((b"connection", b"Close"),)), b"hi", None)
    assert machine.transmit().count(b"connection: close\r\n") == 1
    assert machine.receive(b"", 0.0)[-1][0] == ev.CLOSED
    client = H1Connection(True)
    client.send_request(RequestHead(b"GET", b"/", ((b"connection", b"close"),), b"h"), b"")
    assert client.transmit().count(b"connection: close\r\n") == 1
    assert client.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0.0)[-1][0] == ev.CLOSED


def test_a_final_answer_without_100_ends_the_connection():
    """RFC 9110 section 10.1.1: nobody can tell whether the body will come."""
    machine = server()
    expecting = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    ((_, stream, _, _),) = machine.receive(expecting, 0.0)
    machine.send_head(stream, OK)
    assert b"connection: close\r\n" in machine.transmit()
    machine = server()
    ((_, stream, _, _), _) = machine.receive(expecting + b"x", 0.0)
    machine.invite(stream)
    assert machine.transmit() == b""  # it did not wait


def test_informational_responses_of_a_server():
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    machine.send_head(stream, ResponseHead(103, ((b"link", b"</a.css>"),)))
    machine.send_reply(stream, OK, b"hi", None)
    assert machine.transmit().startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n")
    ((_, stream, _, _),) = machine.receive(HTTP_1_0, 0.0)
    machine.send_head(stream, ResponseHead(103))
    assert machine.transmit() == b""


def test_a_client_that_waits_for_100_sends_its_head_first():
    machine = H1Connection(True)
    fields = ((b"expect", b"100-continue"), (b"content-length", b"5"))
    stream = machine.open(RequestHead(b"PUT", b"/", fields, b"h"), False)
    assert machine.transmit().endswith(b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    ((kind, _, head, _),) = machine.receive(INTERIM, 0.0)
    assert (kind, head.status) == (ev.INTERIM, 100)
    machine.send_data(stream, b"hello", True)
    assert machine.transmit() == b"hello"


def test_interim_responses_without_end_are_an_error():
    machine = H1Connection(True)
    machine.send_request(RequestHead(b"GET", b"/", (), b"h"), b"")
    assert machine.receive(INTERIM * 1000, 0.0)[-1][0] == ev.CLOSED


def test_large_bodies_are_not_joined():
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    whole = bytes(1 << 20)
    machine.send_reply(stream, OK, whole, None)
    assert machine.bulky
    pieces = machine.transmit_pieces()
    assert pieces[-1] is whole and machine.transmit() == b"" and not machine.bulky


def test_a_trailer_of_the_application_cannot_become_two():
    machine = server()
    ((_, stream, _, _),) = machine.receive(GET, 0.0)
    machine.send_head(stream, OK)
    with pytest.raises(ValueError, match="line break"):
        machine.send_trailers(stream, ((b"x", b"a\r\nb: c"),))
    machine.send_trailers(stream, ((b"x", b"a"),))
    assert machine.transmit().endswith(b"0\r\nx: a\r\n\r\n")


def test_why_a_request_is_refused_is_said_but_not_to_head():
    for method, why in ((b"GET", b"malformed chunk size\n"), (b"HEAD", b"")):
        machine = server()
        machine.receive(method + b" / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 0.0)
        machine.receive(b"zz\r\n", 0.0)
        head, _, body = machine.transmit().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"content-length: %d\r\n" % len(why) in head
        assert body == why
