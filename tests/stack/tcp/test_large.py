"""A device that cuts segments: what a program writes goes down in large ones and arrives whatever is lost."""

from __future__ import annotations

import random

import pytest
from tests.stack.tcp.tcpnet import Net, transfer

from catenet.stack.endpoint import Readiness
from catenet.wire import ip
from catenet.wire.gather import Gather
from catenet.wire.offload import GsoPacket, complete, cut

LARGEST = 65_000


class CuttingNet(Net):
    """Host a's device cuts, and forgets a share of the pieces; `sizes` are those of the large packets."""

    def __init__(self, version: int, loss: float = 0.0, seed: int = 1) -> None:
        super().__init__(version, seed=seed)
        for stack in self.hosts:
            stack.set_offload(True)
        self.a.set_offload(True, LARGEST)
        self.sizes: list[int] = []
        self.kinds: set[type] = set()
        rng = random.Random(seed)

        def carry(packet: bytes, now: float) -> list[tuple[float, bytes]]:
            pieces = [packet]
            if isinstance(packet, GsoPacket):
                self.sizes.append(packet.size)
                self.kinds.add(type(packet.payload))
                assert packet.size == len(packet.whole())
                assert ip.parse(packet.whole()).payload[-1] == bytes(packet.payload)[-1]
                pieces = cut(packet)
            return [(self.delay, complete(piece)) for piece in pieces if rng.random() >= loss]

        self.filters[0] = carry


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("loss", [0.0, 0.002, 0.05])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_arrive_as_written(version: int, loss: float, kind: type) -> None:
    net = CuttingNet(version, loss, seed=7)
    client, accepted, _ = net.pair()
    data = random.Random(7).randbytes(700_001)
    assert transfer(net, client, accepted, kind(data)) == data
    assert max(net.sizes) > (5_000 if loss < 0.01 else 2_000)
    assert all(size <= LARGEST + 100 for size in net.sizes)


@pytest.mark.parametrize("nodelay", [0, 1])
def test_segments_of_all_sizes_follow_each_other(nodelay: int) -> None:
    net = CuttingNet(4, 0.01, seed=3)
    client, accepted, _ = net.pair(TCP_NODELAY=nodelay)
    rng = random.Random(5)
    written, got = b"", bytearray()
    for _ in range(300):
        piece = rng.randbytes(rng.choice((1, 64, 1448, 4095, 4096, 5000, 30_000, 70_000)))
        count = client.send(piece) if client.readiness() & Readiness.OUT else 0
        written += piece[:count]
        net.run(rng.choice((0.0, 0.001, 0.05)))
        while more := accepted.receive(1 << 20):
            got += more
    end = net.now + 600
    while len(got) < len(written) and net.now < end and net.step():
        got += accepted.receive(1 << 20) or b""
    assert bytes(got) == written


def test_what_cannot_change_is_not_copied() -> None:
    """A large segment shows the very memory that the program wrote from."""
    net = CuttingNet(4)
    client, accepted, _ = net.pair()
    owners: list[object] = []
    carry = net.filters[0]
    assert carry is not None

    def look(packet: bytes, now: float) -> list[tuple[float, bytes]]:
        if isinstance(packet, GsoPacket):
            payload = packet.payload
            pieces = payload.pieces if isinstance(payload, Gather) else [payload]
            owners.extend(piece.obj for piece in pieces if isinstance(piece, memoryview))
        return carry(packet, now)

    net.filters[0] = look
    data = bytes(1_000_000)
    sent = 0
    end = net.now + 60
    while sent < len(data) and net.now < end:
        sent += client.send(memoryview(data)[sent:]) or 0
        net.step()
        accepted.receive(1 << 20)
    assert any(owner is data for owner in owners)


@pytest.mark.parametrize(("size", "gathers"), [(8192, True), (65_536, True), (1000, False)])
def test_what_several_writes_have_left_is_gathered_unless_it_is_small(size: int, gathers: bool) -> None:
    net = CuttingNet(4, loss=0.0005, seed=11)
    client, accepted, _ = net.pair()
    data = random.Random(size).randbytes(2_000_000)
    got, sent = bytearray(), 0
    end = net.now + 60
    while len(got) < len(data) and net.now < end:
        while sent < len(data) and (count := client.send(data[sent : sent + size])):
            sent += count
        net.step()
        got += accepted.receive(1 << 20) or b""
    assert bytes(got) == data
    assert (Gather in net.kinds) == gathers


def test_what_may_change_is_copied() -> None:
    net = CuttingNet(4)
    client, accepted, _ = net.pair()
    data = bytearray(b"a" * 40_000)
    count = client.send(data)
    assert count
    data[:] = b"b" * len(data)
    got = bytearray()
    end = net.now + 10
    while len(got) < count and net.now < end and net.step():
        got += accepted.receive(1 << 20) or b""
    assert bytes(got) == b"a" * count


def test_a_view_keeps_no_more_alive_than_a_send_buffer_may_hold() -> None:
    net = CuttingNet(4)
    net.a.settings.tcp_wmem = (4096, 16_384, 100_000)
    client, _, _ = net.pair()
    data = bytes(100_001)
    client.send(data)
    c = client.connection
    assert c is not None
    kept = [*c.pending, *(sent.data for sent in c.sent)]
    assert kept
    assert not any(piece is data or (isinstance(piece, memoryview) and piece.obj is data) for piece in kept)
