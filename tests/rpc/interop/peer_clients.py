"""Clients of the interop service behind one interface, so that one set of tests tries them all.

Each raises our `RpcError` for a call that failed, and returns responses as messages. `unary` returns a `Reply`.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

from behaviour import LIMIT
from interop_pb2 import DESCRIPTOR, Request, Response

from catenet.rpc import CallInfo, Channel, ChannelOptions, Code, Detail, RpcError, service_from_protobuf
from catenet.rpc.model.metadata import decode_pair
from catenet.rpc.model.status import unpack_details
from peers import CPP, HERE, node

PATH = "/interop.Interop/"


@dataclass
class Reply:
    """A response and what came around it."""

    response: Response
    initial: dict[str, Any] = field(default_factory=dict)
    trailing: dict[str, Any] = field(default_factory=dict)


class Catenet:
    """Ours, on any wire."""

    def __init__(self, port: int, **options: Any) -> None:
        options.setdefault("max_receive", LIMIT)
        self.channel = Channel(f"tcp://127.0.0.1:{port}", options=ChannelOptions(**options))
        service = service_from_protobuf(DESCRIPTOR.services_by_name["Interop"])
        self.methods = {method.name: method for method in service}

    async def unary(self, request: Any, **options: Any) -> Any:
        info = CallInfo()
        response = await self.channel.unary(self.methods["Unary"], request, info=info, **options)
        return Reply(response, dict(info.initial_metadata), dict(info.trailing_metadata))

    async def server_stream(self, request: Any, take: Any = None, **options: Any) -> Any:
        stream = self.channel.server_stream(self.methods["ServerStream"], request, **options)
        responses = []
        async for response in stream:
            responses.append(response)
            if len(responses) == take:
                stream.cancel()
                break
        return responses

    async def client_stream(self, requests: Any, **options: Any) -> Any:
        return await self.channel.client_stream(self.methods["ClientStream"], requests, **options)

    async def bidi(self, requests: Any, **options: Any) -> Any:
        responses = []
        async with self.channel.bidi(self.methods["Bidi"], **options) as call:
            for request in requests:
                await call.send(request)
                responses.append(await call.receive())
            await call.done()
            assert await call.receive() is None
        return responses

    async def close(self) -> None:
        await self.channel.close()


def _from_grpc(error: Any, trailing: Any) -> Any:
    packed = dict(trailing or ()).get("grpc-status-details-bin", b"")
    return RpcError(Code(error.code().value[0]), error.details() or "", unpack_details(packed))


class GrpcioAio:
    """grpc.aio."""

    def __init__(self, port: int, compression: Any = None) -> None:
        import grpc

        options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
        chosen = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(compression)
        self.grpc = grpc
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options, compression=chosen)
        codecs = (Request.SerializeToString, Response.FromString)
        self.stubs = {
            "Unary": self.channel.unary_unary(PATH + "Unary", *codecs),
            "ServerStream": self.channel.unary_stream(PATH + "ServerStream", *codecs),
            "ClientStream": self.channel.stream_unary(PATH + "ClientStream", *codecs),
            "Bidi": self.channel.stream_stream(PATH + "Bidi", *codecs),
        }

    async def _run(self, work: Any) -> Any:
        try:
            return await work
        except self.grpc.aio.AioRpcError as error:
            raise _from_grpc(error, error.trailing_metadata()) from None

    async def unary(self, request: Any, timeout: Any = None, metadata: Any = ()) -> Any:
        call = self.stubs["Unary"](request, timeout=timeout, metadata=metadata)
        response = await self._run(call)
        return Reply(response, dict(await call.initial_metadata()), dict(await call.trailing_metadata()))

    async def server_stream(self, request: Any, take: Any = None, timeout: Any = None) -> Any:
        call = self.stubs["ServerStream"](request, timeout=timeout)

        async def read() -> Any:
            responses = []
            async for response in call:
                responses.append(response)
                if len(responses) == take:
                    call.cancel()
                    break
            return responses

        return await self._run(read())

    async def client_stream(self, requests: Any, timeout: Any = None) -> Any:
        return await self._run(self.stubs["ClientStream"](iter(requests), timeout=timeout))

    async def bidi(self, requests: Any, timeout: Any = None) -> Any:
        call = self.stubs["Bidi"](timeout=timeout)

        async def talk() -> Any:
            responses = []
            for request in requests:
                await call.write(request)
                responses.append(await call.read())
            await call.done_writing()
            assert await call.read() is self.grpc.aio.EOF
            return responses

        return await self._run(talk())

    async def close(self) -> None:
        await self.channel.close()


class GrpcioSync:
    """grpcio with threads."""

    def __init__(self, port: int, compression: Any = None) -> None:
        import grpc

        options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
        chosen = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(compression)
        self.grpc = grpc
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options, compression=chosen)
        self.codecs = (Request.SerializeToString, Response.FromString)

    async def _run(self, work: Any, *arguments: Any) -> Any:
        try:
            return await asyncio.to_thread(work, *arguments)
        except self.grpc.RpcError as error:
            raise _from_grpc(error, error.trailing_metadata()) from None

    async def unary(self, request: Any, timeout: Any = None, metadata: Any = ()) -> Any:
        stub = self.channel.unary_unary(PATH + "Unary", *self.codecs)
        response, call = await self._run(lambda: stub.with_call(request, timeout=timeout, metadata=metadata))
        return Reply(response, dict(call.initial_metadata()), dict(call.trailing_metadata()))

    async def many(self, requests: Any) -> Any:
        """Unary calls, all at once and without a thread for each."""
        stub = self.channel.unary_unary(PATH + "Unary", *self.codecs)
        futures = [stub.future(request) for request in requests]
        return await asyncio.to_thread(lambda: [Reply(future.result()) for future in futures])

    async def server_stream(self, request: Any, take: Any = None, timeout: Any = None) -> Any:
        call = self.channel.unary_stream(PATH + "ServerStream", *self.codecs)(request, timeout=timeout)

        def read() -> Any:
            responses = []
            for response in call:
                responses.append(response)
                if len(responses) == take:
                    call.cancel()
                    break
            return responses

        return await self._run(read)

    async def client_stream(self, requests: Any, timeout: Any = None) -> Any:
        stub = self.channel.stream_unary(PATH + "ClientStream", *self.codecs)
        return await self._run(lambda: stub(iter(requests), timeout=timeout))

    async def bidi(self, requests: Any, timeout: Any = None) -> Any:
        stub = self.channel.stream_stream(PATH + "Bidi", *self.codecs)
        return await self._run(lambda: list(stub(iter(requests), timeout=timeout)))

    async def close(self) -> None:
        self.channel.close()


class Grpclib:
    """grpclib."""

    def __init__(self, port: int) -> None:
        from grpclib import client

        self.client = client
        self.channel = client.Channel("127.0.0.1", port)

    async def _run(self, work: Any) -> Any:
        from grpclib.exceptions import GRPCError, StreamTerminatedError

        try:
            return await work
        except GRPCError as error:
            details = [Detail.pack(item) for item in error.details or ()]
            raise RpcError(Code(error.status.value), error.message or "", details) from None
        except TimeoutError:
            raise RpcError(Code.DEADLINE_EXCEEDED) from None
        except StreamTerminatedError as error:
            raise RpcError(Code.UNAVAILABLE, str(error)) from None

    async def unary(self, request: Any, timeout: Any = None, metadata: Any = ()) -> Any:
        method = self.client.UnaryUnaryMethod(self.channel, PATH + "Unary", Request, Response)

        async def call() -> Any:
            async with method.open(timeout=timeout, metadata=dict(metadata)) as stream:
                await stream.send_message(request, end=True)
                response = await stream.recv_message()
                await stream.recv_trailing_metadata()
                return Reply(response, dict(stream.initial_metadata or ()), dict(stream.trailing_metadata or ()))

        return await self._run(call())

    async def server_stream(self, request: Any, take: Any = None, timeout: Any = None) -> Any:
        method = self.client.UnaryStreamMethod(self.channel, PATH + "ServerStream", Request, Response)

        async def call() -> Any:
            responses = []
            async with method.open(timeout=timeout) as stream:
                await stream.send_message(request, end=True)
                async for response in stream:
                    responses.append(response)
                    if len(responses) == take:
                        await stream.cancel()
                        break
            return responses

        return await self._run(call())

    async def client_stream(self, requests: Any, timeout: Any = None) -> Any:
        method = self.client.StreamUnaryMethod(self.channel, PATH + "ClientStream", Request, Response)
        return await self._run(method(list(requests), timeout=timeout))

    async def bidi(self, requests: Any, timeout: Any = None) -> Any:
        method = self.client.StreamStreamMethod(self.channel, PATH + "Bidi", Request, Response)

        async def call() -> Any:
            responses = []
            async with method.open(timeout=timeout) as stream:
                for request in requests:
                    await stream.send_message(request)
                    responses.append(await stream.recv_message())
                await stream.end()
                assert await stream.recv_message() is None
            return responses

        return await self._run(call())

    async def close(self) -> None:
        self.channel.close()


class Program:
    """A client that is a program of its own, and is told what to call (harness.proto)."""

    def __init__(self, command: Any, env: Any = None) -> None:
        self.command = command
        self.env = env
        self.process: Any = None
        self.started = asyncio.Event()
        self.results: dict[int, asyncio.Future[Any]] = {}
        self.reader: asyncio.Task[None] | None = None

    async def _call(self, method: Any, requests: Any, timeout: Any = None, metadata: Any = (), take: int = 0) -> Any:
        from harness_pb2 import Command, Pair

        if self.reader is None:
            self.reader = asyncio.create_task(self._run())
        await self.started.wait()
        pairs = [Pair(name=name.encode(), value=value if isinstance(value, bytes) else value.encode())
                 for name, value in metadata]  # fmt: skip
        command = Command(id=len(self.results) + 1, method=method, requests=requests, metadata=pairs, take=take)
        command.timeout_ms = int((timeout or 0) * 1000)
        future = self.results[command.id] = asyncio.get_running_loop().create_future()
        data = command.SerializeToString()
        self.process.stdin.write(len(data).to_bytes(4, "little") + data)
        result = await future
        if result.code:
            raise RpcError(Code(result.code), result.message, unpack_details(result.details))
        return result

    async def _run(self) -> None:
        from harness_pb2 import Result

        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*self.command, stdin=pipe, stdout=pipe, env=self.env)
        self.started.set()
        stream = self.process.stdout
        while True:
            size = int.from_bytes(await stream.readexactly(4), "little")
            result = Result.FromString(await stream.readexactly(size))
            self.results[result.id].set_result(result)

    async def unary(self, request: Any, timeout: Any = None, metadata: Any = ()) -> Any:
        result = await self._call("Unary", [request], timeout, metadata)
        return Reply(result.responses[0], _from_pairs(result.initial), _from_pairs(result.trailing))

    async def server_stream(self, request: Any, take: Any = None, timeout: Any = None) -> Any:
        return list((await self._call("ServerStream", [request], timeout, take=take or 0)).responses)

    async def client_stream(self, requests: Any, timeout: Any = None) -> Any:
        return (await self._call("ClientStream", requests, timeout)).responses[0]

    async def bidi(self, requests: Any, timeout: Any = None) -> Any:
        return list((await self._call("Bidi", requests, timeout)).responses)

    async def close(self) -> None:
        if self.process is not None and self.reader is not None:
            self.reader.cancel()
            self.process.kill()
            await self.process.wait()


class Cpp(Program):
    """gRPC's C++ library."""

    def __init__(self, port: int, compression: str = "identity") -> None:
        super().__init__([str(CPP / "client"), str(port), compression])


class GrpcJs(Program):
    """@grpc/grpc-js."""

    def __init__(self, port: int, compression: str = "identity") -> None:
        super().__init__(["node", str(HERE / "grpc_js_client.js"), str(HERE), str(port), compression], node())


def _from_pairs(pairs: Any) -> Any:
    return {pair.name.decode(): pair.value if pair.name.endswith(b"-bin") else pair.value.decode() for pair in pairs}


class GoogleCodec:
    """connectrpc has messages of its own; this lets it carry those of google.protobuf."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Any) -> Any:
        return message.SerializeToString()

    def decode(self, data: bytes, message_class: Any) -> Any:
        return message_class.FromString(bytes(data))


def google_any(message: Any) -> Any:
    """A detail for a ConnectError from a message of google.protobuf."""
    from protobuf.wkt import Any

    return Any(type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}", value=message.SerializeToString())


def connect_methods() -> Any:
    """The methods as connectrpc describes them."""
    from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType

    kinds = {
        "Unary": StreamType.UNARY,
        "ServerStream": StreamType.SERVER_STREAM,
        "ClientStream": StreamType.CLIENT_STREAM,
        "Bidi": StreamType.BIDI_STREAM,
    }
    return {
        name: MethodInfo(
            name=name,
            service_name="interop.Interop",
            input=Request,
            output=Response,
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=kind,
        )
        for name, kind in kinds.items()
    }


class Connectrpc:
    """connectrpc, with any of its protocols."""

    def __init__(self, port: int, protocol: str = "CONNECT") -> None:
        from connectrpc.client import ConnectClient
        from connectrpc.protocol import ProtocolType
        from pyqwest import Client, HTTPTransport, HTTPVersion

        self.protocol = protocol
        version = HTTPVersion.HTTP2 if protocol == "GRPC" else None
        self.http = Client(HTTPTransport(http_version=version))
        self.client = ConnectClient(
            f"http://127.0.0.1:{port}",
            codec=cast(Any, GoogleCodec()),
            protocol=ProtocolType[protocol],
            http_client=self.http,
        )
        self.methods = connect_methods()

    async def _run(self, work: Any) -> Any:
        from connectrpc.errors import ConnectError

        try:
            return await work
        except ConnectError as error:
            details = [Detail(item.type_name, item.message_bytes) for item in error.details]
            raise RpcError(Code.from_connect(error.code.value) or Code.UNKNOWN, error.message, details) from None

    async def unary(self, request: Any, timeout: Any = None, metadata: Any = ()) -> Any:
        from connectrpc.client import ResponseMetadata

        headers = {name: value if isinstance(value, str) else b64encode(value).decode() for name, value in metadata}
        limit = None if timeout is None else int(timeout * 1000)
        with ResponseMetadata() as around:
            work = self.client.execute_unary(
                request=request, method=self.methods["Unary"], headers=headers, timeout_ms=limit
            )
            response = await self._run(work)
        return Reply(response, _pairs(around.headers), _pairs(around.trailers))

    async def server_stream(self, request: Any, take: Any = None, timeout: Any = None) -> Any:
        limit = None if timeout is None else int(timeout * 1000)
        stream = self.client.execute_server_stream(
            request=request, method=self.methods["ServerStream"], timeout_ms=limit
        )

        async def read() -> Any:
            responses = []
            async for response in stream:
                responses.append(response)
                if len(responses) == take:
                    await cast(Any, stream).aclose()
                    break
            return responses

        return await self._run(read())

    async def client_stream(self, requests: Any) -> Any:
        return await self._run(
            self.client.execute_client_stream(request=_iterate(requests), method=self.methods["ClientStream"])
        )

    async def bidi(self, requests: Any) -> Any:
        stream = self.client.execute_bidi_stream(request=_iterate(requests), method=self.methods["Bidi"])

        async def read() -> Any:
            return [response async for response in stream]

        return await self._run(read())

    async def close(self) -> None:
        pass


async def _iterate(items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


def _pairs(headers: Any) -> Any:
    return dict(pair for name, value in headers.allitems() for pair in decode_pair(name.lower(), value.encode()))
