"""Random worlds: hosts, links, settings, programs and accidents that follow from a seed, and what came of them.

`python -m tests.world.random_worlds FIRST COUNT` prints a line of JSON for each seed; interpreters, builds of the
package and short cuts in it must all agree on every line.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import random
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from tests.world.any_order import use_any_order

from catenet.stack.settings import Settings
from catenet.wire.offload import complete
from catenet.world import World

STREAM, DATAGRAMS = 9000, 5353
UNTIL = 90.0
PATIENCE = 20.0
ASKED = struct.Struct("!II")
FAMILIES = (socket.AF_INET, socket.AF_INET6)
SIZES = (0, 1, 100, 1448, 1460, 5000, 20_000, 70_000)
CHUNKS = (1000, 4096, 65_536)

LINKS: dict[str, tuple[Any, ...]] = {
    "latency": (0.0, 0.001, 0.01, 0.05),
    "rate": (None, None, 1e6, 10e6, 100e6),
    "jitter": (0.0, 0.0, 0.002),
    "loss": (0.0, 0.0, 0.0, 0.01, 0.05),
    "duplicate": (0.0, 0.0, 0.0, 0.02),
    "reorder": (0.0, 0.0, 0.0, 0.02),
    "corrupt": (0.0, 0.0, 0.0, 0.01),
    "queue": ("droptail", "droptail", "droptail", "codel", "fq_codel", "dualpi2"),
    "mtu": (1280, 1500, 1500, 1500, 9000, 65_535),
}
SETTINGS: dict[str, tuple[Any, ...]] = {
    "tcp_sack": (1, 1, 1, 0),
    "tcp_timestamps": (1, 1, 1, 0),
    "tcp_window_scaling": (1, 1, 1, 0),
    "tcp_ecn": (2, 2, 1, 3, 0),
    "tcp_congestion_control": ("cubic", "cubic", "reno", "bbr"),
    "tcp_mtu_probing": (0, 0, 1, 2),
    "tcp_fastopen": (1, 3),
    "tcp_truesize": (0, 0, 0, 1),
    "tcp_shrink_window": (0, 0, 0, 1),
    "default_qdisc": ("pfifo_fast", "pfifo_fast", "fq"),
    "tcp_slow_start_after_idle": (1, 0),
    "ip_no_pmtu_disc": (0, 0, 0, 1),
}


def chosen(chance: random.Random, table: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    return {name: chance.choice(values) for name, values in table.items()}


# Servers: each answers (bytes that follow, bytes wanted) until the stream ends, in its own style of programming.


def exactly(connection: socket.socket, count: int, chunk: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, chunk))
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def attend(connection: socket.socket, chunk: int) -> None:
    try:
        with connection:
            connection.settimeout(PATIENCE)
            while len(asked := exactly(connection, ASKED.size, chunk)) == ASKED.size:
                follows, wanted = ASKED.unpack(asked)
                got = exactly(connection, follows, chunk)
                connection.sendall(bytes([len(got) & 0xFF]) * wanted)
    except OSError as error:
        print("attend", type(error).__name__)


def listener(family: int) -> socket.socket:
    listens = socket.socket(family)
    listens.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listens.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listens.bind(("", STREAM))
    listens.listen()
    return listens


def one_at_a_time(family: int, chunk: int) -> None:
    with listener(family) as listens:
        while True:
            attend(listens.accept()[0], chunk)


def in_threads(family: int, chunk: int) -> None:
    with listener(family) as listens:
        while True:
            threading.Thread(target=attend, args=(listens.accept()[0], chunk), daemon=True).start()


def in_tasks(family: int, chunk: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                follows, wanted = ASKED.unpack(await reader.readexactly(ASKED.size))
                got = await reader.readexactly(follows)
                writer.write(bytes([len(got) & 0xFF]) * wanted)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError) as error:
            print("answer", type(error).__name__)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(answer, sock=listener(family), limit=chunk) as server:
            await server.serve_forever()

    asyncio.run(serve())


def by_epoll(family: int, chunk: int) -> None:
    """One thread, edge-triggered; of each connection what has come, what is to be read yet and what to be sent."""
    poll, found, sets = (
        select.epoll(),
        dict[int, tuple[socket.socket, bytearray, bytearray]](),
        select.EPOLLIN | select.EPOLLOUT | select.EPOLLET,
    )
    listens = listener(family)
    listens.setblocking(False)
    poll.register(listens, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listens.fileno():
                connection = listens.accept()[0]
                connection.setblocking(False)
                found[connection.fileno()] = (connection, bytearray(), bytearray())
                poll.register(connection, sets)
            elif not served(*found[number], chunk):
                found.pop(number)[0].close()


def served(connection: socket.socket, had: bytearray, owed: bytearray, chunk: int) -> bool:
    """Read and write all there is; whether the connection goes on."""
    try:
        while True:
            while len(had) >= ASKED.size and len(had) - ASKED.size >= ASKED.unpack_from(had)[0]:
                follows, wanted = ASKED.unpack_from(had)
                del had[: ASKED.size + follows]
                owed += bytes([follows & 0xFF]) * wanted
            while owed:
                del owed[: connection.send(owed)]
            part = connection.recv(chunk)
            if not part:
                return False
            had += part
    except BlockingIOError:
        return True
    except OSError as error:
        print("served", type(error).__name__)
        return False


def returns(family: int, chunk: int) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        if family == socket.AF_INET6:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        receiver.bind(("", DATAGRAMS))
        while True:
            data, peer = receiver.recvfrom(chunk)
            try:
                receiver.sendto(data[::-1], peer)
            except OSError as error:
                print("returns", type(error).__name__)


SERVERS = (one_at_a_time, in_threads, in_tasks, by_epoll)


# Clients.


def connected(chance: random.Random, server: str, family: int) -> socket.socket:
    connection = socket.socket(family)
    connection.settimeout(PATIENCE)
    for level, option, values in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, (None, 1)),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, (None, None, 8000, 100_000)),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, (None, None, 4000, 100_000)),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, (None, 1)),
    ):
        value = chance.choice(values)
        if value is not None:
            connection.setsockopt(level, option, value)
    connection.connect(socket.getaddrinfo(server, STREAM, family)[0][4])
    return connection


def converse(chance: random.Random, server: str, family: int) -> None:
    """A stream, turn by turn; ends in one of three ways."""
    with connected(chance, server, family) as connection:
        for _ in range(chance.randrange(1, 6)):
            follows, wanted, chunk = chance.choice(SIZES), chance.choice(SIZES), chance.choice(CHUNKS)
            data = ASKED.pack(follows, wanted) + bytes(follows)
            if chance.random() < 0.3:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, chance.randrange(2))
            if chance.random() < 0.3:
                connection.sendall(data[:3], socket.MSG_MORE)
                data = data[3:]
            connection.sendall(data)
            print("got", len(exactly(connection, wanted, chunk)))
            if chance.random() < 0.5:
                time.sleep(chance.choice((0.01, 0.3, 3.0)))
        ending = chance.randrange(3)
        if ending == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif ending == 2:
            connection.shutdown(socket.SHUT_WR)
            print("end", connection.recv(100))


def flood(chance: random.Random, server: str, family: int) -> None:
    """Asks for much at once and reads as it comes, with more than one turn under way."""
    with connected(chance, server, family) as connection:
        connection.setblocking(False)
        poll = select.poll()
        poll.register(connection, select.POLLIN | select.POLLOUT)
        owed, wanted = bytearray(), 0
        for _ in range(chance.randrange(1, 8)):
            follows, wants = chance.choice(SIZES), chance.choice(SIZES)
            owed += ASKED.pack(follows, wants) + bytes(follows)
            wanted += wants
        while wanted or owed:
            events = poll.poll(PATIENCE * 1000)
            if not events:
                raise TimeoutError
            if events[0][1] & select.POLLIN:
                got = len(connection.recv(chance.choice(CHUNKS)))
                wanted = wanted - got if got else -1
            if wanted < 0:
                break
            if owed and events[0][1] & select.POLLOUT:
                del owed[: connection.send(owed)]
                if not owed:
                    poll.modify(connection, select.POLLIN)
        print("left", wanted, len(owed))


def in_parallel(chance: random.Random, server: str, family: int) -> None:
    """Several streams of one asyncio program."""

    async def stream(chance: random.Random) -> int:
        reader, writer = await asyncio.open_connection(sock=await connect(chance))
        total = 0
        for _ in range(chance.randrange(1, 6)):
            follows, wanted = chance.choice(SIZES), chance.choice(SIZES)
            writer.write(ASKED.pack(follows, wanted) + bytes(follows))
            await writer.drain()
            total += len(await asyncio.wait_for(reader.readexactly(wanted), PATIENCE))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.choice((0.0, 0.02, 1.0)))
        writer.close()
        return total

    async def connect(chance: random.Random) -> socket.socket:
        connection = socket.socket(family)
        connection.setblocking(False)
        where = (await asyncio.get_running_loop().getaddrinfo(server, STREAM, family=family))[0][4]
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(connection, where), PATIENCE)
        return connection

    async def main() -> None:
        streams = [stream(random.Random(chance.random())) for _ in range(chance.randrange(1, 5))]
        for outcome in await asyncio.gather(*streams, return_exceptions=True):
            print("stream", type(outcome).__name__ if isinstance(outcome, BaseException) else outcome)

    asyncio.run(main())


def datagrams(chance: random.Random, server: str, family: int) -> None:
    """Bursts of datagrams that come back."""
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.3)
        where = socket.getaddrinfo(server, DATAGRAMS, family)[0][4]
        if chance.random() < 0.5:
            sender.connect(where)
        for _ in range(chance.randrange(1, 8)):
            try:
                for _ in range(chance.choice((1, 1, 3, 20))):
                    sender.sendto(bytes(chance.choice(SIZES[:-2])), where)
                while True:
                    print("back", len(sender.recv(chance.choice(CHUNKS))))
            except OSError as error:
                print("datagrams", type(error).__name__)


CLIENTS = (converse, converse, flood, in_parallel, datagrams)


def guarded(client: Callable[..., None], chance: random.Random, server: str, family: int) -> None:
    try:
        client(copy.copy(chance), server, family)  # a program that is run again draws as it did
    except OSError as error:
        print(client.__name__, type(error).__name__)


# Worlds.


def without_in_order_queues(world: World) -> None:
    """Let every packet go over its links in the slow path."""
    for network in world.topology.networks.values():
        find = network.find_path

        def slow_path(*names: Any, find: Callable[..., Any] = find) -> Any:
            found = find(*names)
            if not isinstance(found, str):
                found.in_order = None
            return found

        network.find_path = slow_path


def people(world: World, chance: random.Random, apart: Collection[str] = ()) -> list[str]:
    """Hosts, one of them a server, on one network or on two with a router between them; their names.

    Those in `apart` are run by processes of their own.
    """
    names = ["server", *("abc"[: chance.randrange(1, 4)])]
    world.network("near")
    routed = chance.random() < 0.3
    if routed:
        world.network("far")
        world.host("router", network=("near", "far"), forwarding=True, isolation=isolation("router", apart))
    for name in names:
        network = "far" if routed and chance.random() < 0.5 else "near"
        settings = Settings(**chosen(chance, SETTINGS))
        world.host(name, network=network, settings=settings, isolation=isolation(name, apart))
    for name in world.hosts:
        if chance.random() < 0.8:
            world.link(name, **chosen(chance, LINKS))
    if len(names) > 2 and not routed and chance.random() < 0.3:
        world.link("a", "b", **chosen(chance, LINKS))
    return names


def accidents(world: World, chance: random.Random, names: list[str], short: bool) -> None:
    """Events of the network while programs run."""

    def restart() -> None:
        world.hosts["server"].restart()
        world.hosts["server"].stack.set_fast_paths(short)

    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        when, kind = chance.random() * 5, chance.randrange(4)
        name = chance.choice(names)
        if kind == 0:
            properties = chosen(chance, LINKS)
            world.at(when, partial(world.link, name, **properties))
        elif kind == 1:
            world.at(when, world.partition, name)
            world.at(when + chance.random() * 4, world.heal)
        elif kind == 2 and chance.random() < 0.5:
            world.at(when, restart)
        else:
            stack = world.hosts[name].stack
            world.at(when, stack.set_mtu, 2, chance.choice((1280, 1400, 1500)))


def isolation(name: str, apart: Collection[str]) -> str | None:
    return "process" if name in apart else None


def told(
    seed: int,
    *,
    short: bool = True,
    in_order: bool = True,
    in_any_order: bool = False,
    apart: Collection[str] = (),
    workers: int = 1,
) -> dict[str, Any]:
    """Run the world of a seed.

    `short` and `in_order` are the fast paths of stacks and of links; `in_any_order` asks hosts in a drawn order. The
    hosts in `apart` are run by processes of their own, as many at a time as there are `workers`.
    """
    chance = random.Random(seed)
    lines: list[str] = []
    world = World(seed, output=lambda *line: lines.append(" ".join((f"{world.now:.9f}", *line))), workers=workers)
    if in_any_order:
        use_any_order(world, random.Random(seed))
    names = people(world, chance, apart)
    for host in world.hosts.values():
        host.stack.set_fast_paths(short)
    if not in_order:
        without_in_order_queues(world)
    server, chunk = world.hosts["server"], chance.choice(CHUNKS)
    for family in FAMILIES:
        server.run(chance.choice(SERVERS), family, chunk, daemon=True)
        server.run(returns, family, chunk, daemon=True)
    for name in [*names[1:], *(["server"] if chance.random() < 0.2 else [])]:
        for _ in range(chance.randrange(1, 3)):
            program, draw = chance.choice(CLIENTS), random.Random(chance.random())
            family = chance.choice(FAMILIES)
            world.hosts[name].run(guarded, program, draw, "server", family, start=0.1 + chance.random())
    accidents(world, chance, names, short)
    crossed = hashlib.sha256()
    # A checksum that is left to the device is as good as the right one.
    world.trace.taps.append(
        lambda *record: crossed.update(repr((*record[:2], complete(bytes(record[2])), record[3])).encode())
    )
    with world:
        world.run(UNTIL, check=False)
        counters = {name: host.counters() | {"in_predicted": 0} for name, host in world.hosts.items()}
        return {
            "seed": seed,
            "now": world.now,
            "packets": world.trace.records,
            "crossed": crossed.hexdigest(),
            "trace": world.trace.hexdigest(),
            "lines": lines,
            "counters": counters,
            "statuses": [process.status for process in world.processes],
        }


if __name__ == "__main__":
    first, count = map(int, sys.argv[1:])
    for seed in range(first, first + count):
        print(json.dumps(told(seed)), flush=True)
