"""Carried by uvicorn, hypercorn, granian, gunicorn and waitress: the same calls end as on our RPC server."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from battery import CALLS, LAST, TALKS, TWO_WAYS, outcomes
from echoservice import COUNT, SAY, SUM, Echo, number, serving, text
from tests.peers import tool

from catenet.rpc import Channel, ChannelOptions

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
CONNECT = ChannelOptions(protocol="connect", http1=True)
JSON = ChannelOptions(protocol="connect", codec="json", http1=True)
WEB = ChannelOptions(protocol="grpc-web", http1=True)
CONNECT2 = ChannelOptions(protocol="connect")
WEB2 = ChannelOptions(protocol="grpc-web")
GRPC = ChannelOptions()

WAYS = [
    *[("uvicorn", options) for options in (CONNECT, JSON, WEB)],
    *[("hypercorn", options) for options in (CONNECT, JSON, WEB, CONNECT2, WEB2, GRPC)],
    *[("granian", options) for options in (CONNECT, JSON, WEB, CONNECT2, WEB2)],
    *[("gunicorn", options) for options in (CONNECT, JSON, WEB)],
    *[("waitress", options) for options in (CONNECT, JSON, WEB)],
]
WSGI = ("gunicorn", "waitress")
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent / 'runtime'}"}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Start each server when it is first asked for."""
    pytest.importorskip("uvicorn", reason="needs the servers of requirements-dev.txt")
    running = {}

    def place_of(name):
        if name not in running:
            place = tmp_path_factory.mktemp("hosts") / name
            program = [sys.executable, HERE / "hosts.py", name, place]
            running[name] = subprocess.Popen(program, env=ENVIRONMENT), place
            limit = time.monotonic() + 60
            while not _answers(place):
                assert running[name][0].poll() is None, f"{name} has ended"
                assert time.monotonic() < limit, f"{name} does not begin"
                time.sleep(0.02)
        return str(running[name][1])

    yield place_of
    for process, _ in running.values():
        process.terminate()
    for process, _ in running.values():
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(place):
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(place)) == 0


def _name(options):
    return f"{options.protocol}-{options.codec}-{'HTTP/1.1' if options.http1 else 'HTTP/2'}"


@pytest.mark.parametrize(("name", "options"), WAYS, ids=[f"{name}-{_name(options)}" for name, options in WAYS])
def test_calls_end_as_on_our_rpc_server(hosts, name, options):
    calls = CALLS | (TALKS if name in WSGI or options.http1 else TWO_WAYS) | LAST

    async def main():
        async with serving() as (_, _, url):
            found = []
            for each in (url, f"unix:{hosts(name)}"):
                async with Channel(each, options=options) as channel:
                    found.append(await outcomes(channel, calls))
        if name in WSGI:
            talked = found[1].pop("talks")
            found[0].pop("talks")
            assert "WSGI has no streams both ways" in talked[1]
        assert found[0] == found[1]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian", "gunicorn", "waitress"])
def test_curl(hosts, name):
    words = [tool("curl"), "-s", "-S", "--unix-socket", hosts(name), "-H", "content-type: application/json"]
    for said, answer in [("hello", "hello"), ("fail:NOT_FOUND", {"code": "not_found"})]:
        url = f"http://localhost/{SAY.full_name}"
        got = subprocess.run(
            [*words, "-d", json.dumps(said), url], capture_output=True, text=True, check=True, timeout=60
        )
        if isinstance(answer, str):
            assert json.loads(got.stdout) == answer
        else:
            assert json.loads(got.stdout).items() >= answer.items()
    words[-1] = "content-type: application/connect+json"
    body = b'\0\0\0\0\3"3"'
    url = f"http://localhost/{COUNT.full_name}"
    got = subprocess.run([*words, "--data-binary", "@-", url], input=body, capture_output=True, check=True, timeout=60)
    assert got.stdout == b'\0\0\0\0\3"0"' + b'\0\0\0\0\3"1"' + b'\0\0\0\0\3"2"' + b"\2\0\0\0\2{}"


def test_grpcio_on_hypercorn(hosts):
    grpc = pytest.importorskip("grpc")
    from google.protobuf.wrappers_pb2 import Int64Value, StringValue

    with grpc.insecure_channel(f"unix:{hosts('hypercorn')}") as channel:
        say = channel.unary_unary(f"/{SAY.full_name}", StringValue.SerializeToString, StringValue.FromString)
        assert say(StringValue(value="hello"), timeout=60).value == "hello"
        for text, code, said in [("fail:NOT_FOUND", grpc.StatusCode.NOT_FOUND, "as you wish: 100 %\n")]:
            with pytest.raises(grpc.RpcError) as error:
                say(StringValue(value=text), timeout=60)
            assert (error.value.code(), error.value.details()) == (code, said)
        count = channel.unary_stream(f"/{COUNT.full_name}", Int64Value.SerializeToString, Int64Value.FromString)
        assert [each.value for each in count(Int64Value(value=1000), timeout=60)] == list(range(1000))
        unknown = channel.unary_unary("/test.Echo/None", StringValue.SerializeToString, StringValue.FromString)
        with pytest.raises(grpc.RpcError) as error:
            unknown(StringValue(), timeout=60)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_grpcio_where_there_are_no_trailers(hosts):
    """granian speaks HTTP/2 and has no trailers: whoever calls by gRPC learns what to do, or that it does not work."""
    grpc = pytest.importorskip("grpc")
    from google.protobuf.wrappers_pb2 import StringValue

    options = [("grpc.default_authority", "localhost")]  # it is the path without, which granian refuses
    with grpc.insecure_channel(f"unix:{hosts('granian')}", options=options) as channel:
        say = channel.unary_unary(f"/{SAY.full_name}", StringValue.SerializeToString, StringValue.FromString)
        with pytest.raises(grpc.RpcError) as error:
            say(StringValue(value="hello"), timeout=60)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


class GoogleCodec:
    """connectrpc has messages of its own; this lets it carry those of google.protobuf."""

    def name(self):
        return "proto"

    def encode(self, message):
        return message.SerializeToString()

    def decode(self, data, message_class):
        return message_class.FromString(bytes(data))


@contextlib.asynccontextmanager
async def on_uvicorn(app):
    """Yield the URL of an application on uvicorn, in this process."""
    import uvicorn

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
        serving = asyncio.ensure_future(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.mark.parametrize("protocol", ["CONNECT", "GRPC_WEB"])
def test_connectrpc_on_uvicorn(protocol):
    pytest.importorskip("connectrpc")
    from connectrpc.client import ConnectClient
    from connectrpc.errors import ConnectError
    from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
    from connectrpc.protocol import ProtocolType
    from pyqwest import Client, HTTPTransport

    from catenet.rpc import AsgiApp

    def described(method, kind):
        return MethodInfo(
            name=method.name,
            service_name="test.Echo",
            input=method.request,
            output=method.response,
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=kind,
        )

    async def several():
        for each in range(10):
            yield number(each)

    async def main():
        async with on_uvicorn(AsgiApp([Echo()], prefix="/rpc")) as url:
            client = ConnectClient(
                f"{url}/rpc", codec=GoogleCodec(), protocol=ProtocolType[protocol], http_client=Client(HTTPTransport())
            )
            say = described(SAY, StreamType.UNARY)
            said = await client.execute_unary(request=text("hello"), method=say, headers={}, timeout_ms=60_000)
            assert said.value == "hello"
            with pytest.raises(ConnectError) as error:
                await client.execute_unary(request=text("fail:NOT_FOUND"), method=say, headers={}, timeout_ms=60_000)
            assert error.value.code.value == "not_found"
            stream = client.execute_server_stream(
                request=number(100), method=described(COUNT, StreamType.SERVER_STREAM), timeout_ms=60_000
            )
            assert [each.value async for each in stream] == list(range(100))
            total = await client.execute_client_stream(
                request=several(), method=described(SUM, StreamType.CLIENT_STREAM), timeout_ms=60_000
            )
            assert total.value == 45

    asyncio.run(main())


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian", "gunicorn", "waitress"])
def test_who_calls_on_a_unix_socket_of_theirs_is_not_known(hosts, name):
    async def main():
        async with Channel(f"unix:{hosts(name)}", options=CONNECT) as channel:
            assert (await channel.unary(SAY, text("identity"))).value == "anonymous"

    asyncio.run(main())
