"""Our client against other servers, other clients against our server: the same calls for all."""

import asyncio

import pytest
from google.rpc.error_details_pb2 import RetryInfo

from catenet.rpc import Code, RpcError

pytestmark = [pytest.mark.peer, pytest.mark.slow(30)]

OURS = ("Catenet", {})
PAIRS = {
    # our server
    "catenet->catenet": (OURS, "catenet"),
    "grpc.aio->catenet": (("GrpcioAio", {}), "catenet"),
    "grpc.aio gzip->catenet": (("GrpcioAio", {"compression": "gzip"}), "catenet"),
    "grpcio->catenet": (("GrpcioSync", {}), "catenet"),
    "grpcio deflate->catenet": (("GrpcioSync", {"compression": "deflate"}), "catenet"),
    "grpclib->catenet": (("Grpclib", {}), "catenet"),
    "connectrpc connect->catenet": (("Connectrpc", {"protocol": "CONNECT"}), "catenet"),
    "connectrpc grpc->catenet": (("Connectrpc", {"protocol": "GRPC"}), "catenet"),
    "connectrpc grpc-web->catenet": (("Connectrpc", {"protocol": "GRPC_WEB"}), "catenet"),
    "C++->catenet": (("Cpp", {}), "catenet"),
    "C++ gzip->catenet": (("Cpp", {"compression": "gzip"}), "catenet"),
    "C++ deflate->catenet": (("Cpp", {"compression": "deflate"}), "catenet"),
    "grpc-js->catenet": (("GrpcJs", {}), "catenet"),
    "grpc-js gzip->catenet": (("GrpcJs", {"compression": "gzip"}), "catenet"),
    "grpc-js deflate->catenet": (("GrpcJs", {"compression": "deflate"}), "catenet"),
    # our client
    "catenet->grpc.aio": (OURS, "grpcio_aio"),
    "catenet gzip->grpc.aio": (("Catenet", {"compression": "gzip"}), "grpcio_aio"),
    "catenet->grpcio": (OURS, "grpcio_sync"),
    "catenet deflate->grpcio": (("Catenet", {"compression": "deflate"}), "grpcio_sync"),
    "catenet->grpclib": (OURS, "grpclib"),
    "catenet->C++": (OURS, "cpp"),
    "catenet gzip->C++": (("Catenet", {"compression": "gzip"}), "cpp"),
    "catenet->grpc-js": (OURS, "grpc_js"),
    "catenet gzip->grpc-js": (("Catenet", {"compression": "gzip"}), "grpc_js"),
    "catenet connect->connectrpc": (("Catenet", {"protocol": "connect", "http1": True}), "connectrpc"),
    "catenet grpc-web->connectrpc": (("Catenet", {"protocol": "grpc-web", "http1": True}), "connectrpc"),
}

CLIENTS = {"Catenet": "catenet", "GrpcioAio": "grpcio_aio", "GrpcioSync": "grpcio_sync", "Grpclib": "grpclib"}
CLIENTS |= {"Connectrpc": "connectrpc", "Cpp": "cpp", "GrpcJs": "grpc_js"}
"""The peer that each client needs."""


class Pair:
    """A client to be made in the test's event loop, and the port it talks to."""

    def __init__(self, label, port):
        (self.client, self.options), self.server = PAIRS[label]
        self.label = label
        self.port = port
        self.http1 = bool(self.options.get("http1")) or self.options.get("protocol") in ("CONNECT", "GRPC_WEB")

    def run(self, work):
        import peer_clients

        async def main():
            client = getattr(peer_clients, self.client)(self.port, **self.options)
            try:
                async with asyncio.timeout(60):
                    return await work(client)
            finally:
                await client.close()

        return asyncio.run(main())


@pytest.fixture(params=PAIRS)
def pair(request, servers):
    from peers import need

    (client, _), server = PAIRS[request.param]
    need(CLIENTS[client])
    return Pair(request.param, servers(server))


def request(**fields):
    from interop_pb2 import Request

    return Request(**fields)


def test_unary(pair):
    reply = pair.run(lambda client: client.unary(request(text="Größe", payload=b"\x00\xff", count=-7)))
    assert (reply.response.text, reply.response.payload, reply.response.count) == ("Größe", b"\x00\xff", -7)


def test_metadata(pair):
    metadata = (("x-text", "a b"), ("x-raw-bin", b"\x00\x01\xfe\xff"))
    reply = pair.run(lambda client: client.unary(request(), metadata=metadata))
    assert reply.response.metadata["x-text"] == "a b"
    assert reply.response.metadata["x-raw-bin"] == "0001feff"
    assert (reply.initial["x-initial"], reply.initial["x-initial-bin"]) == ("first", b"\x00\xff\x01")
    assert (reply.trailing["x-trailing"], reply.trailing["x-trailing-bin"]) == ("last", b"\xfe\x00")


@pytest.mark.parametrize("count", [0, 1, 500])
def test_server_stream(pair, count):
    responses = pair.run(lambda client: client.server_stream(request(count=count)))
    assert [response.count for response in responses] == list(range(count))


@pytest.mark.parametrize("count", [1, 300])
def test_client_stream(pair, count):
    requests = [request(payload=bytes(number)) for number in range(count)]
    response = pair.run(lambda client: client.client_stream(requests))
    assert (response.count, response.text) == (count, str(sum(range(count))))


# connectrpc refuses streams both ways over HTTP/1.1.
@pytest.mark.parametrize("pair", [label for label in PAIRS if not label.endswith("->connectrpc")], indirect=True)
def test_bidi(pair):
    requests = [request(text=str(number)) for number in range(50)]
    responses = pair.run(lambda client: client.bidi(requests))
    assert [response.text for response in responses] == [str(number) for number in range(50)]


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.UNAUTHENTICATED, Code.CANCELLED])
def test_error_with_details(pair, code):
    async def work(client):
        with pytest.raises(RpcError) as caught:
            await client.unary(request(code=code, text="no größe: 100 %"))
        return caught.value

    error = pair.run(work)
    assert (error.code, error.message) == (code, "no größe: 100 %")
    assert error.detail(RetryInfo).retry_delay.seconds == 3


@pytest.mark.parametrize("pair", [label for label in PAIRS if PAIRS[label][0][0] == "Catenet"], indirect=True)
def test_unknown_method(pair):
    async def work(client):
        from interop_pb2 import Request, Response

        from catenet.rpc import Kind, Method

        nope = Method("interop.Interop", "Nope", Kind.UNARY, Request, Response)
        with pytest.raises(RpcError) as caught:
            await client.channel.unary(nope, request())
        return caught.value.code

    assert pair.run(work) is Code.UNIMPLEMENTED


def test_deadline(pair):
    async def work(client):
        with pytest.raises(RpcError) as caught:
            await client.unary(request(sleep_ms=20_000), timeout=0.3)
        assert (await client.unary(request(text="after"), timeout=20.0)).response.text == "after"
        return caught.value.code

    assert pair.run(work) is Code.DEADLINE_EXCEEDED


def test_cancellation_reaches_the_server(pair):
    async def work(client):
        before = (await client.unary(request(text="cancelled?"))).response.count
        responses = await client.server_stream(request(count=-1), take=3)
        assert [response.count for response in responses] == [0, 1, 2]
        after = before
        while after == before:
            await asyncio.sleep(0.02)
            after = (await client.unary(request(text="cancelled?"))).response.count
        return after - before

    assert pair.run(work) == 1


def test_large_messages(pair):
    # 4 MiB with what is around it; every server takes 8. grpclib's client is bounded by its flow control window.
    payload = bytes(range(256)) * (4 << 12)
    reply = pair.run(lambda client: client.unary(request(payload=payload)))
    assert reply.response.payload == payload


def test_many_at_once(pair):
    count = 100 if pair.http1 or pair.client == "GrpcioSync" else 500

    async def work(client):
        calls = [client.unary(request(count=number, sleep_ms=5)) for number in range(count)]
        return [reply.response.count for reply in await asyncio.gather(*calls)]

    assert pair.run(work) == list(range(count))


@pytest.mark.parametrize("protocol", ["connect", "grpc-web"])
def test_each_call_has_a_connection_of_its_own_over_http1(servers, protocol):
    """connectrpc on uvicorn: as many connections as calls, up to the limit, and a stream holds up no other call."""
    import peer_clients

    from catenet.net.pool import PoolLimits

    async def main():
        options = {"protocol": protocol, "http1": True, "pool": PoolLimits(max_connections=10)}
        client = peer_clients.Catenet(servers("connectrpc"), **options)

        def connections():
            return len(list(client.channel._connections._pool.members("")))

        try:
            async with asyncio.timeout(60):
                stream = client.channel.server_stream(client.methods["ServerStream"], request(count=-1))
                await anext(stream)
                replies = await asyncio.gather(*[client.unary(request(count=n, sleep_ms=20)) for n in range(9)])
                assert [reply.response.count for reply in replies] == list(range(9))
                while connections() < 10:  # each of the nine asked for one, whether it was needed in the end or not
                    await asyncio.sleep(0.01)
                await asyncio.gather(*[client.unary(request(count=1)) for _ in range(50)])
                assert connections() == 10
                await stream.aclose()
                assert (await client.unary(request(count=2))).response.count == 2
        finally:
            await client.close()

    asyncio.run(main())
