"""Whatever the link does, the bytes arrive as written, or both ends see an error."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stack.tcp.tcpnet import Net, transfer

from catenet.stack.endpoint import StackError
from catenet.stack.tcp.user.endpoint import TcpEndpoint

VERSIONS = (4, 6)


def faulty(rng: random.Random, loss: float, duplicate: float, reorder: float, corrupt: float, delay: float):
    def carry(packet: bytes, now: float) -> list[tuple[float, bytes]]:
        if rng.random() < loss:
            return []
        out = []
        for _ in range(2 if rng.random() < duplicate else 1):
            copy = packet
            if rng.random() < corrupt:
                at = rng.randrange(len(packet))
                copy = packet[:at] + bytes([packet[at] ^ 1 << rng.randrange(8)]) + packet[at + 1 :]
            extra = rng.random() * 3 * delay if rng.random() < reorder else 0.0
            out.append((delay + extra, copy))
        return out

    return carry


class Mover:
    """Writes on one end and reads at the other, noting errors."""

    def __init__(self, sender: TcpEndpoint, receiver: TcpEndpoint, data: bytes) -> None:
        self.sender, self.receiver, self.data = sender, receiver, data
        self.sent = 0
        self.got = bytearray()
        self.errors: list[str] = []
        """Which calls failed."""
        self.eof = False
        self.shut = False

    @property
    def whole(self) -> bool:
        return self.eof and bytes(self.got) == self.data

    def move(self) -> None:
        try:
            while self.sent < len(self.data):
                count = self.sender.send(self.data[self.sent : self.sent + 16384])
                if count is None:
                    break
                self.sent += count
            if self.sent == len(self.data) and not self.shut:
                self.shut = True
                self.sender.shutdown(False, True)
        except StackError:
            self.errors.append("sender")
            self.sent = len(self.data)
            self.shut = True
        try:
            while not self.eof:
                piece = self.receiver.receive(65536)
                if piece is None:
                    break
                if piece == b"":
                    self.eof = True
                    break
                self.got += piece
        except StackError:
            self.errors.append("receiver")
            self.eof = True


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.4]),
    duplicate=st.sampled_from([0.0, 0.05, 0.3]),
    reorder=st.sampled_from([0.0, 0.05, 0.5]),
    corrupt=st.sampled_from([0.0, 0.02, 0.1]),
    delay=st.sampled_from([0.0001, 0.02, 0.3]),
    size=st.sampled_from([1, 1000, 20_000, 150_000]),
    sack=st.booleans(),
    stamps=st.booleans(),
    scaling=st.booleans(),
    congestion=st.sampled_from(["cubic", "reno"]),
    ecn=st.sampled_from([0, 1]),
)
def test_bytes_arrive_or_both_ends_see_an_error(
    version, seed, loss, duplicate, reorder, corrupt, delay, size, sack, stamps, scaling, congestion, ecn
):
    net = Net(version, seed=seed)
    for host in net.hosts:
        host.settings.tcp_sack = int(sack)
        host.settings.tcp_timestamps = int(stamps)
        host.settings.tcp_window_scaling = int(scaling)
        host.settings.tcp_congestion_control = congestion
        host.settings.tcp_ecn = ecn
    rng = random.Random(seed)
    net.filters = [faulty(rng, loss, duplicate, reorder, corrupt, delay) for _ in range(2)]
    listener = net.listener()
    client = net.a.tcp_endpoint(version)
    for end in (listener, client):
        # Without keepalive an end that only waits never learns that the other has given up.
        end.set_option("SO_KEEPALIVE", 1)
        end.set_option("TCP_KEEPIDLE", 60)
    client.connect(net.name(1, 80))
    accepted: list[TcpEndpoint] = []

    def is_open() -> bool:
        child = listener.accept()
        if child is not None:
            accepted.append(child)
        return bool(accepted) or client.state == "CLOSED"

    net.run(600, is_open)
    if not accepted:
        assert client.take_error() is not None
        return
    there = Mover(client, accepted[0], rng.randbytes(size))
    back = Mover(accepted[0], client, rng.randbytes(size // 3 + 1))
    end = net.now + 40_000
    while net.now < end and not (there.eof and back.eof):
        there.move()
        back.move()
        if not (there.eof and back.eof) and not net.step():
            break
    assert there.data.startswith(bytes(there.got)) and back.data.startswith(bytes(back.got))
    if not (there.whole and back.whole):
        # Somebody gave up: both ends must know, by a call that failed or by SO_ERROR.
        net.run(4000)
        assert loss + corrupt > 0.1
        assert client.state == "CLOSED" and accepted[0].state == "CLOSED"
        for end in (client, accepted[0]):
            assert there.errors or back.errors or end.take_error() is not None
    client.close()
    accepted[0].close()
    net.run(4000)
    assert not net.a.tcp.connections and not net.b.tcp.connections


@pytest.mark.parametrize("version", VERSIONS)
def test_large_transfer_is_clean_without_faults(version):
    net = Net(version)
    client, server, _ = net.pair()
    data = random.Random(1).randbytes(2_000_000)
    assert transfer(net, client, server, data) == data
    assert client.info().tcpi_total_retrans == 0
    assert client.info().tcpi_bytes_acked >= len(data) - 1


def test_bottleneck_is_filled():
    """10 MB over 100 Mbit/s and 20 ms: at least 80 % of the rate after slow start."""
    net = Net(4, delay=0.01)
    client, server, _ = net.pair()
    free_at = [0.0]

    def bottleneck(packet: bytes, now: float) -> list[tuple[float, bytes]]:
        start = max(now, free_at[0])
        if start - now > 0.05:
            return []
        free_at[0] = start + len(packet) * 8 / 100e6
        return [(free_at[0] - now + 0.01, packet)]

    net.filters[0] = bottleneck
    warm = bytes(2_000_000)
    assert transfer(net, client, server, warm) == warm
    start = net.now
    data = bytes(10_000_000)
    assert transfer(net, client, server, data) == data
    assert len(data) * 8 / (net.now - start) > 80e6


@pytest.mark.parametrize("version", VERSIONS)
def test_pieces_of_every_size_are_put_together(version):
    net = Net(version)
    client, server, _ = net.pair(TCP_NODELAY=1)
    rng = random.Random(5)
    written = bytearray()
    for _ in range(300):
        piece = rng.randbytes(rng.randrange(1, 4000))
        count = client.send(memoryview(bytearray(piece)))
        written += piece[: count or 0]
        if rng.random() < 0.5:
            net.run(0.003)
        if count != len(piece):
            net.run(1)
    out = bytearray()
    while len(out) < len(written):
        size = rng.randrange(1, 5000)
        peeked = server.receive(size, peek=True)
        if peeked is None:
            assert net.run(5, lambda: server.unread() > 0)
            continue
        assert server.receive(size) == peeked
        out += peeked
    assert bytes(out) == bytes(written)
