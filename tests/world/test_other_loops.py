"""Event loops of others that run as they are: trio and eventlet, over a lossy link, with a crash of the server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests import commands
from tests.commands import CATENET

WORLD = """
[link]
latency = "20ms"
loss = "3%"

[hosts.server]
run = "server.py"
restart = "always"

[hosts.client]
run = "client.py"
start = "1s"

[[events]]
at = "5s"
partition = [["client"], ["server"]]
for = "3s"

[[events]]
at = "10s"
crash = "server"
for = "3s"
"""

TRIO_SERVER = """
import signal, trio

async def echo(stream):
    async for data in stream:
        await stream.send_all(data.upper())

async def watch(scope):
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for number in signals:
            print("signal", number)
            scope.cancel()

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        nursery.start_soon(trio.serve_tcp, echo, 7)

trio.run(main)
"""
TRIO_CLIENT = """
import asyncio, threading, time, trio

async def ask(number):
    with trio.fail_after(2):
        async with await trio.open_tcp_stream("server", 7) as stream:
            await stream.send_all(b"number %d" % number)
            return await stream.receive_some()

async def main():
    answers, failures = [], 0
    while len(answers) < 8:
        try:
            answers.append(await ask(len(answers)))
        except (OSError, trio.TooSlowError, trio.BrokenResourceError):
            failures += 1
        await trio.sleep(2)
    print(b" ".join(answers).decode(), failures > 0)
    sock = trio.socket.socket()
    main_thread = await trio.to_thread.run_sync(lambda: threading.current_thread() is threading.main_thread())
    print(type(sock).__name__, main_thread)
    begun = time.monotonic()
    with trio.move_on_after(3600) as scope:
        await trio.sleep_forever()
    print(scope.cancelled_caught, round(time.monotonic() - begun))

async def guest():
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    trio.lowlevel.start_guest_run(
        ask, 99, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
    )
    print((await done).unwrap().decode())

trio.run(main)
asyncio.run(guest())
"""
TRIO_LINES = [
    "NUMBER 0 NUMBER 1 NUMBER 2 NUMBER 3 NUMBER 4 NUMBER 5 NUMBER 6 NUMBER 7 True",
    "_SocketType False",
    "True 3600",
    "NUMBER 99",
]

EVENTLET_SERVER = """
import os, warnings

os.environ["EVENTLET_NO_GREENDNS"] = "yes"  # dnspython would import trio
warnings.simplefilter("ignore")
import eventlet

eventlet.monkey_patch()
import time
import eventlet.wsgi

def application(environ, start_response):
    time.sleep(1)
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]

eventlet.wsgi.server(eventlet.listen(("0.0.0.0", 80)), application, log_output=False)
"""
EVENTLET_CLIENT = """
import os, warnings

os.environ["EVENTLET_NO_GREENDNS"] = "yes"  # dnspython would import trio
warnings.simplefilter("ignore")
import eventlet

eventlet.monkey_patch()
import queue, threading, time, urllib.request

def get(number):
    failures = 0
    while True:
        try:
            with urllib.request.urlopen(f"http://server/{number}", timeout=2.5) as answer:
                return answer.read().decode(), failures > 0
        except OSError:
            failures += 1
            time.sleep(1)

begun = time.monotonic()
print(sorted(eventlet.GreenPool().imap(get, range(3))), time.monotonic() - begun < 3)
answers = queue.Queue()
threading.Thread(target=lambda: (time.sleep(100), answers.put("from a thread"))).start()
eventlet.spawn(lambda: (time.sleep(8.5 - (time.monotonic() - begun)), answers.put(get(9))))
print(answers.get(timeout=60), answers.get(timeout=200))
with eventlet.Timeout(1000, False):
    eventlet.sleep(2000)
print(round(time.monotonic() - begun))
"""
EVENTLET_LINES = [
    "[('/0', False), ('/1', False), ('/2', False)] True",
    "('/9', True) from a thread",
]


@pytest.mark.parametrize(
    ("server", "client", "lines"),
    [(TRIO_SERVER, TRIO_CLIENT, TRIO_LINES), (EVENTLET_SERVER, EVENTLET_CLIENT, EVENTLET_LINES)],
    ids=["trio", "eventlet"],
)
def test_a_server_and_a_client(tmp_path, server, client, lines):
    for name, text in (("a.toml", WORLD), ("server.py", server), ("client.py", client)):
        (tmp_path / name).write_text(text)
    done = commands.run(
        [*CATENET, "run", "a.toml", "--json", "figures"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    shown = [line.partition("| ")[2] for line in done.stdout.splitlines() if line.startswith("client")]
    assert shown[: len(lines)] == lines, done.stdout
    if "eventlet" in client:
        assert 1100 < int(shown[-1]) < 1110
    else:
        assert "server | signal 15" in done.stdout
    assert done.returncode == 0
    assert json.loads((tmp_path / "figures").read_text())["packets_dropped"]


TRIO_BEFORE = """
import socket, sys, trio, anyio
from catenet.world import World

async def serve():
    async def echo(stream):
        async for data in stream:
            await stream.send_all(data.upper())

    with trio.move_on_after(10):
        await trio.serve_tcp(echo, 7)

async def ask_trio():
    start = trio.current_time()
    for number in range(3):  # names are looked up, and this is done, in threads that trio keeps for later
        stream = await trio.open_tcp_stream("server", 7)
        await stream.send_all(b"abc")
        print(await stream.receive_some(), await trio.to_thread.run_sync(socket.gethostname))
        await stream.aclose()
        await trio.sleep(1)
    one, other = trio.socket.socketpair()
    await one.send(b"1")
    print(await other.recv(5), round(trio.current_time() - start, 3))

async def ask_anyio():
    async with await anyio.connect_tcp("server", 7) as stream:
        await stream.send(b"abc")
        print(await stream.receive(), await anyio.to_thread.run_sync(socket.gethostname))
        await anyio.sleep(1)

with World(isolation="shared", output=lambda host, stream, line: print(f"{host}:", line)) as world:
    world.host("server").run(trio.run, serve)
    world.host("client").run(trio.run, ask_trio, start=1)
    for backend in ("trio", "asyncio"):
        world.host(backend).run(lambda backend=backend: anyio.run(ask_anyio, backend=backend), start=1)
    world.run()
"""


def test_loops_that_are_imported_before_the_first_world(tmp_path: Path) -> None:
    (tmp_path / "before.py").write_text(TRIO_BEFORE)
    done = subprocess.run(
        [sys.executable, "before.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for host, line in (
        ("client", "b'ABC' client"),
        ("trio", "b'ABC' trio"),
        ("asyncio", "b'ABC' asyncio"),
        ("client", "b'1' 3.0"),
    ):
        assert done.stdout.count(f"{host}: {line}\n") == (3 if line == "b'ABC' client" else 1), done.stdout
