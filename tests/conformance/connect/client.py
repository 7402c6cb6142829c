"""The client under test: reads calls to make from standard input, makes them side by side, writes what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from generated.connectrpc.conformance.v1 import client_compat_pb2 as pb
from generated.connectrpc.conformance.v1 import config_pb2, service_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from server import read_message, write_message
from service import headers, pairs
from tls import client_context

from catenet.rpc import CallInfo, Channel, ChannelOptions, Kind, Method, RpcError, service_from_protobuf

SIDE_BY_SIDE = 16
SERVICE = service_from_protobuf(service_pb2.DESCRIPTOR.services_by_name["ConformanceService"])
PROTOCOLS = {config_pb2.PROTOCOL_CONNECT: "connect", config_pb2.PROTOCOL_GRPC: "grpc"}
PROTOCOLS[config_pb2.PROTOCOL_GRPC_WEB] = "grpc-web"


class Run:
    """One call and what came of it."""

    def __init__(self, request: pb.ClientCompatRequest) -> None:
        self.request = request
        self.info = CallInfo()
        self.result = pb.ClientResponseResult()
        self.method = _method(request)
        self.messages = [_unpack(item, self.method.request) for item in request.request_messages]
        self.unsent = len(self.messages)

    @property
    def options(self) -> dict[str, Any]:
        """Options of the call."""
        options: dict[str, Any] = {"metadata": pairs(self.request.request_headers), "info": self.info}
        if self.request.HasField("timeout_ms"):
            options["timeout"] = self.request.timeout_ms / 1000
        return options

    async def make(self) -> pb.ClientResponseResult:
        """Make the call; its error is part of the result."""
        try:
            async with _channel(self.request) as channel:
                # The time that a handshake takes on a busy machine is not what the tests of deadlines are about.
                await channel.connections().wait(True, None)
                await self._call(channel)
        except RpcError as error:
            self.result.error.code = int(error.code)
            self.result.error.message = error.message
            for detail in error.details:
                url = f"type.googleapis.com/{detail.type_name}"
                self.result.error.details.append(AnyMessage(type_url=url, value=detail.value))
        self.result.response_headers.extend(headers(self.info.initial_metadata))
        self.result.response_trailers.extend(headers(self.info.trailing_metadata))
        self.result.num_unsent_requests = self.unsent
        return self.result

    async def _call(self, channel: Channel) -> None:
        kind = self.method.kind
        if kind is Kind.UNARY:
            await self._unary(channel)
        elif kind is Kind.SERVER_STREAM:
            await self._server_stream(channel)
        elif kind is Kind.CLIENT_STREAM:
            await self._client_stream(channel)
        else:
            await self._bidi(channel)

    async def _delay(self) -> None:
        if self.request.request_delay_ms:
            await asyncio.sleep(self.request.request_delay_ms / 1000)

    def _keep(self, response: Any) -> None:
        self.result.payloads.append(response.payload)

    @contextlib.asynccontextmanager
    async def _cancelling(self, cancel: Callable[[], Any]) -> AsyncIterator[None]:
        """Cancel the call some milliseconds after the requests have ended."""
        timer = None
        if self.request.cancel.WhichOneof("cancel_timing") in ("after_close_send_ms", None) and self.request.HasField(
            "cancel"
        ):
            delay = self.request.cancel.after_close_send_ms / 1000
            timer = asyncio.get_running_loop().call_later(delay, cancel)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    async def _unary(self, channel: Channel) -> None:
        await self._delay()
        self.unsent = 0
        call = asyncio.ensure_future(channel.unary(self.method, self.messages[0], **self.options))
        async with self._cancelling(call.cancel):
            try:
                self._keep(await call)
            except asyncio.CancelledError:
                raise _cancelled() from None

    async def _server_stream(self, channel: Channel) -> None:
        await self._delay()
        stream = channel.server_stream(self.method, self.messages[0], **self.options)
        self.unsent = 0
        async with self._cancelling(stream.cancel):
            async for response in stream:
                self._keep(response)
                if len(self.result.payloads) == self.request.cancel.after_num_responses:
                    stream.cancel()

    async def _client_stream(self, channel: Channel) -> None:
        ended = asyncio.Event()

        async def requests() -> AsyncIterator[Any]:
            for message in self.messages:
                await self._delay()
                yield message
                self.unsent -= 1
            ended.set()
            if self.request.cancel.WhichOneof("cancel_timing") == "before_close_send":
                call.cancel()
                await asyncio.sleep(60)

        call = asyncio.ensure_future(channel.client_stream(self.method, requests(), **self.options))
        try:
            if self.request.HasField("cancel"):
                await asyncio.wait([call, asyncio.ensure_future(ended.wait())], return_when=asyncio.FIRST_COMPLETED)
            async with self._cancelling(call.cancel):
                self._keep(await call)
        except asyncio.CancelledError:
            raise _cancelled() from None

    async def _bidi(self, channel: Channel) -> None:
        full_duplex = self.request.stream_type == config_pb2.STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM
        async with channel.bidi(self.method, **self.options) as call:
            for message in self.messages:
                await self._delay()
                try:
                    await call.send(message)
                except RpcError:
                    break  # the reason comes with the responses
                self.unsent -= 1
                if full_duplex and not await self._receive(call):
                    return
            if self.request.cancel.WhichOneof("cancel_timing") == "before_close_send":
                call.cancel()
            else:
                await call.done()
            async with self._cancelling(call.cancel):
                while await self._receive(call):
                    pass

    async def _receive(self, call: Any) -> bool:
        response = await call.receive()
        if response is None:
            return False
        self._keep(response)
        if len(self.result.payloads) == self.request.cancel.after_num_responses:
            call.cancel()
        return True


def _cancelled() -> RpcError:
    from catenet.rpc import Code

    return RpcError(Code.CANCELLED, "cancelled")


def _method(request: pb.ClientCompatRequest) -> Method[Any, Any]:
    method = SERVICE.method(request.method)
    if method is None or request.service != SERVICE.name:
        raise ValueError(f"no method {request.service}/{request.method}")
    return method


def _unpack(item: AnyMessage, message_class: Any) -> Any:
    message = message_class()
    if not item.Unpack(message):
        raise ValueError(f"{item.type_url} is not {message_class.DESCRIPTOR.full_name}")
    return message


def _channel(request: pb.ClientCompatRequest) -> Channel:
    compression = config_pb2.Compression.Name(request.compression).removeprefix("COMPRESSION_").lower()
    options = ChannelOptions(
        protocol=PROTOCOLS[request.protocol],
        codec=config_pb2.Codec.Name(request.codec).removeprefix("CODEC_").lower(),
        http1=request.http_version == config_pb2.HTTP_VERSION_1,
        use_get=request.use_get_http_method,
        compression="identity" if compression == "unspecified" else compression,
        max_receive=request.message_receive_limit or 4 << 20,
    )
    if not request.server_tls_cert:
        return Channel(f"tcp://{request.host}:{request.port}", options=options)
    credentials = request.client_tls_creds if request.HasField("client_tls_creds") else None
    context = client_context(request.server_tls_cert, credentials)
    return Channel(f"tls://{request.host}:{request.port}", options=options, tls=context)


async def answer(request: pb.ClientCompatRequest, room: asyncio.Semaphore) -> None:
    """Make one call and write its result."""
    response = pb.ClientCompatResponse(test_name=request.test_name)
    try:
        response.response.CopyFrom(await Run(request).make())
    except Exception as error:
        response.error.message = f"{type(error).__name__}: {error}"
    finally:
        room.release()
    write_message(sys.stdout.buffer, response.SerializeToString())


async def main() -> None:
    """Make calls until there are no more."""
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(SIDE_BY_SIDE)
    async with asyncio.TaskGroup() as group:
        while (data := await loop.run_in_executor(None, read_message, sys.stdin.buffer)) is not None:
            await room.acquire()
            group.create_task(answer(pb.ClientCompatRequest.FromString(data), room))


if __name__ == "__main__":
    asyncio.run(main())
