import asyncio

import pytest
from google.protobuf.wrappers_pb2 import Int64Value

from catenet.rpc import Channel, Code, Kind, Method, RpcError, Server, ServiceDescriptor

COUNT = Method("t.Cancel", "Count", Kind.SERVER_STREAM, Int64Value, Int64Value)
CHAT = Method("t.Cancel", "Chat", Kind.BIDI, Int64Value, Int64Value)


class Cancel:
    __service__ = ServiceDescriptor("t.Cancel", (COUNT, CHAT))

    async def count(self, request, context):
        for number in range(request.value):
            yield Int64Value(value=number)

    async def chat(self, requests, context):
        async for request in requests:
            yield request


def with_channel(work):
    async def main():
        async with Server([Cancel()]) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            async with Channel(listener.url) as channel, asyncio.timeout(30):
                await work(channel)

    asyncio.run(main())


def test_after_cancel_nothing_more_is_delivered():
    """Whether the rest of the responses had come by then makes no difference."""

    async def work(channel):
        stream = channel.server_stream(COUNT, Int64Value(value=3))
        assert (await anext(stream)).value == 0
        await asyncio.sleep(0.05)
        stream.cancel()
        with pytest.raises(RpcError) as caught:
            await anext(stream)
        assert caught.value.code is Code.CANCELLED

    with_channel(work)


@pytest.mark.parametrize("method", [COUNT, CHAT], ids=["server stream", "bidi"])
def test_a_call_cancelled_before_it_began_never_begins(method):
    async def work(channel):
        call = channel.bidi(CHAT) if method is CHAT else channel.server_stream(COUNT, Int64Value(value=1))
        call.cancel()
        with pytest.raises(RpcError) as caught:
            await anext(call)
        assert caught.value.code is Code.CANCELLED
        assert call.info.attempts == 0

    with_channel(work)
