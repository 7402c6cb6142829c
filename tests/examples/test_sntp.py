"""The textbook's client of SNTP: the same program on the kernel's sockets and in a world with clocks that are wrong."""

import asyncio
import random
import re
import sys
from pathlib import Path

from catenet.ntp.reference import Stated
from catenet.ntp.server import ServerOptions, serve
from catenet.world import World

PROGRAM = Path(__file__).parents[2] / "examples" / "textbook" / "sntp.py"
RESULT = re.compile(r"set ahead by ([+-][\d.]+) s, or ([\d.]+) s")


def test_it_knows_nothing_of_us():
    assert "catenet" not in PROGRAM.read_text()


def test_on_the_kernel():
    async def main():
        async with await serve("ntp://127.0.0.1:0", Stated(1, b"GPS\0")) as server:
            words = [str(PROGRAM), "127.0.0.1", server.urls[0].rpartition(":")[2], "1"]
            child = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(child.communicate(), 60)
            assert child.returncode == 0
            offset, bound = map(float, RESULT.search(out.decode()).groups())
            assert abs(offset) <= bound + 1e-5

    asyncio.run(main())


def test_in_a_world():
    """The client's clock is 40 s ahead, its link is slow, jittery and lossy; the bound that it prints is true."""
    said = []

    async def tell():
        async with await serve("ntp://:123", Stated(1, b"GPS\0"), ServerOptions(), rng=random.Random(1)):
            await asyncio.sleep(1e9)

    with World(1, output=lambda host, stream, line: said.append(line)) as world:
        server, client = world.host("server"), world.host("client", clock={"offset": "40s"})
        world.link(server, latency="5ms")
        world.link(client, latency="50ms", jitter="40ms", loss="20%")
        server.run(lambda: asyncio.run(tell()), daemon=True)
        client.run(f"{PROGRAM} server 123 8", start=0.1)
        world.run(60)
    assert "no answer" in said
    offset, bound = map(float, RESULT.search(said[-1]).groups())
    assert abs(offset + 40) <= bound < 0.1
    spread = [float(line.split()[1]) for line in said if line.startswith("offset")]
    assert max(spread) - min(spread) > 0.005
