"""Servers of the interop service: `python peer_server.py NAME` prints its port and serves."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import behaviour
from behaviour import DETAIL, INITIAL, LIMIT, TRAILING, note_cancelled, respond, summary
from google.protobuf import any_pb2
from google.rpc.status_pb2 import Status
from interop_pb2 import Request, Response

PATH = "/interop.Interop/"


def packed_status(code: Any, message: Any) -> Any:
    """`google.rpc.Status` with the one detail."""
    detail = any_pb2.Any()
    detail.Pack(DETAIL)
    return Status(code=code, message=message, details=[detail])


def announce(port: int) -> None:
    """Tell the test where the server listens."""
    print(port, flush=True)


def catenet() -> None:
    """Ours."""
    from interop_pb2 import DESCRIPTOR

    from catenet.rpc import Code, RpcError, Server, ServerOptions, service_from_protobuf

    class Interop:
        __service__ = service_from_protobuf(DESCRIPTOR.services_by_name["Interop"])

        async def unary(self, request: Any, context: Any) -> Any:
            context.set_initial_metadata(INITIAL)
            context.set_trailing_metadata(TRAILING)
            await asyncio.sleep(request.sleep_ms / 1000)
            if request.code:
                raise RpcError(Code(request.code), request.text, [DETAIL])
            return respond(request, context.metadata)

        async def server_stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                number = 0
                while request.count < 0 or number < request.count:
                    yield Response(count=number)
                    number += 1
                    await asyncio.sleep(0.002 if request.count < 0 else 0)
            except (asyncio.CancelledError, GeneratorExit):  # cancelled here, or while the response was being sent
                note_cancelled()
                raise

        async def client_stream(self, requests: Any, context: Any) -> Any:
            return summary([request async for request in requests])

        async def bidi(self, requests: Any, context: Any) -> AsyncIterator[Any]:
            async for request in requests:
                yield respond(request)

    async def main() -> None:
        server = Server([Interop()], options=ServerOptions(max_receive=LIMIT, compression="gzip"))
        listener = await server.listen("tcp://127.0.0.1:0")
        announce(int(listener.url.rpartition(":")[2]))
        await server.serve_forever()

    asyncio.run(main())


def _generic_handler(grpc: Any, handlers: Any) -> Any:
    kinds = {
        "Unary": grpc.unary_unary_rpc_method_handler,
        "ServerStream": grpc.unary_stream_rpc_method_handler,
        "ClientStream": grpc.stream_unary_rpc_method_handler,
        "Bidi": grpc.stream_stream_rpc_method_handler,
    }
    methods = {
        name: make(handlers[name], Request.FromString, Response.SerializeToString) for name, make in kinds.items()
    }
    return grpc.method_handlers_generic_handler("interop.Interop", methods)


_GRPC_OPTIONS = [("grpc.max_receive_message_length", LIMIT), ("grpc.so_reuseport", 0)]


def grpcio_aio() -> None:
    """grpc.aio."""
    import grpc
    from grpc_status import rpc_status

    async def unary(request: Any, context: Any) -> Any:
        await context.send_initial_metadata(INITIAL)
        context.set_trailing_metadata(TRAILING)
        await asyncio.sleep(request.sleep_ms / 1000)
        if request.code:
            status = rpc_status.to_status(packed_status(request.code, request.text))
            trailing = (*TRAILING, *status.trailing_metadata)
            await context.abort(status.code, status.details, trailing_metadata=trailing)
        return respond(request, context.invocation_metadata())

    async def server_stream(request: Any, context: Any) -> AsyncIterator[Any]:
        number = 0
        try:
            while request.count < 0 or number < request.count:
                yield Response(count=number)
                number += 1
                await asyncio.sleep(0.002 if request.count < 0 else 0)
        except (asyncio.CancelledError, GeneratorExit):  # cancelled here, or while the response was being sent
            note_cancelled()
            raise

    async def client_stream(requests: Any, context: Any) -> Any:
        return summary([request async for request in requests])

    async def bidi(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield respond(request)

    async def main() -> None:
        server = grpc.aio.server(options=_GRPC_OPTIONS)
        handlers = {"Unary": unary, "ServerStream": server_stream, "ClientStream": client_stream, "Bidi": bidi}
        server.add_generic_rpc_handlers((_generic_handler(grpc, handlers),))
        announce(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(main())


def grpcio_sync() -> None:
    """grpcio with threads."""
    import grpc
    from grpc_status import rpc_status

    def unary(request: Any, context: Any) -> Any:
        context.send_initial_metadata(INITIAL)
        context.set_trailing_metadata(TRAILING)
        time.sleep(request.sleep_ms / 1000)
        if request.code:
            status = rpc_status.to_status(packed_status(request.code, request.text))
            context.set_trailing_metadata((*TRAILING, *status.trailing_metadata))
            context.abort(status.code, status.details)
        return respond(request, context.invocation_metadata())

    def server_stream(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(lambda: note_cancelled() if request.count < 0 else None)
        number = 0
        while context.is_active() and (request.count < 0 or number < request.count):
            yield Response(count=number)
            number += 1
            time.sleep(0.002 if request.count < 0 else 0)

    def client_stream(requests: Any, context: Any) -> Any:
        return summary(list(requests))

    def bidi(requests: Any, context: Any) -> Iterator[Any]:
        for request in requests:
            yield respond(request)

    server = grpc.server(ThreadPoolExecutor(200), options=_GRPC_OPTIONS)
    handlers = {"Unary": unary, "ServerStream": server_stream, "ClientStream": client_stream, "Bidi": bidi}
    server.add_generic_rpc_handlers((_generic_handler(grpc, handlers),))
    announce(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def grpclib() -> None:
    """grpclib."""
    from grpclib.const import Cardinality, Handler
    from grpclib.const import Status as Code
    from grpclib.server import Server

    class Interop:
        def __mapping__(self) -> Any:
            return {
                PATH + "Unary": Handler(self.unary, Cardinality.UNARY_UNARY, Request, Response),
                PATH + "ServerStream": Handler(self.server_stream, Cardinality.UNARY_STREAM, Request, Response),
                PATH + "ClientStream": Handler(self.client_stream, Cardinality.STREAM_UNARY, Request, Response),
                PATH + "Bidi": Handler(self.bidi, Cardinality.STREAM_STREAM, Request, Response),
            }

        async def unary(self, stream: Any) -> None:
            request = await stream.recv_message()
            await stream.send_initial_metadata(metadata=dict(INITIAL))
            await asyncio.sleep(request.sleep_ms / 1000)
            if request.code:
                await stream.send_trailing_metadata(
                    status=Code(request.code),
                    status_message=request.text,
                    status_details=[DETAIL],
                    metadata=dict(TRAILING),
                )
                return
            await stream.send_message(respond(request, list(stream.metadata.items())))
            await stream.send_trailing_metadata(metadata=dict(TRAILING))

        async def server_stream(self, stream: Any) -> None:
            request = await stream.recv_message()
            number = 0
            try:
                while request.count < 0 or number < request.count:
                    await stream.send_message(Response(count=number))
                    number += 1
                    await asyncio.sleep(0.002 if request.count < 0 else 0)
            except asyncio.CancelledError:
                note_cancelled()
                raise

        async def client_stream(self, stream: Any) -> None:
            await stream.send_message(summary([request async for request in stream]))

        async def bidi(self, stream: Any) -> None:
            async for request in stream:
                await stream.send_message(respond(request))

    async def main() -> None:
        server = Server([Interop()])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        await server.start("127.0.0.1", port)
        announce(port)
        await server.wait_closed()

    asyncio.run(main())


def connectrpc() -> None:
    """connectrpc on uvicorn: Connect and gRPC-Web over HTTP/1.1."""
    import uvicorn
    from connectrpc.code import Code
    from connectrpc.errors import ConnectError
    from connectrpc.server import ConnectASGIApplication, Endpoint
    from peer_clients import GoogleCodec, connect_methods, google_any

    async def unary(request: Any, context: Any) -> Any:
        for name, value in INITIAL:
            context.response_headers[name] = value if isinstance(value, str) else "AP8B"
        for name, value in TRAILING:
            context.response_trailers[name] = value if isinstance(value, str) else "/gA"
        await asyncio.sleep(request.sleep_ms / 1000)
        if request.code:
            code = list(Code)[request.code - 1]
            raise ConnectError(code, request.text, details=[google_any(DETAIL)])
        return respond(request, _decoded(context.request_headers.allitems()))

    async def server_stream(request: Any, context: Any) -> AsyncIterator[Any]:
        number = 0
        try:
            while request.count < 0 or number < request.count:
                yield Response(count=number)
                number += 1
                await asyncio.sleep(0.002 if request.count < 0 else 0)
        except (asyncio.CancelledError, GeneratorExit):
            note_cancelled()
            raise

    async def client_stream(requests: Any, context: Any) -> Any:
        return summary([request async for request in requests])

    async def bidi(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield respond(request)

    methods = connect_methods()
    endpoints: dict[str, Any] = {
        PATH + "Unary": Endpoint.unary(methods["Unary"], unary),
        PATH + "ServerStream": Endpoint.server_stream(methods["ServerStream"], server_stream),
        PATH + "ClientStream": Endpoint.client_stream(methods["ClientStream"], client_stream),
        PATH + "Bidi": Endpoint.bidi_stream(methods["Bidi"], bidi),
    }

    class Application(ConnectASGIApplication[Any]):
        path = "/interop.Interop"

    app = Application(service=None, endpoints=lambda _: endpoints, codecs=[GoogleCodec()], read_max_bytes=LIMIT)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        announce(listener.getsockname()[1])
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def _decoded(pairs: Any) -> Any:
    from catenet.rpc.model.metadata import decode_pair

    return [pair for name, value in pairs for pair in decode_pair(name.lower(), value.encode())]


SERVERS = {each.__name__: each for each in (catenet, grpcio_aio, grpcio_sync, grpclib, connectrpc)}

if __name__ == "__main__":
    assert behaviour.cancelled == 0
    SERVERS[sys.argv[1]]()
