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
