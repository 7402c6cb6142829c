"""The service of the Connect conformance suite, on our runtime (connectrpc/conformance/v1/service.proto)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from generated.connectrpc.conformance.v1 import service_pb2 as pb
from google.protobuf.any_pb2 import Any as AnyMessage

from catenet.rpc.model.metadata import encode_value
from catenet.rpc.model.method import service_from_protobuf
from catenet.rpc.model.status import Code, Detail, RpcError

Headers = Iterable[pb.Header]


def pairs(headers: Headers) -> list[tuple[str, str | bytes]]:
    """Headers of a test as metadata."""
    from catenet.rpc.model.metadata import decode_pair

    return [
        pair
        for header in headers
        for value in header.value
        for pair in decode_pair(header.name.lower(), value.encode("latin-1"))
    ]


def headers(metadata: Iterable[tuple[str, str | bytes]]) -> list[pb.Header]:
    """Metadata as headers of a test: one per name, with all its values."""
    by_name: dict[str, list[str]] = {}
    for name, value in metadata:
        by_name.setdefault(name, []).append(encode_value(value).decode("latin-1"))
    return [pb.Header(name=name, value=values) for name, values in by_name.items()]


def packed(message: Any) -> AnyMessage:
    """A message as `google.protobuf.Any`."""
    box = AnyMessage()
    box.Pack(message)
    return box


class Conformance:
    """Does what each request describes, and tells what it saw."""

    __service__ = service_from_protobuf(pb.DESCRIPTOR.services_by_name["ConformanceService"])

    async def unary(self, request: pb.UnaryRequest, context: Any) -> pb.UnaryResponse:
        return pb.UnaryResponse(payload=await self._single(request.response_definition, [request], context))

    async def idempotent_unary(self, request: pb.IdempotentUnaryRequest, context: Any) -> pb.IdempotentUnaryResponse:
        return pb.IdempotentUnaryResponse(payload=await self._single(request.response_definition, [request], context))

    async def client_stream(
        self, requests: AsyncIterator[pb.ClientStreamRequest], context: Any
    ) -> pb.ClientStreamResponse:
        received = [request async for request in requests]
        definition = received[0].response_definition if received else pb.UnaryResponseDefinition()
        return pb.ClientStreamResponse(payload=await self._single(definition, received, context))

    async def server_stream(
        self, request: pb.ServerStreamRequest, context: Any
    ) -> AsyncIterator[pb.ServerStreamResponse]:
        definition = request.response_definition
        self._announce(definition, context)
        info = _request_info([request], context)
        for number, data in enumerate(definition.response_data):
            await asyncio.sleep(definition.response_delay_ms / 1000)
            yield pb.ServerStreamResponse(payload=_payload(data, info if number == 0 else None))
        if definition.HasField("error"):
            raise _error(definition.error, None if definition.response_data else info)

    async def bidi_stream(
        self, requests: AsyncIterator[pb.BidiStreamRequest], context: Any
    ) -> AsyncIterator[pb.BidiStreamResponse]:
        first = await anext(aiter(requests), None)
        if first is None:
            return
        definition = first.response_definition
        self._announce(definition, context)
        responses = self._full_duplex if first.full_duplex else self._half_duplex
        async for payload in responses(first, requests, definition, context):
            yield pb.BidiStreamResponse(payload=payload)

    async def _half_duplex(
        self, first: Any, requests: AsyncIterator[Any], definition: Any, context: Any
    ) -> AsyncIterator[pb.ConformancePayload]:
        info = _request_info([first, *[request async for request in requests]], context)
        for number, data in enumerate(definition.response_data):
            await asyncio.sleep(definition.response_delay_ms / 1000)
            yield _payload(data, info if number == 0 else None)
        if definition.HasField("error"):
            raise _error(definition.error, None if definition.response_data else info)

    async def _full_duplex(
        self, first: Any, requests: AsyncIterator[Any], definition: Any, context: Any
    ) -> AsyncIterator[pb.ConformancePayload]:
        sent = 0
        request: Any = first
        while request is not None and sent < len(definition.response_data):
            await asyncio.sleep(definition.response_delay_ms / 1000)
            info = _request_info([request], context)
            if sent:
                info = pb.ConformancePayload.RequestInfo(requests=info.requests)
            yield _payload(definition.response_data[sent], info)
            sent += 1
            request = await anext(aiter(requests), None)
        # The client has ended first: the rest follows without requests.
        for data in definition.response_data[sent:]:
            await asyncio.sleep(definition.response_delay_ms / 1000)
            yield _payload(data, None)
        if definition.HasField("error"):
            raise _error(definition.error, None if definition.response_data else _request_info([first], context))

    async def _single(self, definition: Any, requests: Sequence[Any], context: Any) -> pb.ConformancePayload:
        info = _request_info(requests, context)
        context.set_initial_metadata(pairs(definition.response_headers))
        context.set_trailing_metadata(pairs(definition.response_trailers))
        await asyncio.sleep(definition.response_delay_ms / 1000)
        if definition.WhichOneof("response") == "error":
            raise _error(definition.error, info)
        return _payload(definition.response_data, info)

    def _announce(self, definition: Any, context: Any) -> None:
        context.set_trailing_metadata(pairs(definition.response_trailers))
        context.set_initial_metadata(pairs(definition.response_headers))
        if definition.response_data:
            context.send_initial_metadata()


def _payload(data: bytes, info: Any) -> pb.ConformancePayload:
    return pb.ConformancePayload(data=data, request_info=info)


def _request_info(requests: Sequence[Any], context: Any) -> pb.ConformancePayload.RequestInfo:
    remaining = context.time_remaining()
    return pb.ConformancePayload.RequestInfo(
        request_headers=headers(context.metadata),
        timeout_ms=None if remaining is None else int(remaining * 1000),
        requests=[packed(request) for request in requests],
    )


def _error(error: pb.Error, info: Any) -> RpcError:
    details = [Detail(item.type_url.rpartition("/")[2], item.value) for item in error.details]
    if info is not None:
        details.append(Detail.pack(info))
    return RpcError(Code(error.code), error.message, details)
