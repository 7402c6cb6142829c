"""`serve.py KIND ADDRESS`: HiScore on one of the Python servers; prints a line when it listens.

The messages (`hiscore_pb2`) are on PYTHONPATH. ADDRESS is a port, a Unix socket, or for `catenet` any URL. `dropin` and
`dropin_aio` are the programs of `sync` and `aio` with `catenet.rpc.grpc` in the place of `grpc`.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hiscore_pb2 as pb

SERVICE = "hiscore.HiScore"
PATH = "/hiscore/HiScore"


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
    workers, processors = int(os.environ.get("WORKERS", "1")), os.environ.get("PROCESSORS", "").split()
    for number in range(1, workers):
        if not os.fork():
            if processors:
                os.sched_setaffinity(0, {int(processors[number % len(processors)])})
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


def _grpc(ours: bool) -> Any:
    return importlib.import_module("catenet.rpc.grpc" if ours else "grpc")


def _port(address: str) -> str:
    return address if address.startswith("unix:") else f"127.0.0.1:{address}"


OPTIONS = [("grpc.max_receive_message_length", 16 << 20)]


def aio(address: str, ours: bool = False) -> None:
    grpc = _grpc(ours)

    async def get(request: Any, context: Any) -> Any:
        return score()

    async def echo(request: Any, context: Any) -> Any:
        return request

    async def watch(request: Any, context: Any) -> AsyncIterator[Any]:
        for points in range(request.count):
            yield score(points)

    async def main() -> None:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((_handlers(grpc, get, echo, watch),))
        server.add_insecure_port(_port(address))
        await server.start()
        ready()
        await server.wait_for_termination()

    asyncio.run(main())


def sync(address: str, ours: bool = False) -> None:
    from concurrent.futures import ThreadPoolExecutor

    grpc = _grpc(ours)

    def watch(request: Any, context: Any) -> Iterator[Any]:
        for points in range(request.count):
            yield score(points)

    server = grpc.server(ThreadPoolExecutor(8), options=OPTIONS)
    server.add_generic_rpc_handlers((_handlers(grpc, lambda r, c: score(), lambda r, c: r, watch),))
    server.add_insecure_port(_port(address))
    server.start()
    ready()
    server.wait_for_termination()


def _handlers(grpc: Any, get: Any, echo: Any, watch: Any) -> Any:
    def unary(function: Any, request: Any, response: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )

    stream = grpc.unary_stream_rpc_method_handler(
        watch, request_deserializer=pb.Stream.FromString, response_serializer=pb.Score.SerializeToString
    )
    methods = {"Get": unary(get, pb.Query, pb.Score), "Echo": unary(echo, pb.Blob, pb.Blob), "Watch": stream}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def grpclib(port: str) -> None:
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


def connectrpc(port: str) -> None:
    """With messages as its own generator makes them: their codecs are faster than those for Google's."""
    sys.path.append(os.environ["CONNECT_MESSAGES"])
    import hiscore_pb as own
    import uvicorn
    from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
    from connectrpc.server import ConnectASGIApplication, Endpoint

    async def get(request: Any, context: Any) -> Any:
        return own.Score(player="ann", points=12345678)

    def endpoints(service: Any) -> Any:
        info = MethodInfo(
            name="Get",
            service_name=SERVICE,
            input=own.Query,
            output=own.Score,
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


def bare(port: str) -> None:
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


def bare_grpc(port: str) -> None:
    """The floor of gRPC: a fixed answer to every request."""
    import uvloop
    from bare import Server

    async def main() -> None:
        payload = score().SerializeToString()
        server = await asyncio.get_running_loop().create_server(lambda: Server(payload), "127.0.0.1", int(port))
        ready()
        await server.serve_forever()

    uvloop.run(main())


def dbus(address: str) -> None:
    """A service on a bus of its own, which ends with this process."""
    import uvloop
    from dbus_fast.aio import MessageBus
    from dbus_fast.service import ServiceInterface, method

    class Scores(ServiceInterface):  # type: ignore[misc]
        @method(name="Get")  # type: ignore[untyped-decorator]
        def get(self, game: "s") -> "sx":  # type: ignore[name-defined]  # noqa: F821, UP037 - D-Bus's signatures
            return ["ann", 12345678]

    where = address.replace("unix:", "unix:path=")
    words = ["dbus-daemon", "--session", "--nofork", "--print-address", f"--address={where}"]
    daemon = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert daemon.stdout is not None
    daemon.stdout.readline()

    async def main() -> None:
        bus = await MessageBus(where).connect()
        bus.export(PATH, Scores(SERVICE))
        await bus.request_name(SERVICE)
        ready()
        await bus.wait_for_disconnect()

    uvloop.run(main())


def pyro(address: str) -> None:
    import Pyro5.api

    @Pyro5.api.expose
    class Scores:
        def get(self, game: str) -> tuple[str, int]:
            return "ann", 12345678

    daemon = Pyro5.api.Daemon(unixsocket=address.removeprefix("unix:"))
    daemon.register(Scores(), "scores")
    ready()
    daemon.requestLoop()


KINDS: dict[str, Any] = {f.__name__: f for f in (catenet, aio, sync, grpclib, connectrpc, bare, bare_grpc, dbus, pyro)}
KINDS |= {"dropin": functools.partial(sync, ours=True), "dropin_aio": functools.partial(aio, ours=True)}

if __name__ == "__main__":
    KINDS[sys.argv[1]](sys.argv[2])
