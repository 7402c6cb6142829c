"""Descriptors that requests hold: a connection has its share, and beyond what there is the answer is 503."""

import asyncio
import errno
import os
import socket

import pytest
from serving import ask, serving

from catenet.http.files import FileOptions, handler
from catenet.http.files.answer import Refused
from catenet.http.files.places import EACH, Places
from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo


def test_a_connection_waits_for_its_own():
    async def main():
        places = Places(EACH + 2)
        for _ in range(EACH):
            await places.take("one")
        waiting = [asyncio.ensure_future(places.take("one")) for _ in range(3)]
        await asyncio.sleep(0)
        await places.take("other")
        assert not any(task.done() for task in waiting)
        places.give("one")
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.done() for task in waiting] == [True, False, False]
        places.give("one")
        waiting[1].cancel()  # when it has been woken: its turn is the next one's
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [False, True, False]
        await places.take("other")
        with pytest.raises(Refused) as caught:
            await places.take("other")
        assert caught.value.status == 503
        for _ in range(EACH):
            places.give("one")
        places.give("other")
        places.give("other")
        assert vars(places) == vars(Places(EACH + 2))

    asyncio.run(main())


def stalled(address, method, count):
    """A client of HTTP/2 with many requests of which none goes on."""
    sock = socket.create_connection(address)
    encoder = Encoder(Memo())
    data = frames.PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 0})
    for number in range(count):
        fields = (
            (b":method", method),
            (b":scheme", b"http"),
            (b":path", b"/%b%d" % (b"big" if method == b"GET" else b"up", number * (method != b"GET"))),
            (b":authority", b"x"),
        )
        end = frames.END_STREAM if method == b"GET" else 0
        data += frames.frame(frames.HEADERS, frames.END_HEADERS | end, 1 + 2 * number, encoder.encode(fields))
    # Its answer tells that all before it has been handled.
    sock.sendall(data + frames.frame(frames.PING, 0, 0, bytes(8)))
    received = b""
    while frames.frame(frames.PING, frames.ACK, 0, bytes(8)) not in received:
        received += sock.recv(65536)
    return sock


@pytest.mark.parametrize("method", [b"GET", b"PUT"])
def test_a_connection_of_many_stalled_requests_leaves_descriptors(tmp_path, method):
    (tmp_path / "big0").write_bytes(bytes(300_000))
    (tmp_path / "a.txt").write_text("hello")
    with serving(tmp_path, FileOptions(upload=True)) as server:
        before = len(os.listdir("/proc/self/fd"))
        with stalled(server.address, method, 300):
            assert ask(server.address, "GET", "/a.txt").body == b"hello"
            assert len(os.listdir("/proc/self/fd")) - before <= 2 * EACH + 10


def test_without_descriptors_the_answer_is_503(tmp_path, monkeypatch, caplog):
    (tmp_path / "a.txt").write_text("hello")

    async def exhausted(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with serving(tmp_path) as server:
        monkeypatch.setattr(handler.Files, "_read", exhausted)
        answer = ask(server.address, "GET", "/a.txt")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert caplog.records == []
