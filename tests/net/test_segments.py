"""Many datagrams by one call: what leaves, what comes in, and where the kernel does not take them."""

import asyncio
import contextlib
import socket

import pytest

from catenet.net.core import PlainDatagramCore
from catenet.net.datagram import DatagramEndpoint, DatagramPeer
from catenet.net.segments import Segments
from catenet.world import World


class Core(PlainDatagramCore):
    """Sends what it is given, notes what comes."""

    def __init__(self, out=()):
        self.out = list(out)
        self.got = []

    def transmit(self, now):
        out, self.out = self.out, []
        return out

    def receive(self, data, peer, now):
        self.got.append(data)

    def next_event(self):
        return None


class ManyCore(Core):
    """Takes many at once."""

    def receive_many(self, data, size, peer, now):
        self.got += [data[start : start + size] for start in range(0, len(data), size)]


def segments(size, count, last):
    """Headers and payloads, as two buffers each."""
    buffers = []
    for number in range(count):
        buffers += [bytes([number]) * 2, memoryview(bytes([number]) * ((last if number == count - 1 else size) - 2))]
    return Segments(buffers, size, 2)


async def exchange(packets, kind, many, host):
    """Send packets from one endpoint to another; what the other one got."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        here = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        there.bind((host, 0))
        taking, wanted = kind(), sum(len(list(one)) for one in packets)
        receiver = DatagramEndpoint(loop, taking, [there], [], False, many=many)
        sending = Core([(one, DatagramPeer(there.getsockname())) for one in packets])
        sender = DatagramEndpoint(loop, sending, [here], [], False)
        async with asyncio.timeout(20):
            while len(taking.got) < wanted:
                await asyncio.sleep(0.001)
        sender.close()
        receiver.close()
    return taking.got


CASES = [(100, 5, 30), (1472, 32, 1472), (1472, 1, 7), (8196, 7, 2)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(("kind", "many"), [(Core, False), (Core, True), (ManyCore, True)])
@pytest.mark.parametrize("case", CASES)
def test_each_datagram_arrives_by_itself(case, kind, many, host):
    sent = segments(*case)
    assert asyncio.run(exchange([sent], kind, many, host)) == list(sent)


def test_what_is_too_much_for_one_call_leaves_one_by_one():
    sent = [segments(40_000, 3, 100), segments(100, 3, 50)]
    got = asyncio.run(exchange(sent, Core, False, "127.0.0.1"))
    assert got == [*sent[0], *sent[1]], "in order, and the endpoint goes on so"


def test_in_a_world():
    got = []

    async def main():
        got.extend(await exchange([segments(500, 5, 30)], ManyCore, True, "127.0.0.1"))

    with World(1) as world:
        world.host("one").run(lambda: asyncio.run(main()))
        world.run(30)
    assert got == list(segments(500, 5, 30))
