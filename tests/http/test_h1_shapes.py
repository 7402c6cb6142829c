"""Requests that differ in the same places are read by an expression: it changes nothing about what they mean."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http.test_h1_memo import outcome

from catenet.http import events as ev
from catenet.http.h1 import shapes
from catenet.http.h1.connection import H1Connection
from catenet.http.h1.lines import LineMemo
from catenet.http.h1.memo import H1Memo
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead

OK = ResponseHead(200)
NEVER_BEFORE = itertools.count(1000)


def request(number, *more, target=None, method=b"GET"):
    lines = [b"%b %b HTTP/1.1" % (method, target or b"/%d?q=%d" % (number, number)), b"Host: h", b"Accept: a,b",
             b"COOKIE: id=%d" % number, b"X-Number: %d" % number, b"User-Agent: u", *more, b"", b""]  # fmt: skip
    return b"\r\n".join(lines)


def served(machine, data):
    """Head of the request in `data`, which is answered."""
    ((kind, stream, head, end),) = machine.receive(data, 0.0)
    assert kind == ev.HEAD and end
    machine.send_reply(stream, OK, b"", None)
    machine.transmit()
    return head


def warm(memo=None, count=60, **options):
    """A connection whose requests have a shape."""
    machine = H1Connection(False, None, memo or H1Memo())
    for number in range(count):
        head = served(machine, request(number, **options))
        assert head.get(b"cookie") == b"id=%d" % number and head.path.endswith(b"%d" % number)
    return machine


def test_what_differs_in_a_few_places_gets_a_shape():
    machine = warm()
    head = machine._shape.read(request(7))
    assert head == served(H1Connection(False), request(7))
    assert head.authority == b"h" and not head.special and head.length is None
    # Another connection finds it after two requests.
    other = H1Connection(False, None, machine._memo)
    for _ in range(3):
        served(other, request(next(NEVER_BEFORE)))
    assert other._shape is machine._shape


PIECES = [b"X-Number: 1", b"X-Number:1", b"X-Number: 1 ", b"X-Number: ", b"X-Number:  1", b"x-number: 1",
          b"X-Number: a\nb",
                    b"X-Number: \x7f", b"X-Number: \xff", b"X-Number: a\rb", b"X-Number: a: b", b"Host: h", b"Host: i",
          b"COOKIE: a=b", b"Cookie: a=b", b"Accept: a,b", b"User-Agent: u", b"Content-Length: 3", b"Connection: close",
          b"Transfer-Encoding: chunked", b"Expect: 100-continue", b" fold", b""]  # fmt: skip
STARTS = [b"GET /%d HTTP/1.1" % number for number in range(3)] + [
    b"GET / HTTP/1.0", b"HEAD / HTTP/1.1", b"GET http://x/ HTTP/1.1", b"GET * HTTP/1.1", b"GET /# HTTP/1.1",
    b"GET / / HTTP/1.1", b"POST / HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET /\x01 HTTP/1.1", b"GET  / HTTP/1.1",
]  # fmt: skip
USUAL = [b"Host: h", b"Accept: a,b", b"COOKIE: id=9", b"X-Number: 9", b"User-Agent: u"]


@st.composite
def nearly(draw):
    """A request of the shape, but for at most two changes."""
    lines = list(USUAL)
    for _ in range(draw(st.integers(0, 2))):
        at, piece = draw(st.integers(0, 4)), draw(st.sampled_from(PIECES))
        if draw(st.booleans()):
            lines[at] = piece
        else:
            lines.insert(at, piece)
    start = STARTS[0] if draw(st.booleans()) else draw(st.sampled_from(STARTS))
    return b"\r\n".join((start, *lines, b"", b"")) + draw(st.sampled_from((b"", b"", b"abc", request(3))))


MEMO = warm()._memo


@settings(deadline=None, max_examples=400)
@given(nearly())
def test_a_request_means_the_same_whether_its_shape_is_known(data):
    machine = H1Connection(False, None, MEMO)
    for _ in range(3):
        served(machine, request(next(NEVER_BEFORE)))
    assert machine._shape is not None
    known, alone = outcome(machine, data), outcome(H1Connection(False), data)
    assert known == alone


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_of_what_differs(byte):
    machine = warm_once()
    for data in (request(1, target=b"/a%cb" % byte), request(1).replace(b"id=1", b"id%c1" % byte),
                 request(1).replace(b"id=1", b"%c" % byte)):  # fmt: skip
        found = machine._shape.read(data)
        alone = H1Connection(False)
        alone.receive(data, 0.0)
        assert found is None or (alone.failed is None and found == served(H1Connection(False), data))


_WARM = []


def warm_once():
    if not _WARM:
        _WARM.append(warm())
    return _WARM[0]


def everything(shapes_):
    return repr((list(shapes_._known), list(shapes_._counts), [
        (shape._fields, shape._holes, shape._method, shape._match.__self__.pattern) for shape in shapes_._known.values()
    ])).encode()  # fmt: skip


def test_shapes_hold_no_values_that_differ():
    memo = H1Memo()
    machine = H1Connection(False, None, memo)
    for number in range(80):
        data = request(number, b"Authorization: sesame%d" % number).replace(b"id=", b"sesame")
        assert served(machine, data).get(b"authorization") == b"sesame%d" % number
    assert machine._shape is not None and b"sesame" not in everything(memo._shapes)
    # The same secret each time, beside something that differs: still nobody else's.
    for _ in range(80):
        assert served(machine, request(next(NEVER_BEFORE), b"Authorization: sesame")).get(b"authorization") == b"sesame"
    assert b"sesame" not in everything(memo._shapes)
    other = H1Connection(False, None, memo)
    for number in range(5):
        assert served(other, request(number, b"Authorization: other")).get(b"authorization") == b"other"


@pytest.mark.parametrize(
    "more",
    [
        (b"Content-Length: 0",), (b"Connection: close",), (b"Expect: 100-continue",), (b"Upgrade: a",),
        (b"Transfer-Encoding: chunked",),
    ],
)  # fmt: skip
def test_no_shape_has_a_field_of_framing_that_differs(more):
    """What is said of framing has to be the same in all requests of a shape, and the usual."""
    memo = H1Memo()
    for number in range(100):
        machine = H1Connection(False, None, memo)
        for again in range(3):
            machine.receive(request(3 * number + again, *more), 0.0)
            if not machine.streams:
                break
            machine.send_reply(next(iter(machine.streams.values())), OK, b"", None)
    for number in range(100):  # Host differs
        machine = H1Connection(False, None, memo)
        for again in range(3):
            served(machine, request(again).replace(b": h", b": h%d" % (3 * number + again)))
    for shape in memo._shapes._known.values():
        assert shape.framing.usual and shape.framing.length == 0
        assert not {b"host", b"connection", b"content-length"} & {name for _, name in shape._holes}
        assert b"content-length" not in dict(shape._fields) or dict(shape._fields)[b"content-length"] == b"0"


def test_shapes_are_few_and_dearer_each_time_they_are_forgotten():
    machine, lines, made = H1Connection(False), LineMemo(), shapes.Shapes()
    served(machine, request(0))
    head, framing = machine._last_head, machine._last_block.framing

    def shape_of(section):
        lines.read(section)
        return made.of(head, framing, section, lines)

    for number in range(70):
        for again in range(40):
            shape_of(b"Host: h\r\nX-%d: %d\r\n" % (number, again))
    assert len(made._known) == 1 and made._often == 64
    for number in range(5000):
        shape_of(b"Host: h\r\nY-%d: 1\r\n" % number)
    assert len(made._counts) <= 1025
    for again in range(100):
        assert shape_of(b"Host: h\r\nX: " + b"y" * 5000 + b"\r\n") is None
        assert shape_of(b"".join([b"X-%d: %d\r\n" % (number, again) for number in range(20)])) is None


def test_a_head_over_the_limit_has_no_shape():
    memo = warm()._memo
    small = H1Connection(False, Limits(max_header_list=200), memo)
    for _ in range(3):
        served(small, request(next(NEVER_BEFORE)))
    assert small._shape is not None
    small.receive(request(1).replace(b"id=1", b"i" * 200), 0.0)
    assert "over the limit" in str(small.failed)
