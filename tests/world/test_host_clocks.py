"""Clocks of hosts that are wrong: offset, drift, wander, and what adjtimex(2) makes of them."""

from __future__ import annotations

import asyncio
import errno
import random
import signal
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catenet import timex
from catenet.timex import Timex, clock_adjtime
from catenet.world import World
from catenet.world.engine.oscillator import Oscillator
from catenet.world.engine.timekeeper import Timekeeper
from catenet.world.patches import clocks
from catenet.world.scenario.clocks import ClockProperties
from catenet.world.scenario.worldfile import WorldFileError, parse_world

EPOCH = 1_735_689_600.0
DRIFTING: dict[str, object] = {"offset": "2.5s", "drift": "100ppm"}


@pytest.fixture(autouse=True)
def no_real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are root of their host, and the machine's clock is out of reach even if nothing were patched."""
    monkeypatch.setattr(clocks, "_is_root", lambda: True)
    monkeypatch.setattr(timex, "ctypes", None)


def run(program: Callable[[World], object], clock: dict[str, object] | None, seed: int = 0) -> World:
    """Run a program on a host with a clock."""
    with World(seed) as world:
        world.host("host", clock=clock).run(program, world)
        world.run()
    return world


def test_every_clock_of_a_host_goes_by_its_own() -> None:
    """The time of day is ahead by the offset, and all clocks gain what the drift says."""

    def program(world: World) -> None:
        assert time.time() == EPOCH + 2.5
        assert datetime.now(UTC).timestamp() == EPOCH + 2.5
        begun = time.monotonic(), time.perf_counter(), time.clock_gettime(time.CLOCK_MONOTONIC_RAW), time.time_ns()
        time.sleep(10_000)
        gained = world.now * 1e-4
        assert world.now == pytest.approx(10_000 / 1.0001, abs=1e-6)
        assert time.monotonic() - begun[0] == pytest.approx(world.now + gained, abs=1e-6)
        assert time.perf_counter() - begun[1] == pytest.approx(10_000, abs=1e-6)
        assert time.clock_gettime(time.CLOCK_MONOTONIC_RAW) - begun[2] == pytest.approx(10_000, abs=1e-6)
        assert time.time_ns() - begun[3] == pytest.approx(10_000 * 10**9, abs=1000)
        assert time.gmtime()[:4] == (2025, 1, 1, 2)

    run(program, DRIFTING)


def test_whatever_waits_goes_by_the_monotonic_clock() -> None:
    """Sleeps, event loops, locks, sockets, signals and alarms: 100 s of a host that is 1 % fast are 99 s."""

    def program(world: World) -> None:
        import select
        import socket

        def waits(wait: Callable[[], object]) -> None:
            begun = world.now
            wait()
            assert world.now - begun == pytest.approx(100 / 1.01, abs=1e-6)

        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(100)

        def receive() -> None:
            with pytest.raises(TimeoutError):
                receiver.recv(1)

        def alarm() -> None:
            signal.setitimer(signal.ITIMER_REAL, 100)
            assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(100)
            signal.pause()

        signal.signal(signal.SIGALRM, lambda *_: None)
        waits(lambda: time.sleep(100))
        waits(lambda: asyncio.run(asyncio.sleep(100)))
        waits(lambda: threading.Event().wait(100))
        waits(lambda: select.select([receiver], [], [], 100))
        waits(lambda: signal.sigtimedwait([signal.SIGUSR1], 100))
        waits(receive)
        waits(alarm)

    run(program, {"drift": "1%"})


def test_a_frequency_corrects_the_drift_also_for_those_who_sleep() -> None:
    """One program sleeps while another corrects the clock: it wakes when its clock says so, and no earlier."""
    woken: list[tuple[float, float]] = []

    def sleeper(world: World) -> None:
        begun = time.monotonic()
        time.sleep(2000)
        woken.append((time.monotonic() - begun, world.now))

    def keeper() -> None:
        time.sleep(1000)
        state, after = clock_adjtime(0, Timex(modes=timex.ADJ_FREQUENCY, freq=round(-100 * 65536 / 1.0001)))
        assert state == timex.TIME_ERROR
        assert after.freq == round(-100 * 65536 / 1.0001)

    with World() as world:
        host = world.host("host", clock={"drift": "100ppm"})
        host.run(sleeper, world)
        host.run(keeper)
        world.run()
    elapsed, now = woken[0]
    assert elapsed == pytest.approx(2000, abs=1e-6)
    assert now == pytest.approx(1000 / 1.0001 + 1000, abs=1e-4)


def test_a_host_without_a_clock_gets_one_when_it_is_adjusted() -> None:
    """Looking at it changes nothing; from the first adjustment on it is slewed, and so are those who sleep already."""
    shown: list[float] = []

    def sleeper(world: World) -> None:
        time.sleep(200)
        shown.append(world.now)

    def keeper(world: World) -> None:
        time.sleep(100)
        assert clock_adjtime(0, Timex())[0] == clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SS_READ))[0] == 5
        assert world.hosts["host"].clock is None
        clock_adjtime(0, Timex(modes=timex.ADJ_TICK, tick=11_000))
        assert world.hosts["host"].clock is not None

    with World() as world:
        host = world.host("host")
        host.run(sleeper, world)
        host.run(keeper, world)
        world.run()
    assert shown == [pytest.approx(100 + 100 / 1.1, abs=1e-6)]


def test_adjtime_slews_by_half_a_millisecond_a_second() -> None:
    """adjtime(3), read in between and at its end (adjtimex(2))."""

    def program(world: World) -> None:
        clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SINGLESHOT, offset=10_000))
        time.sleep(8)
        assert time.time() - EPOCH - world.now == pytest.approx(0.004, abs=1e-5)
        assert clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SS_READ))[1].offset in (5500, 6000)
        time.sleep(30)
        assert time.time() - EPOCH - world.now == pytest.approx(0.010, abs=1e-5)
        assert clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SS_READ))[1].offset == 0
        assert time.monotonic() - 1000 - world.now == pytest.approx(0.010, abs=1e-5)

    run(program, None)


def test_the_phase_locked_loop_carries_an_offset_and_learns() -> None:
    """With STA_PLL an offset is carried away exponentially; a second one after 64 s changes the frequency."""

    def program(world: World) -> None:
        modes = timex.ADJ_STATUS | timex.ADJ_NANO | timex.ADJ_TIMECONST | timex.ADJ_OFFSET | timex.ADJ_MAXERROR
        state, after = clock_adjtime(0, Timex(modes=modes, status=timex.STA_PLL, constant=2, offset=-1_000_000))
        assert (state, after.status) == (timex.TIME_OK, timex.STA_PLL | timex.STA_NANO)
        time.sleep(64)
        assert time.time() - EPOCH - world.now == pytest.approx(-0.001, abs=2e-5)
        clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET, offset=-1_000_000))
        # 1 ms in 64 s (limited to 32 by the time constant): -1e6 ns x 32 / 4^(2 + 2 + 2) (kernel/time/ntp.c).
        assert clock_adjtime(0, Timex())[1].freq / 65.536 == pytest.approx(-1e6 * 32 / 4096, rel=1e-3)
        time.sleep(32_000)
        state, after = clock_adjtime(0, Timex())
        assert (state, after.maxerror) == (timex.TIME_ERROR, 16_000_000)
        assert after.status & timex.STA_UNSYNC

    run(program, None)


def test_adding_to_the_time_and_stepping_it() -> None:
    """ADJ_SETOFFSET and `clock_settime` step the time of day only, and end what was being carried."""

    def program(world: World) -> None:
        clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SINGLESHOT, offset=500_000))
        clock_adjtime(0, Timex(modes=timex.ADJ_SETOFFSET | timex.ADJ_NANO, seconds=-2, fraction=500_000_000))
        assert time.time() == EPOCH - 1.5
        assert time.monotonic() == 1000
        time.sleep(10)
        assert time.time() == pytest.approx(EPOCH + 8.5, abs=1e-6)
        time.clock_settime(time.CLOCK_REALTIME, 2e9)
        clock_adjtime(0, Timex(modes=timex.ADJ_TAI, constant=37))
        assert (time.time(), time.clock_gettime(time.CLOCK_TAI)) == (2e9, 2e9 + 37)

    run(program, None)


def test_a_crash_leaves_the_oscillator_and_the_time_but_no_adjustment() -> None:
    """As with a battery: the time goes on, the frequency that was set is gone."""
    shown: list[float] = []

    def program(world: World) -> None:
        if world.now < 1:
            clock_adjtime(0, Timex(modes=timex.ADJ_FREQUENCY, freq=round(-100 * 65536 / 1.0001)))
        shown.extend([time.time() - EPOCH - world.now, clock_adjtime(0, Timex())[1].freq])

    with World() as world:
        host = world.host("host", clock={"offset": 1, "drift": "100ppm"})
        host.run(program, world)
        world.at(1000.0, host.crash)
        world.at(1000.0, host.restart)
        world.at(2000.0, host.run, program, world)
        world.run()
    assert shown[:2] == [1.0, round(-100 * 65536 / 1.0001)]
    assert shown[2:4] == [pytest.approx(1.0, abs=1e-5), 0]
    assert shown[4] == pytest.approx(1.1, abs=1e-5)


def test_a_host_that_sleeps_counts_the_time_by_its_own_clock_where_it_counts() -> None:
    """CLOCK_MONOTONIC stands still, CLOCK_BOOTTIME and the time of day go on, at the clock's own rate."""

    def program(world: World) -> None:
        begun = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
        time.sleep(101)
        assert world.now == pytest.approx(1100, abs=1e-6)
        assert time.monotonic() - begun[0] == pytest.approx(101, abs=1e-6)
        assert time.clock_gettime(time.CLOCK_BOOTTIME) - begun[1] == pytest.approx(1111, abs=1e-6)
        assert time.time() - begun[2] == pytest.approx(1111, abs=1e-6)

    with World() as world:
        host = world.host("host", clock={"drift": "1%"})
        host.run(program, world)
        world.at(50.0, host.pause)
        world.at(1050.0, host.resume)
        world.run()


def test_wandering_clocks_are_the_seeds() -> None:
    """Within its limits a frequency wanders, the same for the same seed and host."""

    def program(world: World) -> None:
        for _ in range(50):
            before = time.monotonic(), world.now
            time.sleep(160)
            rates.append((time.monotonic() - before[0]) / (world.now - before[1]) - 1)

    runs: list[list[float]] = []
    for seed in (1, 1, 2):
        rates: list[float] = []
        run(program, {"drift": "-50ppm", "wander": "5ppm"}, seed)
        runs.append(rates)
    assert runs[0] == runs[1] != runs[2]
    assert all(-55.001e-6 <= rate <= -44.999e-6 for rates in runs for rate in rates)
    assert max(runs[0]) - min(runs[0]) > 2e-6


def test_an_oscillator_and_its_inverse() -> None:
    """`when` is the inverse of `raw`, over steps that were and were not drawn, and beyond the horizon."""
    draw = random.Random(1)
    for wander in (0.0, 20e-6):
        oscillator = Oscillator(40e-6, wander, random.Random(2))
        for _ in range(200):
            now = draw.uniform(0, 5000)
            ahead = oscillator.raw(now) + draw.choice([1e-3, 1, 100, 86400])
            assert oscillator.raw(oscillator.when(ahead, now)) == pytest.approx(ahead, abs=1e-9)
        oscillator.change(6000, -1e-3, 0.0)
        assert oscillator.raw(7000) - oscillator.raw(6000) == pytest.approx(999)
    assert Oscillator(0.0, 1e-6, random.Random(3)).when(1e9, 0.0) == pytest.approx(1e9, rel=2e-6)


def test_a_timekeeper_and_its_inverse() -> None:
    """The same while an offset is being carried; looking at it often does not change what it carries."""
    often, seldom = Timekeeper(), Timekeeper()
    for keeper in (often, seldom):
        modes = timex.ADJ_STATUS | timex.ADJ_OFFSET | timex.ADJ_TICK
        keeper.adjust(Timex(modes=modes, status=timex.STA_PLL, offset=300_000, tick=10_100), 1.0)
    moments = [1.0 + step / 7 for step in range(600)]
    for raw in moments:
        assert often.when(seldom.monotonic(raw)) == pytest.approx(raw, abs=1e-9)
        often.adjust(Timex(), raw)
        ahead = often.when(raw + 50)
        assert raw < ahead < raw + 50
    assert often.monotonic(90.0) == pytest.approx(seldom.monotonic(90.0), abs=1e-9)


ERRORS: dict[str, tuple[Timex, int, int]] = {
    "tick too short": (Timex(modes=timex.ADJ_TICK, tick=8999), 0, errno.EINVAL),
    "tick too long": (Timex(modes=timex.ADJ_TICK, tick=11_001), 0, errno.EINVAL),
    "adjtime without its bit": (Timex(modes=0x8000), 0, errno.EINVAL),
    "negative part of a second": (Timex(modes=timex.ADJ_SETOFFSET, fraction=-1), 0, errno.EINVAL),
    "too many microseconds": (Timex(modes=timex.ADJ_SETOFFSET, fraction=1_000_000), 0, errno.EINVAL),
    "before 1970": (Timex(modes=timex.ADJ_SETOFFSET, seconds=-2_000_000_000), 0, errno.EINVAL),
    "another clock": (Timex(), time.CLOCK_MONOTONIC, errno.EOPNOTSUPP),
    "no clock": (Timex(), 99, errno.EINVAL),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_adjtimex_refuses(name: str) -> None:
    """As Linux, with its errors."""
    request, clock, number = ERRORS[name]

    def program(world: World) -> None:
        with pytest.raises(OSError) as caught:
            clock_adjtime(clock, request)
        assert caught.value.errno == number

    run(program, DRIFTING)


def test_others_than_root_may_look_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """EPERM, also for what would be EINVAL."""
    monkeypatch.setattr(clocks, "_is_root", lambda: False)

    def program(world: World) -> None:
        assert clock_adjtime(0, Timex())[1].status == timex.STA_UNSYNC
        assert clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SS_READ))[0] == timex.TIME_ERROR
        for modes in (timex.ADJ_FREQUENCY, timex.ADJ_TICK, timex.ADJ_OFFSET_SINGLESHOT, timex.ADJ_SETOFFSET):
            with pytest.raises(PermissionError):
                clock_adjtime(0, Timex(modes=modes))

    run(program, DRIFTING)


def test_clocks_in_world_files_and_events(tmp_path: Path) -> None:
    """A table of a host, and events that step it or let it drift otherwise."""
    from catenet.world.engine.runner import build_world

    text = """
    [hosts.a]
    clock = { offset = "-30ms", drift = "-12.5 ppm", wander = "3ppb" }
    [hosts.b.clock]
    drift = 5e-6
    [hosts.c]
    [[events]]
    at = "100s"
    clock = ["a", "c"]
    step = "-1s"
    drift = "200ppm"
    """
    plan = parse_world(textwrap.dedent(text).encode(), tmp_path / "world.toml")
    assert plan.hosts[0].clock == ClockProperties(-0.030, -12.5e-6, 3e-9)
    assert plan.hosts[1].clock == ClockProperties(0.0, 5e-6)
    assert plan.hosts[2].clock is None
    shown: dict[str, float] = {}
    said: list[str] = []

    def program(name: str) -> None:
        time.sleep(1000)
        shown[name] = time.time() - EPOCH - world.now

    with World() as world:
        build_world(plan, world, said.append)
        for name in "abc":
            world.hosts[name].run(program, name)
        world.run()
    assert said == ["clock of a: step -1s, drift 200ppm", "clock of c: step -1s, drift 200ppm"]
    assert shown["a"] == pytest.approx(-1.03 - 100 * 12.5e-6 + 900 * 200e-6, abs=1e-4)
    assert shown["b"] == pytest.approx(1000 * 5e-6, abs=1e-6)
    assert shown["c"] == pytest.approx(-1 + 900 * 200e-6, abs=1e-4)


MISTAKES = {
    '[hosts.a]\nclock = "fast"': "2: clock must be a table, not 'fast'",
    '[hosts.a]\nclock = {drft = "1ppm"}': "2: unknown key 'drft'; did you mean 'drift'?",
    '[hosts.a.clock]\ndrift = "40"': "2: drift: '40' is more than a tenth (100000ppm); did you mean '40ppm'?",
    "[hosts.a.clock]\ndrift = 40": "2: drift: 40 is more than a tenth (100000ppm); did you mean '40ppm'?",
    '[hosts.a.clock]\ndrift = "40pm"': "2: drift: unknown unit 'pm' in '40pm'; did you mean 'ppm'?",
    '[hosts.a.clock]\ndrift = "fast"': "2: drift: 'fast' is no drift; write for example '40ppm'",
    '[hosts.a.clock]\ndrift = "6%"\nwander = "6%"': "1: clock: a clock must not be off by more than 10% (100000ppm)",
    '[hosts.a.clock]\nwander = "-1ppm"': "2: wander: '-1ppm' is negative; a clock wanders both ways",
    '[hosts.a.clock]\noffset = "2 years"': "2: offset: unknown unit of time 'years' in '2 years'; "
    "units are ns, us, ms, s, min, m, h",
    '[hosts.a.clock]\noffset = "1000000000000s"': "2: offset: '1000000000000s' is more than 1e+09 seconds",
    '[hosts.a]\n[[events]]\nat = 1\nclock = "a"': "2: a clock event needs what changes, as step = '1s'",
    '[hosts.a]\n[[events]]\nat = 1\nclock = "a"\nstep = true': "5: step: duration must be a number or a text as"
    " '20ms', not True",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_clocks(text: str, tmp_path: Path) -> None:
    """One line that names the place and what would be right."""
    with pytest.raises(WorldFileError) as caught:
        parse_world(text.encode(), tmp_path / "world.toml")
    assert str(caught.value) == f"{tmp_path}/world.toml:{MISTAKES[text]}"


def test_mistakes_in_python() -> None:
    """The same as ValueError."""
    with World() as world:
        for clock in ({"drft": 1}, {"drift": "fast"}, {"drift": "6%", "wander": "6%"}):
            with pytest.raises(ValueError):
                world.host("host", clock=clock)
        assert not world.hosts
