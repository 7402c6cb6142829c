"""Forms and server-sent events, both ways, cut anywhere."""

import io
import logging
import random

import pytest
from python_multipart.multipart import MultipartParser as TheirParser
from werkzeug.formparser import parse_form_data
from werkzeug.test import EnvironBuilder

from catenet.http.policy.multipart import (
    FormFile,
    Multipart,
    MultipartError,
    MultipartParser,
    Part,
    PartData,
    PartEnd,
    boundary_of,
    form_body,
)
from catenet.http.policy.sse import EventParser, EventStreamError, ServerEvent, format_event

B = "----x"
FORM = [
    ("a", "text"),
    ("ü", "wörter\r\n--"),
    ("empty", ""),
    ("f", FormFile(b"\x00\r\n------\r\n" * 100, 'n"ame.bin')),
    ("g", FormFile(io.BytesIO(b"file" * 30000), "g.txt", "text/plain")),
    ("h", FormFile(b"", "e")),
]


def parsed(body, step=1 << 30, boundary=B, **limits):
    parser = MultipartParser(boundary, **limits)
    parts = []
    for at in range(0, len(body), step):
        for event in parser.feed(body[at : at + step]):
            if isinstance(event, Part):
                parts.append((event.name, event.filename, event.headers.get("content-type"), bytearray()))
            elif isinstance(event, PartData):
                parts[-1][3].extend(event.data)
            else:
                assert isinstance(event, PartEnd)
    parser.finish()
    return [(*part[:3], bytes(part[3])) for part in parts]


def test_a_form_is_read_by_werkzeug():
    form = Multipart(FORM, B)
    body = b"".join(form)
    assert len(body) == form.length
    environ = EnvironBuilder(method="POST", data=body, content_type=form.content_type).get_environ()
    _, fields, files = parse_form_data(environ)
    assert fields == {"a": "text", "ü": "wörter\r\n--", "empty": ""} or dict(fields.items()) == {
        "a": "text",
        "ü": "wörter\r\n--",
        "empty": "",
    }
    assert {name: (file.content_type, len(file.read())) for name, file in files.items()} == {
        "f": ("application/octet-stream", 1100),
        "g": ("text/plain", 120000),
        "h": ("application/octet-stream", 0),
    }


@pytest.mark.parametrize("step", [1, 3, 64, 65536, 1 << 30])
def test_a_form_is_read_back(step):
    body = b"".join(Multipart(FORM, B))
    assert parsed(body, step) == [
        ("a", None, None, b"text"),
        ("ü", None, None, "wörter\r\n--".encode()),
        ("empty", None, None, b""),
        ("f", "n%22ame.bin", "application/octet-stream", b"\x00\r\n------\r\n" * 100),
        ("g", "g.txt", "text/plain", b"file" * 30000),
        ("h", "e", "application/octet-stream", b""),
    ]


def test_streams_have_no_length():
    form = Multipart([("a", FormFile(iter([b"x", b"y"])))], B)
    assert form.length is None and not form.replayable and b"xy" in b"".join(form)
    assert Multipart([("a", FormFile(iter([b"x"]), length=1))], B).length == len(
        b"".join(Multipart([("a", FormFile(b"x"))], B))
    )


CRLF = b"\r\n"
BODIES = {
    "preamble and epilogue": b"junk\r\n------x\r\n\r\na\r\n------x--\r\njunk",
    "no fields": b"------x\r\n\r\na\r\n------x--",
    "blanks after the delimiter": b"------x \t\r\nA: b\r\n\r\na\r\n------x--\r\n",
    "a delimiter that is none": b"------x\r\n\r\n\r\n------\r\n------x--\r\n",
    "empty content without its line end": b"------x\r\nA: b\r\n\r\n------x--\r\n",
    "many line ends": b"------x\r\n\r\n" + CRLF * 500 + b"\r\n------x--\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_cut_anywhere(body):
    whole = parsed(body)
    assert len(whole) == 1
    for step in (1, 2, 3, 5, 11):
        assert parsed(body, step) == whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"------x",
        b"------x\r\n",
        b"------x\r\n\r\na",
        b"------x\r\n\r\na\r\n------x",
        b"------x\r\n\r\na\r\n------x-",
        b"------xy\r\n\r\na\r\n------x--",
        b"------x\r\nnonsense\r\n\r\na\r\n------x--",
        b"------x\r\nA b: c\r\n\r\n\r\n------x--",
        b"------x\r\nA: \x00\r\n\r\n\r\n------x--",
        b"------x\n\na\n------x--",
        b"no multipart at all",
    ],
)
def test_malformed_bodies(body):
    for step in (1, 1 << 30):
        with pytest.raises(MultipartError):
            parsed(body, step)


def test_limits():
    with pytest.raises(MultipartError, match="more than 3 parts"):
        parsed(b"------x\r\n\r\na\r\n" * 4 + b"------x--", max_parts=3)
    for body in (b"------x\r\nA: " + b"b" * 200, b"j" * 200, b"------x" + b" " * 200, b"------x--" + b"e" * 200):
        for step in (1, 1 << 30):
            with pytest.raises(MultipartError):
                parsed(body, step, max_head=100)


def test_a_long_body_takes_linear_time():
    for filler in (b"\r", b"\r\n", b"\r\n-", b"\r\n-----", b"------x", b"\r\n------y"):
        content = b"a" + filler * (4_000_000 // len(filler))
        for step in (1000, 1 << 30):
            assert parsed(b"------x\r\n\r\n" + content + b"\r\n------x--", step)[0][3] == content


def callbacks(found):
    return {
        "on_part_begin": lambda: found.append(bytearray()),
        "on_part_data": lambda data, start, end: found[-1].extend(data[start:end]),
    }


def test_random_bodies_beside_python_multipart():
    draw = random.Random(3)
    pieces = [b"\r\n", b"--", b"----x", b"\r\n------x", b"\r\n------x--", b"a", b"A: b", b"\r", b"\n", b"-"]
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    for _ in range(3000):
        inner = b"".join(draw.choices(pieces, k=draw.randrange(12)))
        body = b"------x\r\nA: b\r\n\r\n" + inner + b"\r\n------x--\r\n"
        found: list[bytearray] = []
        theirs = TheirParser(b"----x", callbacks(found))
        try:
            theirs.write(body)
            theirs.finalize()
        except Exception:
            continue
        try:
            ours = [part[3] for part in parsed(body)]
        except MultipartError:
            continue
        # Content without the line end of its head (RFC 2046 allows it) is content there.
        if b"\r\n------x--" not in inner and b"\r\n\r\n------x" not in body:
            assert ours == [bytes(part) for part in found], body


def test_boundaries():
    assert (
        boundary_of('multipart/form-data; boundary="a b"') == "a b" and boundary_of("Multipart/Mixed;boundary=x") == "x"
    )
    for wrong in (
        None,
        "text/plain; boundary=x",
        "multipart/form-data",
        'multipart/form-data; boundary=""',
        "multipart/x; boundary=" + "x" * 71,
        'multipart/x; boundary="a "',
        'multipart/x; boundary="a\r\n"',
    ):
        assert boundary_of(wrong) is None
    with pytest.raises(ValueError):
        Multipart([], "a\r\nb")
    with pytest.raises(ValueError):
        Multipart([("a", FormFile(b"", content_type="a/b\r\nX: y"))], "b")


def test_names_cannot_add_fields():
    assert b"".join(Multipart([('a"\r\nX: y', "v")], B)).count(b"\r\n") == 5


def test_url_encoded():
    assert form_body([("a b", "c&d"), ("ü", "=+")]) == b"a+b=c%26d&%C3%BC=%3D%2B"


# Server-sent events: the examples of the specification and others.

STREAMS = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [ServerEvent("YHOO\n+2\n10")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [ServerEvent("first event", id="1"), ServerEvent("second event"), ServerEvent(" third event")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [ServerEvent(""), ServerEvent("\n")]),
    (b"data:test\n\ndata: test\n\n", [ServerEvent("test")] * 2),
    ("\ufeffdata: ü\n\n\ufeffdata: x\n\n".encode(), [ServerEvent("ü")]),
    (b"event: add\rdata: 1\r\revent: remove\r\ndata: 2\r\n\r\n", [ServerEvent("1", "add"), ServerEvent("2", "remove")]),
    (
        b"id: 7\ndata: a\n\ndata: b\n\nid: \0\ndata: c\n\n",
        [ServerEvent("a", id="7"), ServerEvent("b", id="7"), ServerEvent("c", id="7")],
    ),
    (b"event: x\n\ndata: y\n\n", [ServerEvent("y")]),
    (b"retry: 500\nretry: x\nunknown: z\n:\ndata: y\n\n", [ServerEvent("y")]),
    (b"data: \xff\n\n", [ServerEvent("\ufffd")]),
    (b"\r\n\r\ndata: a\r\n\r\n\r\n", [ServerEvent("a")]),
]


@pytest.mark.parametrize(("stream", "events"), STREAMS)
def test_event_streams(stream, events):
    for step in (1, 2, 3, 1000):
        parser = EventParser()
        assert [event for at in range(0, len(stream), step) for event in parser.feed(stream[at : at + step])] == events
        assert parser.retry == (500 if b"500" in stream else None)


@pytest.mark.parametrize("data", ["", "a", "a\nb", "\n\n", "ü\r\nx", ":"])
def test_events_are_read_back(data):
    event = ServerEvent("\n".join(data.replace("\r\n", "\n").split("\n")), "kind", "3")
    assert EventParser().feed(format_event(data, "kind", "3", 10)) == [event]


def test_events_cannot_be_smuggled():
    for wrong in ("a\nb", "a\rb", "a\0"):
        with pytest.raises(ValueError):
            format_event("x", event=wrong)
        with pytest.raises(ValueError):
            format_event("x", id=wrong)


def test_event_limits():
    for stream in (b"data: " + b"x" * 2000, b"data: x\n" * 2000, b"data:\n" * 2000, b": " + b"x" * 2000):
        for step in (1, 7, 100000):
            parser = EventParser(limit=1000)
            with pytest.raises(EventStreamError):
                for at in range(0, len(stream), step):
                    parser.feed(stream[at : at + step])
    parser = EventParser(limit=1000)
    for _ in range(10_000):
        parser.feed(b": keep")
        parser.feed(b" alive\n")


def test_events_take_linear_time():
    parser = EventParser(limit=1 << 30)
    for _ in range(500_000):
        parser.feed(b"x")
    parser.feed(b"\n" * 500_000)
    assert parser.feed(b"data: x\n" * 200_000 + b"\n")[0].data.count("x") == 200_000
