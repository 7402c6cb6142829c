"""Load balancing and keepalive beside grpc-go: its servers, and its client as the oracle of a ring."""

import asyncio
import collections
import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from tests.peers import UNPACKED, tool

from catenet.rpc import Channel, ChannelOptions, Kind, Method
from catenet.rpc.client.service_config import parse_service_config

pytestmark = [pytest.mark.peer, pytest.mark.slow(30)]

VERSION = "v1.85.0"
SOURCE = Path(__file__).parent / "go" / "main.go"
WHO = Method("t.Pool", "Who", Kind.UNARY, StringValue, StringValue)
LOADS = {"a": 0.1, "b": 0.2, "c": 0.4}


@pytest.fixture(scope="module")
def program():
    """The peer, built from modules of the Go module proxy, once for a source."""
    go, folder = tool("go"), UNPACKED / "rpc-go"
    built, kept = folder / "pool", folder / "main.go"
    if built.exists() and kept.read_text() == SOURCE.read_text():
        return str(built)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(SOURCE, folder)
    for words in (
        ["mod", "init", "catenet.example/pool"],
        ["get", f"google.golang.org/grpc@{VERSION}"],
        ["mod", "tidy"],
        ["build", "-o", "pool", "."],
    ):
        done = subprocess.run([go, *words], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            kept.unlink()
            pytest.skip(f"needs grpc-go: go {words[0]}: {done.stderr.strip()[-300:]}")
    return str(built)


@contextlib.contextmanager
def serving(program):
    """Servers a, b and c; yield their places."""
    with contextlib.ExitStack() as stack:
        places = []
        for name, load in LOADS.items():
            process = subprocess.Popen([program, "serve", name, str(load)], stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            stack.enter_context(process.stdout)
            places.append(process.stdout.readline().strip())
        yield places


def channel_to(places, config, **more):
    options = ChannelOptions(service_config=parse_service_config(config), **more)
    return Channel(f"ipv4:{','.join(places)}", options=options)


async def who(channel, pause="", **options):
    return (await channel.unary(WHO, StringValue(value=pause), wait_for_ready=True, **options)).value


def test_its_load_reports_are_weights(program):
    policy = {"weighted_round_robin": {"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}}
    config = {"loadBalancingConfig": [policy], "healthCheckConfig": {"serviceName": ""}}

    async def main(places):
        async with channel_to(places, config) as channel, asyncio.timeout(30):
            counts = {}
            while not (115 <= counts.get("a", 0) <= 125 and 55 <= counts.get("b", 0) <= 65):
                counts = collections.Counter([await who(channel) for _ in range(210)])
            assert 25 <= counts["c"] <= 35

    with serving(program) as places:
        asyncio.run(main(places))


def test_keys_lead_where_those_of_its_client_lead(program):
    config = {"loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": "x-user"}}]}
    keys = [f"user {number}" for number in range(60)]

    async def main(places):
        async with channel_to(places, config) as channel:
            return [await who(channel, metadata=[("x-user", key)]) for key in keys]

    with serving(program) as places:
        words = [program, "call", ",".join(places), json.dumps(config), *keys]
        environment = {**os.environ, "GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY": "true"}
        theirs = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
        assert theirs.returncode == 0, theirs.stderr
        ours = asyncio.run(main(places))
        assert json.loads(theirs.stdout) == ours and set(ours) == set("abc")


def test_too_many_pings_for_it_become_fewer(program):
    """Its least interval is five minutes, two hours without calls, unless the program says otherwise."""

    async def main(places):
        fast = ChannelOptions(keepalive_time=0.02, keepalive_without_calls=True)
        async with Channel(f"tcp://{places[0]}", options=fast) as channel, asyncio.timeout(30):
            assert await who(channel) == "a"
            dial = channel.connections()._dialler._dial
            while dial.keepalive_time < 0.04:
                await asyncio.sleep(0.01)
            assert await who(channel) == "a"

    with serving(program) as places:
        asyncio.run(main(places))
