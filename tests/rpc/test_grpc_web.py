import random
from base64 import b64encode

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import given
from hypothesis import strategies as st
from wiretest import METHODS, Result, drive, outgoing, pieces, receive

from catenet.codec import COMPRESSIONS
from catenet.http.message import RequestHead, ResponseHead
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.framing import EnvelopeReader, envelope
from catenet.rpc.protocols.grpc_web import (
    TRAILERS,
    GrpcWebClientWire,
    GrpcWebServerWire,
    TextReader,
    build_trailers,
    parse_trailers,
)
from catenet.rpc.protocols.protocol import Answer

SERVER = GrpcWebServerWire(("proto", "json"), COMPRESSIONS)
LEADING = (("x-game", "tetris"), ("x-raw-bin", b"\0\xff"))
TRAILING = (("x-cost", "3"), ("x-sum-bin", b"\1\2\3"))
ERROR = RpcError(Code.NOT_FOUND, "no größe", [RetryInfo(retry_delay=Duration(seconds=2))])


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("error", [None, ERROR], ids=["ok", "error"])
def test_call(text, kind, compression, error):
    client = GrpcWebClientWire(text)
    out = outgoing(METHODS[kind], codec="json", compression=compression, accepts=("zstd", "gzip", "deflate"))
    out.timeout, out.metadata = 1.5, LEADING
    requests = [b"one", b"", b"three"] if kind.client_streams else [b"request" * 20]
    responses = [b"1", b"", b"3" * 99] if kind.server_streams else [b"response"] if error is None else []
    result = drive(client, SERVER, out, requests, responses, error, LEADING, TRAILING, reply_with=compression)
    assert (result.plan.codec, result.plan.timeout, result.plan.accepts) == ("json", 1.5, ("zstd", "gzip", "deflate"))
    assert set(result.plan.metadata) >= set(LEADING)
    assert result.requests == requests
    assert (result.metadata, result.trailing) == (LEADING, TRAILING)
    if error is None:
        assert (result.error, result.responses) == (None, responses)
    else:
        assert (result.error.code, result.error.message) == (ERROR.code, ERROR.message)
        assert result.error.details == ERROR.details


@given(st.lists(st.binary(max_size=12), max_size=6), st.integers(1, 9), st.booleans())
def test_text_in_pieces_with_and_without_padding(payloads, step, padded):
    text = b"".join(b64encode(envelope(payload)) for payload in payloads)
    if not padded and not text[:-2].count(b"="):
        text = text.rstrip(b"=")
    reader = TextReader(EnvelopeReader(1000))
    frames = [frame for piece in pieces(text, step) for frame in reader.feed(piece)] + reader.finish()
    assert [payload for _, payload in frames] == payloads
    assert reader.buffered == 0


@pytest.mark.parametrize("text", [b"****", b"AA=A", b"A===", b"AAAAA", b"AAAAAA\n"])
def test_text_that_is_not_base64(text):
    reader = TextReader(EnvelopeReader(1000))
    with pytest.raises(RpcError) as caught:
        reader.feed(text)
        reader.finish()
    assert caught.value.code is Code.INTERNAL


def test_trailers():
    fields = ((b"grpc-status", b"0"), (b"x", b"a: b"))
    assert build_trailers(fields) == b"grpc-status: 0\r\nx: a: b\r\n"
    assert parse_trailers(build_trailers(fields)) == fields
    assert parse_trailers(b"Grpc-Status:0\nnonsense\n") == ((b"grpc-status", b"0"),)


def received(fields, body, kind=Kind.SERVER_STREAM):
    result = Result(None)
    receive(GrpcWebClientWire(), outgoing(METHODS[kind]), Answer(ResponseHead(200, fields), body), result)
    return result


WEB = ((b"content-type", b"application/grpc-web+proto"),)


def test_a_status_in_the_head():
    result = received((*WEB, (b"grpc-status", b"5"), (b"grpc-message", b"gone")), b"")
    assert (result.error.code, result.error.message) == (Code.NOT_FOUND, "gone")


@pytest.mark.parametrize(
    "body", [b"", envelope(b"x"), envelope(b"", TRAILERS), envelope(b"x: y\r\n", TRAILERS), envelope(b"", 4)]
)
def test_responses_without_a_status(body):
    assert received(WEB, body).error.code is Code.INTERNAL


@pytest.mark.parametrize("kind", [b"application/grpc", b"text/html", b""])
def test_responses_that_are_not_grpc_web(kind):
    assert received(((b"content-type", kind),), b"").error.code is Code.UNKNOWN


@pytest.mark.parametrize(
    ("verb", "kind", "status"),
    [
        (b"GET", b"application/grpc-web", 405),
        (b"POST", b"application/grpc-web+yaml", 415),
        (b"POST", b"application/grpc-webber", 415),
    ],
)
def test_refusals(verb, kind, status):
    head = RequestHead(verb, b"/t.Test/Unary", ((b"content-type", kind),))
    assert SERVER.recognises(head)
    assert SERVER.plan(head, METHODS[Kind.UNARY], 1).head.status == status


@pytest.mark.parametrize("kind", [b"application/grpc-web-text+proto", b"application/grpc-web"])
def test_an_unknown_method_is_told_in_the_head(kind):
    answer = SERVER.plan(RequestHead(b"POST", b"/t.Test/No", ((b"content-type", kind),)), None, 1)
    result = Result(None)
    receive(GrpcWebClientWire(), outgoing(), answer, result)
    assert result.error.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("kind", "ours"),
    [(b"application/grpc-web", True), (b"application/grpc", False), (b"application/json", False), (b"", False)],
)
def test_recognised(kind, ours):
    assert SERVER.recognises(RequestHead(b"POST", b"/", ((b"content-type", kind),))) is ours


def test_noise_never_breaks_the_reader():
    rng = random.Random(3)
    for _ in range(300):
        body = rng.randbytes(rng.randrange(40))
        error = received(WEB, body).error
        assert error is None or isinstance(error, RpcError)
