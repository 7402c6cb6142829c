"""A call's time on the server runs from the head of its request, whether or not the rest of the request comes.

Everything is in virtual time. The client's own timer is not set: whatever ends a call, the server has done it.
"""

import asyncio
import collections
import time

import pytest
from echoservice import CHAT, COUNT, SAY, SERVICE, SUM, number, text, until

from catenet.http.h2.connection import Connection
from catenet.http.message import RequestHead
from catenet.rpc import Channel, ChannelOptions, Code, RpcError, Server
from catenet.world import World

WIRES = {
    "gRPC": ChannelOptions(),
    "gRPC-Web": ChannelOptions(protocol="grpc-web"),
    "gRPC-Web, HTTP/1.1": ChannelOptions(protocol="grpc-web", http1=True),
    "Connect": ChannelOptions(protocol="connect"),
    "Connect, HTTP/1.1": ChannelOptions(protocol="connect", http1=True),
}
MESSAGES = {SAY: text("x"), COUNT: number(1), SUM: number(1), CHAT: text("x")}
TIMEOUT = 0.3


class Recorder:
    """Notes which handlers start, with how much time left, and which are cancelled; "stall" blocks the event loop."""

    __service__ = SERVICE

    def __init__(self):
        self.left = collections.defaultdict(list)
        self.cancelled = []
        self.timers = []

    def note(self, context):
        self.left[context.method].append(context.time_remaining())
        self.timers.append(len(context._connection.shared.deadlines))
        context.on_cancel(lambda: self.cancelled.append(context.method))

    async def say(self, request, context):
        self.note(context)
        if request.value == "stall":
            time.sleep(1.0)
        return request

    async def count(self, request, context):
        self.note(context)
        yield request

    async def sum(self, requests, context):
        self.note(context)
        return number(sum([request.value async for request in requests]))

    async def chat(self, requests, context):
        self.note(context)
        async for request in requests:
            yield request


def in_a_world(options, work):
    """Run `work(channel)` on one host, 1 ms from a server; return what the server's handlers saw, and the server."""
    recorder = Recorder()
    servers = []
    done = []

    async def serve():
        server = Server([recorder])
        servers.append(server)
        await server.listen("tcp://:7000")
        await server.serve_forever()

    async def client():
        async with Channel("tcp://server:7000", options=options) as channel:
            await channel.unary(SAY, text("hello"))  # connect, so that time begins with the calls
            recorder.left.clear()
            await work(channel)
        done.append(True)

    with World(1) as world:
        world.host("server").run(serve, daemon=True)
        world.host("client").run(client, start=0.5)
        for name in ("server", "client"):
            world.link(name, latency=0.0005)
        world.run(60)
    assert done
    return recorder, servers[0]


async def begin(channel, method, timeout=TIMEOUT):
    """Send the head of a call that has so much time."""
    call = channel.bidi(method, timeout=timeout)
    await call._open()
    call._attempt.start(None)
    return call


def body(call, message):
    """Return the body of a request that is this message."""
    parameters = call._attempt.parameters
    return parameters.wire.whole_request(parameters.outgoing, parameters.encode(message), False)[1]


def send(call, data, end=False):
    """Send a piece of the body, unless the call is over."""
    attempt = call._attempt
    if not attempt.over:
        attempt.connection.core.send_data(attempt.stream, data, end)
        attempt.connection.touch()


async def ending(call):
    """Read a call to its end; return the code of it and when that came."""
    try:
        while await call.receive() is not None:
            pass
    except RpcError as error:
        return error.code, asyncio.get_running_loop().time(), error.message
    return Code.OK, asyncio.get_running_loop().time(), ""


@pytest.mark.parametrize("sent", ["head", "part of the message", "message"])
@pytest.mark.parametrize("method", MESSAGES, ids=lambda method: method.name)
@pytest.mark.parametrize("wire", WIRES)
def test_time_runs_while_the_request_is_incomplete(wire, method, sent):
    async def work(channel):
        call = await begin(channel, method)
        began = asyncio.get_running_loop().time()
        data = body(call, MESSAGES[method])
        here = {"head": 0, "part of the message": len(data) - 2, "message": len(data)}[sent]
        if here:
            send(call, data[:here])
        reading = asyncio.create_task(ending(call))
        await asyncio.sleep(3.0)
        send(call, data[here:], end=True)
        code, when, message = await reading
        assert code is Code.DEADLINE_EXCEEDED and "the deadline passed before" in message
        assert TIMEOUT <= when - began < 2 * TIMEOUT
        assert (await channel.unary(SAY, text("next"))).value == "next"

    recorder, server = in_a_world(WIRES[wire], work)
    streams = method.kind.client_streams  # its handler begins with the head
    assert len(recorder.left.pop(method, [])) == streams + (method is SAY)
    assert recorder.cancelled == [method] * streams
    assert server.counters.failed == 1 and server.assembling == 0


@pytest.mark.parametrize("method", MESSAGES, ids=lambda method: method.name)
@pytest.mark.parametrize("wire", ["gRPC", "gRPC-Web", "Connect"])
def test_a_request_that_comes_in_two_turns_in_time_has_what_is_left(wire, method):
    async def work(channel):
        call = await begin(channel, method)
        await asyncio.sleep(0.2)
        send(call, body(call, MESSAGES[method]), end=True)
        assert (await ending(call))[0] is Code.OK
        await asyncio.sleep(1.0)  # no timer of it is left that could do anything

    recorder, server = in_a_world(WIRES[wire], work)
    (left,) = recorder.left[method]
    expected = TIMEOUT if method.kind.client_streams else TIMEOUT - 0.2
    assert expected - 0.01 < left <= expected
    assert recorder.cancelled == [] and server.counters.failed == 0


@pytest.mark.parametrize("turn", ["the same", "a later"])
@pytest.mark.parametrize("method", MESSAGES, ids=lambda method: method.name)
@pytest.mark.parametrize("wire", ["gRPC", "gRPC-Web", "Connect"])
def test_no_handler_starts_after_the_deadline_though_the_loop_was_late(wire, method, turn):
    """A handler blocks the event loop for a second while the request is there, and its timer is due."""

    async def work(channel):
        connection = await channel.connections().wait(False, None)
        if turn == "a later":
            call = await begin(channel, method)
            await asyncio.sleep(0.1)
        stall = asyncio.create_task(ending(await complete(channel, SAY, text("stall"), None)))
        if turn == "the same":
            call = await begin(channel, method)
        else:
            await asyncio.sleep(0.1)  # the stall has begun
        send(call, body(call, MESSAGES[method]), end=True)
        assert (await ending(call))[0] is Code.DEADLINE_EXCEEDED
        assert (await stall)[0] is Code.OK and connection.alive

    recorder, server = in_a_world(WIRES[wire], work)
    before = turn == "a later" and method.kind.client_streams
    assert len(recorder.left[method]) == before + (method is SAY)
    assert all(left is None or left > 0 for left in recorder.left[method])
    assert server.counters.failed == 1


async def complete(channel, method, message, timeout):
    call = await begin(channel, method, timeout)
    send(call, body(call, message), end=True)
    return call


@pytest.mark.parametrize("method", MESSAGES, ids=lambda method: method.name)
def test_no_time_at_all(method):
    """A `grpc-timeout` of 0 has passed when it comes."""

    async def work(channel):
        call = channel.bidi(method, timeout=TIMEOUT)
        attempt = await call._open()
        head = attempt.parameters.wire.request(attempt.parameters.outgoing)
        fields = tuple((name, b"0n" if name == b"grpc-timeout" else value) for name, value in head.fields)
        attempt.parameters.head = RequestHead(head.method, head.path, fields, head.authority)
        attempt.start(None)
        send(call, body(call, MESSAGES[method]), end=True)
        assert (await ending(call))[0] is Code.DEADLINE_EXCEEDED

    recorder, _ = in_a_world(WIRES["gRPC"], work)
    assert not recorder.left[method]


@pytest.mark.parametrize("wire", WIRES)
def test_a_request_that_comes_whole_sets_no_timer(wire):
    """The usual call pays nothing for the deadline of its request: the heap, which keeps old entries, does not grow."""

    async def work(channel):
        for _ in range(5):
            assert (await channel.unary(SAY, text("x"), timeout=TIMEOUT)).value == "x"

    recorder, _ = in_a_world(WIRES[wire], work)
    assert len(recorder.timers) == 6 and len(set(recorder.timers)) == 1


HEAD = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
LAST = {
    "deadline": lambda core, stream: None,
    "reset": lambda core, stream: core.reset(stream),
    "two messages": lambda core, stream: core.send_data(stream, bytes(10)),
    "no message of its type": lambda core, stream: core.send_data(stream, b"\0\0\0\0\1\xff", True),
}


@pytest.mark.parametrize("last", LAST)
def test_a_draining_connection_closes_when_its_last_request_ends_without_a_handler(last):
    """The client keeps the connection open, so the server has to close it."""

    async def main():
        server = Server([Recorder()])
        listener = await server.listen("tcp://127.0.0.1:0")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.url.rpartition(":")[2]))
        core = Connection(True)
        timeout = ((b"grpc-timeout", b"300m"),) if last == "deadline" else ()
        stream = core.open(RequestHead(b"POST", SAY.path.encode(), HEAD + timeout, b"h"), False)
        writer.write(core.transmit())
        await until(lambda: server.counters.started)
        drained = asyncio.create_task(server.drain(grace=1000.0))
        waits = True
        while data := await reader.read(65536):
            core.receive(data, 0.0)
            if waits and core.goaway is not None and core.goaway.last_stream == stream.id:  # the drain's second GOAWAY
                waits = False
                LAST[last](core, stream)
            writer.write(core.transmit())
        writer.close()
        await drained

    asyncio.run(asyncio.wait_for(main(), 60))
