"""The command line in worlds: servers that follow servers, with and without keeping the clock, and `ntp --watch`."""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest

from catenet import timex
from catenet.cli import main
from catenet.ntp.association import Rejected
from catenet.ntp.clocks import ReportingClock
from catenet.ntp.daemon import Keeper
from catenet.ntp.packet import Mode, Packet
from catenet.ntp.reference import UNKNOWN
from catenet.ntp.upstream import Upstream, address_id, follow
from catenet.world import World
from catenet.world.patches import clocks

UNIX = 2_208_988_800
POLLS = ["--minpoll", "4", "--maxpoll", "6"]


@pytest.fixture(autouse=True)
def no_real_clock(monkeypatch):
    """Programs are root of their host, and the machine's clock is out of reach even if nothing were patched."""
    monkeypatch.setattr(clocks, "_is_root", lambda: True)
    monkeypatch.setattr(timex, "ctypes", None)


def ask(name):
    """What a server says: stratum, leap, reference id, root delay and dispersion, the offset from this host."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        begun = time.time()
        sock.sendto(struct.pack("!B39xQ", 0x23, 77), (name, 123))
        data = sock.recv(48)
        ended = time.time()
    first, stratum, delay, dispersion, identity, received, sent = struct.unpack("!BBxxII4s16xQQ", data)
    offset = ((received + sent) / 2**32 - 2 * UNIX - begun - ended) / 2
    return stratum, first >> 6, identity, delay / 65536, dispersion / 65536, offset


def look_up(name):
    return socket.getaddrinfo(name, 123, type=socket.SOCK_DGRAM)


def primaries(world, count=3, **lies):
    """Hosts that serve stratum 1, 10 ms away."""
    for number in range(count):
        host = world.host(f"ntp{number}", clock={"offset": lies.get(f"ntp{number}", "0s")})
        world.link(host, latency=0.010, jitter=0.001)
        host.run(serve, "--stratum", "1", "--refid", "GPS", daemon=True)
    return [f"ntp{number}" for number in range(count)]


def serve(*words):
    main(["serve", "ntp", "-q", "--listen", "ntp://[::]:123", *words])


@pytest.mark.parametrize("words", [[], ["--set"]], ids=["only told", "kept"])
def test_a_server_follows_servers(words):
    """Its clock is 90 s off; it tells the right time either way, at stratum 2, and touches its clock only if asked."""
    found = {}
    with World(8, output=lambda *_: None) as world:
        names = primaries(world)
        middle = world.host("middle", clock={"offset": "-90s", "drift": "50ppm"})
        world.link(middle, latency=0.005)
        middle.run(serve, "--upstream", *names, *POLLS, *words, daemon=True)
        client = world.host("client")
        client.run(lambda: found.update(before=ask("middle")), start=1.0)
        client.run(lambda: found.update(after=ask("middle")), start=900.0)
        client.run(lambda: found.update(ids=[address_id(one[4][0]) for name in names for one in look_up(name)]))
        world.run(910)
        error = middle.wall.time() - world.epoch - world.now
    stratum, leap, _, _, _, _ = found["before"]
    assert (stratum, leap) == (0, 3)
    stratum, leap, identity, delay, dispersion, offset = found["after"]
    assert (stratum, leap) == (2, 0)
    assert identity in found["ids"]
    assert delay == pytest.approx(0.030, abs=0.005)
    assert 0 < dispersion < 0.05
    assert abs(offset) < 0.003
    assert (abs(error) < 0.003) is bool(words)


def test_watching_says_what_would_be_done():
    said = []
    with World(9, output=lambda host, stream, line: said.append(line)) as world:
        names = primaries(world, 4, ntp2="100s")
        host = world.host("host", clock={"offset": "7s", "drift": "30ppm"})
        host.run(main, ["ntp", "--watch", "--json", *POLLS, *names], daemon=True)
        world.run(400)
        assert host.wall.time() - world.epoch - world.now == pytest.approx(7, abs=0.02)
    lines = [json.loads(line[line.index("{") :]) for line in said if "{" in line]
    assert len(lines) > 20
    assert lines[0]["action"] == "step" and lines[0]["offset"] == pytest.approx(-7, abs=0.01)
    assert all(line["action"] == "slew" for line in lines[1:])
    assert (set(lines[-1]["agreeing"]), lines[-1]["others"], lines[-1]["set"]) == (
        {"ntp0", "ntp1", "ntp3"},
        ["ntp2"],
        False,
    )
    assert lines[-1]["frequency"] == pytest.approx(-30, abs=3)


def test_who_may_not_set_the_clock_is_told_at_once(monkeypatch):
    monkeypatch.setattr(clocks, "_is_root", lambda: False)
    said = []
    with World(1, output=lambda host, stream, line: said.append(line)) as world:
        world.host("host").run(main, ["ntp", "--watch", "--set", "192.0.2.1"])
        world.run(10, check=False)
    assert "--set: the clock may not be adjusted: that takes CAP_SYS_TIME" in "".join(said)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ntp", "--watch", "--all", "a"], "--all, -4, -6 and --samples do not go with --watch"),
        (["ntp", "--watch", "--minpoll", "9", "--maxpoll", "4", "a"], "--minpoll, --maxpoll: poll 9 to 4"),
        (["ntp", "--watch", "http://a"], "no scheme 'http'"),
        (["serve", "ntp", "--upstream", "a", "--workers", "2"], "--upstream: one process keeps a clock"),
        (["serve", "ntp", "--upstream", "a", "--stratum", "2"], "--stratum and --refid do not go with --upstream"),
        (["serve", "ntp", "--upstream", "a", "--set", "--user", "nobody"], "--set: who becomes another user"),
        (["serve", "ntp", "--stratum", "2", "--set"], "--set and --ca go with --upstream"),
    ],
)
def test_mistakes_are_one_line(capsys, words, complaint):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert complaint in err and err.count("\n") == 1


def test_who_follows_us_is_not_followed():
    """A server whose reference id is our address would be followed in a circle (RFC 5905, the test of loops)."""
    found = follow(["192.0.2.1"])
    association = next(iter(found.values()))
    association.local_id = address_id("192.0.2.7")
    asked = association.poll(1.8e9)
    origin = int.from_bytes(asked[40:48], "big")
    loop = Packet(
        mode=Mode.SERVER, stratum=3, precision=-20, reference_id=bytes((192, 0, 2, 7)), origin=origin,
        receive=(1_800_000_000 + UNIX) << 32, transmit=(1_800_000_000 + UNIX) << 32,
    )  # fmt: skip
    assert association.receive(loop.build(), 1.8e9) is None
    assert association.rejected == {Rejected.LOOP: 1}


def test_before_anything_is_known_nothing_is_claimed():
    servers = follow(["192.0.2.1", "nope.example:1123"])
    assert [str(one) for one in servers] == ["192.0.2.1", "nope.example:1123"]
    upstream = Upstream(Keeper(servers, ReportingClock(print)), {str(one): each for one, each in servers.items()})
    assert upstream.state(1.8e9) is UNKNOWN
    assert address_id("::1") == bytes.fromhex("cf404e6f") or len(address_id("::1")) == 4
