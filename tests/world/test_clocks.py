"""The clock of the day: root of a host sets it for that host; the machine's own is out of reach.

Whatever might set a clock runs in a process of its own that cannot: it has given up CAP_SYS_TIME.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

pytestmark = pytest.mark.peer("setpriv")

GUARD = """
import ctypes, errno, datetime, importlib.machinery, importlib.util, json, os, sys, threading, time
with open("/proc/self/status") as status:
    effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
assert not effective & 1 << 25, "this must not run with CAP_SYS_TIME"
from catenet.world import World
from catenet.world.patches import clocks
before = time.time() - time.monotonic()
def outcome(function, *args):
    try:
        return function(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__
"""

UNTOUCHED = """
assert abs(time.time() - time.monotonic() - before) < 60, "the machine's clock has moved"
"""


def powerless(code: str) -> Any:
    """What a script prints, as JSON, that has no power over the machine's clock."""
    drop = ["setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time"] if os.geteuid() == 0 else []
    script = GUARD + textwrap.dedent(code) + UNTOUCHED
    words = [*drop, sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_errors_are_the_kernels_for_those_who_may_not() -> None:
    """Every clock and value in turn, on Linux without the capability and on a host where one is not root."""
    kernel, host = powerless(
        """
        def scenario():
            values = [1.7e9, 1_700_000_000, 0, -1, -0.5, 8_277_292_035, 8_277_292_036, 1e300, float("nan"), "1", None]
            numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99, -1, -2, -3, -4, -5, -6, -7, -8, -80002]
            numbers += ["0", None, 1 << 40]
            found = [outcome(time.clock_settime, number, 1.7e9) for number in numbers]
            found += [outcome(time.clock_settime, time.CLOCK_REALTIME, value) for value in values]
            found += [outcome(time.clock_settime_ns, time.CLOCK_REALTIME, value) for value in [1, -1, 2**63, 1.5, "1"]]
            own = time.pthread_getcpuclockid(threading.get_ident())
            found += [own < 0, time.clock_gettime(own) > 0, time.clock_getres(own)]
            found += [outcome(time.clock_settime, own, 1.0)]
            found += [outcome(time.clock_gettime, number) in ("EINVAL", "TypeError") for number in (99, -1, "0", None)]
            found += [time.process_time() > 0, time.thread_time_ns() > 0]
            return found
        results = [scenario()]
        clocks._is_root = lambda: False
        with World() as world:
            world.host("host").run(lambda: results.append(scenario()))
            world.run(10)
        print(json.dumps(results))
        """
    )
    assert host == kernel
    assert kernel[0] == "EPERM"


def test_root_sets_the_clock_of_its_host_and_of_no_other() -> None:
    """Everything that shows the time of day steps; what measures time does not."""
    shown = powerless(
        """
        import asyncio
        from time import clock_settime as alias
        clocks._is_root = lambda: True
        seen = {}

        def setter():
            time.sleep(1)
            began = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
            alias(time.CLOCK_REALTIME, 2_000_000_000.25)
            seen["same"] = began == (time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))
            seen["float"] = time.time(), time.clock_gettime(time.CLOCK_REALTIME), time.clock_gettime(11)
            time.clock_settime_ns(time.CLOCK_REALTIME, 2_000_000_000_123_456_789)
            seen["ns"] = time.time_ns(), time.clock_gettime_ns(time.CLOCK_REALTIME)
            seen["old"] = [outcome(alias, time.CLOCK_REALTIME, early) for early in (0, 1000.5, 1001.5)]
            time.clock_settime(time.CLOCK_REALTIME, 3_000_000_000)

        async def neighbour():
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(5)
            seen["elapsed"] = loop.time() - began
            seen["wall"] = time.time(), datetime.datetime.now(datetime.UTC).isoformat(), time.gmtime()[:6]
            seen["utc"] = datetime.datetime.utcnow().year

        def stranger():
            time.sleep(5)
            seen["stranger"] = time.time()

        def late():
            seen["after the crash"] = time.time()

        with World() as world:
            host = world.host("host")
            host.run(setter)
            host.run(lambda: asyncio.run(neighbour()))
            world.host("other").run(stranger)
            world.run(10)
            host.crash()
            host.services.clear()
            host.restart()
            host.run(late, start=20.0)
            world.run(30)
            seen["kernel"] = host.kernel.epoch
        print(json.dumps(seen))
        """
    )
    assert shown["same"] is True
    assert shown["float"] == [2_000_000_000.25] * 3
    assert shown["ns"] == [2_000_000_000_123_456_789] * 2
    assert shown["old"] == ["EINVAL", "EINVAL", None]
    assert shown["elapsed"] == 5.0
    assert shown["wall"] == [3_000_000_004.0, "2065-01-24T05:20:04+00:00", [2065, 1, 24, 5, 20, 4]]
    assert shown["utc"] == 2065
    assert shown["stranger"] == 1_735_689_605.0
    assert shown["after the crash"] == 3_000_000_019.0
    assert shown["kernel"] == 2_999_999_999.0


WAYS = {
    "a second copy of the module": """
        def way():
            spec = importlib.machinery.BuiltinImporter.find_spec("time")
            copy = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(copy)
            copy.clock_settime(time.CLOCK_REALTIME, 4_000_000_000)
            return copy.time() == time.time() == 4_000_000_000
        """,
    "the module imported anew": """
        def way():
            kept = sys.modules.pop("time")
            try:
                import time as fresh
            finally:
                sys.modules["time"] = kept
            fresh.clock_settime_ns(fresh.CLOCK_REALTIME, 4_000_000_000 * 10**9)
            return fresh.time() == kept.time() == 4_000_000_000
        """,
    "ctypes": """
        def refused(name):
            try:
                ctypes.CDLL(None)[name]
            except RuntimeError as error:
                return "time.clock_settime" in str(error)
            return False
        names = "clock_settime settimeofday adjtimex ntp_adjtime clock_adjtime adjtime alarm setitimer".split()
        def way():
            return all(map(refused, names)) and bool(ctypes.CDLL(None).getpid)
        """,
    "the clock in hardware": """
        import fcntl
        def way():
            with open("/dev/null") as device:
                try:
                    fcntl.ioctl(device.fileno(), 0x4024700A, bytes(36))
                except RuntimeError as error:
                    return "time.clock_settime" in str(error)
        """,
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_to_the_machines_clock(way: str) -> None:
    code = textwrap.dedent(WAYS[way]) + textwrap.dedent(
        """
        clocks._is_root = lambda: True
        results = []
        with World() as world:
            world.host("host").run(lambda: results.append(way()))
            world.run(10)
        print(json.dumps(results))
        """
    )
    assert powerless(code) == [True]


def test_outside_of_worlds_ctypes_finds_what_it_looks_for() -> None:
    code = """
        with World() as world:
            world.host("host").run(lambda: None)
            world.run(1)
        print(json.dumps([bool(ctypes.CDLL(None).clock_settime), bool(ctypes.CDLL(None).adjtimex)]))
        """
    assert powerless(code) == [True, True]
