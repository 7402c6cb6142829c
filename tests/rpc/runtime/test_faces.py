"""The synchronous face, threads, loops, processes."""

import asyncio
import os
import socket
import subprocess
import sys
import threading

import pytest
from echoservice import (
    CHAT,
    COUNT,
    SAY,
    SLEEP,
    SUM,
    Echo,
    calling,
    number,
    serving,
    text,
)

from catenet.rpc import (
    Channel,
    RpcError,
    Server,
    SyncChannel,
)


class Background:
    """A server on a thread of its own, for callers that block."""

    def __enter__(self):
        started = threading.Event()

        async def serve():
            async with serving() as (_, self.echo, self.url):
                self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
                started.set()
                await self.stop.wait()

        self.thread = threading.Thread(target=asyncio.run, args=(serve(),))
        self.thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)


def test_the_synchronous_face():
    with Background() as server, SyncChannel(server.url) as channel:
        assert channel.unary(SAY, text("hello"), timeout=5.0).value == "hello"
        assert [value.value for value in channel.server_stream(COUNT, number(5))] == list(range(5))
        assert channel.client_stream(SUM, [number(1), number(2)]).value == 3
        with channel.bidi(CHAT) as call:
            call.send(text("a"))
            assert call.receive().value == "A"
            call.done()
            assert list(call) == []
        with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
            channel.unary(SLEEP, text("30"), timeout=0.05)
        stream = channel.server_stream(COUNT, number(-1_000_000))
        assert next(stream).value == 0
        stream.close()
        results = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(channel.unary(SAY, text(str(n))).value))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(results) == [str(n) for n in range(8)]


def test_the_synchronous_face_says_no_within_a_loop():
    async def main():
        with SyncChannel("tcp://127.0.0.1:1") as channel, pytest.raises(RuntimeError, match="loop"):
            channel.unary(SAY, text("x"))

    asyncio.run(main())


def test_a_channel_in_one_loop_after_another():
    with Background() as server:
        channel = Channel(server.url)

        async def once():
            return (await channel.unary(SAY, text("x"))).value

        assert [asyncio.run(once()) for _ in range(3)] == ["x"] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_after_fork_begins_anew():
    with Background() as server, SyncChannel(server.url) as channel:
        assert channel.unary(SAY, text("parent")).value == "parent"
        child = os.fork()
        if child == 0:
            try:
                ok = channel.unary(SAY, text("child"), timeout=10.0).value == "child"
            finally:
                os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert channel.unary(SAY, text("parent again")).value == "parent again"


SCRIPT = """
import asyncio, sys
sys.path.insert(0, {folder!r})
from echoservice import *
async def main():
    async with calling() as (channel, _):
        await channel.unary(SAY, text("x"))
        await failure(channel.unary(SAY, text("raise:")))
        await failure(channel.unary(SLEEP, text("30"), timeout=0.01))
        task = asyncio.create_task(channel.unary(SLEEP, text("30")))
        await asyncio.sleep(0.01)
        await channel.close()
        await failure(task)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""


def test_nothing_is_printed_but_what_handlers_raise():
    """The logging module's last resort prints it; what a loop leaves behind says nothing."""
    script = SCRIPT.format(folder=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    first, second, *_, last = done.stderr.splitlines()
    assert first.startswith("test.Echo/Say called by 127.0.0.1:") and first.endswith(" failed: KeyError")
    assert (second, last) == ("Traceback (most recent call last):", "KeyError: 'secret'")
    assert done.stderr.count("Traceback") == 1


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = f"{tmp_path}/s.sock"

    async def main():
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        async with calling(url=f"unix:{path}") as (channel, _):
            assert (await channel.unary(SAY, text("x"))).value == "x"
            other = Server([Echo()])
            with pytest.raises(OSError, match="in use"):
                await other.listen(f"unix:{path}")
        assert not os.path.exists(path)
        open(path, "w").close()
        with pytest.raises(OSError, match="in use"):
            await Server([Echo()]).listen(f"unix:{path}")

    asyncio.run(main())
