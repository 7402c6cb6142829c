"""`catenet connect` and `catenet listen` as programs of worlds: lossy links, both IP versions, groups, seeds."""

from __future__ import annotations

import base64
import hashlib
import json
import random

import pytest

from catenet.world import World

DATA = random.Random(1).randbytes(40_000).hex()


def play(programs, seed=1, loss="3%", until=600, stop=()):
    """Run `(host, words, stdin, start)`, daemons where there is no stdin; return statuses, lines by host, and time."""
    lines: dict[str, list[str]] = {}
    with World(seed, output=lambda host, stream, line: lines.setdefault(f"{host}.{stream}", []).append(line)) as world:
        for name in dict.fromkeys(name for name, *_ in programs):
            world.host(name)
            world.link(name, latency="15ms", loss=loss, rate="20Mbit")
        for name, words, stdin, start in programs:
            world.hosts[name].run(f"-m catenet {words}", daemon=stdin is None, stdin=stdin or "", start=start)
        world.run(until)
        statuses = [process.status for process in world.processes if not process.daemon]
        return statuses, lines, world.now, world.trace.hexdigest()


@pytest.fixture
def echo(tmp_path):
    """A recording by which a server answers `DATA` with its digest, once it has all of it."""
    there, back = DATA.encode(), hashlib.sha256(DATA.encode()).hexdigest().encode() + b"\n"
    lines = [
        {"recording": 1},
        {"connection": 1, "time": 0, "direction": ">", "bytes": base64.b64encode(there).decode()},
        {"connection": 1, "time": 0, "direction": ">", "end": True},
        {"connection": 1, "time": 1, "direction": "<", "bytes": base64.b64encode(back).decode()},
        {"connection": 1, "time": 1, "direction": "<", "end": True},
    ]
    (tmp_path / "echo").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"--replay {tmp_path}/echo", back.decode().strip()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("address", ["10.0.0.1", "[fd00::1]", "server"])
def test_a_stream_through_a_relay_over_lossy_links(echo, seed, address):
    words, answer = echo
    programs = [
        ("server", f"listen -k tcp://:7 {words}", None, 0),
        ("relay", f"listen -k tcp://:8 tcp://{address}:7 --latency 30ms+-10ms --rate 4Mbit", None, 0),
        ("client", "connect tcp://relay:8 -v", DATA, 0.5),
    ]
    statuses, lines, *_ = play(programs, seed)
    assert (statuses, lines["client.stdout"]) == ([0], [answer])
    assert "(80000 bytes >, 65 bytes <" in lines["client.stderr"][-1]


def test_the_seed_decides_everything(echo):
    words, _ = echo
    programs = [
        ("server", f"listen -k tcp://:7 {words}", None, 0),
        ("client", "connect tcp://server:7 --latency 10ms+-5ms --hex", DATA, 0.5),
    ]
    assert play(programs, 3) == play(programs, 3)
    assert play(programs, 3)[3] != play(programs, 4)[3]


def test_faults_in_virtual_time(echo):
    words, answer = echo
    programs = [
        ("server", f"listen -k tcp://:7 {words}", None, 0),
        ("client", "connect tcp://server:7 --stall 10kB:300s", DATA, 0.5),
    ]
    statuses, lines, now, _ = play(programs)
    assert (statuses, lines["client.stdout"]) == ([0], [answer]) and 300 < now < 340
    programs[1] = ("client", "connect tcp://server:7 --reset-after 20s --stall 1kB:forever -v", DATA + "0", 0.5)
    statuses, lines, *_ = play(programs, loss="0")
    assert "reset after 20 s" in lines["client.stderr"][-1]


def test_datagrams_and_their_silence():
    programs = [
        ("a", "listen -k udp://:7 udp://b:8", None, 0),
        ("b", "listen udp://:8 --idle 20s", "", 0),
        ("client", "connect udp://a:7 -v", "hello", 1),
    ]
    statuses, lines, *_ = play(programs, loss="0")
    assert (statuses, lines["b.stdout"]) == ([0, 0], ["hello"])
    assert "one direction has ended, and nothing came for 1 s" in lines["client.stderr"][-1]


@pytest.mark.parametrize("group", ["239.1.2.3", "[ff05::7]"])
def test_a_group_on_one_network(group):
    lines: dict[str, list[str]] = {}
    with World(1, output=lambda host, stream, line: lines.setdefault(host, []).append(line)) as world:
        for name in ("one", "two", "three"):
            world.host(name)
        for name in ("one", "two"):
            world.hosts[name].run(f"-m catenet listen mcast://{group}:5000 --hex", daemon=True)
        world.hosts["three"].run(f"-m catenet connect mcast://{group}:5000", stdin="hello", start=1)
        world.run(60)
    for name in ("one", "two"):
        assert any("hello" in line for line in lines[name]), lines
    assert not lines.get("three")
