import json

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catenet.codec import CODECS, JSON, PROTO, CodecError, JsonCodec, ProtobufCodec


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_there_and_back(codec, every):
    message = every(an_int64=-(2**63), a_string="Größe \U0001f3ae", by_name={"a": 1, "b": 2}, a_bytes=b"\xff\x00")
    message.children.add().maybe_int32 = 0
    data = codec.encode(message)
    assert isinstance(data, bytes)
    assert codec.decode(every, data) == message


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\xff", b"\x72\x02\xc3\x28", b"\xff" * 20])
def test_protobuf_that_is_none(data, every):
    with pytest.raises(CodecError, match=r"every\.Every"):
        PROTO.decode(every, data)


def test_stable_protobuf(every):
    codec = ProtobufCodec(stable=True)
    one = every(by_name={"a": 1, "b": 2, "c": 3})
    other = every(by_name={"c": 3, "b": 2, "a": 1})
    assert codec.encode(one) == codec.encode(other)


def test_json_is_canonical(every):
    message = every(an_int64=5, a_colour=1, a_bytes=b"\xff\xfe", renamed="x", maybe_int32=0)
    message.length.FromMilliseconds(1500)
    assert json.loads(JSON.encode(message)) == {
        "anInt64": "5",
        "aColour": "RED",
        "aBytes": "//4=",
        "another-name": "x",
        "maybeInt32": 0,
        "length": "1.500s",
    }


def test_json_accepts_both_spellings(every):
    assert JSON.decode(every, b'{"an_int32": 1, "aString": "x"}') == every(an_int32=1, a_string="x")


def test_unknown_fields(every):
    assert JSON.decode(every, b'{"no_such": {"deep": [1]}, "anInt32": 3}') == every(an_int32=3)
    with pytest.raises(CodecError, match="no_such"):
        JsonCodec(ignore_unknown=False).decode(every, b'{"no_such": 1}')


BAD_JSON = [
    b"",
    b"{",
    b"nonsense",
    b"[]",
    b"3",
    b'"text"',
    b"\xff\xfe",
    b'{"anInt32": "x"}',
    b'{"anInt32": 2147483648}',
    b'{"anInt32": 1.5}',
    b'{"aBool": "true"}',
    b'{"aString": 3}',
    b'{"children": {}}',
    b'{"byName": []}',
    b'{"when": 3}',
    b'{"when": "yesterday"}',
    b'{"anything": {"@type": 3}}',
    b'{"anything": {"@type": "nowhere/no.Such"}}',
    b'{"text": "a", "number": 1}',
    b'{"anInt32": 1, "anInt32": 2}',
    b'{"someInt64": [null]}',
    b'{"mask": 4}',
    b'{"structure": 4}',
    b'{"values": 4}',
    b'{"wrapped": {}}',
    b'{"length": "1"}',
    b'{"aString": "\\ud800"}',
    b'{"child": ' * 150 + b"{}" + b"}" * 150,
    b"[" * 100_000,
    b'{"aDouble": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("data", BAD_JSON, ids=lambda data: repr(data[:40]))
def test_bad_json_is_the_one_error(data, every):
    with pytest.raises(CodecError) as caught:
        JSON.decode(every, data)
    assert str(caught.value)


_NAMES = (
    "anInt32 aUint64 aFloat aBool aString aBytes aColour child someInt64 children byName byNumber byTruth text nothing "
    "when length structure anything wrapped mask value values empty whens @type an_int32 maybeInt32 another-name"
)
_KEYS = st.sampled_from(_NAMES.split())
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["RED", "1"])
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=8
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_KEYS, _JSON, max_size=4))
def test_any_json_gives_a_message_or_the_one_error(every, value):
    try:
        message = JSON.decode(every, json.dumps(value).encode())
    except CodecError:
        return
    JSON.decode(every, JSON.encode(message))


def test_a_value_that_json_cannot_say():
    with pytest.raises(CodecError):
        JSON.encode(Struct(fields={"x": {"number_value": float("nan")}}))


def test_not_a_message_of_the_codec():
    assert JSON.decode(Empty, b"{}") == Empty()
