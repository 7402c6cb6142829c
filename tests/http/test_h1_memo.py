"""What is remembered of heads changes nothing about what they mean, has limits, and knows no secrets."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http import events as ev
from catenet.http.h1.connection import H1Connection
from catenet.http.h1.lines import LineMemo
from catenet.http.h1.memo import H1Memo
from catenet.http.message import RequestHead, ResponseHead

OK = ResponseHead(200)
START = [b"GET / HTTP/1.1", b"GET /a?b HTTP/1.1", b"HEAD / HTTP/1.1", b"POST / HTTP/1.0", b"CONNECT h:1 HTTP/1.1",
         b"OPTIONS * HTTP/1.1", b"GET http://x/y HTTP/1.1", b"QUERY /q HTTP/1.1", b"GET /#f HTTP/1.1"]  # fmt: skip
LINES = [b"Host: h", b"host: other", b"Connection: close", b"Connection: keep-alive", b"Content-Length: 0",
         b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Upgrade: x", b"Connection: upgrade",
         b"Expect: 100-continue", b"Cookie: a=b", b"Authorization: s", b"X: y", b"X:  z ", b"X : y",
         b" fold"]  # fmt: skip


def heads():
    lines = st.lists(st.sampled_from(LINES), max_size=4)
    return st.builds(lambda start, rest: b"\r\n".join((start, *rest, b"", b"")), st.sampled_from(START), lines)


def outcome(machine, data):
    """What a machine makes of one request and of an answer to it."""
    events = machine.receive(data, 0.0)
    head = next((value for kind, _, value, _ in events if kind == ev.HEAD), None)
    if head is None:
        return str(machine.failed), machine.transmit()
    stream = events[0][1]
    machine.invite(stream)
    machine.send_reply(stream, OK, b"hi", None)
    facts = (head, head.length, head.special, head.expects, head.upgrade)
    return facts, [event[0] for event in events], machine.transmit(), machine.closing, stream.remote_open


@settings(deadline=None, max_examples=150)
@given(st.lists(heads(), min_size=2, max_size=8))
def test_a_head_means_the_same_whatever_is_remembered(requests):
    memo = H1Memo()
    lasting = H1Connection(False, None, memo)
    for request in requests:
        alone = outcome(H1Connection(False), request)
        assert outcome(H1Connection(False, None, memo), request) == alone
        if lasting.closing or lasting.streams or not lasting.may_close:
            lasting = H1Connection(False, None, memo)
        assert outcome(lasting, request) == alone


def test_heads_that_differ_in_their_target_share_what_follows_it():
    machine = H1Connection(False)
    heads = []
    for path in (b"/a", b"/b", b"/a"):
        ((_, stream, head, _),) = machine.receive(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n", 0.0)
        machine.send_reply(stream, OK, b"", None)
        heads.append(head)
    assert heads[0] is heads[2] and heads[0] is not heads[1]
    assert heads[0].fields is heads[1].fields
    assert [head.path for head in heads] == [b"/a", b"/b", b"/a"]


def test_heads_that_begin_alike_mean_what_they_say():
    """Lines with which most begin are looked for together; those behind them still count, Host a second time too."""
    memo = H1Memo()
    common = b"Host: h\r\nAccept: a\r\nConnection: keep-alive\r\n"
    for number in range(40):
        H1Connection(False, None, memo).receive(b"GET / HTTP/1.1\r\n%bX: %d\r\n\r\n" % (common, number), 0.0)
    assert memo._lines._run == common
    for rest in (b"", b"X: y\r\n", b"Host: h\r\n", b"Cookie: c\r\n", b"Connection: close\r\n", b" fold\r\n", b"X\r\n",
                 b"Content-Length: 3\r\n", b"X: \ny\r\n", b"Transfer-Encoding: chunked\r\n"):  # fmt: skip
        for lines in (common + rest, common[:-2] + b"z\r\n" + rest, common[:7] + b"\r\n" + rest, rest + common):
            request = b"POST /a HTTP/1.1\r\n" + lines + b"\r\n"
            assert outcome(H1Connection(False, None, memo), request) == outcome(H1Connection(False), request)


def known(memo):
    lines = memo._lines
    noted = (b"\n".join(value for _, value in noted) for _, noted in memo._framings)
    return b"\n".join(
        (
            *memo._blocks,
            *memo._responses,
            *lines._known,
            *lines._once,
            *lines._framing,
            *lines._names,
            lines._run,
            *noted,
        )
    )


@pytest.mark.parametrize("name", [b"Authorization", b"Cookie", b"PROXY-AUTHORIZATION", b"X-Api-Key"])
def test_secrets_are_remembered_by_their_connection_only(name):
    memo = H1Memo()
    machine = H1Connection(False, None, memo)
    seen = []
    for _ in range(2):
        request = b"GET / HTTP/1.1\r\nHost: h\r\n" + name + b": sesame\r\n\r\n"
        ((_, stream, head, _),) = machine.receive(request, 0.0)
        machine.send_reply(stream, OK, b"", None)
        seen.append(head)
    assert seen[0] is seen[1]
    assert b"sesame" not in known(memo) and b"Host: h" in known(memo)
    client = H1Connection(True, None, memo)
    client.send_request(RequestHead(b"GET", b"/", (), b"h"), b"")
    client.receive(b"HTTP/1.1 200 OK\r\nSet-Cookie: sesame\r\nContent-Length: 1\r\n\r\nx", 0.0)
    assert b"sesame" not in known(memo)


def test_what_is_remembered_is_bounded():
    memo = H1Memo()
    for number in range(6000):
        machine = H1Connection(False, None, memo)
        machine.receive(b"GET /%d HTTP/1.1\r\nHost: h\r\nX-%d: y\r\n\r\n" % (number % 3, number), 0.0)
        for _ in range(2):
            again = H1Connection(False, None, memo)
            again.receive(b"GET / HTTP/1.1\r\nHost: h%d\r\nX-%d: y\r\n\r\n" % (number, number % 2000), 0.0)
    assert 0 < len(memo._blocks) <= 1024 and len(memo._framings) <= 1024 and len(memo._once) <= 4096
    lines = memo._lines
    assert 0 < len(lines._known) <= 4096 and len(lines._once) <= 4096
    assert len(lines._framing) <= 512 and len(lines._names) <= 512
    before = len(known(memo))
    machine = H1Connection(False, None, memo)
    machine.receive(b"GET / HTTP/1.1\r\nHost: h\r\nX-5999: " + b"y" * 10_000 + b"\r\n\r\n", 0.0)
    assert len(known(memo)) == before
    machine = H1Connection(False, None, memo)
    for number in range(1000):
        machine.receive(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number, 0.0)
        machine.send_reply(machine.streams[2 * number + 1], OK, b"", None)
    assert all(len(block._heads) <= 64 for block in memo._blocks.values())


@pytest.mark.parametrize("method", [b"QUERY", b"PROPFIND", b"M-SEARCH", b"x"])
def test_any_token_is_a_method(method):
    """Whoever answers says 405 or 501; a list of methods in the parser would be out of date (QUERY)."""
    ((_, _, head, _),) = H1Connection(False).receive(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    assert head.method == method


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_in_a_field_line(byte):
    """The grammar of RFC 9110 section 5: in a name, in a value, at its ends."""
    token = bytes((byte,)) in b"!#$%&'*+-.^_`|~0123456789" or bytes((byte,)).isalpha()
    value = byte == 9 or (byte >= 0x20 and byte != 0x7F)
    memo = LineMemo()
    for line, fine in ((b"x%cy: z", token), (b"x: y%cz", value), (b"x: %c", value), (b"x:%cz", value)):
        machine = H1Connection(False)
        machine.receive(b"GET / HTTP/1.1\r\nHost: h\r\n" + line % byte + b"\r\n\r\n", 0.0)
        expected = fine or (byte == 0x3A and line == b"x%cy: z")
        assert (machine.failed is None) is expected, line % byte
    if value:
        ((name, text),), _, _ = memo.read(b"X: \t a%cb \t\r\n" % byte)
        assert (name, text) == (b"x", b"a%cb" % byte)


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_in_a_line_whose_name_is_known(byte):
    """The same grammar, when only the value has to be read."""
    value = byte == 9 or (byte >= 0x20 and byte != 0x7F)
    memo = H1Memo()
    H1Connection(False, None, memo).receive(b"GET / HTTP/1.1\r\nHost: h\r\nx: z\r\n\r\n", 0.0)
    for line in (b"x: y%cz", b"x: %c", b"x:%cz", b"Host: h\r\nx%c: z", b"x%c", b"%cx: z"):
        request = b"GET / HTTP/1.1\r\nHost: h\r\n" + line % byte + b"\r\n\r\n"
        lasting, alone = H1Connection(False, None, memo), H1Connection(False)
        assert outcome(lasting, request) == outcome(alone, request)
        if line.endswith((b"%c", b"z")) and line.startswith(b"x:"):
            assert (lasting.failed is None) is value


def test_responses_with_a_field_that_changes():
    client = H1Connection(True)
    for number, close in itertools.product(range(50), (False, True)):
        if client.closing:
            client = H1Connection(True)
        stream = client.send_request(RequestHead(b"GET", b"/", (), b"h"), b"")
        body = b"x" * (number + 1)
        fields = b"Date: %d\r\nETag: \"%d\"\r\n%bContent-Length: %d\r\n\r\n" % (
            number, number, b"Connection: close\r\n" * close, len(body),
        )  # fmt: skip
        events = client.receive(b"HTTP/1.1 200 OK\r\n" + fields + body, 0.0)
        assert [event[:2] for event in events[:2]] == [(ev.HEAD, stream), (ev.DATA, stream)]
        assert events[0][2].get(b"etag") == b'"%d"' % number and events[0][2].length == len(body)
        assert events[1][2] == body and events[1][3]
        assert (events[-1][0] == ev.CLOSED) is close is client.closing
