"""What programs of a host see whose clock is kept, with servers that step and programs of the standard library only."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time

import pytest
from tests.ntp.worlds.plain_ntp import Source
from tests.ntp.worlds.random_clocks import serve

from catenet import timex
from catenet.ntp.clocks import Clock, ReportingClock, SystemClock
from catenet.ntp.daemon import Server, discipline
from catenet.timex import Timex, clock_adjtime
from catenet.world import World
from catenet.world.patches import clocks

UNIX = 2_208_988_800


@pytest.fixture(autouse=True)
def no_real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are root of their host, and the machine's clock is out of reach even if nothing were patched."""
    monkeypatch.setattr(clocks, "_is_root", lambda: True)
    monkeypatch.setattr(timex, "ctypes", None)


def sntp(server: str) -> tuple[float, float]:
    """An SNTP client as textbooks have it: offset and delay (RFC 4330 section 5)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(2)
        begun = time.time()
        endpoint.sendto(struct.pack("!B39xQ", 0x23, int((begun + UNIX) * 2**32)), (server, 123))
        data = endpoint.recv(48)
        ended = time.time()
    received, sent = (value / 2**32 - UNIX for value in struct.unpack("!32xQQ", data))
    return ((received - begun) + (sent - ended)) / 2, (ended - begun) - (sent - received)


def keep(world: World, names: list[str], clock: Clock | None = None) -> None:
    """Keep the clock of this host by servers."""
    rng = random.Random(f"{world.seed}")
    clock = SystemClock() if clock is None else clock
    asyncio.run(discipline({Server(name): Source(rng) for name in names}, clock, rng=rng))


def servers(world: World, count: int) -> list[str]:
    """Hosts that serve their time, 10 ms away."""
    for number in range(count):
        host = world.host(f"ntp{number}")
        world.link(host, latency=0.010, jitter=0.001)
        host.run(lambda: asyncio.run(serve(0.0, None)), daemon=True)
    return [f"ntp{number}" for number in range(count)]


def test_programs_of_the_standard_library_see_the_right_clock() -> None:
    """Before, the clock is minutes off and gains; afterwards an SNTP client and `time.time` find nothing to correct."""
    seen: dict[str, tuple[float, float]] = {}

    def look(when: str) -> None:
        seen[when] = sntp("ntp0")

    with World(3) as world:
        names = servers(world, 3)
        host = world.host("host", clock={"offset": "-3min", "drift": "80ppm"})
        host.run(look, "before")
        host.run(keep, world, names, start=5.0, daemon=True)
        host.run(look, "after", start=3600.0)
        world.run(3700)
        truth = world.epoch + world.now
        assert abs(host.wall.time() - truth) < 0.001
    assert seen["before"][0] == pytest.approx(180, abs=0.01)
    assert abs(seen["after"][0]) < 0.003
    assert seen["after"][1] == pytest.approx(0.020, abs=0.005)


def test_the_kernel_is_told_how_good_the_clock_is() -> None:
    """adjtimex(2) shows a clock that is synchronised, its error bound and the frequency that has been learnt."""
    shown: list[tuple[int, Timex]] = []

    with World(4) as world:
        names = servers(world, 1)
        host = world.host("host", clock={"offset": "50ms", "drift": "-20ppm"})
        host.run(keep, world, names, daemon=True)
        host.run(lambda: shown.append(clock_adjtime(0, Timex())), start=3000.0)
        world.run(3100)
    state, after = shown[0]
    assert state == timex.TIME_OK
    assert after.freq / 65536 == pytest.approx(20, abs=0.5)
    assert 5_000 < after.maxerror < 100_000
    assert after.esterror < 2_000


def test_a_server_that_steps_is_followed_when_it_is_the_only_one() -> None:
    """Not at once: three samples make a step of it, and 300 s the step of our clock (RFC 5905 section 12)."""
    errors: list[tuple[float, float]] = []

    def look(world: World) -> None:
        while world.now < 3500:
            time.sleep(50)
            errors.append((world.now, world.hosts["host"].wall.time() - world.hosts["ntp0"].wall.time()))

    with World(5) as world:
        names = servers(world, 1)
        world.host("host", clock={"drift": "10ppm"}).run(keep, world, names, daemon=True)
        world.host("observer").run(look, world)
        world.at(1500.0, world.hosts["ntp0"].step_clock, 2.0)
        world.run(3600)
    assert all(abs(error) < 0.002 for when, error in errors if 200 < when < 1500)
    assert all(error == pytest.approx(-2, abs=0.01) for when, error in errors if 1500 < when < 1700)
    assert all(abs(error) < 0.002 for when, error in errors if when > 2400)


def test_a_clock_that_only_reports_is_left_alone() -> None:
    """What would be done is said, and nothing is done; what the clock would show is right."""
    said: list[str] = []
    shown: list[float] = []

    def report() -> None:
        clock = ReportingClock(said.append)
        threading.Thread(target=keep, args=(world, names, clock), daemon=True).start()
        time.sleep(3000)
        shown.append(clock.now() - world.epoch - world.now)

    with World(6) as world:
        names = servers(world, 1)
        host = world.host("host", clock={"offset": "7s", "drift": "30ppm"})
        host.run(report)
        world.run(3100)
        assert host.wall.time() == pytest.approx(world.epoch + world.now * (1 + 30e-6) + 7, abs=1e-5)
    assert said[0].startswith("would step by -7.0") or said[0].startswith("would step by -6.99")
    assert said[1].startswith("would run at ")
    assert not any("step" in line for line in said[1:])
    assert shown == [pytest.approx(0, abs=0.001)]


def test_a_network_that_is_not_there_is_said_and_waited_for() -> None:
    """A name that nobody has, and a host that does not answer, are problems of servers, not of the clock."""
    problems: list[tuple[str, str]] = []

    def program() -> None:
        source = Source(random.Random(1))
        work = discipline({Server("nobody"): source}, SystemClock(), on_problem=lambda *what: problems.append(what))
        asyncio.run(asyncio.wait_for(work, 100))

    with World() as world:
        world.host("host").run(program)
        world.run(200, check=False)
        assert world.hosts["host"].clock is None
    assert len(problems) == 2
    assert problems[0][0] == "nobody"
    with pytest.raises(ValueError, match="at least one server"):
        asyncio.run(discipline({}, SystemClock()))


def test_who_may_not_set_the_clock_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """PermissionError ends the daemon; nothing goes on in silence."""
    monkeypatch.setattr(clocks, "_is_root", lambda: False)
    with World() as world:
        names = servers(world, 1)
        world.host("host", clock={"offset": "1s"}).run(keep, world, names)
        world.run(60, check=False)
        failed = [process for process in world.processes if process.failed]
    assert isinstance(failed[0].exception, ExceptionGroup)
    assert failed[0].exception.split(PermissionError)[1] is None
