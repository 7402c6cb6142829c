"""What no client should send: each gets the right status, and the server goes on serving."""

import asyncio
import gzip
import json
import random

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catenet.http.message import RequestHead, ResponseHead
from catenet.rpc import Channel, ChannelOptions, Code, Kind, Method, RpcError, Server, ServerOptions, ServiceDescriptor
from catenet.rpc.protocols.connect_json import parse_end_of_stream
from catenet.rpc.protocols.framing import envelope
from catenet.rpc.protocols.grpc import GrpcClientWire, GrpcServerWire
from catenet.rpc.protocols.grpc_web import parse_trailers

LIMIT = 1000
SAY = Method("t.Bad", "Say", Kind.UNARY, StringValue, StringValue)
CHAT = Method("t.Bad", "Chat", Kind.BIDI, StringValue, StringValue)
BOMB = gzip.compress(bytes(1 << 24), mtime=0)
HELLO = StringValue(value="hello").SerializeToString()


class Bad:
    __service__ = ServiceDescriptor("t.Bad", (SAY, CHAT))

    async def say(self, request, context):
        return request

    async def chat(self, requests, context):
        async for request in requests:
            yield request


def serving(work):
    """Run `work(port)` beside a server, then see that the server still serves."""

    async def main():
        async with Server([Bad()], options=ServerOptions(max_receive=LIMIT)) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            port = int(listener.url.rpartition(":")[2])
            async with asyncio.timeout(60):
                result = await work(port)
                for options in (ChannelOptions(), ChannelOptions(protocol="connect", http1=True)):
                    async with Channel(listener.url, options=options) as channel:
                        response = await channel.unary(SAY, StringValue(value="still there?"), timeout=20.0)
                        assert response.value == "still there?"
            return result

    return asyncio.run(main())


async def http1(port, *pieces, eof=False):
    """Send pieces, return status, fields and body of the answer, read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        if eof:
            writer.write_eof()
        data = await reader.read()
    except ConnectionError:
        data = b""
    finally:
        writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
    return (int(lines[0].split()[1]) if lines[0].startswith(b"HTTP/1.1 ") else 0), fields, body


def post(path, content_type, body, **fields):
    extra = b"".join(b"%s: %s\r\n" % (name.replace("_", "-").encode(), value) for name, value in fields.items())
    return (
        b"POST /t.Bad/%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n"
        % (path.encode(), content_type, len(body), extra)
    ) + body


@pytest.mark.parametrize(
    ("content_type", "body", "fields", "status", "code"),
    [
        (b"application/json", b"{", {}, 400, "invalid_argument"),
        (b"application/json", b"\xff\xfe", {}, 400, "invalid_argument"),
        (b"application/json", b"[" * 900, {}, 400, "invalid_argument"),
        (b"application/proto", b"\x0a\xff", {}, 400, "invalid_argument"),
        (b"application/proto", b"\x0a\x02\xc3\x28", {}, 400, "invalid_argument"),
        (b"application/proto", bytes(LIMIT + 1), {}, 429, "resource_exhausted"),
        (b"application/proto", b"junk", {"content_encoding": b"gzip"}, 400, "invalid_argument"),
        (
            b"application/proto",
            gzip.compress(HELLO, mtime=0)[:-4],
            {"content_encoding": b"gzip"},
            400,
            "invalid_argument",
        ),
        (
            b"application/proto",
            gzip.compress(bytes(1 << 24), mtime=0)[:900],
            {"content_encoding": b"gzip"},
            429,
            "resource_exhausted",
        ),
        (b"application/proto", HELLO, {"content_encoding": b"br"}, 501, "unimplemented"),
        (b"application/proto", HELLO, {"connect_timeout_ms": b"soon"}, 400, "invalid_argument"),
        (b"application/proto", HELLO, {"connect_protocol_version": b"9"}, 400, "invalid_argument"),
        (b"application/proto", HELLO, {"x_raw_bin": b"***"}, 400, "invalid_argument"),
    ],
)
def test_unary_connect(content_type, body, fields, status, code):
    got, _, answer = serving(lambda port: http1(port, post("Say", content_type, body, **fields)))
    assert (got, json.loads(answer)["code"]) == (status, code)


@pytest.mark.parametrize("content_type", [b"text/plain", b"application/yaml", b"", b"application/connect+proto"])
def test_wrong_content_types(content_type):
    status, fields, _ = serving(lambda port: http1(port, post("Say", content_type, HELLO)))
    assert status == 415
    assert b"application/json" in fields[b"accept-post"]


@pytest.mark.parametrize("content_type", [b"application/grpc+yaml", b"application/grpc-web+yaml"])
def test_wrong_codecs(content_type):
    assert serving(lambda port: http1(port, post("Say", content_type, envelope(HELLO))))[0] in (415, 505)


STREAMS = [
    (envelope(HELLO)[:-1], Code.INTERNAL, "ended inside"),
    (b"\x00\x00", Code.INTERNAL, "ended inside"),
    (envelope(HELLO, 0x40), Code.INTERNAL, "unknown flags"),
    (envelope(HELLO, 1), Code.INTERNAL, "compressed message without"),
    (envelope(b"\x0a\xff"), Code.INVALID_ARGUMENT, "no google.protobuf.StringValue"),
    (envelope(bytes(LIMIT + 1)), Code.RESOURCE_EXHAUSTED, "over the limit"),
    (b"\x00\xff\xff\xff\xff", Code.RESOURCE_EXHAUSTED, "over the limit"),
]


@pytest.mark.parametrize(("body", "code", "text"), STREAMS)
def test_streams(body, code, text):
    _, _, answer = serving(lambda port: http1(port, post("Chat", b"application/connect+proto", body)))
    error, _ = parse_end_of_stream(_dechunked(answer)[5:])
    assert error.code is code
    assert text in error.message


@pytest.mark.parametrize("path", ["Chat", "Say"])
@pytest.mark.parametrize(("body", "code", "text"), STREAMS)
def test_grpc_web(path, body, code, text):
    _, fields, answer = serving(lambda port: http1(port, post(path, b"application/grpc-web+proto", body)))
    trailers = dict(parse_trailers(_last_envelope(answer, fields)))
    assert int(trailers[b"grpc-status"]) == code
    assert text in trailers[b"grpc-message"].decode()


def _dechunked(body):
    if not body[:8].partition(b"\r\n")[1]:
        return body
    data, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        data, rest = data + rest[:length], rest[length + 2 :]
        if not length:
            break
    return data


def _last_envelope(body, fields):
    data = body if b"content-length" in fields else _dechunked(body)
    while data[0] != 0x80:
        data = data[5 + int.from_bytes(data[1:5], "big") :]
    return data[5:]


def test_more_than_one_request():
    answer = serving(lambda port: http1(port, post("Say", b"application/grpc-web+proto", envelope(HELLO) * 2)))
    assert int(dict(parse_trailers(_last_envelope(answer[2], answer[1])))[b"grpc-status"]) == Code.UNIMPLEMENTED


def test_an_answer_survives_a_request_that_goes_on():
    """The refusal of a body far over the limit reaches a client that writes on before it reads."""
    body = bytes(1 << 20)

    async def work(port):
        return await http1(
            port, post("Say", b"application/proto", b"")[:-2].replace(b"length: 0", b"length: 1048576") + b"\r\n", body
        )

    status, _, answer = serving(work)
    assert (status, json.loads(answer)["code"]) == (429, "resource_exhausted")


def test_noise_on_the_port():
    async def work(port):
        rng = random.Random(7)
        beginnings = [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"]
        for _ in range(60):
            await http1(port, rng.choice(beginnings) + rng.randbytes(rng.randrange(200)), eof=True)

    serving(work)


class GrpcClientNoise:
    """gRPC whose one request message is whatever the test says; beside the wire, for a compiled class has no heirs."""

    name = "noise"

    def __init__(self, body):
        self._wire, self._body = GrpcClientWire(), body

    def __getattr__(self, name):
        return getattr(self._wire, name)

    def whole_request(self, outgoing, payload, compressed):
        return self._wire.request(outgoing), self._body


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 255)), max_size=4), st.binary(max_size=8))
def test_any_envelopes_over_http2(frames, rest):
    """Real HTTP/2 around bodies that are noise: every call ends with a status."""

    body = b"".join(envelope(payload, flags) for payload, flags in frames) + rest

    async def work(port):
        async with Channel(f"tcp://127.0.0.1:{port}") as channel:
            channel._wire = GrpcClientNoise(body)
            try:
                await channel.unary(SAY, StringValue(value="x"), timeout=20.0)
            except RpcError as error:
                assert error.code not in (Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE), error

    serving(work)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"content-type", b"grpc-timeout", b"grpc-encoding", b"x-bin", b"te"]),
            st.sampled_from([b"application/grpc", b"1S", b"99999999999S", b"gzip", b"*", b"\xff", b""]),
        ),
        max_size=5,
    ),
    st.sampled_from([b"POST", b"GET", b""]),
    st.sampled_from([1, 2]),
)
def test_any_grpc_head_gives_a_plan_or_an_answer(fields, verb, version):
    outcome = GrpcServerWire(("proto",), ("gzip",)).plan(RequestHead(verb, b"/t.Bad/Say", tuple(fields)), SAY, version)
    assert outcome.head.status in (200, 405, 415, 505) if hasattr(outcome, "head") else outcome.codec == "proto"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    b"content-type",
                    b"grpc-status",
                    b"grpc-message",
                    b"grpc-encoding",
                    b"grpc-status-details-bin",
                    b"x-bin",
                ]
            ),
            st.binary(max_size=12),
        ),
        max_size=6,
    ),
    st.integers(100, 599),
)
def test_any_response_head_can_be_read(fields, status):
    from wiretest import outgoing

    reply = GrpcClientWire().reply(outgoing(SAY), ResponseHead(status, tuple(fields)))
    if reply.error is None:
        outcome = GrpcClientWire().outcome(outgoing(SAY), reply, None, tuple(fields), True)
        assert outcome.error is None or isinstance(outcome.error, RpcError)
