"""`serve.py KIND ADDRESS`: HiScore on one of the Python servers; prints a line when it listens.

The messages (`hiscore_pb2`) are on PYTHONPATH. ADDRESS is a port, or for `catenet` a URL.
"""

import asyncio
import json
import os
import sys

import hiscore_pb2 as pb

SERVICE = "hiscore.HiScore"


def ready():
    print("ready", flush=True)


def score(points=12345678):
    return pb.Score(player="ann", points=points)


def catenet(url):
    import uvloop

    from catenet.rpc import Interceptor, Server, service_from_protobuf
    from catenet.rpc.server.tuning import keep_large_blocks

    keep_large_blocks()

    class Scores:
        __service__ = service_from_protobuf(pb.DESCRIPTOR.services_by_name["HiScore"])

        async def get(self, request, context):
            return score()

        async def watch(self, request, context):
            for points in range(request.count):
                yield score(points)

        async def echo(self, request, context):
            return request

    class Pass(Interceptor):
        async def around(self, call, proceed):
            return await proceed()

    async def main():
        import ssl

        tls = None
        if url.startswith("tls:"):
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(os.environ["CERTIFICATE"])
        server = Server([Scores()], interceptors=[Pass()] if os.environ.get("INTERCEPTED") else [])
        await server.listen(url, tls=tls, reuse_port=workers > 1)
        ready()
        await server.serve_forever()

    # One process may not have as many descriptors as there are connections to be held.
    workers = int(os.environ.get("WORKERS", "1"))
    for _ in range(workers - 1):
        if not os.fork():
            break
    (asyncio.run if os.environ.get("LOOP") == "asyncio" else uvloop.run)(main())


def aio(port):
    import grpc

    async def get(request, context):
        return score()

    async def echo(request, context):
        return request

    async def watch(request, context):
        for points in range(request.count):
            yield score(points)

    async def main():
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 16 << 20)])
        server.add_generic_rpc_handlers((_handlers(get, echo, watch),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        ready()
        await server.wait_for_termination()

    asyncio.run(main())


def sync(port):
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    def watch(request, context):
        for points in range(request.count):
            yield score(points)

    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((_handlers(lambda r, c: score(), lambda r, c: r, watch),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    ready()
    server.wait_for_termination()


def _handlers(get, echo, watch):
    import grpc

    def unary(function, request, response):
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )

    stream = grpc.unary_stream_rpc_method_handler(
        watch, request_deserializer=pb.Stream.FromString, response_serializer=pb.Score.SerializeToString
    )
    methods = {"Get": unary(get, pb.Query, pb.Score), "Echo": unary(echo, pb.Blob, pb.Blob), "Watch": stream}
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def grpclib(port):
    from grpclib.const import Cardinality, Handler
    from grpclib.server import Server

    class Scores:
        async def get(self, stream):
            await stream.recv_message()
            await stream.send_message(score())

        async def watch(self, stream):
            request = await stream.recv_message()
            for points in range(request.count):
                await stream.send_message(score(points))

        def __mapping__(self):
            return {
                f"/{SERVICE}/Get": Handler(self.get, Cardinality.UNARY_UNARY, pb.Query, pb.Score),
                f"/{SERVICE}/Watch": Handler(self.watch, Cardinality.UNARY_STREAM, pb.Stream, pb.Score),
            }

    async def main():
        server = Server([Scores()])
        await server.start("127.0.0.1", int(port))
        ready()
        await server.wait_closed()

    import uvloop

    uvloop.run(main())


def connectrpc(port):
    import uvicorn
    from connectrpc.method import IdempotencyLevel, MethodInfo
    from connectrpc.server import ConnectASGIApplication, Endpoint

    async def get(request, context):
        return score()

    def endpoints(service):
        info = MethodInfo(
            name="Get",
            service_name=SERVICE,
            input=pb.Query,
            output=pb.Score,
            idempotency_level=IdempotencyLevel.UNKNOWN,
        )
        return {f"/{SERVICE}/Get": Endpoint.unary(method=info, function=get)}

    class Application(ConnectASGIApplication):
        @property
        def path(self):
            return f"/{SERVICE}"

    application = Application(service=object(), endpoints=endpoints)
    protocols = {"loop": "uvloop", "http": "httptools", "lifespan": "off"}
    config = uvicorn.Config(application, host="127.0.0.1", port=int(port), log_level="error", **protocols)
    ready()
    uvicorn.Server(config).run()


def bare(port):
    """The floor: uvloop and httptools, a fixed answer to every request."""
    import httptools
    import uvloop

    body = json.dumps({"player": "ann", "points": "12345678"}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Connection(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data):
            self.parser.feed_data(data)

        def on_message_complete(self):
            self.transport.write(answer)

    async def main():
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(port))
        ready()
        await server.serve_forever()

    uvloop.run(main())


if __name__ == "__main__":
    {function.__name__: function for function in (catenet, aio, sync, grpclib, connectrpc, bare)}[sys.argv[1]](
        sys.argv[2]
    )
