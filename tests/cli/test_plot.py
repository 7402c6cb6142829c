import itertools
import socket
import sys

import pytest
from tests import commands

from catenet.world.observe.series import SAMPLES_KEPT, ConnectionEnd, Sample, TimeSeries
from catenet.world.world import World

CATENET = [sys.executable, "-m", "catenet"]


def send(name, size):
    with socket.create_connection((name, 80)) as peer:
        peer.sendall(bytes(size))
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""


@pytest.mark.parametrize("address", ["10.0.0.9", "fd00::9"])
def test_a_transfer_is_seen_from_its_beginning_to_its_end(address):
    with World(seed=3) as world:

        def serve():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.create_server(("", 80), family=family) as listener, listener.accept()[0] as peer:
                while peer.recv(65536):
                    pass

        world.host("server", address).run(serve)
        world.host("client", {"10.0.0.9": "10.0.0.8", "fd00::9": "fd00::8"}[address]).run(send, "server", 2_000_000)
        world.link("client", "server", latency=0.02, rate=10e6, loss=0.01)
        series = TimeSeries(world)
        world.run(until=60)
        [[end]] = series.connections()
        samples = end.all_samples()
        assert (end.host, end.peer) == ("client", (address, 80))
        assert samples[-1].acked == pytest.approx(2_000_000, abs=2)
        assert samples[0].acked <= 1
        assert samples[-1].retransmitted > 0
        assert samples[-1].time <= world.now + 1e-6  # TCP counts in microseconds
        assert all(a.time <= b.time and a.acked <= b.acked for a, b in itertools.pairwise(samples))
        assert max(sample.cwnd for sample in samples) > 30_000
        assert 0.04 <= samples[-1].rtt < 2
        assert any(sample.ssthresh is not None for sample in samples)


def test_two_connections_over_the_same_port_are_two():
    with World(seed=3) as world:

        def serve():
            with socket.create_server(("", 80)) as listener:
                for _ in range(2):
                    with listener.accept()[0] as peer:
                        while peer.recv(65536):
                            pass

        world.host("server").run(serve)
        client = world.host("client")
        client.run(send, "server", 1000)
        client.run(send, "server", 2000, start=1.0)
        series = TimeSeries(world)
        world.run(until=60)
        sizes = [end.all_samples()[-1].acked for ends in series.connections() for end in ends]
        assert [size // 1000 for size in sizes] == [1, 2]


def test_long_runs_are_thinned_out():
    end = ConnectionEnd("a", ("10.0.0.1", 1), ("10.0.0.2", 2), "cubic", None)
    for number in range(20 * SAMPLES_KEPT):
        end.add(Sample(number * 0.001, number, None, 0, 0.1, 0.2, number, number // 50_000))
    assert len(end.samples) <= SAMPLES_KEPT + 1
    assert end.samples[0].cwnd == 0
    assert end.last.cwnd == 20 * SAMPLES_KEPT - 1
    assert end.samples[-1].cwnd > 19 * SAMPLES_KEPT


SERVE = """
import socket
with socket.create_server(("", 80)) as listener:
    while True:
        with listener.accept()[0] as peer:
            while peer.recv(65536):
                pass
            peer.sendall(bytes(50000))
"""

SEND = """
import socket, sys
with socket.create_connection(("server", 80)) as peer:
    peer.sendall(bytes(int(sys.argv[1])))
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(65536):
        pass
"""


def sampled(isolation, apart=None):
    """What there is to draw of a world in which a host crashes in the middle of a transfer."""
    with World(seed=3, isolation=isolation, output=lambda *line: None) as world:
        world.host("server", isolation=apart).run(["-c", SERVE], daemon=True)
        world.host("first").run(["-c", SEND, "300000"])
        world.host("second").run(["-c", SEND, "2000000"], start=0.3)
        for name in world.hosts:
            world.link(name, latency=0.01, rate=10e6, loss=0.01)
        world.at(1.0, world.hosts["second"].crash)
        world.at(2.0, world.hosts["second"].restart)
        series = TimeSeries(world)
        world.run(until=10, check=False)
        world.terminate()
        return [[end.to_values() for end in ends] for ends in series.connections()]


@pytest.mark.parametrize("apart", [None, "shared"])
def test_hosts_with_processes_of_their_own_are_sampled_where_they_are(apart):
    together = sampled("shared")
    assert [[end[0] for end in ends] for ends in together] == [["first", "server"], ["second"], ["second"]]
    assert all(len(ends[0][4]) > 50 for ends in together)
    assert sampled("process", apart) == together


@pytest.mark.slow
def test_a_run_writes_a_picture_per_connection(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "server.py").write_text(
        "import socket\nwith socket.create_server(('', 80)) as listener, listener.accept()[0] as peer:\n"
        "    while peer.recv(65536):\n        pass\n    peer.sendall(bytes(50000))\n"
    )
    (tmp_path / "client.py").write_text(
        "import socket\nwith socket.create_connection(('server', 80)) as peer:\n"
        "    peer.sendall(bytes(300000))\n    peer.shutdown(socket.SHUT_WR)\n"
        "    while peer.recv(65536):\n        pass\n"
    )
    (tmp_path / "world.toml").write_text(
        "[link]\nlatency = '5ms'\n[hosts.server]\nrun = 'server.py'\n[hosts.client]\nrun = 'client.py'\n"
    )
    words = [*CATENET, "run", "--plot", "out", "world.toml"]
    done = commands.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    [picture] = (tmp_path / "out").iterdir()
    assert picture.name == "001-client-server-80.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_closed_run_draws_connections_of_isolated_hosts(tmp_path):
    """Where hosts have a namespace of processes, the run can make no threads, which numpy's libraries try."""
    (tmp_path / "echo.py").write_text(
        "import socket\nwith socket.create_server(('', 7)) as s:\n"
        " c, _ = s.accept()\n while d := c.recv(4096): c.sendall(d)\n"
    )
    (tmp_path / "ask.py").write_text(
        "import socket\nc = socket.create_connection(('b', 7))\nc.sendall(bytes(3000))\nn = 0\n"
        "while n < 3000: n += len(c.recv(4096))\n"
    )
    (tmp_path / "world.toml").write_text(
        "[link]\nlatency = '5ms'\n[hosts.b]\nrun = 'echo.py'\n[hosts.a]\nrun = 'ask.py'\nstart = '1s'\n"
    )
    done = commands.run(
        [*CATENET, "run", "world.toml", "--plot", "plots"], real=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in (tmp_path / "plots").iterdir()] == [".png"]
