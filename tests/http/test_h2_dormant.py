"""A connection that was dormant between two requests does what one does that never was."""

from __future__ import annotations

import random

import pytest
from h2wire import HEAD, OK, REPLY, Pair, Raw

from catenet.http.errors import ErrorCode
from catenet.http.h2 import frames
from catenet.http.h2.blocks import Memos
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead

LIMITS = Limits(connection_window=1 << 17, stream_window=1 << 16, glitch_burst=40)


def talk(seed: int, sleeps: bool) -> list[bytes]:
    """Make requests and answers by chance; return all that the server said, and how often it slept at the end."""
    rng = random.Random(seed)
    memos = Memos()
    client, server = Connection(True), Connection(False, LIMITS, memos)
    said: list[bytes] = []
    slept = 0
    for turn in range(12):
        extra = ((f"x-{rng.randrange(4)}".encode(), str(rng.randrange(5)).encode()),)
        head = RequestHead(b"POST", b"/s/m", HEAD.fields + extra, b"host")
        stream = client.open(head, False)
        client.send_data(stream, bytes(rng.randrange(20_000)), True)
        if rng.random() < 0.2:
            client.ping(b"12345678")
        if rng.random() < 0.2:
            client.reset(stream)
        for _ in range(3):
            server.receive(client.transmit(), float(turn))
            for served in list(server.streams.values()):
                if not served.remote_open:
                    server.consume(served, served.held)
                    server.send_reply(served, ResponseHead(200, REPLY.fields + extra), b"a" * rng.randrange(9000), OK)
            data = server.transmit()
            said.append(data)
            client.receive(data, float(turn))
        kept = server.dormant() if sleeps else None
        if kept is not None:
            slept += 1
            server = Connection(False, LIMITS, memos)
            server.resume(kept)
    assert slept == (12 if sleeps else 0)
    return said


@pytest.mark.parametrize("seed", range(20))
def test_nobody_can_tell_that_a_connection_was_dormant(seed: int) -> None:
    assert talk(seed, True) == talk(seed, False)


def test_a_dormant_connection_keeps_what_its_peer_has_set() -> None:
    raw = Raw(LIMITS, {frames.INITIAL_WINDOW_SIZE: 10, frames.MAX_HEADER_LIST_SIZE: 2000, frames.HEADER_TABLE_SIZE: 0})
    raw.headers(1)
    stream = raw.server.streams[1]
    raw.server.send_reply(stream, REPLY, b"0123456789", OK)
    raw.server.transmit()
    kept = raw.server.dormant()
    assert kept is not None
    woken = Connection(False, LIMITS)
    woken.resume(kept)
    assert (woken.peer_initial_window, woken.peer_max_header_list) == (10, 2000)
    assert woken.transmit() == b""


def test_what_goes_on_is_not_dormant() -> None:
    fresh = Connection(False)
    assert fresh.dormant() is None  # neither preface nor SETTINGS have come
    pair = Pair()
    assert pair.server.dormant() is not None
    _, served = pair.request(body=b"question")
    assert pair.server.dormant() is None
    pair.server.send_reply(served, REPLY, b"answer", OK)
    assert pair.server.dormant() is None
    pair.run()
    assert pair.server.dormant() is not None
    pair.server.receive(b"\0\0", 0.0)
    assert pair.server.dormant() is None  # part of a frame


@pytest.mark.parametrize("end", ["drain", "go_away", "fail"])
def test_what_ends_is_not_dormant(end: str) -> None:
    pair = Pair()
    pair.run()
    if end == "fail":
        pair.server.receive(frames.frame(frames.SETTINGS, 0, 1, b""), 0.0)
    else:
        getattr(pair.server, end)()
    pair.server.transmit()
    assert pair.server.dormant() is None


def test_glitches_are_counted_on() -> None:
    raw = Raw(LIMITS)
    for number in range(300):
        if raw.goaway() is not None:
            break
        raw.frame(frames.PING, 0, 0, number.to_bytes(8, "big"))
        kept = raw.server.dormant()
        if kept is not None:
            raw.server = Connection(False, LIMITS)
            raw.server.resume(kept)
    assert raw.goaway() == ErrorCode.ENHANCE_YOUR_CALM
