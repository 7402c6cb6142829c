"""10 MB each way over a session whose connections the kernel destroys every 100 ms (`ss -K`); run in a namespace.

`killed.py LOOP SCHEME HOST` prints how many connections there were, and how often one was destroyed.
"""

import asyncio
import os
import ssl
import sys

import trustme
import uvloop

from catenet import session

SIZE = 10_000_000
LIMIT = 120.0


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1", "::1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def destroy(port: str, counts: list[int]) -> None:
    """Destroy all connections of a port, every 100 ms."""
    words = ["ss", "-K", "-tnH", "state", "established", "sport", "=", f":{port}"]
    while True:
        await asyncio.sleep(0.1)
        child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        output, _ = await child.communicate()
        counts[0] += bool(output.strip())


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mine: bytes) -> bytes:
    async def say() -> None:
        for at in range(0, SIZE, 50_000):
            writer.write(mine[at : at + 50_000])
            await writer.drain()
        writer.write_eof()

    saying = asyncio.create_task(say())
    heard = await reader.read()
    await saying
    return heard


async def main(scheme: str, host: str) -> None:
    up, down = os.urandom(SIZE), os.urandom(SIZE)
    heard: list[bytes] = []
    counts = [0]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await exchange(reader, writer, down))

    tls = contexts() if scheme == "session+tls" else (None, None)
    async with asyncio.timeout(LIMIT), await session.serve(handler, f"{scheme}://{host}:0", tls=tls[0]) as server:
        url = server.urls[0]
        destroying = asyncio.create_task(destroy(url.rpartition(":")[2], counts))
        reader, writer = await session.connect(url, tls=tls[1])
        assert await exchange(reader, writer, up) == down
        writer.close()
        await writer.wait_closed()
        destroying.cancel()
        assert heard == [up]
        print(writer.session.connections, counts[0])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[1] == "uvloop" else None) as runner:
        runner.run(main(*sys.argv[2:]))
