"""Worlds of the `sim` benchmark on Catenet, one in its own process: `catenet_world.py KIND NUMBERS...`.

Prints one line of JSON: packets received over links, virtual seconds, wall seconds and processor seconds of the run.
The programs on the hosts are ordinary ones: blocking sockets, or asyncio streams as in streams.py.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
import sys
import time
from pathlib import Path

from catenet.world import World

sys.path.insert(0, str(Path(__file__).parent))
import streams

PORT = 9000
DATAGRAM = 1000
BLOCK = bytes(65536)


def receive_stream() -> None:
    with socket.create_server(("0.0.0.0", PORT)) as listener:
        connection, _ = listener.accept()
        buffer = bytearray(1 << 18)
        while connection.recv_into(buffer):
            pass


def send_stream(address: str) -> None:
    with socket.create_connection((address, PORT)) as connection:
        while True:
            connection.sendall(BLOCK)


def receive_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", PORT))
        while True:
            receiver.recv(2048)


def send_datagrams(address: str, rate: float) -> None:
    """Send datagrams of 1,000 bytes at `rate` bits of payload per second, evenly."""
    interval = DATAGRAM * 8 / rate
    message = bytes(DATAGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, PORT))
        while True:
            sender.send(message)
            time.sleep(interval)


def tick(seconds: float) -> None:
    """Do nothing but look at the clock once a virtual second."""
    for _ in range(int(seconds)):
        time.sleep(1)


def pairs(world: World, kind: str, hosts: int, rate: float, latency: float, mtu: int = 1500) -> None:
    """Hosts in pairs, each pair on a link of its own."""
    for number in range(hosts // 2):
        left, right = world.host(f"left{number}"), world.host(f"right{number}")
        if rate:
            world.link(left, right, rate=rate, latency=latency, mtu=mtu)
        else:
            world.link(left, right, latency=latency, mtu=mtu)
        address = right_address(world, right.name)
        if kind == "udp":
            right.run(receive_datagrams, daemon=True)
            left.run(send_datagrams, address, rate / 2)
        else:
            right.run(receive_stream, daemon=True)
            left.run(send_stream, address)


def right_address(world: World, name: str) -> str:
    """IPv4 address of a host, as text."""
    return next(socket.inet_ntoa(address) for address in world.addresses(name) if len(address) == 4)


def conversations(world: World, purpose: str, clients: int, count: int) -> None:
    """A server and clients with asyncio streams, as `simloop_world.py` has them."""
    server = world.host("server")
    server.run(lambda: asyncio.run(streams.serve(purpose, "0.0.0.0")), daemon=True)
    work = {"echo": streams.echo, "bulk": streams.bulk}[purpose]
    address = right_address(world, "server")
    for number in range(clients):
        world.host(f"client{number}").run(lambda: asyncio.run(work(address, count)), start=1.0)


def report(world: World, until: float | None, warm: float = 0.0) -> None:
    """Run the world and print its figures; what happens before virtual time `warm` is not in them."""
    gc.collect()
    if warm:
        world.run(until=warm)
    before = sum(port.received_packets for port in world.topology.ports)
    begin, started, processor = world.now, time.perf_counter(), time.process_time()
    world.run(until=until)
    figures = {
        "wall": time.perf_counter() - started,
        "processor": time.process_time() - processor,
        "virtual": world.now - begin,
        "packets": sum(port.received_packets for port in world.topology.ports) - before,
        "bytes": sum(port.received_bytes for port in world.topology.ports),
    }
    print(json.dumps(figures), flush=True)


def main() -> None:
    kind, words = sys.argv[1], [float(word) for word in sys.argv[2:]]
    random.seed(1)
    world = World(seed=1, quiet=0)
    if kind in ("tcp", "udp"):
        hosts, seconds, rate, latency, *warm = words
        pairs(world, kind, int(hosts), rate, latency)
        report(world, seconds, *warm)
    elif kind == "jumbo":
        seconds, mtu = words
        pairs(world, "tcp", 2, 10e9, 0.0001, int(mtu))
        report(world, seconds)
    elif kind in ("idle", "idle-blocking"):
        hosts, seconds = words
        for number in range(int(hosts)):
            host = world.host(f"host{number}")
            if kind == "idle":
                host.run(lambda: asyncio.run(streams.tick(seconds)))
            else:
                host.run(tick, seconds)
        report(world, None)
    else:
        clients, count = words
        conversations(world, kind, int(clients), int(count))
        report(world, None)


if __name__ == "__main__":
    main()
