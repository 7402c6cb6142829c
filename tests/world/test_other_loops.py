"""Event loops of others that run as they are: trio and eventlet, over a lossy link, with a crash of the server."""

from __future__ import annotations

import json

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
