"""What handlers raise: told in the server's log with its call and traceback, never to the client, a flood in digest."""

import asyncio
import logging
import threading

import pytest
from echoservice import CHAT, COUNT, SAY, SERVICE, SLEEP, SUM, Echo, calling, failure, number, serving, text, until

from catenet.net.failures import BURST, KINDS
from catenet.rpc import Channel, ChannelOptions, Code, Interceptor, RpcError, Server
from catenet.rpc.model.failures import FailureLog

WIRES = [
    ChannelOptions(),
    ChannelOptions(protocol="grpc-web"),
    ChannelOptions(protocol="grpc-web", http1=True),
    ChannelOptions(protocol="connect"),
    ChannelOptions(protocol="connect", codec="json", http1=True),
]


class Broken:
    """Each handler fails after what the request says."""

    __service__ = SERVICE

    async def say(self, request, context):
        return {}[request.value]

    async def count(self, request, context):
        for value in range(request.value):
            yield number(value)
        raise KeyError("secret")

    async def sum(self, requests, context):
        async for _ in requests:
            raise KeyError("secret")

    async def chat(self, requests, context):
        async for request in requests:
            yield request
            raise KeyError("secret")


class BrokenOnThreads:
    __service__ = SERVICE

    def say(self, request, context):
        return {}[request.value]

    def count(self, request, context):
        yield from (number(value) for value in range(request.value))
        raise KeyError("secret")

    def sum(self, requests, context):
        for _ in requests:
            raise KeyError("secret")

    def chat(self, requests, context):
        for request in requests:
            yield request
            raise KeyError("secret")


async def every_kind(channel):
    """Return the errors of a call of each kind; the streams fail in the middle."""
    errors = [await failure(channel.unary(SAY, text("secret")))]
    errors.append(await failure(anext(channel.server_stream(COUNT, number(0)))))
    errors.append(await failure(channel.client_stream(SUM, [number(1)])))
    async with channel.bidi(CHAT) as call:
        await call.send(text("a"))
        await call.done()
        with pytest.raises(RpcError) as caught:
            assert [response.value async for response in call] == ["a"]
    return [*errors, caught.value]


def traces(caplog, level=logging.ERROR):
    return [record for record in caplog.records if record.name == "catenet.rpc" and record.levelno == level]


@pytest.mark.parametrize("implementation", [Broken, BrokenOnThreads])
@pytest.mark.parametrize("options", WIRES, ids=lambda o: f"{o.protocol}-{'h1' if o.http1 else 'h2'}")
def test_every_kind_of_call_on_every_wire(options, implementation, caplog):
    async def main():
        async with calling(options, implementation=implementation()) as (channel, _):
            return await every_kind(channel)

    for error in asyncio.run(main()):
        assert (error.code, error.message) == (Code.UNKNOWN, "KeyError in the handler")
    records = traces(caplog)
    assert [record.getMessage().split(" called by 127.0.0.1:")[0] for record in records] == [
        f"test.Echo/{name}" for name in ("Say", "Count", "Sum", "Chat")
    ]
    for record in records:
        assert isinstance(record.exc_info[1], KeyError)
        last = record.exc_info[2]
        while last.tb_next:
            last = last.tb_next
        assert last.tb_frame.f_code.co_filename == __file__


class Ends(Broken):
    async def say(self, request, context):
        if request.value == "status":
            context.abort(Code.NOT_FOUND, "no such thing")
        raise NotImplementedError("not yet, and why is nobody's business")

    async def sleep(self, request, context):
        try:
            await asyncio.sleep(30)
        finally:
            if request.value == "clumsy":
                raise ValueError("in the clean-up")


@pytest.mark.parametrize("options", WIRES, ids=lambda o: f"{o.protocol}-{'h1' if o.http1 else 'h2'}")
def test_ends_that_are_no_failures(options, caplog):
    caplog.set_level(logging.INFO, "catenet.rpc")

    async def main():
        async with calling(options, implementation=Ends()) as (channel, _):
            await failure(channel.unary(SAY, text("status")))
            await failure(channel.unary(SLEEP, text("x"), timeout=0.02))
            task = asyncio.create_task(channel.unary(SLEEP, text("x")))
            await until(lambda: any(c.running for c in channel.server._connections))
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: not any(c.running for c in channel.server._connections))

    asyncio.run(main())
    assert traces(caplog) == []
    told = [record.getMessage() for record in traces(caplog, logging.INFO)]
    assert "NOT_FOUND: no such thing" in told[0]
    assert not any(record.exc_info for record in caplog.records)


def test_a_clean_up_that_fails_when_the_call_is_over(caplog):
    async def main():
        async with calling(implementation=Ends()) as (channel, _):
            assert (await failure(channel.unary(SLEEP, text("clumsy"), timeout=0.02))).code is Code.DEADLINE_EXCEEDED
            await until(lambda: traces(caplog))

    asyncio.run(main())
    assert isinstance(traces(caplog)[0].exc_info[1], ValueError)


def test_what_is_not_implemented_is_told_without_its_text(caplog):
    async def main():
        async with calling(implementation=Ends()) as (channel, _):
            return await failure(channel.unary(SAY, text("x")))

    error = asyncio.run(main())
    assert (error.code, error.message) == (Code.UNIMPLEMENTED, "test.Echo/Say is not implemented")
    assert len(traces(caplog)) == 1


def test_a_thread_that_fails_after_its_call(caplog):
    go = threading.Event()

    class Late(BrokenOnThreads):
        def say(self, request, context):
            go.wait(30)
            raise ValueError("late")

    async def main():
        async with calling(implementation=Late()) as (channel, _):
            await failure(channel.unary(SAY, text("x"), timeout=0.02))
            assert traces(caplog) == []
            go.set()
            await until(lambda: traces(caplog))

    asyncio.run(main())
    assert [str(record.exc_info[1]) for record in traces(caplog)] == ["late"]


@pytest.mark.parametrize("value", ["stop", "no message", "nothing to iterate"])
def test_mistakes_of_other_kinds_end_their_call_alone(value, caplog):
    class Mistaken(Broken):
        if value == "stop":

            def say(self, request, context):
                return next(iter(()))

        else:

            async def say(self, request, context):
                return None

        async def count(self, request, context):
            return None

        async def chat(self, requests, context):
            async for request in requests:
                yield request

    async def main():
        async with calling(implementation=Mistaken()) as (channel, _), channel.bidi(CHAT) as other:
            await other.send(text("a"))
            assert (await other.receive()).value == "a"
            if value == "nothing to iterate":
                error = await failure(anext(channel.server_stream(COUNT, number(1), timeout=20)))
            else:
                error = await failure(channel.unary(SAY, text("x"), timeout=20))
            await other.send(text("b"))
            assert (await other.receive()).value == "b"
            assert channel.server.counters.connections_opened == 1
            return error

    expected = {"stop": "RuntimeError in", "no message": "returned no StringValue"}.get(value, "TypeError in")
    assert expected in asyncio.run(main()).message
    assert len(traces(caplog)) == 1


@pytest.mark.parametrize("hook", ["request", "response", "around"])
def test_interceptors_that_fail(hook, caplog):
    class Faulty(Interceptor):
        pass

    if hook == "around":

        async def faulty(self, call, proceed):
            raise LookupError("secret")

    else:

        def faulty(self, call, message):
            raise LookupError("secret")

    setattr(Faulty, hook, faulty)

    class Echo(Broken):
        async def say(self, request, context):
            return request

        async def chat(self, requests, context):
            async for request in requests:
                yield request

    async def main():
        errors = []
        for options in (ChannelOptions(), ChannelOptions(protocol="connect")):
            async with (
                serving(implementation=Echo(), interceptors=[Faulty()]) as (server, _, url),
                Channel(url, options=options) as channel,
            ):
                errors.append(await failure(channel.unary(SAY, text("x"))))
                async with channel.bidi(CHAT) as call:
                    await call.send(text("a"))
                    await call.done()
                    errors.append(await failure(call.receive()))
                assert server.counters.connections_opened == 1
        return errors

    for error in asyncio.run(main()):
        assert (error.code, error.message) == (Code.UNKNOWN, "LookupError in the handler")
    assert len(traces(caplog)) == 4


def test_a_callback_of_on_cancel_that_fails_harms_nobody(caplog):
    called = []

    class Fussy(Broken):
        async def sleep(self, request, context):
            context.on_cancel(lambda: {}["secret"])
            context.on_cancel(lambda: called.append(True))
            await asyncio.sleep(30)

        async def say(self, request, context):
            return request

    async def main():
        async with calling(implementation=Fussy()) as (channel, _):
            task = asyncio.create_task(channel.unary(SLEEP, text("x")))
            await until(lambda: any(c.running for c in channel.server._connections))
            task.cancel()
            await until(lambda: called)
            assert (await channel.unary(SAY, text("still"))).value == "still"
            assert channel.server.counters.connections_opened == 1

    asyncio.run(main())
    assert traces(caplog)[0].getMessage().startswith("on_cancel of test.Echo/Sleep called by ")


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


def test_a_flood_is_counted(caplog):
    log = FailureLog()
    for _ in range(1000):
        log.report("a.B/C", "peer", raised(KeyError("x")), now=5.0)
    log.report("a.B/Other", "peer", raised(KeyError("x")), now=5.0)
    assert len(traces(caplog)) == BURST + 1
    log.report("a.B/C", "peer", raised(KeyError("x")), now=6.0)
    assert traces(caplog)[-1].getMessage() == "a.B/C called by peer failed: KeyError (990 more were not shown)"
    log.report("a.B/C", "peer", raised(KeyError("x")), now=6.1)
    count = len(traces(caplog))
    log.digest(6.2)
    assert len(traces(caplog)) == count
    log.digest(7.1)
    assert traces(caplog)[-1].getMessage() == "a.B/C failed: KeyError, 1 more were not shown"
    assert len([record for record in traces(caplog) if record.exc_info]) == BURST + 2


def test_kinds_are_limited_and_the_end_tells_all(caplog):
    log = FailureLog()
    for number_ in range(KINDS * 2):
        log.report(f"a.B/M{number_}", "", raised(ValueError()), now=0.0)
    assert len(log._kinds) == KINDS
    assert "a peer that has gone" in traces(caplog)[0].getMessage()
    for _ in range(BURST + 4):
        log.report("a.B/Last", "peer", raised(ValueError()), now=0.0)
    log.close()
    assert traces(caplog)[-1].getMessage() == "a.B/Last failed: ValueError, 4 more were not shown"


def test_a_record_is_bounded_and_one_of_its_kind(caplog):
    evil = "\x1b[31m\n2030-01-01 ERROR root: forged " + "x" * 10_000_000
    try:
        try:
            raise KeyError("\x1b[1m\nforged") from ExceptionGroup(evil, [ValueError(evil), ValueError(evil)])
        except KeyError:
            error = ValueError(evil)
            error.add_note(evil)
            raise error  # noqa: B904
    except ValueError as raised:
        with caplog.at_level(logging.INFO, "catenet.rpc"):
            FailureLog().report("a.B/C", "peer", raised, 0.0)
            FailureLog().report("a.B/C", "peer", RpcError(Code.NOT_FOUND, evil), 0.0)
    for record in caplog.records:
        text = logging.Formatter("%(message)s").format(record)
        assert len(text) < 100_000 and "characters cut" in text
        assert "\x1b" not in text and "\\x1b[31m\\n2030" in text
        assert not any(line.strip(" |").startswith(("2030", "forged")) for line in text.splitlines())
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert str(caplog.records[0].exc_info[1]) == evil


class Careless(Echo):
    """Answers what is none, in each way."""

    async def say(self, request, context):
        return {"value": "secret"}

    async def count(self, request, context):
        return [number(1)]

    async def sum(self, requests, context):
        async for _ in requests:
            pass

    async def chat(self, requests, context):
        yield "secret"


class CarelessOnThreads(Echo):
    def say(self, request, context):
        return {"value": "secret"}

    def count(self, request, context):
        return 5

    def sum(self, requests, context):
        return None

    def chat(self, requests, context):
        yield "secret"


@pytest.mark.parametrize("implementation", [Careless, CarelessOnThreads])
def test_what_is_no_answer_is_named_on_one_line(implementation, caplog):
    async def main():
        async with calling(ChannelOptions(), implementation=implementation()) as (channel, _):
            await failure(channel.unary(SAY, text("")))
            await failure(anext(channel.server_stream(COUNT, number(0))))
            await failure(channel.client_stream(SUM, [number(1)]))
            async with channel.bidi(CHAT) as call:
                await call.done()
                with pytest.raises(RpcError):
                    await call.receive()
                    await call.response()

    asyncio.run(main())
    records = traces(caplog)
    assert all(record.exc_info is None for record in records)
    said = [record.getMessage().partition(" failed: ")[2] for record in records]
    lists = implementation is Careless
    for line, name, end in zip(
        said[:3],
        ("say", "count", "sum"),
        (
            "returned dict, not StringValue",
            f"returned {'list, not an asynchronous' if lists else 'int, not an'} iterator of responses",
            "returned NoneType, not Int64Value",
        ),
        strict=True,
    ):
        function = getattr(implementation, name)
        place = f"{__file__}:{function.__code__.co_firstlineno}"
        assert line == f"{__name__}:{implementation.__name__}.{name} ({place}) {end}"
    assert said[3].endswith("yielded str, not StringValue")


def test_a_handler_that_takes_no_context_is_not_served():
    class Short(Echo):
        async def say(self, request):
            return request

    with pytest.raises(ValueError, match=r"Short\.say \(.*:\d+\) takes \(request\), and is called with \(request, con"):
        Server([Short()])
