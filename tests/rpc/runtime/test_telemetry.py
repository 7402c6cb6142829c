"""Spans around calls, with a tracer and a propagator that record."""

import asyncio
from contextlib import contextmanager

import pytest
from echoservice import COUNT, SAY, Echo, failure, number, text

from catenet.rpc import Channel, Server
from catenet.rpc.services.telemetry import Telemetry


class Recorder:
    """A tracer and a propagator in one; a trace is a number."""

    def __init__(self):
        self.spans = []

    @contextmanager
    def start_as_current_span(self, name, attributes, context=None, **_):
        span = Span(name, dict(attributes), context)
        self.spans.append(span)
        yield span

    def extract(self, carrier):
        return carrier.get("traceparent")

    def inject(self, carrier):
        carrier["traceparent"] = f"trace-{len(self.spans)}"


class Span:
    def __init__(self, name, attributes, context):
        self.name, self.attributes, self.context = name, attributes, context

    def set_attribute(self, key, value):
        self.attributes[key] = value


def test_client_and_server_spans_belong_together():
    async def main():
        near, far = Recorder(), Recorder()
        server = Server([Echo()], interceptors=[Telemetry(far, far)])
        listener = await server.listen("tcp://127.0.0.1:0")
        async with Channel(listener.url, interceptors=[Telemetry(near, near)]) as channel:
            await channel.unary(SAY, text("x"))
            await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
            await failure(channel.unary(SAY, text("raise:")))
            assert [value.value async for value in channel.server_stream(COUNT, number(3))] == [0, 1, 2]
        await server.close()
        assert [span.name for span in far.spans] == ["test.Echo/Say"] * 3 + ["test.Echo/Count"]
        assert [span.context for span in far.spans[:3]] == ["trace-1", "trace-2", "trace-3"]
        for spans in (near.spans[:3], far.spans[:3]):
            assert [span.attributes["rpc.grpc.status_code"] for span in spans] == [0, 5, 2]
        assert [span.attributes.get("error.type") for span in near.spans[:3]] == [None, "NOT_FOUND", "UNKNOWN"]
        assert [span.attributes.get("error.type") for span in far.spans[:3]] == [None, None, "UNKNOWN"]
        assert far.spans[0].attributes["rpc.method"] == "Say"

    asyncio.run(main())


def test_without_opentelemetry_it_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(ValueError, match="opentelemetry-api"):
        Telemetry()
