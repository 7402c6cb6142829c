"""Programs of other packages that stand on `grpc`: `dropin_libraries.py NAME`, printing what came of it.

They import `grpc` as ever; `catenet run --net kernel --grpc` lets them have ours.
"""

# mypy: ignore-errors
# The packages that it tries are typed in part.

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from concurrent import futures
from typing import Any

import dropin_pb2_grpc
import grpc
from dropin_pb2 import DESCRIPTOR, Message


class Echo(dropin_pb2_grpc.EchoServicer):
    """Handlers on threads."""

    def Unary(self, request: Any, context: Any) -> Any:
        return Message(text=request.text.upper())

    def Down(self, request: Any, context: Any) -> Any:
        for number in range(request.count):
            yield Message(count=number)

    def Up(self, requests: Any, context: Any) -> Any:
        return Message(count=sum(request.count for request in requests))

    def Both(self, requests: Any, context: Any) -> Any:
        yield from requests


class AioEcho(dropin_pb2_grpc.EchoServicer):
    """Handlers on the loop."""

    async def Unary(self, request: Any, context: Any) -> Any:
        return Message(text=request.text.upper())

    async def Down(self, request: Any, context: Any) -> Any:
        for number in range(request.count):
            yield Message(count=number)

    async def Up(self, requests: Any, context: Any) -> Any:
        return Message(count=sum([request.count async for request in requests]))

    async def Both(self, requests: Any, context: Any) -> Any:
        async for request in requests:
            yield request


def serve(*adds: Any, **options: Any) -> tuple[Any, str]:
    """A sync server with some services, and its address."""
    server = grpc.server(futures.ThreadPoolExecutor(8), **options)
    for add in adds:
        add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def add_echo(server: Any) -> None:
    dropin_pb2_grpc.add_EchoServicer_to_server(Echo(), server)


def call_all(stub: Any) -> None:
    print(stub.Unary(Message(text="a")).text, [answer.count for answer in stub.Down(Message(count=3))])
    print(stub.Up(iter([Message(count=2)])).count, [answer.text for answer in stub.Both(iter([Message(text="b")]))])


async def aio_all(interceptors: Any = ()) -> None:
    server = grpc.aio.server(interceptors=interceptors)
    dropin_pb2_grpc.add_EchoServicer_to_server(AioEcho(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = dropin_pb2_grpc.EchoStub(channel)
        print(
            (await stub.Unary(Message(text="a"))).text, [answer.count async for answer in stub.Down(Message(count=3))]
        )
        both = [answer.text async for answer in stub.Both(iter([Message(text="b")]))]
        print((await stub.Up(iter([Message(count=2)]))).count, both)
        try:
            await stub.Unary(Message(text="missing"))
        except grpc.RpcError as error:
            print(error.code(), error.details())
    await server.stop(None)


def health_and_reflection() -> None:
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    servicer = health.HealthServicer()
    servicer.set("dropin.Echo", health_pb2.HealthCheckResponse.SERVING)
    names = (DESCRIPTOR.services_by_name["Echo"].full_name, reflection.SERVICE_NAME)
    server, address = serve(
        add_echo,
        lambda server: health_pb2_grpc.add_HealthServicer_to_server(servicer, server),
        lambda server: reflection.enable_server_reflection(names, server),
    )
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service="dropin.Echo")
        print(stub.Check(asked).status)
        watching = stub.Watch(asked)
        print(next(watching).status)
        servicer.enter_graceful_shutdown()
        print(next(watching).status)
        watching.cancel()
        try:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        except grpc.RpcError as error:
            print(error.code())
        database = ProtoReflectionDescriptorDatabase(channel)
        print(sorted(database.get_services()), database.FindFileContainingSymbol("dropin.Echo").name)
    server.stop(None).wait()


def interceptor() -> None:
    from grpc_interceptor import AsyncServerInterceptor, ClientInterceptor, ServerInterceptor, exceptions
    from grpc_interceptor.exception_to_status import AsyncExceptionToStatusInterceptor, ExceptionToStatusInterceptor

    seen = []

    class OfServer(ServerInterceptor):
        def intercept(self, method: Any, request: Any, context: Any, method_name: str) -> Any:
            seen.append(method_name)
            if getattr(request, "text", "") == "missing":
                raise exceptions.NotFound("not here")
            return method(request, context)

    class OfClient(ClientInterceptor):
        def intercept(self, method: Any, request_or_iterator: Any, call_details: Any) -> Any:
            seen.append(call_details.method)
            return method(request_or_iterator, call_details)

    class OfAioServer(AsyncServerInterceptor):
        async def intercept(self, method: Any, request: Any, context: Any, method_name: str) -> Any:
            seen.append(method_name)
            if getattr(request, "text", "") == "missing":
                raise exceptions.NotFound("not here")
            result = method(request, context)
            return result if hasattr(result, "__aiter__") else await result

    server, address = serve(add_echo, interceptors=[ExceptionToStatusInterceptor(), OfServer()])
    with grpc.insecure_channel(address) as channel:
        stub = dropin_pb2_grpc.EchoStub(grpc.intercept_channel(channel, OfClient()))
        call_all(stub)
        try:
            stub.Unary(Message(text="missing"))
        except grpc.RpcError as error:
            print(error.code(), error.details())
    server.stop(None).wait()
    asyncio.run(aio_all([AsyncExceptionToStatusInterceptor(), OfAioServer()]))
    print(seen)


def telemetry() -> None:
    from opentelemetry import trace
    from opentelemetry.instrumentation.grpc import (
        GrpcAioInstrumentorClient,
        GrpcAioInstrumentorServer,
        GrpcInstrumentorClient,
        GrpcInstrumentorServer,
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider, finished = InMemorySpanExporter(), TracerProvider(), threading.Semaphore(0)

    class Counting(SimpleSpanProcessor):
        def on_end(self, span: Any) -> None:
            super().on_end(span)
            finished.release()

    provider.add_span_processor(Counting(exporter))
    trace.set_tracer_provider(provider)

    def show(count: int) -> None:
        for _ in range(count):
            assert finished.acquire(timeout=20)
        spans = exporter.get_finished_spans()
        known = {span.context.span_id for span in spans}
        for name, kind, linked, status in sorted(
            (
                span.name,
                span.kind.name,
                span.parent is not None and span.parent.span_id in known,
                span.status.status_code,
            )
            for span in spans
        ):
            print(name, kind, linked, status)
        exporter.clear()

    GrpcInstrumentorServer().instrument()
    GrpcInstrumentorClient().instrument()
    server, address = serve(add_echo)
    with grpc.insecure_channel(address) as channel:
        call_all(dropin_pb2_grpc.EchoStub(channel))
    server.stop(None).wait()
    show(8)
    GrpcInstrumentorServer().uninstrument()
    GrpcInstrumentorClient().uninstrument()
    GrpcAioInstrumentorServer().instrument()
    GrpcAioInstrumentorClient().instrument()
    asyncio.run(aio_all())
    show(10)


def otlp() -> None:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    names, attempts = [], []

    class Collector(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            attempts.append(1)
            if len(attempts) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "again")
            scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
            names.extend(span.name for scope in scopes for span in scope.spans)
            return trace_service_pb2.ExportTraceServiceResponse()

    server, address = serve(
        lambda server: trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)
    )
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, insecure=True)))
    for number in range(3):
        with provider.get_tracer("tests").start_as_current_span(f"span {number}"):
            pass
    provider.force_flush()
    provider.shutdown()
    print(names, len(attempts))
    server.stop(None).wait()


def pubsub() -> None:
    from google.cloud import pubsub_v1
    from google.protobuf import empty_pb2
    from google.pubsub_v1 import types

    published: queue.Queue[Any] = queue.Queue()
    acknowledged: list[str] = []
    all_acknowledged = threading.Event()

    def acknowledge(identifiers: Any) -> None:
        acknowledged.extend(identifiers)
        if len(acknowledged) >= 5:
            all_acknowledged.set()

    def publish(request: Any, context: Any) -> Any:
        for message in request.messages:
            published.put(message)
        return types.PublishResponse(message_ids=[str(number) for number, _ in enumerate(request.messages)])

    def pull(requests: Any, context: Any) -> Any:
        gone = threading.Event()
        context.add_callback(gone.set)

        def read() -> None:
            try:
                for request in requests:
                    acknowledge(request.ack_ids)
            except Exception:
                return

        threading.Thread(target=read, daemon=True).start()
        number = 0
        while not gone.is_set():
            try:
                message = published.get(timeout=0.05)
            except queue.Empty:
                continue
            number += 1
            received = types.ReceivedMessage(ack_id=f"a{number}", message=message)
            yield types.StreamingPullResponse(received_messages=[received])

    def answer_nothing(request: Any, context: Any) -> Any:
        acknowledge(getattr(request, "ack_ids", []) if isinstance(request, types.AcknowledgeRequest) else [])
        return empty_pb2.Empty()

    def handler(kind: str, function: Any, request: Any, response: Any) -> Any:
        serializer = getattr(response, "serialize", None) or response.SerializeToString
        return getattr(grpc, f"{kind}_rpc_method_handler")(function, request.deserialize, serializer)

    publisher_methods = {
        "Publish": handler("unary_unary", publish, types.PublishRequest, types.PublishResponse),
        "CreateTopic": handler("unary_unary", lambda request, context: request, types.Topic, types.Topic),
    }
    subscriber_methods = {
        "StreamingPull": handler("stream_stream", pull, types.StreamingPullRequest, types.StreamingPullResponse),
        "Acknowledge": handler("unary_unary", answer_nothing, types.AcknowledgeRequest, empty_pb2.Empty),
        "ModifyAckDeadline": handler("unary_unary", answer_nothing, types.ModifyAckDeadlineRequest, empty_pb2.Empty),
    }
    generic = grpc.method_handlers_generic_handler
    handlers = (
        generic("google.pubsub.v1.Publisher", publisher_methods),
        generic("google.pubsub.v1.Subscriber", subscriber_methods),
    )
    server, address = serve(lambda server: server.add_generic_rpc_handlers(handlers))
    os.environ |= {"PUBSUB_EMULATOR_HOST": address, "PUBSUB_PROJECT_ID": "project"}
    publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    topic = publisher.topic_path("project", "topic")
    print(publisher.create_topic(name=topic).name)
    sent = [publisher.publish(topic, f"message {number}".encode(), key="value") for number in range(5)]
    print(len([one.result(timeout=20) for one in sent]))
    got, have_all = [], threading.Event()

    def receive(message: Any) -> None:
        got.append(message.data)
        message.ack()
        if len(got) == 5:
            have_all.set()

    pulling = subscriber.subscribe(subscriber.subscription_path("project", "s"), callback=receive)
    print(have_all.wait(20), sorted(got), all_acknowledged.wait(20))
    pulling.cancel()
    print(pulling.result(timeout=20))
    subscriber.close()
    publisher.stop()
    server.stop(None).wait()


def qdrant() -> None:
    import qdrant_client.grpc as wire
    from qdrant_client import AsyncQdrantClient, QdrantClient, models
    from qdrant_client.grpc import collections_service_pb2_grpc, points_service_pb2_grpc

    stored: dict[int, Any] = {}

    class Points(points_service_pb2_grpc.PointsServicer):
        def Upsert(self, request: Any, context: Any) -> Any:
            stored.update({point.id.num: point for point in request.points})
            result = wire.UpdateResult(operation_id=1, status=wire.UpdateStatus.Completed)
            return wire.PointsOperationResponse(result=result)

        def Get(self, request: Any, context: Any) -> Any:
            found = [wire.RetrievedPoint(id=one, payload=stored[one.num].payload) for one in request.ids]
            return wire.GetResponse(result=found)

        def Count(self, request: Any, context: Any) -> Any:
            return wire.CountResponse(result=wire.CountResult(count=len(stored)))

    class Collections(collections_service_pb2_grpc.CollectionsServicer):
        def List(self, request: Any, context: Any) -> Any:
            return wire.ListCollectionsResponse(collections=[wire.CollectionDescription(name="books")])

        def Create(self, request: Any, context: Any) -> Any:
            return wire.CollectionOperationResponse(result=True)

    server, address = serve(
        lambda server: points_service_pb2_grpc.add_PointsServicer_to_server(Points(), server),
        lambda server: collections_service_pb2_grpc.add_CollectionsServicer_to_server(Collections(), server),
    )
    where = {"host": "127.0.0.1", "port": 1, "grpc_port": int(address.rpartition(":")[2]), "prefer_grpc": True}
    client = QdrantClient(**where, check_compatibility=False)
    print([collection.name for collection in client.get_collections().collections])
    vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    print(client.create_collection("books", vectors_config=vectors))
    point = models.PointStruct(id=1, vector=[0.1, 0.2], payload={"title": "Emma"})
    print(client.upsert("books", [point]).status, client.count("books").count, client.retrieve("books", [1])[0].payload)
    client.close()

    async def main() -> None:
        client = AsyncQdrantClient(**where, check_compatibility=False)
        print((await client.count("books")).count)
        await client.close()

    asyncio.run(main())
    server.stop(None).wait()


if __name__ == "__main__":
    {
        "health": health_and_reflection,
        "interceptor": interceptor,
        "telemetry": telemetry,
        "otlp": otlp,
        "pubsub": pubsub,
        "qdrant": qdrant,
    }[sys.argv[1]]()
