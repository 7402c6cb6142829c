"""Ten thousand streams at once on one connection."""

import asyncio

import pytest

from catenet.http.limits import Limits
from catenet.rpc import Server, ServerOptions

COUNT = 10_000


@pytest.mark.slow
@pytest.mark.parametrize("client", ["Catenet", "GrpcioAio"])
def test_ten_thousand_streams(generated, client):
    """All streams are open before the first one is answered."""
    import peer_clients
    from interop_pb2 import DESCRIPTOR, Request
    from peers import need

    from catenet.rpc import service_from_protobuf

    need({"GrpcioAio": "grpcio_aio"}.get(client, ""))
    waiting = 0
    everybody = asyncio.Event()

    class Interop:
        __service__ = service_from_protobuf(DESCRIPTOR.services_by_name["Interop"])

        async def unary(self, request, context):
            from interop_pb2 import Response

            nonlocal waiting
            waiting += 1
            if waiting == COUNT:
                everybody.set()
            await everybody.wait()
            return Response(count=request.count)

    async def main():
        options = ServerOptions(limits=Limits(max_streams=COUNT))
        async with Server([Interop()], options=options) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            caller = getattr(peer_clients, client)(int(listener.url.rpartition(":")[2]))
            try:
                async with asyncio.timeout(90):
                    replies = await asyncio.gather(*(caller.unary(Request(count=number)) for number in range(COUNT)))
            finally:
                await caller.close()
            assert server.counters.connections_opened == 1
        assert [reply.response.count for reply in replies] == list(range(COUNT))

    asyncio.run(main())
