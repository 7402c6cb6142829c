"""The conformance tester h2spec (generic, http2, hpack) against a server of ours."""

import asyncio
import re
import subprocess
import threading

import pytest

from catenet.http.driver import HttpProtocol
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead


class Echo(HttpProtocol):
    """Answers every request when it has ended."""

    def __init__(self, loop):
        # h2spec takes 20 KB for more than a frame may hold: that is true of frames as small as they may be.
        super().__init__(loop, Connection(False, Limits(max_frame=16_384)))

    def on_head(self, stream, head, end):
        stream.owner = Answer(self, stream)
        if end:
            stream.owner.answer()


class Answer:
    """Owner of a stream; derived from nothing, as what is compiled has no interpreted classes below it."""

    def __init__(self, protocol, stream):
        self.protocol = protocol
        self.stream = stream

    def on_reset(self, reset):
        pass

    def on_drained(self):
        pass

    def owes(self):
        return False

    def on_data(self, data, end):
        if end:
            self.answer()

    def on_trailers(self, fields):
        self.answer()

    def answer(self):
        self.protocol.core.send_reply(self.stream, ResponseHead(200), b"x" * 20, ((b"grpc-status", b"0"),))


@pytest.fixture
def port():
    """A server on a thread of its own, for h2spec blocks."""
    started = threading.Event()
    state = {}

    async def serve():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Echo(loop), "127.0.0.1", 0)
        state.update(loop=loop, port=server.sockets[0].getsockname()[1], stop=asyncio.Event())
        started.set()
        await state["stop"].wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait(10)
    yield state["port"]
    state["loop"].call_soon_threadsafe(state["stop"].set)
    thread.join(10)


@pytest.mark.peer("h2spec")
def test_h2spec(port):
    command = ["h2spec", "generic", "http2", "hpack", "-h", "127.0.0.1", "-p", str(port), "-o", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    summary = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert summary is not None, done.stdout + done.stderr
    total, passed, skipped, failed = map(int, summary.groups())
    assert (failed, skipped) == (0, 0), done.stdout
    assert total == passed >= 140
