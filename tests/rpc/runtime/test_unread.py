"""Request streams to a server that grants all windows there are and reads nothing: what is taken stays bounded."""

import asyncio

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value
from tests.unread import BOUND, Pieces, taken, unread

from catenet.rpc import Channel, ChannelOptions, Kind, Method, RpcError, SyncChannel
from catenet.rpc import grpc as dropin

UP = Method("test.Up", "Up", Kind.CLIENT_STREAM, BytesValue, Int64Value)
PATH = "/test.Up/Up"
TIMEOUT = 0.3


def messages(pieces):
    return (BytesValue(value=piece) for piece in pieces)


async def later(pieces):
    async for piece in pieces.each():
        yield BytesValue(value=piece)


@pytest.mark.parametrize("made", [messages, later])
@pytest.mark.parametrize("http1", [False, True])
def test_several_streams(made, http1):
    pieces = [Pieces(), Pieces(), Pieces(1000)]
    options = ChannelOptions(protocol="connect", http1=True) if http1 else ChannelOptions()

    async def main(port):
        async with Channel(f"tcp://127.0.0.1:{port}", options=options) as channel:
            calls = [asyncio.ensure_future(channel.client_stream(UP, made(one))) for one in pieces]
            found = await taken(pieces)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            return found

    with unread(http2=not http1) as port:
        assert asyncio.run(main(port)) < BOUND


def test_without_await():
    pieces = Pieces()
    with unread() as port, SyncChannel(f"tcp://127.0.0.1:{port}") as channel:
        with pytest.raises(RpcError):
            channel.client_stream(UP, messages(pieces), timeout=TIMEOUT)
    assert pieces.taken < BOUND


def test_the_drop_in_for_threads():
    pieces = Pieces()
    with unread() as port, dropin.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(dropin.RpcError):
            channel.stream_unary(PATH)(iter(pieces), timeout=TIMEOUT)
    assert pieces.taken < BOUND


@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_drop_in_for_asyncio(asynchronous):
    pieces = Pieces()

    async def main(port):
        async with dropin.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.stream_unary(PATH)(pieces.each() if asynchronous else iter(pieces))
            found = await taken([pieces])
            call.cancel()
            return found

    with unread() as port:
        assert asyncio.run(main(port)) < BOUND
