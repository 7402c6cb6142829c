"""The same handler in simulated worlds: over loss, cut off and resumed, the same every time."""

import asyncio
import hashlib
import http.client
import random

from catenet.http.files import FileOptions, Files
from catenet.http.server.server import serve
from catenet.world import World


def fetch(seed, folder):
    """A client that is cut off for a while and goes on by ranges; its digest, how often it began, the trace."""
    results = []

    async def server():
        files = Files(str(folder), FileOptions())
        async with await serve(files, "http://10.0.0.1:80", interface="exchange"):
            await asyncio.sleep(1e9)

    def client():
        digest, have, size, attempts = hashlib.sha256(), 0, None, 0
        while size is None or have < size:
            attempts += 1
            connection = http.client.HTTPConnection("10.0.0.1", timeout=2)
            try:
                connection.request("GET", "/big", headers={"Range": f"bytes={have}-"})
                response = connection.getresponse()
                assert response.status == 206
                size = int(response.headers["content-range"].partition("/")[2])
                while piece := response.read(8192):
                    digest.update(piece)
                    have += len(piece)
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
        results.append((digest.hexdigest(), attempts))

    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="10ms", rate="10Mbit", loss="1%")
        world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
        world.hosts["client"].run(client, start=0.1)
        world.at(0.5, lambda: world.partition(["server"], ["client"]))
        world.at(5, world.heal)
        world.run(600)
        assert all(process.status == 0 for process in world.processes if not process.daemon)
        return results[0], world.trace.hexdigest()


def test_a_file_over_a_link_that_is_cut(tmp_path):
    body = random.Random(5).randbytes(1 << 20)
    (tmp_path / "big").write_bytes(body)
    (digest, attempts), trace = fetch(1, tmp_path)
    assert digest == hashlib.sha256(body).hexdigest()
    assert attempts > 1
    again, same = fetch(1, tmp_path)
    assert again == (digest, attempts)
    assert trace == same
