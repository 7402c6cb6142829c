import re
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiretest import METHODS

from catenet.codec import COMPRESSIONS
from catenet.http.message import RequestHead
from catenet.rpc.model.metadata import check_metadata, decode_metadata, encode_metadata
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.connect import ConnectServerWire
from catenet.rpc.protocols.grpc import GrpcServerWire
from catenet.rpc.protocols.grpc_web import GrpcWebServerWire
from catenet.rpc.protocols.protocol import Answer

_NAMES = st.from_regex(r"x[0-9a-z_.-]{0,8}", fullmatch=True).filter(lambda name: not name.endswith("-bin"))
_TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
_PAIRS = st.tuples(_NAMES, _TEXTS) | st.tuples(_NAMES.map(lambda name: name + "-bin"), st.binary(max_size=20))


@given(st.lists(_PAIRS, max_size=5), st.sampled_from([b"", b"trailer-"]))
def test_there_and_back(pairs, prefix):
    metadata = check_metadata(pairs)
    assert decode_metadata(tuple(encode_metadata(metadata, prefix)), prefix) == metadata


def test_blanks_around_text_do_not_travel():
    assert check_metadata([("x", "  a b "), ("y-bin", b" a ")]) == (("x", "a b"), ("y-bin", b" a "))


def test_padding_is_optional_and_commas_join():
    fields = ((b"a-bin", b"AAE="), (b"a-bin", b"AAE"), (b"b-bin", b"AA==, AQ"))
    assert decode_metadata(fields) == (("a-bin", b"\0\1"), ("a-bin", b"\0\1"), ("b-bin", b"\0"), ("b-bin", b"\1"))


def test_what_is_not_metadata():
    fields = ((b"content-type", b"x"), (b"grpc-status", b"0"), (b"connect-timeout-ms", b"1"), (b"x-game", b"go"))
    assert decode_metadata(fields) == (("x-game", "go"),)


def test_retries_are_spoken_of_in_metadata():
    pairs = (("grpc-retry-pushback-ms", "100"), ("grpc-previous-rpc-attempts", "1"))
    assert decode_metadata(tuple(encode_metadata(check_metadata(pairs)))) == pairs


def test_only_the_prefixed():
    assert decode_metadata(((b"trailer-x", b"1"), (b"y", b"2")), b"trailer-") == (("x", "1"),)


@pytest.mark.parametrize("value", [b"*", b"A", b"AA==A", b"AAE=="])
def test_damaged_base64(value):
    with pytest.raises(RpcError, match="x-bin") as caught:
        decode_metadata(((b"x-bin", value),))
    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (GrpcServerWire, b"application/grpc"),
        (GrpcWebServerWire, b"application/grpc-web"),
        (GrpcWebServerWire, b"application/grpc-web-text"),
        (ConnectServerWire, b"application/proto"),
        (ConnectServerWire, b"application/connect+proto"),
    ],
)
@pytest.mark.parametrize("value", [b"*", b"A", b"AA==, *", b"\xff"])
def test_damaged_base64_of_a_caller_is_the_callers_fault(wire, kind, value):
    method = METHODS[Kind.BIDI if b"connect+" in kind else Kind.UNARY]
    head = RequestHead(b"POST", b"/t.Test/M", ((b"content-type", kind), (b"x-bin", value)))
    answer = wire(("proto",), COMPRESSIONS).plan(head, method, 2)
    assert isinstance(answer, Answer)
    assert answer.head.status == (400 if kind == b"application/proto" else 200)
    body = b64decode(answer.body) if kind.endswith(b"-text") else answer.body
    said = repr((answer.head.fields, body, answer.trailers))
    assert "x-bin" in said
    assert "not" in said
    assert "invalid_argument" in said or re.search(r"grpc-status(', b'|: ?)3\b", said)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("ä", "x"),
        ("a b", "x"),
        ("grpc-status", "0"),
        ("content-type", "x"),
        (":path", "x"),
        ("x", b"x"),
        ("x-bin", "x"),
        ("x", "new\nline"),
        ("x", "ä"),
    ],
)
def test_what_cannot_be_metadata(name, value):
    with pytest.raises(ValueError, match="metadata"):
        check_metadata([(name, value)])


def test_mappings_and_capitals():
    assert check_metadata({"X-Game": "go"}) == (("x-game", "go"),)
