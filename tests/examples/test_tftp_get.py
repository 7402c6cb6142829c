"""The textbook's reliable protocol on UDP: the same program on the kernel's sockets and in a lossy world."""

import asyncio
import os
import random
import re
import sys
from pathlib import Path

from catenet import tftp
from catenet.world import World

PROGRAM = Path(__file__).parents[2] / "examples" / "textbook" / "tftp_get.py"


def test_it_knows_nothing_of_us():
    assert "catenet" not in PROGRAM.read_text()


def test_on_the_kernel(tmp_path):
    data = os.urandom(70_000)
    (tmp_path / "file").write_bytes(data)

    async def main():
        async with await tftp.serve(tmp_path, "tftp://127.0.0.1:0") as server:
            port = server.urls[0].rpartition(":")[2]
            for name, status, said in (("file", 0, b"70000 bytes in 137 blocks"), ("none", 1, b"no such file")):
                words = [str(PROGRAM), "127.0.0.1", port, name, str(tmp_path / "got")]
                pipe = asyncio.subprocess.PIPE
                child = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe, stderr=pipe)
                out, err = await asyncio.wait_for(child.communicate(), 60)
                assert child.returncode == status and said in out + err
                if status == 0:
                    assert (tmp_path / "got").read_bytes() == data

    asyncio.run(main())


def test_in_a_world(tmp_path):
    data = random.Random(1).randbytes(100_000)
    (tmp_path / "file").write_bytes(data)
    said = []

    async def serve():
        async with await tftp.serve(tmp_path, "tftp://:69"):
            await asyncio.sleep(1e9)

    with World(1, output=lambda host, stream, line: said.append(line)) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="20ms", loss="3%", reorder="2%")
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(f"{PROGRAM} server 69 file {tmp_path}/got", start=0.1)
        world.at(2, lambda: world.partition(["server"], ["client"]))
        world.at(6, world.heal)
        world.run(600)
    assert (tmp_path / "got").read_bytes() == data
    assert int(re.search(r"(\d+) times said again", said[0])[1]) > 5
