"""A server that restarts: both ends go back to what was committed, and everything takes effect once."""

import asyncio
import socket

import pytest

from catenet import session


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_server_restarts_again_and_again(run, tmp_path):
    """It counts lines; the count is its state. Each line is answered once, by whichever process."""
    begun = []

    async def handler(reader, writer):
        begun.append(writer.session.restored)
        count = int(writer.session.saved or 0)
        while line := await reader.readline():
            count += 1
            writer.write(b"%d %s" % (count, line))
            writer.session.saved = b"%d" % count
            await writer.drain()

    async def main():
        url, state = f"session+tcp://127.0.0.1:{free_port()}", str(tmp_path / "state")
        server = await session.serve(handler, url, state=state)
        reader, writer = await session.connect(url)
        expected = 0
        for life in range(6):
            for number in range(20):
                writer.write(b"line %d of %d\n" % (number, life))
            for number in range(20):
                expected += 1
                if number == 10 + life:
                    await server.close()
                    server = await session.serve(handler, url, state=state)
                assert await reader.readline() == b"%d line %d of %d\n" % (expected, number, life)
        writer.close()
        await writer.wait_closed()
        await server.close()
        assert begun == [False, True, True, True, True, True, True]
        server = await session.serve(handler, url, state=state)
        assert server.sessions == 0, "it has ended, and is forgotten"
        await server.close()

    run(main())


def test_what_is_not_committed_has_not_happened(run, tmp_path):
    """A process that ends before its commit has said nothing; the next one is told again what it was told."""
    seen = []

    async def handler(reader, writer):
        seen.append(await reader.readexactly(5))
        writer.write(b"answer %d" % len(seen))
        if len(seen) == 1:
            await asyncio.sleep(3600)
        await writer.drain()

    async def main():
        url, state = f"session+tcp://127.0.0.1:{free_port()}", str(tmp_path / "state")

        async def permit(_):
            return True

        server = await session.serve(handler, url, state=state, authorize=permit)
        reader, writer = await session.connect(url)
        writer.write(b"hello")
        while not seen:
            await asyncio.sleep(0.001)
        assert writer.session.unacknowledged == 5
        await server.close()
        server = await session.serve(handler, url, state=state, authorize=permit)
        assert await reader.read() == b"answer 2"
        assert seen == [b"hello", b"hello"]
        await server.close()

    run(main())


def test_a_process_that_cancels_everything_leaves_its_sessions_to_the_next(run, tmp_path):
    """As `asyncio.run` does when it is interrupted, and nobody has closed the server."""

    async def handler(reader, writer):
        count = int(writer.session.saved or 0)
        while line := await reader.readline():
            if line == b"leave\n":
                raise asyncio.CancelledError
            count += 1
            writer.write(b"%d\n" % count)
            writer.session.saved = b"%d" % count
            await writer.drain()

    async def main():
        url, state = f"session+tcp://127.0.0.1:{free_port()}", str(tmp_path / "state")
        server = await session.serve(handler, url, state=state)
        reader, writer = await session.connect(url)
        for count in range(1, 4):
            writer.write(b"line\n")
            assert await reader.readline() == b"%d\n" % count
            tasks = list(server._handlers)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await server.close()
            server = await session.serve(handler, url, state=state)
            assert server.sessions == 1
        writer.write(b"leave\n")
        with pytest.raises(session.SessionReset):
            await reader.readline()
        await server.close()
        server = await session.serve(handler, url, state=state)
        assert server.sessions == 0
        await server.close()

    run(main())


def test_a_file_that_is_none(run, tmp_path):
    async def main():
        (tmp_path / "state").write_bytes(b"this is no database, whatever it is" * 100)
        with pytest.raises(OSError, match="state: file is not a database"):
            await session.serve(None, "session+tcp://127.0.0.1:0", state=str(tmp_path / "state"))

    run(main())
