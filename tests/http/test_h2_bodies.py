"""Over HTTP/2: responses without a body, declared lengths, 1xx, and clients that wait for 100."""

import pytest
from h2wire import Pair, Raw, body_of

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, StreamError
from catenet.http.h2.heads import HeadReader
from catenet.http.message import RequestHead, ResponseHead

OK = ResponseHead(200)
SIZED = ResponseHead(200, ((b"content-length", b"5"),))


def ask(method=b"GET", fields=(), end=True):
    pair = Pair()
    mine = pair.client.open(RequestHead(method, b"/", fields, b"h"), end)
    pair.run()
    return pair, mine, pair.at_server[-1][1]


@pytest.mark.parametrize(
    "answer",
    [
        lambda server, stream: server.send_reply(stream, SIZED, b"hello", None),
        lambda server, stream: server.send_reply(stream, SIZED, b"hello", ((b"x", b"y"),)),
        lambda server, stream: (server.send_head(stream, SIZED), server.send_data(stream, b"hello", True)),
        lambda server, stream: server.send_head(stream, SIZED, end=True),
    ],
)
def test_the_answer_to_head_has_no_body(answer):
    pair, mine, theirs = ask(b"HEAD")
    answer(pair.server, theirs)
    pair.run()
    ((kind, stream, head, end),) = [event for event in pair.at_client if event[1] is mine]
    assert (kind, stream, end, head.get(b"content-length")) == (ev.HEAD, mine, True, b"5")
    assert not pair.client.streams and not pair.server.streams


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(status):
    pair, mine, theirs = ask()
    pair.server.send_head(theirs, ResponseHead(status, SIZED.fields * (status == 304)))
    pair.server.send_data(theirs, b"dropped", True)
    pair.run()
    assert [(event[0], event[3]) for event in pair.at_client if event[1] is mine] == [(ev.HEAD, True)]


@pytest.mark.parametrize(
    ("method", "end", "data"), [(b"GET", True, b""), (b"HEAD", False, b"x"), (b"GET", False, b"x")]
)
def test_a_client_holds_servers_to_their_lengths(method, end, data):
    pair, mine, theirs = ask(method)
    theirs.bodiless = False  # a server that does not keep to it
    pair.server.send_head(theirs, SIZED, end)
    if not end:
        pair.server.send_data(theirs, data, True)
    pair.run()
    resets = [value.code for kind, stream, value, _ in pair.at_client if kind == ev.RESET and stream is mine]
    assert resets == [ErrorCode.PROTOCOL_ERROR]


def test_interim_responses():
    pair, mine, theirs = ask()
    pair.server.send_head(theirs, ResponseHead(103, ((b"link", b"</x>"),)))
    pair.server.send_reply(theirs, OK, b"hi", None)
    pair.run()
    mine_events = [event for event in pair.at_client if event[1] is mine]
    assert [(kind, getattr(value, "status", None)) for kind, _, value, _ in mine_events[:2]] == [
        (ev.INTERIM, 103),
        (ev.HEAD, 200),
    ]
    assert body_of(pair.at_client, mine) == b"hi"


@pytest.mark.parametrize("waits", [True, False])
def test_100_continue(waits):
    pair, mine, theirs = ask(b"PUT", ((b"expect", b"100-Continue"),) if waits else (), end=False)
    assert theirs.expects is waits
    pair.server.invite(theirs)
    pair.server.invite(theirs)
    pair.run()
    interim = [value.status for kind, _, value, _ in pair.at_client if kind == ev.INTERIM]
    assert interim == [100] * waits
    pair.client.send_data(mine, b"body", True)
    pair.run()
    assert body_of(pair.at_server, theirs) == b"body"


def test_line_breaks_are_not_sent():
    """What a peer would refuse is the application's mistake, and of this head nothing has left."""
    pair, mine, theirs = ask()
    with pytest.raises(ValueError, match="line break"):
        pair.server.send_head(theirs, ResponseHead(200, ((b"x", b"a\r\nb"),)))
    with pytest.raises(ValueError, match="line break"):
        pair.client.open(RequestHead(b"GET", b"/\n", (), b"h"), True)
    with pytest.raises(ValueError, match="line break"):
        pair.server.send_reply(theirs, OK, b"x", ((b"x", b"a\r\nb"),))
    pair.server.send_head(theirs, OK)
    with pytest.raises(ValueError, match="line break"):
        pair.server.send_trailers(theirs, ((b"x", b"a\r\nb"),))
    pair.server.send_data(theirs, b"", True)
    pair.run()
    assert [(kind, end) for kind, stream, _, end in pair.at_client if stream is mine] == [
        (ev.HEAD, False),
        (ev.DATA, True),
    ]


@pytest.mark.parametrize("name", [b"content-length", b"transfer-encoding", b"host"])
def test_trailers_about_framing_are_refused(name):
    raw = Raw()
    raw.headers(1, end=False)
    raw.headers(1, ((name, b"5"),))
    assert raw.resets() == {1: ErrorCode.PROTOCOL_ERROR}


BASE = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"))


def test_fields_that_were_seen_are_still_checked_for_their_place():
    """What is remembered of a field is that it is in order by itself."""
    reader = HeadReader()
    head = reader.request((*BASE, (b":path", b"/a"), (b"host", b"h"), (b"content-length", b"5"), (b"x", b"y")))
    assert isinstance(head, RequestHead) and (head.path, head.length, head.authority) == (b"/a", 5, b"h")
    path = (b":path", b"/a")
    for fields in (
        (*BASE, path, (b"host", b"h"), (b"host", b"h")),
        (*BASE, path, (b"content-length", b"5"), (b"content-length", b"5")),
        (*BASE, (b"x", b"y"), path),
        (*BASE, BASE[0], path),
        (*BASE, (b":path", b"/#")),
        (*BASE[1:], path),
        ((b"x", b"y"), (b"content-length", b"5")),
        ((b"x", b"y"), path),
        (*BASE, path, (b":status", b"200")),
    ):
        for _ in range(2):
            with pytest.raises(StreamError):
                reader.request(fields)
    assert reader.request(((b"x", b"y"),)) == ((b"x", b"y"),)
    with pytest.raises(StreamError):
        reader.response((*BASE, path))
    response = reader.response(((b":status", b"200"), (b"content-length", b"5")))
    assert isinstance(response, ResponseHead) and (response.status, response.length) == (200, 5)


def test_what_is_remembered_of_fields_is_bounded_and_has_no_secrets():
    reader = HeadReader()
    for number in range(5000):
        reader.request((*BASE, (b":path", b"/%d" % number), (b"x-%d" % number, b"y"), (b"cookie", b"sesame")))
        assert len(reader._known) <= 4096 and len(reader._once) <= 4096 and len(reader._names) <= 512
    reader.request((*BASE, (b":path", b"/"), (b"x", b"y" * 10_000), (b"authorization", b"sesame")))
    assert not [
        field
        for field in (*reader._known, *reader._once)
        if b"sesame" in field[1] or field[0] == b":path" or len(field[1]) > 512
    ]
