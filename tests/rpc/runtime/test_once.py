"""Calls with a key are carried out once, also for a client, or by a server, that has restarted."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from cutting import cutting
from echoservice import Certificates, failure, serving, text, until
from google.protobuf.wrappers_pb2 import StringValue

from catenet.rpc import Channel, ChannelOptions, Code, Kind, Method, RpcError, ServiceDescriptor, SessionOptions
from catenet.rpc.model.identity import Identity
from catenet.rpc.policy.limits import caller_key
from catenet.rpc.server.once import KEY, Once, OnceLimits

PAY = Method("test.Bank", "Pay", Kind.UNARY, StringValue, StringValue)
OTHER = Method("test.Bank", "Other", Kind.UNARY, StringValue, StringValue)


async def from_elsewhere(url, name):
    """Pay from another address; return the status of HTTP."""
    host, port = url.removeprefix("tcp://").split(":")
    reader, writer = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
    writer.write(
        f"POST /test.Bank/Pay HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n{KEY}: {name}\r\n"
        'content-length: 3\r\n\r\n"b"'.encode()
    )
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


class Bank:
    """Counts what it is asked to do; `fail:CODE` fails, `wait` waits for `go`."""

    __service__ = ServiceDescriptor("test.Bank", (PAY, OTHER))

    def __init__(self):
        self.paid = Counter()
        self.go = asyncio.Event()

    async def pay(self, request, context):
        self.paid[request.value] += 1
        if request.value.startswith("fail:"):
            context.abort(Code[request.value[5:]], "as you wish")
        if request.value == "raise":
            raise KeyError("secret")
        if request.value.startswith("large"):
            return text("x" * 100_000)
        if request.value == "wait":
            await self.go.wait()
        return text(f"paid {request.value}")

    other = pay


def key(name):
    return {"metadata": [(KEY, name)]}


def banking(work, see=lambda once: None, **given):
    """Run `work(channel, bank)`."""

    async def main():
        see(once := Once(**given))
        async with serving(implementation=(bank := Bank()), interceptors=[once]) as (_, _, url):
            async with Channel(url) as channel:
                await work(channel, bank)
        once.close()

    asyncio.run(main())


def test_a_key_is_good_once():
    async def work(channel, bank):
        for _ in range(3):
            assert (await channel.unary(PAY, text("a"), **key("1"))).value == "paid a"
        await channel.unary(PAY, text("a"), **key("2"))
        await channel.unary(OTHER, text("a"), **key("1"))
        await channel.unary(PAY, text("b"))
        await channel.unary(PAY, text("b"))
        assert bank.paid == {"a": 3, "b": 2}
        error = await failure(channel.unary(PAY, text("b"), **key("1")))
        assert (error.code, "another request" in error.message) == (Code.INVALID_ARGUMENT, True)
        for wrong in ("", "x" * 256):
            assert (await failure(channel.unary(PAY, text("b"), **key(wrong)))).code is Code.INVALID_ARGUMENT

    banking(work)


def test_calls_at_once_are_one():
    async def work(channel, bank):
        calls = [asyncio.ensure_future(channel.unary(PAY, text("wait"), **key("1"))) for _ in range(10)]
        await until(lambda: bank.paid)
        calls[0].cancel()
        bank.go.set()
        assert {(await call).value for call in calls[1:]} == {"paid wait"}
        assert bank.paid == {"wait": 1}

    banking(work)


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNAVAILABLE, Code.ABORTED])
def test_failures(code):
    """What cannot be otherwise next time is kept; what a handler says may be tried again is."""
    again = code in (Code.UNAVAILABLE, Code.ABORTED)

    async def work(channel, bank):
        for _ in range(3):
            error = await failure(channel.unary(PAY, text(f"fail:{code.name}"), **key("1")))
            assert (error.code, error.message) == (code, "as you wish")
        assert bank.paid.total() == (3 if again else 1)
        for _ in range(2):
            assert "secret" not in (await failure(channel.unary(PAY, text("raise"), **key("2")))).message
        assert bank.paid["raise"] == 1

    banking(work)


def test_outcomes_are_forgotten_in_time_and_bounded():
    now = [0.0]

    async def work(channel, bank):
        for name in "123":
            await channel.unary(PAY, text("a"), **key(name))
        assert (await failure(channel.unary(PAY, text("a"), **key("4")))).code is Code.RESOURCE_EXHAUSTED
        assert (await channel.unary(PAY, text("a"), **key("3"))).value == "paid a"
        now[0] = 61.0
        await channel.unary(PAY, text("a"), **key("4"))
        await channel.unary(PAY, text("a"), **key("1"))
        assert bank.paid == {"a": 5}

    banking(work, keep=60.0, most=3, clock=lambda: now[0], limits=OnceLimits(share=1))


@pytest.mark.parametrize("kept", [True, False])
def test_one_caller_cannot_take_the_places_of_the_others(kept, tmp_path):
    """One address fills its share with keys, over many connections; another's calls are carried out all the same."""
    path = str(tmp_path / "calls") if kept else None

    async def main():
        for attempt in range(2 if kept else 1):
            once = Once(path, most=20)
            async with serving("tcp://127.0.0.1:0", bank := Bank(), interceptors=[once]) as (_, _, url):
                codes = Counter()
                for number in range(3):
                    async with Channel(url) as channel:
                        for each in range(5):
                            found = await outcome(channel.unary(PAY, text("a"), **key(f"{attempt} {number} {each}")))
                            codes[found.code if isinstance(found, RpcError) else Code.OK] += 1
                assert codes[Code.RESOURCE_EXHAUSTED] == 15 - bank.paid["a"]
                assert bank.paid["a"] == (0 if attempt else 5), "what the file has counts as well"
                assert await from_elsewhere(url, f"{attempt} other") == 200
            once.close()

    asyncio.run(main())


def test_addresses_that_are_one_caller():
    nobody = Identity()
    assert caller_key(nobody, "[2001:db8::1]:80") == caller_key(nobody, "[2001:db8::ffff]:81") == "2001:db8::/64"
    assert caller_key(nobody, "[::ffff:192.0.2.1]:80") == caller_key(nobody, "192.0.2.1:1") == "192.0.2.1"


def test_a_file_of_an_older_version(tmp_path):
    path = str(tmp_path / "calls")
    columns = "caller TEXT, method TEXT, key TEXT, request BLOB, code INTEGER, message TEXT, response BLOB, until REAL"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"CREATE TABLE calls ({columns}, PRIMARY KEY (caller, method, key)) WITHOUT ROWID")
        names = (Identity().name, PAY.full_name)
        db.execute("INSERT INTO calls VALUES (?, ?, 'k', X'00', 0, '', X'', 9e9)", names)
        db.commit()

    async def work(channel, bank):
        await channel.unary(PAY, text("a"), **key("1"))
        assert (await failure(channel.unary(PAY, text("a"), **key("k")))).message.endswith("another request")

    banking(work, path=path)


@pytest.mark.parametrize("limits", [OnceLimits(bytes=210_000), OnceLimits(bytes_of_caller=210_000)])
@pytest.mark.parametrize("kept", [True, False])
def test_what_is_kept_is_bounded_in_bytes(limits, kept, tmp_path):
    """A response without room is not kept, which is told; all the same its call is carried out once."""
    now = [0.0]
    path = str(tmp_path / "calls") if kept else None

    async def work(channel, bank):
        for name in "123":
            assert len((await channel.unary(PAY, text("large"), **key(name))).value) == 100_000
        assert len((await channel.unary(PAY, text("large"), **key("2"))).value) == 100_000
        error = await failure(channel.unary(PAY, text("large"), **key("3")))
        assert (error.code, "carried out" in error.message) == (Code.DATA_LOSS, True)
        for number in range(5):
            await channel.unary(PAY, text("a"), **key(f"n{number}"))
        paid = 0  # until not even a key has room
        while not isinstance(error := await outcome(channel.unary(PAY, text("b"), **key(f"m{paid}"))), RpcError):
            paid += 1
        assert error.code is Code.RESOURCE_EXHAUSTED
        assert bank.paid == {"large": 3, "a": 5, "b": paid}
        now[0] = 61.0
        for _ in range(2):
            assert len((await channel.unary(PAY, text("large"), **key("3"))).value) == 100_000
        assert bank.paid["large"] == 4

    banking(work, path=path, keep=60.0, clock=lambda: now[0], limits=limits)
    if path is not None:
        once = Once(path)
        ((size,),) = once._db.execute("SELECT sum(length(response)) FROM calls").fetchall()
        assert 100_000 < size < once._bytes < 101_000
        once.close()


async def outcome(call):
    try:
        return await call
    except RpcError as error:
        return error


@pytest.mark.parametrize("limits", [OnceLimits(running=5), OnceLimits(running_of_caller=5)])
def test_handlers_that_nobody_waits_for_are_bounded(limits):
    async def work(channel, bank):
        for number in range(8):
            call = asyncio.ensure_future(outcome(channel.unary(PAY, text("wait"), **key(f"{number}"))))
            await until(lambda n=number, call=call: call.done() or bank.paid["wait"] > n)
            call.cancel()
            assert call.done() == (number >= 5)
            if call.done():
                assert call.result().code is Code.RESOURCE_EXHAUSTED
        assert bank.paid["wait"] == 5
        bank.go.set()
        await channel.unary(PAY, text("wait"), **key("0"))
        await until(lambda: not limits_of["once"]._running and not limits_of["once"]._of_peer)
        await channel.unary(PAY, text("wait"), **key("7"))

    limits_of = {}
    banking(work, limits=limits, see=lambda once: limits_of.update(once=once))


def test_a_client_that_has_restarted_gets_the_answer_of_its_former_self():
    """The first process is gone in the middle of the call, without a word; its session waits for it in vain."""

    async def main():
        options = ChannelOptions(session=SessionOptions(close_timeout=0.01))
        once = Once()
        async with serving("session+grpc://127.0.0.1:0", bank := Bank(), interceptors=[once]) as (server, _, url):
            async with cutting(url) as cutter, Channel(cutter.url, options=options) as former:
                lost = asyncio.ensure_future(former.unary(PAY, text("wait"), **key("order 17")))
                await until(lambda: bank.paid)
                cutter.open = False
                cutter.cut()
                lost.cancel()
            async with Channel(url) as channel:
                answer = asyncio.ensure_future(channel.unary(PAY, text("wait"), **key("order 17")))
                await until(lambda: server.counters.started == 2)
                bank.go.set()
                assert (await answer).value == "paid wait"
                assert (await channel.unary(PAY, text("wait"), **key("order 17"))).value == "paid wait"
        assert bank.paid == {"wait": 1}

    asyncio.run(main())


def test_a_server_that_has_restarted_knows_what_it_has_done(tmp_path):
    async def main():
        path = str(tmp_path / "calls")
        once = Once(path)
        async with serving(implementation=(bank := Bank()), interceptors=[once]) as (_, _, url):
            async with Channel(url) as channel:
                await channel.unary(PAY, text("a"), **key("1"))
                cut_short = asyncio.ensure_future(channel.unary(PAY, text("wait"), **key("2")))
                await until(lambda: bank.paid["wait"])
        assert (await failure(cut_short)).code is Code.CANCELLED
        for task in once._running.values():
            task.cancel()  # the process has ended
        once.close()
        once = Once(path)
        async with serving(implementation=(bank := Bank()), interceptors=[once]) as (_, _, url):
            async with Channel(url) as channel:
                assert (await channel.unary(PAY, text("a"), **key("1"))).value == "paid a"
                error = await failure(channel.unary(PAY, text("wait"), **key("2")))
                assert (error.code, "not known" in error.message) == (Code.UNKNOWN, True)
        assert not bank.paid
        once.close()

    asyncio.run(main())


def test_keys_of_other_callers_are_others():
    async def main():
        certificates = Certificates()
        clients = [certificates.client(mutual=True), certificates.client()]
        certificates.authority.issue_cert("other@example").configure_cert(clients[1])
        tls = certificates.server(mutual=True)
        once = Once()
        async with serving("tls://127.0.0.1:0", bank := Bank(), tls=tls, interceptors=[once]) as (_, _, url):
            for context in clients:
                async with Channel(url, tls=context) as channel:
                    await channel.unary(PAY, text("a"), **key("1"))
        assert bank.paid == {"a": 2}
        once.close()

    asyncio.run(main())


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "no").write_bytes(b"no database at all" * 100)
    with pytest.raises(OSError, match="no: file is not a database"):
        Once(str(tmp_path / "no"))
