"""`serve.py KIND ADDRESS`: HiScore on one of the Python servers; prints a line when it listens.

The messages (`hiscore_pb2`) are on PYTHONPATH. ADDRESS is a port, or for `catenet` a URL.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hiscore_pb2 as pb

SERVICE = "hiscore.HiScore"


def ready() -> None:
    print("ready", flush=True)


def score(points: int = 12345678) -> Any:
    return pb.Score(player="ann", points=points)


def catenet(url: str) -> None:
    import uvloop

    from catenet.net.tuning import keep_large_blocks
    from catenet.rpc import Interceptor, Server, service_from_protobuf

    keep_large_blocks()

    class Scores:
        __service__ = service_from_protobuf(pb.DESCRIPTOR.services_by_name["HiScore"])

        async def get(self, request: Any, context: Any) -> Any:
            return score()

        async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
            for points in range(request.count):
                yield score(points)

        async def echo(self, request: Any, context: Any) -> Any:
            return request

        def owner_of(self, name: str) -> str:
            return f"uid:{os.geteuid()}"

    class Named(Scores):
        async def get(self, request: Any, context: Any) -> Any:
            assert context.peer.identity.name
            return score()

    class Pass(Interceptor):
        async def around(self, call: Any, proceed: Any) -> Any:
            return await proceed()

    async def main() -> None:
        import ssl

        tls = None
        if url.startswith("tls:"):
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(os.environ["CERTIFICATE"])
        guarded = os.environ.get("GUARD", "")
        service = acting() if guarded == "worker" else Named() if guarded == "identity" else Scores()
        interceptors = [Pass()] if os.environ.get("INTERCEPTED") else []
        server = Server([service], interceptors=interceptors, guard=guard(guarded.split("+")))
        await server.listen(url, tls=tls, reuse_port=workers > 1)
        ready()
        await server.serve_forever()

    # One process may not have as many descriptors as there are connections to be held.
    workers = int(os.environ.get("WORKERS", "1"))
    for _ in range(workers - 1):
        if not os.fork():
            break
    (asyncio.run if os.environ.get("LOOP") == "asyncio" else uvloop.run)(main())


def guard(parts: list[str]) -> Any:
    """What stands before the handlers of `catenet`."""
    from catenet.rpc import Guard
    from catenet.rpc.policy.audit import Audit
    from catenet.rpc.policy.limits import Limit
    from catenet.rpc.policy.rules import Policy

    policy = Policy()
    if "policy" in parts:
        policy.allow(f"{SERVICE}/Get", "authenticated")
        policy.deny("*", "uid:65534")
    elif "owner" in parts:
        policy.allow(f"{SERVICE}/Get", "owner", object="game")
    else:
        return None
    limits = [Limit(rate=1e9, concurrent=1_000_000)] if "limits" in parts else []
    return Guard(policy, limits=limits, audit=Audit.open(os.environ["AUDIT"]) if "audit" in parts else None)


def worker_get(request: pb.Query) -> pb.Score:
    """A handler that runs in a process of its caller."""
    found: pb.Score = score()
    return found


def acting() -> Any:
    from catenet.rpc import service_from_protobuf
    from catenet.rpc.server.callers import CallerWorkers

    workers = CallerWorkers()
    workers.function(worker_get)
    workers.start()

    class Acting:
        __service__ = service_from_protobuf(pb.DESCRIPTOR.services_by_name["HiScore"])

        async def get(self, request: Any, context: Any) -> Any:
            return await workers.run(worker_get, request, context)

    return Acting()


def aio(port: int) -> None:
    import grpc

    async def get(request: Any, context: Any) -> Any:
        return score()

    async def echo(request: Any, context: Any) -> Any:
        return request

    async def watch(request: Any, context: Any) -> AsyncIterator[Any]:
        for points in range(request.count):
            yield score(points)

    async def main() -> None:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 16 << 20)])
        server.add_generic_rpc_handlers((_handlers(get, echo, watch),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        ready()
        await server.wait_for_termination()

    asyncio.run(main())


def sync(port: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    def watch(request: Any, context: Any) -> Iterator[Any]:
        for points in range(request.count):
            yield score(points)

    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((_handlers(lambda r, c: score(), lambda r, c: r, watch),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    ready()
    server.wait_for_termination()


def _handlers(get: Any, echo: Any, watch: Any) -> Any:
    import grpc

    def unary(function: Any, request: Any, response: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )

    stream = grpc.unary_stream_rpc_method_handler(
        watch, request_deserializer=pb.Stream.FromString, response_serializer=pb.Score.SerializeToString
    )
    methods = {"Get": unary(get, pb.Query, pb.Score), "Echo": unary(echo, pb.Blob, pb.Blob), "Watch": stream}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def grpclib(port: int) -> None:
    from grpclib.const import Cardinality, Handler
    from grpclib.server import Server

    class Scores:
        async def get(self, stream: Any) -> None:
            await stream.recv_message()
            await stream.send_message(score())

        async def watch(self, stream: Any) -> None:
            request = await stream.recv_message()
            for points in range(request.count):
                await stream.send_message(score(points))

        def __mapping__(self) -> Any:
            return {
                f"/{SERVICE}/Get": Handler(self.get, Cardinality.UNARY_UNARY, pb.Query, pb.Score),
                f"/{SERVICE}/Watch": Handler(self.watch, Cardinality.UNARY_STREAM, pb.Stream, pb.Score),
            }

    async def main() -> None:
        server = Server([Scores()])
        await server.start("127.0.0.1", int(port))
        ready()
        await server.wait_closed()

    import uvloop

    uvloop.run(main())


def connectrpc(port: int) -> None:
    import uvicorn
    from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
    from connectrpc.server import ConnectASGIApplication, Endpoint

    async def get(request: Any, context: Any) -> Any:
        return score()

    def endpoints(service: Any) -> Any:
        info = MethodInfo(
            name="Get",
            service_name=SERVICE,
            input=pb.Query,
            output=pb.Score,
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=StreamType.UNARY,
        )
        return {f"/{SERVICE}/Get": Endpoint.unary(method=info, function=get)}

    class Application(ConnectASGIApplication[Any]):
        @property
        def path(self) -> str:
            return f"/{SERVICE}"

    application = Application(service=object(), endpoints=endpoints)
    protocols: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "lifespan": "off"}
    config = uvicorn.Config(application, host="127.0.0.1", port=int(port), log_level="error", **protocols)
    ready()
    uvicorn.Server(config).run()


def bare(port: int) -> None:
    """The floor: uvloop and httptools, a fixed answer to every request."""
    import httptools
    import uvloop

    body = json.dumps({"player": "ann", "points": "12345678"}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_message_complete(self) -> None:
            self.transport.write(answer)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(port))
        ready()
        await server.serve_forever()

    uvloop.run(main())


if __name__ == "__main__":
    servers: tuple[Any, ...] = (catenet, aio, sync, grpclib, connectrpc, bare)
    {function.__name__: function for function in servers}[sys.argv[1]](sys.argv[2])
