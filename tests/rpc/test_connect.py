import json
from urllib.parse import parse_qs

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import given
from hypothesis import strategies as st
from wiretest import METHODS, SAFE, Result, drive, outgoing, receive

from catenet.codec import COMPRESSIONS
from catenet.http.message import RequestHead, ResponseHead
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.connect import ConnectClientWire, ConnectServerWire
from catenet.rpc.protocols.connect_json import build_end_of_stream, parse_end_of_stream
from catenet.rpc.protocols.framing import envelope
from catenet.rpc.protocols.protocol import Answer, Plan

CLIENT = ConnectClientWire()
SERVER = ConnectServerWire(("proto", "json"), COMPRESSIONS)
LEADING = (("x-game", "tetris"), ("x-raw-bin", b"\0\xff"))
TRAILING = (("x-cost", "3"), ("x-sum-bin", b"\1\2\3"))
ERROR = RpcError(Code.NOT_FOUND, "no größe", [RetryInfo(retry_delay=Duration(seconds=2))])


def plan(method=METHODS[Kind.UNARY], verb=b"POST", path=None, server=SERVER, **fields):
    pairs = tuple((name.replace("_", "-").encode(), value) for name, value in fields.items())
    return server.plan(RequestHead(verb, path or method.path.encode(), pairs), method, 2)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("codec", ["proto", "json"])
@pytest.mark.parametrize("error", [None, ERROR], ids=["ok", "error"])
def test_call(kind, compression, codec, error):
    out = outgoing(
        METHODS[kind],
        codec=codec,
        compression=compression,
        accepts=("zstd", "gzip", "deflate"),
        timeout=1.5,
        metadata=LEADING,
    )
    requests = [b"one", b"", b"three"] if kind.client_streams else [b"request" * 20]
    responses = [b"1", b"", b"3" * 99] if kind.server_streams else [b"response"] if error is None else []
    result = drive(CLIENT, SERVER, out, requests, responses, error, LEADING, TRAILING, reply_with=compression)
    assert (result.plan.codec, result.plan.timeout, result.plan.metadata) == (codec, 1.5, LEADING)
    assert result.plan.accepts == ("zstd", "gzip", "deflate")
    assert result.requests == requests
    assert (result.metadata, result.trailing) == (LEADING, TRAILING)
    if error is None:
        assert (result.error, result.responses) == (None, responses)
    else:
        assert (result.error.code, result.error.message, result.error.details) == (
            ERROR.code,
            ERROR.message,
            ERROR.details,
        )


@pytest.mark.parametrize("codec", ["proto", "json"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@given(payload=st.binary(max_size=100))
def test_get(codec, compression, payload):
    out = outgoing(SAFE, codec=codec, compression=compression, use_get=True, timeout=0.25, metadata=LEADING)
    result = drive(CLIENT, SERVER, out, [payload], [b"answer"])
    assert result.requests == [payload]
    assert (result.plan.timeout, result.plan.metadata) == (0.25, LEADING)
    assert (result.error, result.responses) == (None, [b"answer"])


def test_get_is_only_for_what_changes_nothing():
    assert CLIENT.whole_request(outgoing(use_get=True), b"x", False)[0].method == b"POST"
    head, body = CLIENT.whole_request(outgoing(SAFE, use_get=True), b"\xff\xfe", False)
    assert (head.method, body, head.get(b"content-type")) == (b"GET", b"", None)
    assert parse_qs(head.path.partition(b"?")[2]) == {
        b"connect": [b"v1"],
        b"encoding": [b"proto"],
        b"base64": [b"1"],
        b"message": [b"__4"],
    }
    answer = plan(verb=b"GET")
    assert (answer.head.status, answer.head.get(b"allow")) == (405, b"POST")


def test_a_message_too_long_for_a_target_is_posted():
    head, body = CLIENT.whole_request(outgoing(SAFE, use_get=True), bytes(9000), False)
    assert (head.method, len(body)) == (b"POST", 9000)


@pytest.mark.parametrize("message", ["AAH_", "AAH_", "AAH%2F"])
def test_both_alphabets_of_base64(message):
    path = f"/t.Test/Safe?encoding=proto&base64=1&message={message}"
    assert plan(SAFE, b"GET", path.encode()).message == (0, b"\x00\x01\xff")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 415),
        ("encoding=yaml&message=x", 415),
        ("encoding=json", 400),
        ("encoding=json&message=x&connect=v2", 400),
        ("encoding=json&message=x&compression=lzma", 501),
        ("encoding=proto&message=***&base64=1", 400),
        ("&".join(f"a{index}=1" for index in range(200)), 415),
    ],
)
def test_bad_queries(query, status):
    assert plan(SAFE, b"GET", f"/t.Test/Safe?{query}".encode()).head.status == status


@pytest.mark.parametrize("verb", [b"PUT", b"HEAD", b"OPTIONS", b"DELETE"])
def test_other_methods(verb):
    answer = plan(SAFE, verb, content_type=b"application/json")
    assert (answer.head.status, answer.head.get(b"allow")) == (405, b"GET, POST")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "content_type", [None, b"", b"text/plain", b"application/yaml", b"application/json; charset=latin-1"]
)
def test_unsupported_content_types(kind, content_type):
    fields = {} if content_type is None else {"content_type": content_type}
    answer = plan(METHODS[kind], **fields)
    assert answer.head.status == 415
    assert b"application/connect+json" in answer.head.get(b"accept-post")
    assert answer.body.startswith(f"no content type {(content_type or b'').decode()!r} for ".encode())


def test_unary_and_streaming_content_types_do_not_mix():
    assert plan(content_type=b"application/connect+json").head.status == 415
    assert plan(METHODS[Kind.BIDI], content_type=b"application/json").head.status == 415


@pytest.mark.parametrize("content_type", [b"application/json; charset=utf-8", b"Application/JSON;charset=UTF-8"])
def test_content_type_parameters(content_type):
    assert plan(content_type=content_type).codec == "json"


def test_an_unknown_method():
    head = RequestHead(b"POST", b"/t.Test/Nope?x", ((b"content-type", b"application/json"),))
    answer = SERVER.plan(head, None, 1)
    assert answer.head.status == 404
    assert json.loads(answer.body) == {"code": "unimplemented", "message": "no method /t.Test/Nope here"}


@pytest.mark.parametrize("timeout", [b"", b"x", b"-1", b"1.5", b"12345678901", "١".encode()])
def test_bad_timeouts(timeout):
    answer = plan(content_type=b"application/json", connect_timeout_ms=timeout)
    assert (answer.head.status, json.loads(answer.body)["code"]) == (400, "invalid_argument")


def test_protocol_version():
    strict = ConnectServerWire(("json",), (), require_version=True)
    kind = {"content_type": b"application/json"}
    assert isinstance(plan(server=SERVER, **kind), Plan)
    assert plan(server=strict, **kind).head.status == 400
    assert isinstance(plan(server=strict, connect_protocol_version=b"1", **kind), Plan)
    assert plan(server=SERVER, connect_protocol_version=b"2", **kind).head.status == 400


def test_an_unknown_compression_lists_the_known():
    answer = plan(content_type=b"application/json", content_encoding=b"br")
    assert answer.head.status == 501
    assert "gzip, zstd, deflate" in json.loads(answer.body)["message"]
    assert answer.head.get(b"accept-encoding") == b"gzip,zstd,deflate"
    streaming = plan(METHODS[Kind.BIDI], content_type=b"application/connect+json", connect_content_encoding=b"br")
    assert streaming.head.status == 200
    error, _ = parse_end_of_stream(streaming.body[5:])
    assert error.code is Code.UNIMPLEMENTED


def test_errors_are_readable_json():
    answer = SERVER.whole(plan(content_type=b"application/json"), (), None, "identity", ERROR, ())
    assert answer.head.status == 404
    assert json.loads(answer.body) == {
        "code": "not_found",
        "message": "no größe",
        "details": [{"type": "google.rpc.RetryInfo", "value": "CgIIAg", "debug": {"retryDelay": "2s"}}],
    }


def received(status, fields, body=b"", out=None):
    result = Result(None)
    pairs = tuple((name.replace("_", "-").encode(), value) for name, value in fields.items())
    receive(CLIENT, out or outgoing(), Answer(ResponseHead(status, pairs), body), result)
    return result


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"code": "aborted", "message": "x"}', Code.ABORTED, "x"),
        (b'{"code": "no_such_code", "message": "x"}', Code.UNAVAILABLE, "x"),
        (b'{"message": "x"}', Code.UNAVAILABLE, "x"),
        (b'{"code": 5, "message": 7}', Code.UNAVAILABLE, ""),
        (b'{"code": "aborted", "details": "x"}', Code.ABORTED, ""),
        (b'{"code": "aborted", "details": [1, {}, {"type": "a", "value": "*"}]}', Code.ABORTED, ""),
        (b"[]", Code.UNAVAILABLE, "the error is not a JSON object"),
        (b"{", Code.UNAVAILABLE, ""),
        (b"", Code.UNAVAILABLE, ""),
        (b"[" * 100_000, Code.UNAVAILABLE, ""),
    ],
)
def test_errors_of_other_servers(body, code, message):
    error = received(503, {"content_type": b"application/json", "trailer_x": b"1"}, body).error
    assert (error.code, error.message, error.metadata) == (code, message, (("x", "1"),))


@pytest.mark.parametrize(
    ("status", "code"), [(404, Code.UNIMPLEMENTED), (502, Code.UNAVAILABLE), (500, Code.UNKNOWN), (204, Code.UNKNOWN)]
)
@pytest.mark.parametrize("kind", Kind)
def test_answers_of_what_is_no_rpc_server(status, code, kind):
    result = received(status, {"content_type": b"text/html"}, b"<html>", outgoing(METHODS[kind]))
    assert result.error.code is code


@pytest.mark.parametrize(
    ("kind", "content_type", "code"),
    [
        (Kind.UNARY, b"text/html", Code.UNKNOWN),
        (Kind.UNARY, b"application/json", Code.INTERNAL),
        (Kind.BIDI, b"application/connect+json", Code.INTERNAL),
        (Kind.BIDI, b"application/proto", Code.UNKNOWN),
    ],
)
def test_responses_of_another_content_type(kind, content_type, code):
    assert received(200, {"content_type": content_type}, b"", outgoing(METHODS[kind])).error.code is code


def test_a_response_in_an_encoding_nobody_asked_for():
    fields = {"content_type": b"application/proto", "content_encoding": b"gzip"}
    assert received(200, fields).error.code is Code.INTERNAL


STREAM = {"content_type": b"application/connect+proto"}


@pytest.mark.parametrize("body", [b"", envelope(b"one"), envelope(b"x", 2)[:-1], envelope(b"{}", 0x42)])
def test_streams_without_their_end(body):
    error = received(200, STREAM, body, outgoing(METHODS[Kind.SERVER_STREAM])).error
    assert error.code is Code.INTERNAL


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b'{"metadata": {"a-bin": ["*"]}}'])
def test_damaged_ends_of_streams(payload):
    error, _ = parse_end_of_stream(payload)
    assert error.code is Code.INTERNAL


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_end_of_stream_can_be_read(payload):
    error, metadata = parse_end_of_stream(payload)
    assert error is None or isinstance(error, RpcError)
    assert isinstance(metadata, tuple)


def test_end_of_stream_keeps_several_values():
    data = build_end_of_stream(None, (("a", "1"), ("a", "2"), ("b-bin", b"\0")))
    assert json.loads(data) == {"metadata": {"a": ["1", "2"], "b-bin": ["AA"]}}
    assert parse_end_of_stream(data) == (None, (("a", "1"), ("a", "2"), ("b-bin", b"\0")))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"content-type", b"content-encoding", b"connect-timeout-ms", b"x-bin"]),
            st.sampled_from([b"application/json", b"gzip", b"1", b"application/connect+proto", b"AAA", b"*"]),
        )
    ),
    st.sampled_from([b"GET", b"POST", b"X"]),
    st.sampled_from([*METHODS.values(), SAFE, None]),
    st.binary(max_size=30),
)
def test_any_head_gives_a_plan_or_an_answer(fields, verb, method, query):
    outcome = SERVER.plan(RequestHead(verb, b"/t.Test/X?" + query, tuple(fields)), method, 2)
    assert isinstance(outcome, Plan) or (isinstance(outcome, Answer) and 200 <= outcome.head.status < 600)
