"""What a server counts, as Prometheus' own parser reads it."""

import asyncio
import itertools
import json
import subprocess

import httpx
import pytest
from echoservice import COUNT, SAY, SLEEP, SUM, Echo, failure, number, text, until
from google.protobuf.wrappers_pb2 import StringValue
from prometheus_client.parser import text_string_to_metric_families
from tests.peers import environment, tool

from catenet.http.server.server import serve
from catenet.rpc import AsgiApp, Channel, ChannelOptions, Guard, Kind, Method, Metrics, Server
from catenet.rpc.model.metrics import exposition
from catenet.rpc.policy.rules import Policy
from catenet.rpc.services.metrics import MetricsPage, connection_families, process_families
from catenet.rpc.services.telemetry import SeveralMetrics, TelemetryMetrics

STARTED = "grpc_server_call_started_total"
DURATION = "grpc_server_call_duration_seconds"
RECEIVED = "grpc_server_call_rcvd_total_compressed_message_size_bytes"
SENT = "grpc_server_call_sent_total_compressed_message_size_bytes"

WIRES = [
    ChannelOptions(),
    ChannelOptions(protocol="grpc-web"),
    ChannelOptions(protocol="connect", http1=True),
]


def read(metrics, *more):
    """All samples: (name, labels without bounds) to value, buckets in order."""
    samples = {}
    for family in text_string_to_metric_families(exposition([*metrics.families(), *itertools.chain(*more)])):
        for sample in family.samples:
            labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
            if sample.name.endswith("_bucket"):
                samples.setdefault((sample.name, labels), []).append((float(sample.labels["le"]), sample.value))
            else:
                assert (sample.name, labels) not in samples
                samples[sample.name, labels] = sample.value
    return samples


def of(method, status=None):
    labels = {"grpc_method": method.full_name if isinstance(method, Method) else method}
    return tuple(sorted({**labels, **({} if status is None else {"grpc_status": status})}.items()))


@pytest.mark.parametrize("options", WIRES)
def test_what_is_counted_of_a_call(options):
    metrics = Metrics()

    async def main():
        echo = Echo()
        async with Server([echo], metrics=metrics) as server:
            url = (await server.listen("tcp://127.0.0.1:0")).url
            assert read(metrics)[STARTED, of(SAY)] == 0
            async with Channel(url, options=options) as channel:
                for _ in range(3):
                    await channel.unary(SAY, text("hello"))
                await channel.unary(SAY, text("later:on"))
                await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
                await failure(channel.unary(SAY, text("raise:")))
                assert len([each async for each in channel.server_stream(COUNT, number(100))]) == 100
                await channel.client_stream(SUM, [number(7)] * 5)
                call = asyncio.ensure_future(channel.unary(SLEEP, text("19")))
                await echo.started.wait()
                assert read(metrics)["catenet_rpc_calls", of(SLEEP)] == 1
                call.cancel()
                await until(lambda: (f"{DURATION}_count", of(SLEEP, "CANCELLED")) in read(metrics))
                await failure(channel.unary(SLEEP, text("19"), timeout=0.01))

    asyncio.run(main())
    found = read(metrics)
    assert found[STARTED, of(SAY)] == 6
    assert found[f"{DURATION}_count", of(SAY, "OK")] == 4
    assert found[f"{DURATION}_count", of(SAY, "NOT_FOUND")] == 1
    assert found[f"{DURATION}_count", of(SAY, "UNKNOWN")] == 1
    assert found[f"{RECEIVED}_sum", of(SAY, "OK")] == 3 * 7 + 10 == found[f"{SENT}_sum", of(SAY, "OK")]
    assert found[f"{SENT}_sum", of(SAY, "NOT_FOUND")] == 0
    assert found[f"{SENT}_sum", of(COUNT, "OK")] == 99 * 2
    assert found[f"{RECEIVED}_sum", of(SUM, "OK")] == 5 * 2
    assert all(found["catenet_rpc_calls", of(method)] == 0 for method in (SAY, COUNT, SUM, SLEEP))
    buckets = found[f"{DURATION}_bucket", of(SAY, "OK")]
    assert len(buckets) == 42 and buckets[-1] == (float("inf"), 4)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)


def test_what_callers_ask_for_makes_no_series():
    metrics = Metrics()

    async def main():
        async with Server([Echo()], metrics=metrics) as server:
            url = (await server.listen("tcp://127.0.0.1:0")).url
            async with Channel(url) as channel, httpx.AsyncClient(base_url=url.replace("tcp", "http")) as client:
                await client.post("/test.Echo/None", json={})
                await failure(channel.unary(Method("none", "M", Kind.UNARY, StringValue, StringValue), text("")))
                before = len(read(metrics))
                for each in range(200):
                    await client.post(f"/x{each}.Y/Z{each}", json={})
                    method = Method(f"x{each}.Y", 'Z"', Kind.UNARY, StringValue, StringValue)
                    await failure(channel.unary(method, text("")))
                assert len(read(metrics)) == before
                assert read(metrics)[STARTED, of("other")] == 402
                await client.post(f"/{SAY.full_name}", content=b"{", headers={"content-type": "text/plain"})
                assert read(metrics)["catenet_rpc_refused_requests_total", (("http_status", "415"),)] == 1
                assert read(metrics)[STARTED, of("other")] == 402

    asyncio.run(main())


def test_what_a_guard_refuses_is_counted_too():
    metrics = Metrics()

    async def main():
        async with Server([Echo()], metrics=metrics, guard=Guard(Policy())) as server:
            async with Channel((await server.listen("tcp://127.0.0.1:0")).url) as channel:
                await failure(channel.unary(SAY, text("hello")))

    asyncio.run(main())
    found = read(metrics)
    assert found[STARTED, of(SAY)] == 1
    assert found[f"{DURATION}_count", of(SAY, "UNAUTHENTICATED")] == 1


def test_mounted_services_are_counted_and_their_page_is_mounted_beside():
    from starlette.applications import Starlette
    from starlette.routing import Mount

    metrics = Metrics()

    async def main():
        app = Starlette(
            routes=[Mount("/rpc", app=AsgiApp([Echo()], metrics=metrics)), Mount("/metrics", app=MetricsPage(metrics))]
        )
        async with await serve(app, "http://127.0.0.1:0") as host, httpx.AsyncClient(base_url=host.urls[0]) as client:
            await client.post(f"/rpc/{SAY.full_name}", json="hello")
            page = await client.get("/metrics/")
            assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert f'{STARTED}{{grpc_method="test.Echo/Say"}} 1\n' in page.text

    asyncio.run(main())


def test_a_page_for_this_machine_is_not_there_under_other_names():
    async def main():
        async with await serve(MetricsPage(Metrics(), local=True), "http://127.0.0.1:0") as host:
            async with httpx.AsyncClient(base_url=host.urls[0]) as client:
                assert (await client.get("/metrics")).status_code == 200
                assert (await client.get("/metrics", headers={"host": "evil.example"})).status_code == 403
                assert (await client.get("/other")).status_code == 404
                assert (await client.post("/metrics")).status_code == 405

    asyncio.run(main())


def test_workers_become_one_exposition():
    workers = []
    for each in range(3):
        metrics = Metrics()
        metrics.method("a.B/C").begin()
        families = metrics.families((("worker", str(each)),)) + process_families((("worker", str(each)),))
        workers += json.loads(json.dumps(families))
    families = list(text_string_to_metric_families(exposition(workers)))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    (started,) = [family for family in families if family.name == "grpc_server_call_started"]
    assert [sample.labels["worker"] for sample in started.samples] == ["0", "1", "2"]


def test_labels_cannot_leave_their_quotes():
    metrics = Metrics()
    metrics.method('a"} 1\nevil{x="\\').begin()
    (started,) = [
        family
        for family in text_string_to_metric_families(exposition(metrics.families()))
        if family.name == "grpc_server_call_started"
    ]
    assert [sample.labels for sample in started.samples] == [{"grpc_method": 'a"} 1\nevil{x="\\'}]


def test_connections_are_counted():
    async def main():
        async with Server([Echo()]) as server:
            async with Channel((await server.listen("tcp://127.0.0.1:0")).url) as channel:
                await channel.unary(SAY, text("a"))
                found = read(Metrics(), connection_families(server))
                assert found["catenet_rpc_connections", ()] == 1
                assert found["catenet_rpc_connections_opened_total", ()] == 1

    asyncio.run(main())


def test_opentelemetry_has_the_same_numbers():
    """By OpenTelemetry's own SDK."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("test")
    metrics = Metrics()

    async def main():
        both = SeveralMetrics([metrics, TelemetryMetrics(meter)])
        async with Server([Echo()], metrics=both) as server:
            async with Channel((await server.listen("tcp://127.0.0.1:0")).url) as channel:
                await channel.unary(SAY, text("hello"))
                await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
                await failure(channel.unary(Method("none", "M", Kind.UNARY, StringValue, StringValue), text("")))

    asyncio.run(main())
    told = {}
    for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            value = point.value if metric.name.endswith("started") else (point.count, point.sum)
            told[metric.name, metric.unit, *sorted(point.attributes.values())] = value
    assert told["grpc.server.call.started", "{call}", "test.Echo/Say"] == 2
    assert told["grpc.server.call.started", "{call}", "other"] == 1
    size = ("grpc.server.call.rcvd_total_compressed_message_size", "By", "OK", "test.Echo/Say")
    assert told[size] == (1, read(metrics)[f"{RECEIVED}_sum", of(SAY, "OK")]) == (1, 7)
    assert told["grpc.server.call.duration", "s", "NOT_FOUND", "test.Echo/Say"][0] == 1


@pytest.mark.peer("promtool")
def test_promtool_finds_nothing_to_say():
    """Prometheus' own linter of expositions: names, units, types, help texts."""
    metrics = Metrics()

    async def main():
        async with Server([Echo()], metrics=metrics) as server:
            async with Channel((await server.listen("tcp://127.0.0.1:0")).url) as channel:
                await channel.unary(SAY, text("hello"))
                await failure(channel.unary(Method("none", "M", Kind.UNARY, StringValue, StringValue), text("")))
            return [*metrics.families(), *connection_families(server), *process_families()]

    told = exposition(asyncio.run(main()))
    command = [tool("promtool"), "check", "metrics"]
    found = subprocess.run(command, input=told, capture_output=True, text=True, env=environment(), timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
