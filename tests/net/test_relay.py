"""The relay between sockets, TLS and pipes, on both event loops: halves that close, resets, slow readers, faults."""

import asyncio
import os
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from catenet.codec.text import Newlines
from catenet.net.ends import PipeEnd, SocketEnd, TlsEnd
from catenet.net.faults import After, Faults
from catenet.net.relay import RelayOptions, relay


def pair(family=socket.AF_UNIX):
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


class Lab:
    """A relay between two sockets, and the asyncio streams of their peers."""

    def __init__(self, options=None, family=socket.AF_INET, observe=None):
        self.options = options or RelayOptions()
        self.family = family
        self.observe = observe or (lambda sign, data: None)

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        (self.left, one), (two, self.right) = pair(self.family), pair(self.family)
        for sock in (self.left, self.right):
            sock.setblocking(False)
        ends = SocketEnd(loop, one, "left"), SocketEnd(loop, two, "right")
        self.task = loop.create_task(relay(*ends, self.options, self.observe))
        self.loop = loop
        return self

    async def __aexit__(self, *_):
        self.left.close()
        self.right.close()
        self.task.cancel()
        await asyncio.wait([self.task])

    async def read(self, sock, count):
        data = b""
        while len(data) < count and (more := await self.loop.sock_recv(sock, count - len(data))):
            data += more
        return data

    async def send(self, sock, data):
        await self.loop.sock_sendall(sock, data)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_an_end_goes_one_way_and_the_other_goes_on(run, family):
    async def work():
        async with Lab(family=family) as lab:
            await lab.send(lab.left, b"question")
            lab.left.shutdown(socket.SHUT_WR)
            assert await lab.read(lab.right, 100) == b"question"
            for number in range(20):
                await lab.send(lab.right, b"%02d" % number)
                assert await lab.read(lab.left, 2) == b"%02d" % number
            lab.right.shutdown(socket.SHUT_WR)
            assert await lab.read(lab.left, 1) == b""
            outcome = await lab.task
            assert (outcome.to_right, outcome.to_left, outcome.failed) == (8, 40, False)
            assert outcome.reason == "both directions have ended" and outcome.pieces_to_left == 20

    run(work())


@pytest.mark.parametrize("which", ["left", "right"])
def test_a_reset_is_handed_on(run, which):
    async def work():
        async with Lab() as lab:
            await lab.send(lab.left, b"x")
            await lab.read(lab.right, 1)
            breaks, sees = (lab.left, lab.right) if which == "left" else (lab.right, lab.left)
            breaks.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            breaks.close()
            with pytest.raises(ConnectionResetError):
                await lab.read(sees, 1)
            outcome = await lab.task
            assert outcome.failed and outcome.reason == f"{which}: Connection reset by peer"

    run(work())


def test_what_a_server_says_before_it_refuses_the_rest_arrives(run):
    """A server that answers early and closes, while its client still sends."""

    async def work():
        async with Lab() as lab:
            sending = lab.loop.create_task(lab.send(lab.left, b"x" * 50_000_000))
            await lab.read(lab.right, 1000)
            await lab.send(lab.right, b"413 too much")
            lab.right.shutdown(socket.SHUT_WR)
            assert await lab.read(lab.left, 12) == b"413 too much"
            lab.right.close()  # with input unread, so TCP resets
            outcome = await lab.task
            assert outcome.to_left == 12 and outcome.failed
            with pytest.raises(OSError):
                await sending

    run(work())


SOME = 65536


def test_a_slow_reader_stops_the_sender(run):
    buffers = [int(Path(f"/proc/sys/net/ipv4/tcp_{each}mem").read_text().split()[2]) for each in "rw"]
    most = 2 * sum(buffers) + (8 << 20)

    async def work():
        async with Lab() as lab:
            sent = 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        sending = lab.loop.create_task(send_some(lab))
                        sent += await asyncio.shield(sending)
            assert sent < most, "what kernel and relay hold together"
            assert len(await lab.read(lab.right, sent + SOME)) == sent + await sending

    async def send_some(lab):
        await lab.send(lab.left, bytes(SOME))
        return SOME

    run(work())


def test_much_data_both_ways_at_once(run):
    async def work():
        data = os.urandom(1 << 20) * 8

        async def through(lab, source, sink):
            sending = lab.loop.create_task(lab.send(source, data))
            assert await lab.read(sink, len(data)) == data
            await sending
            source.shutdown(socket.SHUT_WR)

        async with Lab() as lab:
            await asyncio.gather(through(lab, lab.left, lab.right), through(lab, lab.right, lab.left))
            assert not (await lab.task).failed

    run(work())


def test_newlines_are_translated_both_ways(run):
    async def work():
        options = RelayOptions(to_right=lambda: Newlines(b"\r\n"), to_left=lambda: Newlines(b"\n"))
        async with Lab(options) as lab:
            await lab.send(lab.left, b"one\ntwo\r\nthree\r")
            lab.left.shutdown(socket.SHUT_WR)
            assert await lab.read(lab.right, 100) == b"one\r\ntwo\r\nthree\r"
            await lab.send(lab.right, b"four\r")
            await lab.send(lab.right, b"\nfive")
            lab.right.shutdown(socket.SHUT_WR)
            assert await lab.read(lab.left, 100) == b"four\nfive"

    run(work())


def test_observers_see_pieces_and_ends(run):
    async def work():
        seen = []
        async with Lab(observe=lambda sign, data: seen.append((sign, None if data is None else bytes(data)))) as lab:
            await lab.send(lab.left, b"a")
            await lab.read(lab.right, 1)
            lab.right.shutdown(socket.SHUT_WR)
            await lab.read(lab.left, 1)
            lab.left.shutdown(socket.SHUT_WR)
            await lab.task
        assert seen == [(">", b"a"), ("<", None), (">", None)]

    run(work())


def test_idle_and_linger(run):
    async def work():
        async with Lab(RelayOptions(idle=0.05)) as lab:
            outcome = await lab.task
            assert outcome.reason == "nothing came for 0.05 s" and not outcome.failed
        async with Lab(RelayOptions(linger=0.05)) as lab:
            lab.left.shutdown(socket.SHUT_WR)
            assert (await lab.task).reason == "one direction has ended, and nothing came for 0.05 s"

    run(work())


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_cancelled_relay_breaks_both_off(run, cancelled):
    async def work():
        async with Lab() as lab:
            await lab.send(lab.left, b"x")
            await lab.read(lab.right, 1)
            lab.task.cancel()
            for sock in (lab.left, lab.right):
                with pytest.raises(ConnectionResetError):
                    await lab.read(sock, 1)

    run(work())


# Faults.


def test_a_reset_after_so_many_bytes(run):
    async def work():
        async with Lab(RelayOptions(faults=Faults(reset=After(bytes=1000)))) as lab:
            await lab.send(lab.left, b"x" * 3000)
            outcome = await lab.task
            assert (outcome.to_right, outcome.reason, outcome.failed) == (1000, "reset after 1000 bytes", False)
            for sock in (lab.left, lab.right):
                with pytest.raises(ConnectionResetError):
                    while await lab.read(sock, 5000):
                        pass

    run(work())


def test_a_cut_is_an_end(run):
    async def work():
        async with Lab(RelayOptions(faults=Faults(cut=After(bytes=1000)))) as lab:
            await lab.send(lab.left, b"x" * 3000)
            assert await lab.read(lab.right, 5000) == b"x" * 1000
            assert (await lab.task).reason == "cut after 1000 bytes"

    run(work())


def test_faults_at_a_time_come_though_nothing_is_sent(run):
    async def work():
        async with Lab(RelayOptions(faults=Faults(reset=After(seconds=0.05)))) as lab:
            assert (await lab.task).reason == "reset after 0.05 s"

    run(work())


def test_latency_and_rate_keep_every_byte(run):
    async def work():
        data = os.urandom(200_000)
        faults = Faults(latency=0.02, jitter=0.01, rate=16e6, stall=(After(bytes=50_000), 0.05))
        async with Lab(RelayOptions(faults=faults)) as lab:
            start = lab.loop.time()
            sending = lab.loop.create_task(lab.send(lab.left, data))
            assert await lab.read(lab.right, len(data)) == data
            assert lab.loop.time() - start >= 0.1 + 0.01
            await sending
            lab.left.shutdown(socket.SHUT_WR)
            assert await lab.read(lab.right, 1) == b""
            lab.right.shutdown(socket.SHUT_WR)
            assert not (await lab.task).failed

    run(work())


def test_a_reset_of_the_source_is_handed_on_after_what_was_on_the_way(run):
    async def work():
        async with Lab(RelayOptions(faults=Faults(latency=0.05))) as lab:
            await lab.send(lab.left, b"last words")
            await asyncio.sleep(0.02)
            lab.left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            lab.left.close()
            assert await lab.read(lab.right, 10) == b"last words"
            assert (await lab.task).failed

    run(work())


# Pipes and TLS.


def test_pipes(run):
    async def work():
        loop = asyncio.get_running_loop()
        (input_r, input_w), (output_r, output_w) = os.pipe(), os.pipe()
        for descriptor in (input_r, output_w):
            os.set_blocking(descriptor, False)
        ours, theirs = pair()
        theirs.setblocking(False)
        ends = PipeEnd(loop, input_r, output_w, "pipes"), SocketEnd(loop, ours, "socket")
        task = loop.create_task(relay(*ends))
        os.write(input_w, b"there")
        os.close(input_w)
        assert await loop.sock_recv(theirs, 100) == b"there"
        assert await loop.sock_recv(theirs, 100) == b""
        await loop.sock_sendall(theirs, b"back")
        theirs.close()
        assert not (await task).failed
        assert os.read(output_r, 100) == b"back" and os.read(output_r, 100) == b""
        os.close(output_r)

    run(work())


def test_who_reads_nothing_of_a_pipe_any_more_ends_it_quietly(run):
    async def work():
        loop = asyncio.get_running_loop()
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        os.close(reads)
        ours, theirs = pair()
        task = loop.create_task(relay(PipeEnd(loop, -1, writes, "output"), SocketEnd(loop, ours, "socket")))
        theirs.sendall(b"x")
        outcome = await task
        assert outcome.reason == "output: Broken pipe: nobody reads it any more" and not outcome.failed
        theirs.close()

    run(work())


def test_a_file_that_is_always_ready(run, tmp_path):
    async def work():
        loop = asyncio.get_running_loop()
        data = os.urandom(1_000_000)
        (tmp_path / "in").write_bytes(data)
        reads = os.open(tmp_path / "in", os.O_RDONLY)
        writes = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
        ours, theirs = pair()
        theirs.setblocking(False)
        files = PipeEnd(loop, reads, writes, "files", keep_open=True)
        task = loop.create_task(relay(files, SocketEnd(loop, ours, "socket")))
        got = b""
        while more := await loop.sock_recv(theirs, 1 << 20):
            got += more
        assert got == data
        await loop.sock_sendall(theirs, data)
        theirs.close()
        assert not (await task).failed
        assert (tmp_path / "out").read_bytes() == data
        os.close(reads)
        os.close(writes)

    run(work())


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def secure_pair(contexts, version):
    for context in contexts:
        context.minimum_version = context.maximum_version = version
    loop = asyncio.get_running_loop()
    one, two = pair(socket.AF_INET)
    server = TlsEnd(SocketEnd(loop, one, "server"), contexts[0], server_side=True)
    client = TlsEnd(SocketEnd(loop, two, "client"), contexts[1], server_side=False, server_name="localhost")
    await asyncio.gather(server.handshake(), client.handshake())
    return server, client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_halves_of_tls_close_one_by_one(run, contexts, version):
    async def work():
        server, client = await secure_pair(contexts, version)
        await client.write(b"question")
        await client.end()
        assert await server.read(100) == b"question"
        assert await server.read(100) is None
        data = os.urandom(300_000)
        sending = asyncio.ensure_future(server.write(data))
        got = b""
        while len(got) < len(data):
            got += await client.read(1 << 20)
        assert got == data
        await sending
        await server.end()
        assert await client.read(100) is None
        client.close()
        server.close()

    run(work())


def test_tls_with_both_sides_full_does_not_wait_for_itself(run, contexts):
    """Both write more than the kernel takes before either reads."""

    async def work():
        server, client = await secure_pair(contexts, ssl.TLSVersion.TLSv1_3)
        data = os.urandom(1 << 20) * 12
        writing = [asyncio.ensure_future(end.write(data)) for end in (server, client)]
        await asyncio.sleep(0.2)
        assert not all(task.done() for task in writing)
        reading = [asyncio.ensure_future(read_all(end, len(data))) for end in (server, client)]
        await asyncio.gather(*writing)
        assert await asyncio.gather(*reading) == [len(data)] * 2
        server.abort()
        client.abort()

    async def read_all(end, count):
        got = 0
        while got < count:
            got += len(await end.read(1 << 20))
        return got

    run(work())


def test_tls_that_is_cut_off_is_an_end_and_nonsense_an_error(run, contexts):
    async def work():
        server, client = await secure_pair(contexts, ssl.TLSVersion.TLSv1_3)
        await client._below.end()
        assert await server.read(100) is None
        server.close()
        client.close()
        one, two = pair(socket.AF_INET)
        broken = TlsEnd(SocketEnd(asyncio.get_running_loop(), one, "s"), contexts[0], server_side=True)
        two.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ssl.SSLError):
            await broken.handshake()
        broken.close()
        two.close()

    run(work())
