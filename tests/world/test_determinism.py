"""Same seed, same packets, in any interpreter, whatever the hash seed; another seed, other packets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"

SCRIPT = """
import sys
from catenet.world import World

def noise():
    import random, secrets, uuid, os, time, tempfile, threading
    print(random.random(), secrets.token_hex(4), uuid.uuid4(), uuid.uuid1(), os.urandom(4).hex(), time.time())
    print(random.Random().random(), random.SystemRandom().random(), threading.Thread().name)

lines = []
world = World(sys.argv[1], directory=sys.argv[2], output=lambda *line: lines.append(line))
for name in ("server", "alice", "bob"):
    world.host(name)
    world.link(name, latency="15ms", jitter="2ms", loss="2%", reorder="1%", duplicate="1%", corrupt="0.5%")
world.hosts["server"].run("aiohttp_server.py 80", daemon=True)
world.hosts["alice"].run("httpx_client.py http://server", start=1)
world.hosts["bob"].run("requests_client.py http://server", start=1)
world.hosts["bob"].run(noise)
with world:
    world.run(300)
    print(world.now, world.trace.records, world.trace.hexdigest())
for line in lines:
    print(*line)
"""


def run(seed: str, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, seed, str(PROGRAMS)],
        capture_output=True,
        text=True,
        timeout=110,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_seed_decides_everything() -> None:
    first = run("7", "1")
    assert "alice stdout done" in first and "bob stdout done" in first
    assert run("7", "2") == first
    assert run("7", "random") == first
    other = run("8", "1")
    assert other.splitlines()[0] != first.splitlines()[0]


def test_a_world_in_real_time_draws_from_the_machines_entropy() -> None:
    from catenet.world import World
    from catenet.world.engine.realtime import RealClock

    drawn: list[object] = []

    def program() -> None:
        import random
        import secrets
        import time

        drawn.append((os.urandom(8), secrets.token_hex(8), random.random(), random.Random().random()))
        assert time.monotonic() >= 1000 and time.time() >= 0
        random.seed(3)
        drawn.append(random.random())

    for _ in range(2):
        clock = RealClock()
        with World(5, clock=clock) as world:
            world.host("a").run(program)
            world.run(5)
            drawn.append(world.hosts["a"].stack.random.random())
        clock.close()
    assert drawn[0] != drawn[3] and drawn[2] != drawn[5]
    assert drawn[1] == drawn[4]
    assert all(one != other for one, other in zip(drawn[0], drawn[3], strict=True))  # type: ignore[call-overload]
