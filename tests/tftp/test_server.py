"""The server on the kernel's sockets: what it serves and stores, what it refuses, how much it bears, how it ends."""

import asyncio
import contextlib
import logging
import os
import socket

import pytest

from catenet import tftp
from catenet.folder.partial import NoRoom, Partial
from catenet.tftp import ErrorCode, ServerOptions, TftpError, Wishes
from catenet.tftp.packets import build_ack, build_error, parse_error

ALL = ["tftp://127.0.0.1:0", "tftp://[::1]:0"]
DATA = os.urandom(300_000)
RRQ = b"\0\1file\0octet\0"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(DATA)
    (root / "sub" / "text").write_bytes(b"one\ntwo\r\nthree\r")
    (root / ".hidden").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "in").symlink_to("sub/text")
    os.mkfifo(root / "fifo")
    return root


class Raw:
    """A socket that speaks for itself."""

    def __init__(self, url, host="127.0.0.1"):
        self.server = (host, int(url.rpartition(":")[2]))
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data, to=None):
        self.sock.sendto(data, to or self.server)

    async def receive(self):
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            return await loop.sock_recvfrom(self.sock, 70_000)


async def refused(work):
    with pytest.raises(TftpError) as caught:
        await work
    assert caught.value.told
    return caught.value.code


@pytest.mark.parametrize("single_port", [False, True])
def test_files_come_and_go_whole(run, folder, single_port):
    async def main():
        options = ServerOptions(upload=True, overwrite=True, single_port=single_port)
        async with await tftp.serve(folder, ALL, options) as server:
            for url in server.urls:
                for wishes in (Wishes(512, 1, size=False), Wishes(1428, 16), Wishes(8192, 8), Wishes(65_464, 2)):
                    assert await tftp.get(f"{url}/file", wishes) == DATA
                    await tftp.put(f"{url}/new", DATA, wishes)
                    assert (folder / "new").read_bytes() == DATA
                text = (folder / "sub" / "text").read_bytes()
                assert await tftp.get(f"{url}/sub/text;mode=netascii") == text
                assert await tftp.get(f"{url}/sub%5Ctext") == await tftp.get(f"{url}/in") == text
                await tftp.put(f"{url}/sub/copy;mode=netascii", text)
                assert (folder / "sub" / "copy").read_bytes() == text

    run(main())
    assert sorted(os.listdir(folder)) == [".hidden", "fifo", "file", "in", "new", "out", "sub"]


def test_many_at_once(run, folder):
    async def main():
        for single_port in (False, True):
            options = ServerOptions(upload=True, single_port=single_port, max_per_client=100)
            async with await tftp.serve(folder, ALL[0], options) as server:
                got = await asyncio.gather(*[tftp.get(f"{server.urls[0]}/file") for _ in range(30)])
                assert got == [DATA] * 30

    run(main())


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("none", ErrorCode.NOT_FOUND), ("sub", ErrorCode.NOT_FOUND), ("sub/", ErrorCode.NOT_FOUND),
        ("../secret", ErrorCode.ACCESS), ("sub/../../secret", ErrorCode.ACCESS), ("..%5Csecret", ErrorCode.ACCESS),
        ("%2Fetc/passwd", ErrorCode.NOT_FOUND), ("out", ErrorCode.NOT_FOUND), (".hidden", ErrorCode.NOT_FOUND),
        ("fifo", ErrorCode.NOT_FOUND), ("file/x", ErrorCode.NOT_FOUND), ("x" * 300, ErrorCode.ACCESS),
    ],
)  # fmt: skip
def test_what_is_outside_hidden_or_no_file_is_not_there(folder, name, code):
    async def main():
        async with await tftp.serve(folder, ALL[0], ServerOptions(upload=True)) as server:
            assert await refused(tftp.get(f"{server.urls[0]}/{name}")) == code

    asyncio.run(main())


def test_what_may_not_be_written(folder, monkeypatch):
    async def main():
        async with await tftp.serve(folder, ALL[0]) as server:
            assert await refused(tftp.put(f"{server.urls[0]}/new", b"x")) == ErrorCode.ACCESS
        options = ServerOptions(upload=True, max_upload=1000, max_upload_total=1500)
        async with await tftp.serve(folder, ALL[0], options) as server:
            url = server.urls[0]
            unsized = Wishes(size=False)
            assert await refused(tftp.put(f"{url}/file", b"x")) == ErrorCode.EXISTS
            assert await refused(tftp.put(f"{url}/none/new", b"x")) == ErrorCode.NOT_FOUND
            assert await refused(tftp.put(f"{url}/sub", b"x")) == ErrorCode.ACCESS
            assert await refused(tftp.put(f"{url}/.new", b"x")) == ErrorCode.ACCESS
            assert await refused(tftp.put(f"{url}/../new", b"x")) == ErrorCode.ACCESS
            assert await refused(tftp.put(f"{url}/new", bytes(1001))) == ErrorCode.DISK_FULL
            assert await refused(tftp.put(f"{url}/new", bytes(1001), unsized)) == ErrorCode.DISK_FULL
            assert not (folder / "new").exists()
        async with await tftp.serve(folder, ALL[0], options) as server:
            url = server.urls[0]
            await tftp.put(f"{url}/first", bytes(1000))
            assert await refused(tftp.put(f"{url}/second", bytes(501))) == ErrorCode.DISK_FULL
            await tftp.put(f"{url}/second", bytes(500))

        def full(self, pieces):
            raise NoRoom(28, "No space left on device")

        async with await tftp.serve(folder, ALL[0], ServerOptions(upload=True)) as server:
            monkeypatch.setattr(Partial, "write_now", full)
            assert await refused(tftp.put(f"{server.urls[0]}/huge", b"x")) == ErrorCode.DISK_FULL
            monkeypatch.setattr("catenet.tftp.served.free_space", lambda folder: 10)
            assert await refused(tftp.put(f"{server.urls[0]}/huge", bytes(11))) == ErrorCode.DISK_FULL

    asyncio.run(main())
    assert sorted(os.listdir(folder)) == [".hidden", "fifo", "file", "first", "in", "out", "second", "sub"]


@pytest.mark.parametrize("single_port", [False, True])
def test_limits_of_transfers(folder, single_port):
    async def main():
        options = ServerOptions(single_port=single_port, max_transfers=3, max_per_client=2)
        async with await tftp.serve(folder, ALL, options) as server:
            with contextlib.ExitStack() as stack:
                first, second, third = (stack.enter_context(Raw(server.urls[0])) for _ in range(3))
                for raw in (first, second):
                    raw.send(RRQ)
                    data, peer = await raw.receive()
                    assert data == b"\0\3\0\1" + DATA[:512]
                    assert (peer == raw.server) is single_port
                third.send(RRQ)
                data, peer = await third.receive()
                assert parse_error(data) == (0, "too many transfers") and peer == third.server
                # Another client has its own share, until there are too many in all.
                assert await tftp.get(f"{server.urls[1]}/file") == DATA

    asyncio.run(main())


def test_a_request_that_comes_twice_is_one_and_another_one_from_the_port_begins_anew(folder):
    async def main():
        async with await tftp.serve(folder, ALL[0]) as server:
            with Raw(server.urls[0]) as raw:
                raw.send(RRQ)
                raw.send(RRQ)
                data, first = await raw.receive()
                raw.send(build_ack(1), first)
                data, peer = await raw.receive()
                assert (data[:4], peer) == (b"\0\3\0\2", first)
                raw.send(b"\0\1sub/text\0octet\0")  # a boot loader that has been reset
                data, second = await raw.receive()
                assert second != first and data[4:] == (folder / "sub" / "text").read_bytes()
                raw.send(build_ack(1), second)

    asyncio.run(main())


@pytest.mark.parametrize("single_port", [False, True])
def test_strangers_and_nonsense(folder, single_port):
    async def main():
        async with await tftp.serve(folder, ALL[0], ServerOptions(single_port=single_port)) as server:
            with Raw(server.urls[0]) as raw, Raw(server.urls[0]) as stranger:
                raw.send(RRQ)
                data, peer = await raw.receive()
                for packet, code in ((build_ack(1), 5), (b"\0\3\0\1x", 5)):
                    stranger.send(packet, peer)
                    data, _ = await stranger.receive()
                    assert parse_error(data)[0] == code
                stranger.send(build_error(0, "of a stranger"), peer)
                for packet in (b"\0\1file\0", b"\0\1file\0mail\0", b"\0\x63", b""):
                    stranger.send(packet)
                    data, _ = await stranger.receive()
                    assert parse_error(data)[0] == ErrorCode.ILLEGAL
                raw.send(build_ack(1), peer)
                data, again = await raw.receive()
                assert data == b"\0\3\0\2" + DATA[512:1024] and again == peer

    asyncio.run(main())


def test_answers_leave_from_the_address_that_was_asked(folder):
    """127.0.0.2 is an address of every Linux; a server on all addresses would answer from 127.0.0.1."""

    async def main():
        for single_port in (False, True):
            async with await tftp.serve(folder, "tftp://0.0.0.0:0", ServerOptions(single_port=single_port)) as server:
                with Raw(server.urls[0], "127.0.0.2") as raw:
                    raw.send(RRQ)
                    _, peer = await raw.receive()
                    assert peer[0] == "127.0.0.2"

    asyncio.run(main())


def test_it_drains_what_has_begun_and_refuses_the_rest(folder, caplog):
    async def main():
        server = await tftp.serve(folder, ALL[0])
        url = server.urls[0]
        with Raw(url) as raw, Raw(url) as late, Raw(url) as stuck:
            for one in (raw, stuck):
                one.send(b"\0\1file\0octet\0blksize\x0065464\0")
            _, peer = await raw.receive()
            await stuck.receive()
            draining = asyncio.ensure_future(server.drain(1.0))
            await asyncio.sleep(0)
            late.send(RRQ)
            data, _ = await late.receive()
            assert parse_error(data) == (0, "the server is closing")
            number, got = 0, b""
            while number == 0 or len(data) == 65_468:
                raw.send(build_ack(number), peer)
                data, _ = await raw.receive()
                number, got = number + 1, got + data[4:]
            raw.send(build_ack(number), peer)
            assert got == DATA
            await draining
            while (data := (await stuck.receive())[0])[1] != 5:
                pass
            assert parse_error(data) == (0, "the server is closing")

    with caplog.at_level(logging.INFO, "catenet.tftp"):
        asyncio.run(main())
    said = [record.getMessage() for record in caplog.records]
    assert any(" get file 300000 bytes, " in line for line in said)
    assert any("the server is closing" in line for line in said)


def test_nobody_is_there(run):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        with pytest.raises(ConnectionError, match="connection refused"):
            await tftp.get(f"tftp://127.0.0.1:{port}/file")

    run(main())


def test_a_client_that_stops_tells_the_server(folder, caplog):
    async def main():
        async with await tftp.serve(folder, ALL[0]) as server:
            with pytest.raises(ZeroDivisionError):
                async with tftp.reading(f"{server.urls[0]}/file", Wishes(512, 1)) as channel:
                    await channel.begun()
                    raise ZeroDivisionError
            while not caplog.records:
                await asyncio.sleep(0.01)

    with caplog.at_level(logging.INFO, "catenet.tftp"):
        asyncio.run(main())
    assert "cancelled" in caplog.records[0].getMessage()


@pytest.mark.parametrize(
    "url",
    ["tftp://h", "tftp://h/", "http://h/x", "tftp://h/x;mode=mail", "tftp://h/x%00y", "tftp:///x", "tftp://h:p/x"],
)
def test_urls_that_are_none(url):
    with pytest.raises(ValueError, match=r"tftp|URL|http"):
        tftp.parse_url(url)
