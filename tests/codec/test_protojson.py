"""ProtoJSON against protobuf's own converter."""

import json
import math

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catenet.codec import JSON, CodecError, JsonCodec

_INTEGERS = {
    Field.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    Field.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    Field.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}
_PART = 6
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def scalars(field):
    if field.cpp_type in _INTEGERS:
        return _INTEGERS[field.cpp_type]
    if field.type == Field.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return {
        Field.TYPE_STRING: _TEXT,
        Field.TYPE_BYTES: st.binary(max_size=6),
        Field.TYPE_BOOL: st.booleans(),
        Field.TYPE_FLOAT: st.floats(width=32, allow_nan=False),
        Field.TYPE_DOUBLE: st.floats(allow_nan=False),
    }[field.type]


def fill(draw, message, depth=2):
    """Set some fields of a message at random."""
    for field in draw(
        st.lists(st.sampled_from(list(message.DESCRIPTOR.fields)), unique_by=lambda f: f.name, max_size=5)
    ):
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            value = kind.fields_by_name["value"]
            for key in draw(st.lists(scalars(kind.fields_by_name["key"]), max_size=2, unique=True)):
                if value.message_type is None:
                    getattr(message, field.name)[key] = draw(scalars(value))
                elif depth:
                    fill(draw, getattr(message, field.name)[key], depth - 1)
        elif kind is None:
            single = scalars(field)
            if field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(single, max_size=3)))
            else:
                setattr(message, field.name, draw(single))
        elif kind.full_name == "google.protobuf.Timestamp":
            items = [getattr(message, field.name)] if not field.is_repeated else [getattr(message, field.name).add()]
            items[0].FromNanoseconds(draw(st.integers(-(10**18), 10**18)))
        elif kind.full_name == "google.protobuf.Duration":
            getattr(message, field.name).FromNanoseconds(draw(st.integers(-(10**15), 10**15)))
        elif kind.full_name == "google.protobuf.Int64Value":
            getattr(message, field.name).value = draw(st.integers(-(2**63), 2**63 - 1))
        elif kind.full_name == "google.protobuf.Struct":
            getattr(message, field.name).update({"a": [1, None, "x", {"b": True}]})
        elif kind.full_name == "google.protobuf.FieldMask":
            getattr(message, field.name).paths.append("a_b.c")
        elif kind.full_name.startswith("every.") and depth:
            items = [getattr(message, field.name).add() for _ in range(2)] if field.is_repeated else []
            for item in items or [getattr(message, field.name)]:
                item.SetInParent() if not field.is_repeated else None
                fill(draw, item, depth - 1)
    return message


@st.composite
def messages(draw, message_class):
    return fill(draw, message_class())


def same(one, other):
    """Equality under which 0.0 is not -0.0."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_protobuf_reads_what_we_write_and_the_other_way_round(every, data):
    message = data.draw(messages(every))
    ours = JSON.encode(message)
    assert same(json_format.Parse(ours, every()), message)
    theirs = json_format.MessageToJson(message, ensure_ascii=data.draw(st.booleans())).encode()
    assert same(JSON.decode(every, theirs), message)
    assert alike(json.loads(ours, parse_int=float), json.loads(theirs, parse_int=float))
    original = json_format.MessageToJson(message, preserving_proto_field_name=True).encode()
    assert same(JSON.decode(every, original), message)


@pytest.fixture(scope="module")
def parts(every):
    """Classes of small messages, each with a few of the fields of Every."""
    return [_part(every, first) for first in range(0, len(every.DESCRIPTOR.fields), _PART)]


def _part(every, first):
    pool, file = descriptor_pool.DescriptorPool(), descriptor_pb2.FileDescriptorProto()
    for needed in every.DESCRIPTOR.file.dependencies:
        known = descriptor_pb2.FileDescriptorProto()
        needed.CopyToProto(known)
        pool.Add(known)
    every.DESCRIPTOR.file.CopyToProto(file)
    message = next(one for one in file.message_type if one.name == "Every")
    part = file.message_type.add(name="Part")
    oneofs = []
    for field in message.field[first : first + _PART]:
        kept = part.field.add()
        kept.CopyFrom(field)
        if field.HasField("oneof_index"):
            if field.oneof_index not in oneofs:
                oneofs.append(field.oneof_index)
                part.oneof_decl.add(name=message.oneof_decl[field.oneof_index].name)
            kept.oneof_index = oneofs.index(field.oneof_index)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("every.Part"))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_small_messages_too(parts, data):
    part = data.draw(st.sampled_from(parts))
    message = data.draw(messages(part))
    ours, theirs = JSON.encode(message), json_format.MessageToJson(message).encode()
    assert list(json.loads(ours)) == list(json.loads(theirs))
    assert alike(json.loads(ours, parse_int=float), json.loads(theirs, parse_int=float))
    assert same(JSON.decode(part, b" \n" + theirs + b"\n"), message)
    assert same(JSON.decode(part, ours), message)


def alike(one, other):
    """1 and 1.0 are the same number in JSON, and 130210368 and 130210370 the same float."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return one == other


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"anInt32": 1e5}', {"an_int32": 100_000}),
        ('{"anInt32": "1e5"}', {"an_int32": 100_000}),
        ('{"anInt32": 1.0}', {"an_int32": 1}),
        ('{"anInt64": 9223372036854775807}', {"an_int64": 2**63 - 1}),
        ('{"anInt64": "-9223372036854775808"}', {"an_int64": -(2**63)}),
        ('{"aUint64": "18446744073709551615"}', {"a_uint64": 2**64 - 1}),
        ('{"aDouble": "1.5"}', {"a_double": 1.5}),
        ('{"aDouble": "-Infinity"}', {"a_double": -math.inf}),
        ('{"aBytes": "-_8"}', {"a_bytes": b"\xfb\xff"}),
        ('{"aBytes": "+/8="}', {"a_bytes": b"\xfb\xff"}),
        ('{"aColour": 1}', {"a_colour": 1}),
        ('{"aColour": 77}', {"a_colour": 77}),
        ('{"aColour": "NEGATIVE"}', {"a_colour": -5}),
        ('{"aColour": "BLUE"}', {}),
        ('{"someColour": ["RED", "BLUE"]}', {"some_colour": [1]}),
        ('{"byTruth": {"true": "RED", "false": "BLUE"}}', {"by_truth": {True: 1}}),
        ('{"child": null, "someInt64": null, "byName": null, "when": null}', {}),
        ('{"nothing": null}', {"nothing": 0}),
        ('{"child": {}}', {"child": {}}),
        ('{"aString": "\\ud83c\\udfae"}', {"a_string": "\U0001f3ae"}),
    ],
)
def test_what_is_accepted(every, text, fields):
    assert JSON.decode(every, text.encode()) == every(**fields)


def test_what_is_not_a_number(every):
    message = every(a_double=math.nan, a_float=math.inf, some_double=[-math.inf])
    assert JSON.encode(message) == b'{"aFloat":"Infinity","aDouble":"NaN","someDouble":["-Infinity"]}'
    again = JSON.decode(every, JSON.encode(message))
    assert math.isnan(again.a_double)
    assert (again.a_float, list(again.some_double)) == (math.inf, [-math.inf])


def test_null_is_a_value_of_value(every):
    message = JSON.decode(every, b'{"value": null, "values": [null, 1]}')
    assert message.value.WhichOneof("kind") == "null_value"
    assert len(message.values.values) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"anInt32": "x"}', 'anInt32: must be a whole number, not "x"'),
        ('{"anInt32": 2147483648}', "anInt32: "),
        ('{"anInt32": 1.5}', "anInt32: must be a whole"),
        ('{"anInt32": "1_0"}', "must be a whole"),
        ('{"anInt32": " 1"}', "must be a whole"),
        ('{"anInt32": true}', "must be a whole"),
        ('{"aUint32": -1}', "aUint32: "),
        ('{"aFloat": 1e39}', "beyond the range of a float"),
        ('{"aDouble": 1e400}', "beyond the range of a double"),
        ('{"aDouble": "nan"}', "must be a number"),
        ('{"aDouble": NaN}', "NaN stands without quotes"),
        ('{"aBool": "true"}', "aBool: must be true or false"),
        ('{"aBytes": "*"}', "aBytes: must be base64"),
        ('{"aBytes": "AAAAA"}', "aBytes: must be base64"),
        ('{"child": []}', r"child: must be a JSON object, not \[\]"),
        ('{"child": {"child": {"aString": 3}}}', "child: child: aString: must be text, not 3"),
        ('{"children": [{}, {"aBool": 1}]}', r"children\[1\]: aBool: must be"),
        ('{"someInt64": [1, null]}', r"someInt64\[1\]: must be a whole number, not null"),
        ('{"someInt64": {}}', "someInt64: must be a list"),
        ('{"byName": {"a": "x"}}', r"byName\['a'\]: must be a whole"),
        ('{"byNumber": {"x": {}}}', r"byNumber\['x'\]: must be a whole"),
        ('{"byTruth": {"1": 0}}', r"byTruth\['1'\]: a key must be true or false"),
        ('{"byName": {"a": 1, "a": 2}}', "a: occurs twice"),
        ('{"anInt32": 1, "an_int32": 2}', "an_int32: a field or a oneof is set twice"),
        ('{"text": "a", "number": 1}', "number: a field or a oneof is set twice"),
        ('{"when": 3}', "when: must be text"),
        ('{"when": "yesterday"}', "when: "),
        ('{"wrapped": {}}', "wrapped: must be a whole"),
        ('{"aColour": 1.5}', "aColour: must be a whole"),
        ('{"aString": "\\ud800"}', "aString: "),
        ("[]", r"must be a JSON object, not \[\]"),
        ("\ufeff{}", "BOM|not JSON"),
    ],
)
def test_what_is_refused_is_named(every, text, complaint):
    with pytest.raises(CodecError, match=complaint):
        JSON.decode(every, text.encode())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"aColour": "BLUE"}', "aColour: every.Colour has no value 'BLUE'"),
        ('{"child": {"nope": 1}}', "child: every.Every has no field 'nope'"),
        ('{"[every.nope]": 1}', "every.Every does not have extensions"),
    ],
)
def test_strict(every, text, complaint):
    with pytest.raises(CodecError, match=complaint):
        JsonCodec(ignore_unknown=False).decode(every, text.encode())


def test_depth(every):
    deep = '{"child": ' * 99 + "{}" + "}" * 99
    assert same(JSON.decode(every, deep.encode()), json_format.Parse(deep, every(), max_recursion_depth=200))
    with pytest.raises(CodecError, match="nested more than 100"):
        JSON.decode(every, ('{"child": ' * 101 + "{}" + "}" * 101).encode())


def test_equal_messages_give_equal_bytes(every):
    one, other = every(by_name={"a": 1, "b": 2, "c": 3}), every(by_name={"c": 3, "b": 2, "a": 1})
    assert JSON.encode(one) == JSON.encode(other)
