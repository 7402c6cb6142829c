"""The same service config, servers and calls for grpcio's client and ours: both choose alike.

Servers are two of ours and two of grpcio's.
"""

import asyncio
import collections
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from catenet.rpc import Channel, ChannelOptions, Code, Kind, Method, RpcError, Server, ServiceDescriptor
from catenet.rpc.client.service_config import parse_service_config
from catenet.rpc.model.load_report import LOAD_METADATA, LoadReport
from catenet.rpc.services.health import Health

WHO = Method("t.Pool", "Who", Kind.UNARY, StringValue, StringValue)
CODERS = {
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": StringValue.FromString,
}
LOADS = {"a": 0.1, "b": 0.2, "c": 0.4, "d": 0.4}
"""What the servers say of their load, all at 100 calls a second."""


def report(name):
    return LoadReport(cpu_utilization=LOADS[name], rps=100).encode()


class Ours:
    __service__ = ServiceDescriptor("t.Pool", (WHO,))

    def __init__(self, name):
        self.name = name
        self.fails = False

    async def who(self, request, context):
        if self.fails:
            context.abort(Code.UNAVAILABLE, self.name)
        context.set_trailing_metadata([(LOAD_METADATA, report(self.name))])
        return StringValue(value=self.name)


class Theirs(grpc.GenericRpcHandler):
    def __init__(self, name):
        self.name = name

    def service(self, details):
        async def who(request, context):
            context.set_trailing_metadata([(LOAD_METADATA, report(self.name))])
            return StringValue(value=self.name)

        if details.method != WHO.path:
            return None
        coders = {"request_deserializer": StringValue.FromString, "response_serializer": StringValue.SerializeToString}
        return grpc.unary_unary_rpc_method_handler(who, **coders)


@asynccontextmanager
async def pool():
    """Yield the target of four servers, a to d; the implementations of a and b, and their healths."""
    services, healths = [Ours("a"), Ours("b")], [Health(), Health()]
    ours = [Server([service, health]) for service, health in zip(services, healths, strict=True)]
    places = [(await server.listen("tcp://127.0.0.1:0")).url.removeprefix("tcp://") for server in ours]
    theirs = [grpc.aio.server(), grpc.aio.server()]
    for name, server in zip("cd", theirs, strict=True):
        server.add_generic_rpc_handlers([Theirs(name)])
        places.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
    try:
        yield f"ipv4:{','.join(places)}", services, healths
    finally:
        for server in ours:
            await server.close()
        for server in theirs:
            await server.stop(None)


@asynccontextmanager
async def grpcio(target, config):
    """Yield a function that calls by grpcio: it returns who has answered, or the code."""
    options = [("grpc.service_config", json.dumps(config)), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stub = channel.unary_unary(WHO.path, **CODERS)

        async def call(**options):
            try:
                return (await stub(StringValue(), wait_for_ready=True, **options)).value
            except grpc.aio.AioRpcError as error:
                return error.code().name

        yield call


@asynccontextmanager
async def catenet(target, config):
    """The same by our channel."""
    options = ChannelOptions(service_config=parse_service_config(config))
    async with Channel(target, options=options) as channel:

        async def call(**options):
            try:
                return (await channel.unary(WHO, StringValue(), wait_for_ready=True, **options)).value
            except RpcError as error:
                return error.code.name

        yield call


CLIENTS = pytest.mark.parametrize("client", [grpcio, catenet])


def policy(name, **settings):
    return {"loadBalancingConfig": [{name: settings}]}


async def until_all_answer(call, names):
    """Call until each of the names has answered."""
    missing = set(names)
    async with asyncio.timeout(30):
        while missing:
            missing.discard(await call())


@CLIENTS
def test_pick_first_takes_the_first(client):
    async def main():
        async with pool() as (target, _, _), client(target, policy("pick_first")) as call:
            assert [await call() for _ in range(5)] == ["a"] * 5

    asyncio.run(main())


@CLIENTS
def test_round_robin_takes_all_in_turn(client):
    async def main():
        async with pool() as (target, _, _), client(target, policy("round_robin")) as call:
            await until_all_answer(call, "abcd")
            assert collections.Counter([await call() for _ in range(40)]) == dict.fromkeys("abcd", 10)

    asyncio.run(main())


@CLIENTS
def test_weighted_round_robin_follows_the_reports(client):
    """Weights are 1000, 500, 250 and 250."""

    async def main():
        config = policy("weighted_round_robin", blackoutPeriod="0s", weightUpdatePeriod="0.1s")
        async with pool() as (target, _, _), client(target, config) as call, asyncio.timeout(30):
            counts = {}
            while not (95 <= counts.get("a", 0) <= 105 and 45 <= counts.get("b", 0) <= 55):  # until all have reported
                counts = collections.Counter([await call() for _ in range(200)])
            assert 20 <= counts["c"] <= 30 and 20 <= counts["d"] <= 30

    asyncio.run(main())


@CLIENTS
def test_outlier_detection_ejects_who_fails(client):
    async def main():
        config = policy(
            "outlier_detection_experimental",
            interval="0.2s",
            maxEjectionPercent=50,
            failurePercentageEjection={"minimumHosts": 3, "requestVolume": 5},
            childPolicy=[{"round_robin": {}}],
        )
        async with pool() as (target, services, _), client(target, config) as call, asyncio.timeout(30):
            await until_all_answer(call, "abcd")
            services[1].fails = True
            good = 0
            while good < 100:  # once it is ejected, for half a minute
                good = good + 1 if await call() != "UNAVAILABLE" else 0
                await asyncio.sleep(0.001)

    asyncio.run(main())


@CLIENTS
def test_who_says_that_it_does_not_serve_gets_no_calls(client):
    async def main():
        config = {**policy("round_robin"), "healthCheckConfig": {"serviceName": ""}}
        async with pool() as (target, _, healths), client(target, config) as call, asyncio.timeout(30):
            await until_all_answer(call, "abcd")  # c and d have no health checking, and count as healthy
            healths[0].mask()
            others = 0
            while others < 30:
                others = others + 1 if await call() != "a" else 0
            healths[0].mask(False)
            await until_all_answer(call, "a")

    asyncio.run(main())


KEYS = [f"user {number}" for number in range(60)]
SCRIPT = f"""
import json, sys, grpc
from google.protobuf.wrappers_pb2 import StringValue
target, config = sys.argv[1:]
with grpc.insecure_channel(target, options=[("grpc.service_config", config)]) as channel:
    stub = channel.unary_unary({WHO.path!r}, StringValue.SerializeToString, StringValue.FromString)
    answers = [stub(StringValue(), wait_for_ready=True, timeout=30, metadata=[("x-user", key)]).value for key in {KEYS}]
print(json.dumps(answers))
"""


def test_keys_lead_where_those_of_grpcio_lead():
    """The switch of gRFC A76 is read once in a process, so grpcio has one of its own."""

    async def main():
        config = policy("ring_hash_experimental", requestHashHeader="x-user")
        async with pool() as (target, _, _):
            async with catenet(target, config) as call:
                ours = [await call(metadata=[("x-user", key)]) for key in KEYS]
            environment = {**os.environ, "GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY": "true"}
            words = [sys.executable, "-c", SCRIPT, target, json.dumps(config)]
            theirs = await asyncio.to_thread(
                subprocess.run, words, env=environment, capture_output=True, text=True, timeout=60
            )
            assert json.loads(theirs.stdout or "[]") == ours, theirs.stderr
            assert set(ours) == set("abcd")

    asyncio.run(main())
