"""What a core of five verbs gets from net/: every kind of URL, limits, deadlines, draining, back-pressure, a client."""

import asyncio
import contextlib
import logging
import ssl

import pytest
import trustme
from line_echo import LIMIT, LineCore

from catenet.net import ConnectError, ServerLimits, connect, serve, stream_server
from catenet.net.parking import can_park
from catenet.net.server import AcceptedConnection

URLS = {
    "IPv4": "tcp://127.0.0.1:0",
    "IPv6": "tcp://[::1]:0",
    "both": "tcp://localhost:0",
    "TLS over IPv4": "tls://127.0.0.1:0",
    "TLS over IPv6": "tls://[::1]:0",
    "Unix": "unix:{}/s",
    "abstract": "unix:@catenet-line-echo-{}",
}


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def quick_checks(monkeypatch):
    """Servers look after their connections twenty times a second."""
    monkeypatch.setattr(stream_server, "CHECK_INTERVAL", 0.05)


def client():
    return LineCore(echo=False)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


async def ask(connection, line):
    connection.core.send(line)
    await connection.drained()
    return await connection.next_event()


@pytest.mark.parametrize("kind", URLS)
def test_lines_come_back(run, kind, tmp_path, contexts):
    async def main():
        url = URLS[kind].format(tmp_path)
        async with await serve(LineCore, url, tls=contexts[0]) as server:
            async with await connect(client(), server.urls[0], tls=contexts[1]) as connection:
                assert await ask(connection, b"hello") == b"hello"
                assert await ask(connection, b"quit") == b"bye"
                assert await connection.next_event() is None
            await until(lambda: server.connections == 0)
        with pytest.raises(ConnectError, match="cannot connect to "):
            await connect(client(), server_url, tls=contexts[1])

    server_url = {"Unix": f"unix:{tmp_path}/s", "abstract": URLS["abstract"].format(tmp_path)}.get(
        kind, "tcp://[::1]:1"
    )
    run(main())


def test_one_server_on_many_urls(run, tmp_path, contexts):
    urls = [URLS[kind].format(tmp_path) for kind in ("IPv4", "IPv6", "TLS over IPv4", "Unix")]

    async def main():
        async with await serve(LineCore, urls, tls=contexts[0]) as server:
            for url in server.urls:
                async with await connect(client(), url, tls=contexts[1]) as connection:
                    assert await ask(connection, url.encode()) == url.encode()

    run(main())


def test_a_wrong_url_leaves_nothing_that_listens(run):
    async def main():
        with pytest.raises(ValueError, match=r"needs an ssl\.SSLContext"):
            await serve(LineCore, ["unix:@catenet-leftover", "tls://127.0.0.1:0"])
        async with await serve(LineCore, "unix:@catenet-leftover"):
            pass

    run(main())


def test_a_stranger_to_the_certificate_says_so_in_one_line(run, contexts):
    async def greet(connection):
        connection.core.send(b"220 this is not TLS")
        await connection.drained()
        await connection.next_event()

    async def main():
        async with await serve(LineCore, "tls://127.0.0.1:0", tls=contexts[0]) as server:
            with pytest.raises(ConnectError, match="certificate is not accepted: unable to get local issuer") as caught:
                await connect(client(), server.urls[0])
            assert "\n" not in str(caught.value) and "_ssl.c" not in str(caught.value)
        async with await serve(client, "tcp://127.0.0.1:0", greet) as server:
            with pytest.raises(ConnectError, match=r"TLS: (wrong version number|packet length too long)"):
                await connect(client(), server.urls[0].replace("tcp:", "tls:"))

    run(main())


# Limits.


def test_at_the_limit_others_wait(run):
    async def main():
        limits = ServerLimits(max_connections=1)
        async with await serve(LineCore, "tcp://127.0.0.1:0", limits=limits) as server:
            first = await connect(client(), server.urls[0])
            assert await ask(first, b"1") == b"1"
            second = await connect(client(), server.urls[0])
            waiting = asyncio.ensure_future(ask(second, b"2"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            first.close()
            assert await waiting == b"2"
            second.close()

    run(main())


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("beginning", [b"", b"part of a line"], ids=["nothing", "a part"])
def test_what_a_connection_begins_with_has_a_deadline(run, contexts, quick_checks, secure, beginning):
    async def main():
        limits = ServerLimits(handshake_timeout=1.0)
        url = "tls://127.0.0.1:0" if secure else "tcp://127.0.0.1:0"
        async with await serve(LineCore, url, limits=limits, tls=contexts[0]) as server:
            connection = await connect(client(), server.urls[0], tls=contexts[1])
            if beginning:
                connection.transport.write(beginning)
            await connection.wait_closed()
            assert server.connections == 0

    run(main())


@pytest.mark.parametrize("kind", ["IPv4", "TLS over IPv6", "Unix"])
def test_the_last_word_is_read_though_input_is_unread(run, contexts, tmp_path, kind):
    async def main():
        async with await serve(LineCore, URLS[kind].format(tmp_path), tls=contexts[0]) as server:
            connection = await connect(client(), server.urls[0], tls=contexts[1])
            for _ in range(50):
                connection.transport.write(b"x" * LIMIT * 2)
            assert await connection.next_event() == b"too long"
            connection.abort()

    run(main())


# Peers that do not read.


@pytest.mark.parametrize("kind", ["IPv4", "IPv6", "TLS over IPv4", "Unix"])
def test_who_does_not_read_waits_and_loses_nothing(run, contexts, tmp_path, kind):
    async def main():
        async with await serve(LineCore, URLS[kind].format(tmp_path), tls=contexts[0]) as server:
            connection = await connect(client(), server.urls[0], tls=contexts[1])
            connection.transport.pause_reading()
            sent = 0
            while not connection.write_paused or sent < 200:
                connection.core.send(b"%d " % sent + b"x" * 900)
                connection.flush()
                sent += 1
                if sent % 50 == 0:
                    await asyncio.sleep(0)
            (accepted,) = server._connections
            await until(lambda: accepted._read_paused)
            assert accepted.transport.get_write_buffer_size() < 1 << 20
            connection.transport.resume_reading()
            for number in range(sent):
                assert int((await connection.next_event()).split()[0]) == number
            connection.close()

    run(main())


def test_all_of_them_together_have_a_budget(run, quick_checks):
    class Flood(LineCore):
        """Sends as much as it may."""

        def transmit(self, now):
            return b"x" * 50_000 if self.begun else b""

    async def main():
        limits = ServerLimits(max_queued_total=300_000, handshake_timeout=2.0)
        async with await serve(Flood, "tcp://127.0.0.1:0", limits=limits) as server:
            deaf = [await connect(client(), server.urls[0]) for _ in range(12)]
            for connection in deaf:
                connection.transport.pause_reading()
                connection.core.send(b"go on")
                connection.flush()
            await until(lambda: server._shared.count_shed > 0)
            await until(lambda: not server._shared.budget.tight)
            for connection in deaf:
                connection.abort()

    run(main())


def test_a_client_that_asks_for_no_events_keeps_the_server_waiting(run):
    async def main():
        async def push(connection):
            for number in range(20_000):
                connection.core.send(b"%d" % number + b" " * 100)
                await connection.drained()

        async with await serve(client, "tcp://127.0.0.1:0", push) as server:
            connection = await connect(client(), server.urls[0])
            await until(lambda: connection._read_paused)
            numbers = [int(line) async for line in connection]
            assert numbers == list(range(20_000))

    run(main())


# Handlers.


def test_a_handler_reads_events_and_calls_the_core(run):
    async def add(connection):
        total = 0
        async for line in connection:
            total += int(line)
            connection.core.send(b"%d" % total)
            connection.touch()

    async def main():
        async with await serve(client, ["tcp://127.0.0.1:0"], add) as server:
            connection = await connect(client(), server.urls[0])
            assert [await ask(connection, line) for line in (b"1", b"2", b"39")] == [b"1", b"3", b"42"]
            connection.close()
            await until(lambda: not server.connections)

    run(main())


@pytest.mark.parametrize("failure", [RuntimeError, ConnectionRefusedError])
def test_a_handler_that_fails_is_logged_and_ends_its_connection(run, caplog, failure):
    async def fail(connection):
        await connection.next_event()
        raise failure("broken handler")

    async def main():
        async with await serve(client, "tcp://127.0.0.1:0", fail) as server:
            connection = await connect(client(), server.urls[0])
            connection.core.send(b"x")
            connection.flush()
            with contextlib.suppress(ConnectionError):
                assert await connection.next_event() is None

    with caplog.at_level(logging.ERROR, "catenet.net"):
        run(main())
    (record,) = caplog.records
    assert str(record.exc_info[1]) == "broken handler"


def test_a_peer_that_goes_is_no_failure_of_the_handler(run, caplog):
    async def push(connection):
        while True:
            connection.core.send(b"x" * 1000)
            await connection.drained()

    async def main():
        async with await serve(client, "tcp://127.0.0.1:0", push) as server:
            connection = await connect(client(), server.urls[0])
            await connection.next_event()
            connection.abort()
            await until(lambda: not server.connections)

    run(main())
    assert caplog.records == []


class Broken(LineCore):
    """Has a bug where it handles its deadline."""

    def handle_timeout(self, now):
        raise ZeroDivisionError


def test_a_core_that_fails_costs_its_own_connection_and_no_deadline_of_another():
    async def main():
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["exception"]))
        cores = iter([Broken(idle=0.05), LineCore(idle=0.2)])
        async with await serve(lambda: next(cores), "tcp://127.0.0.1:0") as server:
            broken, sound = [await connect(client(), server.urls[0]) for _ in range(2)]
            for connection in (broken, sound):
                assert await ask(connection, b"x") == b"x"
            await broken.wait_closed()
            assert await sound.next_event() == b"idle"
        assert [type(problem) for problem in problems] == [ZeroDivisionError]

    asyncio.run(main())


# Ends.


class Careless(LineCore):
    """Does not close when its peer has ended its stream."""

    def receive(self, data, now):
        if data:
            super().receive(data, now)


@pytest.mark.parametrize("kind", ["IPv4", "TLS over IPv4", "Unix"])
@pytest.mark.parametrize("handled", [False, True])
def test_the_end_of_the_peers_stream_ends_a_careless_core_too(run, contexts, tmp_path, kind, handled):
    heard = []

    async def hear(connection):
        heard.extend([line async for line in connection])
        connection.core.send(b"heard")

    async def main():
        url = URLS[kind].format(tmp_path)
        async with await serve(Careless, url, hear if handled else None, tls=contexts[0]) as server:
            connection = await connect(client(), server.urls[0], tls=contexts[1])
            connection.core.send(b"last")
            connection.flush()
            assert await connection.next_event() == b"last"
            if kind.startswith("TLS"):
                connection.close()
            else:
                connection.transport.write_eof()
                assert [line async for line in connection] == ([b"heard", b"bye"] if handled else [])
            await until(lambda: not server.connections)
        assert heard == ([b"last"] if handled else [])

    run(main())


def test_draining_lets_what_has_begun_finish(run):
    began = asyncio.Event()

    async def slow(connection):
        async for line in connection:
            began.set()
            await asyncio.sleep(0.1)
            connection.core.send(line)
            connection.flush()

    class Finishing(LineCore):
        """Finishes the line that it works on."""

        def drain(self, now):
            pass

    async def main():
        server = await serve(lambda: Finishing(echo=False), "tcp://127.0.0.1:0", slow)
        (url,) = server.urls
        connection = await connect(client(), url)
        connection.core.send(b"last")
        connection.flush()
        await began.wait()
        draining = asyncio.ensure_future(server.drain(grace=30))
        assert await connection.next_event() == b"last"
        with pytest.raises(ConnectError):
            await connect(client(), url)
        connection.close()
        await draining

    run(main())


def test_draining_says_goodbye_and_ends_after_its_grace(run):
    async def stuck(connection):
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(connection)

    async def main(handler, core, grace):
        server = await serve(core, "tcp://127.0.0.1:0", handler)
        connection = await connect(client(), server.urls[0])
        await until(lambda: server.connections == 1)
        await server.drain(grace)
        assert server.connections == 0 and server.urls == []
        return [line async for line in connection]

    async def both():
        assert await main(None, LineCore, 30.0) == [b"bye"]
        with contextlib.suppress(ConnectionError):
            await main(stuck, client, 0.05)
        await until(lambda: ended)

    ended = []
    run(both())


def test_nobody_answers(run, tmp_path):
    async def main():
        with pytest.raises(ConnectError, match=r"tcp://127.0.0.1:1: .*[Rr]efused"):
            await connect(client(), "tcp://127.0.0.1:1")
        with pytest.raises(ConnectError, match=f"unix:{tmp_path}/nobody: No such file"):
            await connect(client(), f"unix:{tmp_path}/nobody")
        with pytest.raises(ValueError, match="no scheme"):
            await connect(client(), "gopher://a:1")

    run(main())


@pytest.mark.parametrize("step", ["check", "rest"])
def test_a_connection_that_fails_ends_alone(run, quick_checks, monkeypatch, step):
    """The server looks after the others, again and again; the loop hears of the failure."""
    kept, seen = getattr(AcceptedConnection, step), []

    def failing(connection, now):
        seen.append(connection)
        if connection is seen[0]:
            raise RuntimeError("in its core")
        return kept(connection, now)

    async def main():
        problems = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: problems.append(context))
        async with await serve(LineCore, "tcp://127.0.0.1:0", limits=ServerLimits(park_after=0.0)) as server:
            clients = [await connect(client(), server.urls[0]) for _ in range(3)]
            assert [await ask(one, b"a") for one in clients] == [b"a"] * 3
            if step == "check" or can_park(loop):
                monkeypatch.setattr(AcceptedConnection, step, failing)
                await until(lambda: len(seen) >= 5)
                assert [(str(problem["exception"]), problem["message"][:12]) for problem in problems] == [
                    ("in its core", "a connection")
                ]
                await until(lambda: server.connections == 2)
                monkeypatch.setattr(AcceptedConnection, step, kept)
                left = [one for one in clients if one.transport is not None]
                assert [await ask(one, b"b") for one in left] == [b"b"] * 2
            for one in clients:
                one.abort()

    run(main())
