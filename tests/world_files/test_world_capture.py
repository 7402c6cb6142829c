import io
import socket

import pytest

from catenet.wire import ip, tcp
from catenet.wire.pcapng import read_pcapng
from catenet.world.observe.capture import capture_world
from catenet.world.observe.series import TimeSeries
from catenet.world.world import World


def answer(family):
    with socket.create_server(("", 80), family=family) as listener, listener.accept()[0] as peer:
        peer.sendall(peer.recv(1000) * 10)


def ask(address):
    with socket.create_connection((address, 80)) as peer:
        peer.sendall(b"question")
        while peer.recv(1000):
            pass


@pytest.mark.parametrize("version", [4, 6])
def test_a_capture_has_whole_packets_of_every_host_also_of_one_that_comes_later(version):
    family, address = {4: (socket.AF_INET, "10.0.0.9"), 6: (socket.AF_INET6, "fd00::9")}[version]
    file = io.BytesIO()
    with World(seed=1) as world:
        world.host("server", address).run(answer, family, daemon=True)

        def join():
            world.host("late", {4: "10.0.0.8", 6: "fd00::8"}[version]).run(ask, address)

        world.host("idle").run(print, start=5.0)
        capture_world(world, file)
        series = TimeSeries(world)
        world.at(1.0, join)
        world.run(until=10)
        assert {end.host for ends in series.connections() for end in ends} == {"server", "late"}
    captured = list(read_pcapng(file.getvalue()))
    assert {one.offset for one in captured} == {1_735_689_600}  # 2025-01-01T00:00:00Z, when a world begins
    assert {one.interface_name for one in captured} == {"server/eth0", "late/eth0"}
    seen = 0
    for one in captured:
        packet = ip.parse(one.data)
        # parse verifies the checksum, which a simulated link does not need and a file must have
        seen += len(tcp.parse(packet.payload, packet.source, packet.destination).payload)
    assert seen == 2 * (8 + 80)


def test_a_capture_of_one_host_has_each_packet_once():
    whole, alone = io.BytesIO(), io.BytesIO()
    with World(seed=1, epoch=1_000_000_000.25) as world:
        world.host("server", "10.0.0.9").run(answer, socket.AF_INET, daemon=True)
        world.host("client").run(ask, "10.0.0.9", start=1.0)
        capture_world(world, whole)
        capture_world(world, alone, "server")
        world.run(until=10)
    every, once = (list(read_pcapng(file.getvalue())) for file in (whole, alone))
    assert {one.interface_name for one in once} == {"server/eth0"}
    assert [one.data for one in once] == [one.data for one in every if one.interface_name == "server/eth0"]
    assert len(every) == 2 * len(once) and len({one.data for one in once}) == len(once)
    assert (once[0].offset, once[0].time) == (1_000_000_000, pytest.approx(1.25))
