"""Handlers that raise what is no Exception: only their call fails; what a signal raises ends the program."""

import asyncio
import signal
import sys

import pytest
import uvloop
from echoservice import CHAT, SAY, SERVICE, calling, failure, serving, text
from test_failures import every_kind, traces

from catenet.rpc import Channel, Code, Interceptor

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Odd(BaseException):
    pass


RAISED = [SystemExit, KeyboardInterrupt, GeneratorExit, Odd]


def fail(raised):
    if raised is SystemExit:
        sys.exit("bye")
    raise raised


class Coroutines:
    """Each fails after `waits` steps on the event loop; a request `ok` is answered."""

    __service__ = SERVICE

    def __init__(self, raised, waits):
        self.raised, self.waits = raised, waits

    async def _fail(self):
        for _ in range(self.waits):
            await asyncio.sleep(0)
        fail(self.raised)

    async def say(self, request, context):
        if request.value != "ok":
            await self._fail()
        return request

    async def count(self, request, context):
        await self._fail()
        yield request

    async def sum(self, requests, context):
        async for _ in requests:
            await self._fail()

    async def chat(self, requests, context):
        async for request in requests:
            yield request
            await self._fail()


class Threads:
    __service__ = SERVICE

    def __init__(self, raised, waits):
        self.raised = raised

    def say(self, request, context):
        return request if request.value == "ok" else fail(self.raised)

    def count(self, request, context):
        fail(self.raised)
        yield request

    def sum(self, requests, context):
        for _ in requests:
            fail(self.raised)

    def chat(self, requests, context):
        for request in requests:
            yield request
            fail(self.raised)


def run(loop, work):
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(work)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize(("kind", "waits"), [(Coroutines, 0), (Coroutines, 2), (Threads, 0)])
def test_a_handler_ends_its_call_and_nothing_else(loop, raised, kind, waits, caplog):
    async def main():
        async with calling(implementation=kind(raised, waits)) as (channel, _):
            async with channel.bidi(CHAT) as other:  # a call of the same connection
                errors = await every_kind(channel)
                assert (await channel.unary(SAY, text("ok"))).value == "ok"
                await other.send(text("still here"))
                assert (await other.receive()).value == "still here"
                assert channel.server.connections == 1
            return errors

    for error in run(loop, main()):
        assert (error.code, error.message) == (Code.UNKNOWN, f"{raised.__name__} in the handler")
    records = [record for record in traces(caplog) if "Chat" not in record.getMessage()]
    assert [record.getMessage().split(" called by ")[0] for record in records] == [
        f"test.Echo/{name}" for name in ("Say", "Count", "Sum")
    ]
    for record in traces(caplog):
        assert type(record.exc_info[1]) is raised
        last = record.exc_info[2]
        while last.tb_next:
            last = last.tb_next
        assert last.tb_frame.f_code is fail.__code__


class Hooks(Interceptor):
    """Fails at one place, if the text says so."""

    def __init__(self, place, raised):
        self.place, self.raised = place, raised

    def _pass(self, place, message):
        if place == self.place and getattr(message, "value", "") == "bad":
            fail(self.raised)
        return message

    async def around(self, call, proceed):
        if self.place == "around" and call.get("x-bad"):
            fail(self.raised)
        return await proceed()

    def request(self, call, message):
        return self._pass("request", message)

    def response(self, call, message):
        return self._pass("response", message)


class EchoOnThreads:
    __service__ = SERVICE

    def say(self, request, context):
        return request

    def chat(self, requests, context):
        yield from requests


class EchoCoroutines:
    __service__ = SERVICE

    async def say(self, request, context):
        return request

    async def chat(self, requests, context):
        async for request in requests:
            yield request


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("place", ["around", "request", "response"])
@pytest.mark.parametrize("kind", [EchoCoroutines, EchoOnThreads])
def test_interceptors_of_a_server(loop, raised, place, kind, caplog):
    async def main():
        async with (
            serving(implementation=kind(), interceptors=[Hooks(place, raised)]) as (server, _, url),
            Channel(url) as channel,
        ):
            metadata = [("x-bad", "1")] if place == "around" else []
            errors = [await failure(channel.unary(SAY, text("bad"), metadata=metadata))]
            async with channel.bidi(CHAT, metadata=metadata) as call:
                await call.send(text("bad"))
                errors.append(await failure(call.receive()))
            assert (await channel.unary(SAY, text("ok"))).value == "ok"
            assert server.connections == 1
            return errors

    for error in run(loop, main()):
        assert (error.code, error.message) == (Code.UNKNOWN, f"{raised.__name__} in the handler")
    assert [type(record.exc_info[1]) for record in traces(caplog)] == [raised, raised]


class Interrupted:
    """A signal comes while the handler runs, before or after it has waited."""

    __service__ = SERVICE

    def __init__(self, number, waits):
        self.number, self.waits = number, waits

    async def say(self, request, context):
        for _ in range(self.waits):
            await asyncio.sleep(0)
        signal.raise_signal(self.number)
        return request


def leave(*_):
    sys.exit(7)


# uvloop itself turns what a protocol's callback raises, where the first step runs, into an error of the transport.
@pytest.mark.parametrize(("loop", "waits"), [("asyncio", 0), ("asyncio", 2), ("uvloop", 2)])
@pytest.mark.parametrize(
    ("number", "handler", "raised"),
    [
        (signal.SIGINT, signal.default_int_handler, KeyboardInterrupt),
        (signal.SIGTERM, leave, SystemExit),
        (signal.SIGTERM, lambda number, frame: leave(), SystemExit),
    ],
)
def test_a_signal_while_a_handler_runs_ends_the_program(loop, waits, number, handler, raised):
    async def main():
        async with calling(implementation=Interrupted(number, waits)) as (channel, _):
            await channel.unary(SAY, text("x"))

    before = signal.signal(number, handler)
    events = LOOPS[loop]()
    work = main()
    try:
        with pytest.raises(raised):
            events.run_until_complete(work)
    finally:
        signal.signal(number, before)
        for task in asyncio.all_tasks(events):
            task.cancel()
        events.run_until_complete(asyncio.sleep(0))
        events.close()
