"""Ten thousand streams at once on one connection; fewer where the peer itself cannot."""

import asyncio

import pytest

from catenet.http.limits import Limits
from catenet.rpc import Server, ServerOptions

pytestmark = pytest.mark.peer

COUNT = 10_000
CLIENTS = {
    "catenet": ("Catenet", {}),
    "grpcio_aio": ("GrpcioAio", {}),
    "grpcio_sync": ("GrpcioSync", {}),
    "grpclib": ("Grpclib", {}),
    "connectrpc": ("Connectrpc", {"protocol": "GRPC"}),
    "grpc_js": ("GrpcJs", {}),
    "cpp": ("Cpp", {}),
}

# grpclib looks through all streams for each one that it opens.
FEWER = {"grpclib": 2_000}


async def calls(client, requests):
    """The counts in the responses to all requests, sent at once."""
    if hasattr(client, "many"):
        replies = await client.many(requests)
    else:
        replies = await asyncio.gather(*map(client.unary, requests))
    return [reply.response.count for reply in replies]


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_ten_thousand_streams(generated, name):
    """All streams are open before the first one is answered."""
    import peer_clients
    from interop_pb2 import DESCRIPTOR, Request, Response

    from catenet.rpc import service_from_protobuf
    from peers import need

    need(name)
    count = FEWER.get(name, COUNT)
    waiting = 0
    everybody = asyncio.Event()

    class Interop:
        __service__ = service_from_protobuf(DESCRIPTOR.services_by_name["Interop"])

        async def unary(self, request, context):
            nonlocal waiting
            waiting += 1
            if waiting == count:
                everybody.set()
            await everybody.wait()
            return Response(count=request.count)

    async def main():
        options = ServerOptions(limits=Limits(max_streams=COUNT))
        client, settings = CLIENTS[name]
        async with Server([Interop()], options=options) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            caller = getattr(peer_clients, client)(int(listener.url.rpartition(":")[2]), **settings)
            try:
                async with asyncio.timeout(120):
                    counts = await calls(caller, [Request(count=number) for number in range(count)])
            finally:
                await caller.close()
            # connectrpc's HTTP client begins with two connections and keeps one.
            assert server.counters.connections_opened <= (2 if name == "connectrpc" else 1)
        assert counts == list(range(count))

    asyncio.run(main())


# grpc.aio's server cancels calls beyond some thousand, those of grpc.aio's client too; grpclib admits 100 at a time.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("grpcio_aio", 1000), ("grpclib", 1000), ("grpc_js", COUNT), ("cpp", COUNT)]
)
def test_ten_thousand_streams_to_other_servers(servers, name, count):
    """Each call takes the server a while, so that all of them are open together, or as many as it admits."""
    import peer_clients
    from interop_pb2 import Request

    wait = 0 if name == "grpclib" else 2000

    async def main():
        caller = peer_clients.Catenet(servers(name))
        try:
            async with asyncio.timeout(120):
                counts = await calls(caller, [Request(count=number, sleep_ms=wait) for number in range(count)])
        finally:
            await caller.close()
        assert counts == list(range(count))

    asyncio.run(main())
