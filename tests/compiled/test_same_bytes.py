"""The compiled package sends the same bytes at the same moments as its source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORLD = """
import asyncio, json, socket, sys
import catenet.wire.ip
from catenet.world import World

family, queue, algorithm = socket.AF_INET if sys.argv[1] == "4" else socket.AF_INET6, sys.argv[2], sys.argv[3]

def address(name):
    return socket.getaddrinfo(name, 9000, family)[0][4]

def serve():
    with socket.socket(family) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
        listener.bind(("", 9000))
        listener.listen()
        connection, _ = listener.accept()
        total = 0
        while data := connection.recv(100_000):
            total += len(data)
        connection.sendall(total.to_bytes(8, "big"))
        connection.close()

def send():
    with socket.socket(family) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
        connection.connect(address("server"))
        for size in (1, 1000, 100_000, 7, 500_000):
            connection.sendall(bytes(size))
        connection.shutdown(socket.SHUT_WR)
        assert int.from_bytes(connection.recv(8), "big") == 601_008

async def echo_server():
    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()
    async with await asyncio.start_server(echo, "", 7, family=family) as server:
        await server.serve_forever()

async def echo_client():
    reader, writer = await asyncio.open_connection("server", 7, family=family)
    for number in range(30):
        writer.write(bytes([number]) * (number * 100 + 1))
        assert len(await reader.readexactly(number * 100 + 1)) == number * 100 + 1
    writer.close()

def datagrams():
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.5)
        for size in (1, 1000, 5000):
            sender.sendto(bytes(size), address("server")[:1] + (5353,) + address("server")[2:])
            try:
                sender.recv(10_000)
            except OSError:
                pass

def answer():
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("", 5353))
        while True:
            data, peer = receiver.recvfrom(10_000)
            receiver.sendto(data[::-1], peer)

world = World(5)
for name in ("server", "client"):
    world.host(name)
    world.link(name, rate=20e6, latency="10ms", jitter="1ms", loss="1%", reorder="1%", duplicate="1%",
               corrupt="0.5%", queue=queue)
server, client = world.hosts["server"], world.hosts["client"]
server.run(serve, daemon=True)
server.run(answer, daemon=True)
server.run(lambda: asyncio.run(echo_server()), daemon=True)
client.run(send, start=0.1)
client.run(lambda: asyncio.run(echo_client()), start=0.2)
client.run(datagrams, start=0.3)
with world:
    world.run(300)
    print(json.dumps({
        "module": catenet.wire.ip.__file__, "now": world.now, "packets": world.trace.records,
        "hash": world.trace.hexdigest(), "counters": [server.counters(), client.counters()],
        "statuses": [process.status for process in client.processes],
    }))
"""


def lines(words: list[str], source: bool) -> list[str]:
    """What Python prints, run on the installed package or on the source beside these tests."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if source:
        environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=110, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def run(words: list[str], source: bool) -> dict[str, object]:
    """Run the world."""
    told: dict[str, object] = json.loads(lines(["-c", WORLD, *words], source)[-1])
    return told


@pytest.mark.parametrize(
    ("version", "queue", "algorithm"),
    [("4", "droptail", "cubic"), ("6", "codel", "reno"), ("4", "fq_codel", "bbr"), ("6", "dualpi2", "cubic")],
)
def test_compiled_and_source_carry_the_same_packets(version: str, queue: str, algorithm: str) -> None:
    words = [version, queue, algorithm]
    source, compiled = run(words, source=True), run(words, source=False)
    assert str(source.pop("module")).endswith(".py")
    assert not str(compiled.pop("module")).endswith(".py")
    assert source["statuses"] == [0, 0, 0]
    assert compiled == source


def test_so_do_random_worlds() -> None:
    words = ["-m", "tests.world.random_worlds", "1", "12"]
    source, compiled = lines(words, source=True), lines(words, source=False)
    assert len(source) == 12
    assert source == compiled
