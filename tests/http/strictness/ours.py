"""The machines of `catenet.http`, asked the same things as the peers."""

from __future__ import annotations

from tests.http.strictness import downgrades
from tests.http.strictness.outcome import NEXT, seen, summary

from catenet.http import events as ev
from catenet.http.h1.connection import H1Connection
from catenet.http.h2 import frames
from catenet.http.h2.connection import Connection
from catenet.http.h2.hpack import Encoder, Memo
from catenet.http.message import RequestHead, ResponseHead

__all__ = ["answer", "blocks", "downgrade", "request"]

_OK = ResponseHead(200)


def request(data: bytes) -> str:
    """Serve the request and the next one; both machines close as a server would."""
    machine = H1Connection(False)
    sent = b""
    bodies: dict[int, int] = {}
    heads: dict[int, RequestHead] = {}
    events = machine.receive(data + NEXT, 0.0)
    closed = False
    while True:
        for kind, stream, value, end in events:
            if kind == ev.HEAD:
                heads[stream.id], bodies[stream.id] = value, 0
                if stream.expects:
                    machine.invite(stream)
            elif kind == ev.DATA:
                bodies[stream.id] += len(value)
                machine.consume(stream, len(value))
            elif kind == ev.CLOSED:
                closed = True
            if kind in (ev.HEAD, ev.DATA, ev.TRAILERS) and (end or stream.connects):
                head = heads[stream.id]
                status = ResponseHead(501) if head.method == b"CONNECT" else _OK
                body = seen(head.method.decode("latin-1"), head.path.decode("latin-1"), bodies[stream.id])
                machine.send_reply(stream, status, body, None)
        sent += machine.transmit()
        if not machine.pending:
            return summary(sent, not closed)
        events = machine.receive(b"", 0.0)


def answer(data: bytes) -> str:
    """Take the answer to a GET, then the end of the connection."""
    machine = H1Connection(True)
    stream = machine.send_request(RequestHead(b"GET", b"/", (), b"h"), b"")
    machine.transmit()
    events = machine.receive(data, 0.0)
    while machine.pending:
        events += machine.receive(b"", 0.0)
    events += machine.receive_eof()
    mine = [event for event in events if event[1] is stream]
    if any(kind == ev.RESET for kind, *_ in mine) or not any(end for *_, end in mine):
        return "R"
    size = sum(len(value) for kind, _, value, _ in mine if kind == ev.DATA)
    status = next(value.status for kind, _, value, _ in mine if kind == ev.HEAD)
    return f"A {status} {size}"


def blocks(data: bytes) -> tuple[bytes, bytes]:
    """Return the frames of a downgrade case on stream 1, without and with what begins a connection."""
    fields, trailers, body = downgrades.read(data)
    encoder = Encoder(Memo())
    ends = body is None and not trailers
    sent = frames.frame(frames.HEADERS, frames.END_HEADERS | ends, 1, encoder.encode(tuple(fields)))
    if body is not None:
        sent += frames.frame(frames.DATA, int(not trailers), 1, b"x" * body)
    if trailers:
        sent += frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, encoder.encode(tuple(trailers)))
    return sent, frames.PREFACE + frames.settings({}) + sent


def downgrade(data: bytes) -> str:
    """Serve the request over HTTP/2."""
    machine = Connection(False)
    events = machine.receive(blocks(data)[1], 0.0)
    done = False
    size = 0
    method = b""
    for kind, stream, value, end in events:
        if kind in (ev.RESET, ev.CLOSED):
            return "R"
        if kind == ev.HEAD:
            method = value.method
        elif kind == ev.DATA:
            size += len(value)
        done |= bool(stream is not None and end)
    return f"A {method.decode('latin-1')} {size}" if done else "R"
