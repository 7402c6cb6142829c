"""The rules for XML, beside what the codec does: what they let pass is read as it was meant."""

from __future__ import annotations

import itertools

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import DESCRIPTOR as WRAPPERS

from catenet.codec import XML, CodecError
from catenet.rpc.compat import RULES, compare

F = FieldDescriptorProto
SCALARS = [
    *(F.TYPE_DOUBLE, F.TYPE_FLOAT, F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_INT32, F.TYPE_FIXED64, F.TYPE_FIXED32),
    *(F.TYPE_BOOL, F.TYPE_STRING, F.TYPE_BYTES, F.TYPE_UINT32, F.TYPE_SFIXED32, F.TYPE_SFIXED64, F.TYPE_SINT32),
    F.TYPE_SINT64,
]
WRAPPER = {
    F.TYPE_INT32: "Int32Value",
    F.TYPE_STRING: "StringValue",
    F.TYPE_BYTES: "BytesValue",
    F.TYPE_BOOL: "BoolValue",
    F.TYPE_DOUBLE: "DoubleValue",
}
KINDS = [*SCALARS, *WRAPPER.values(), "E", "M"]
VALUES = {
    F.TYPE_DOUBLE: [1.5, 2.0],
    F.TYPE_FLOAT: [1.5, 2.0],
    F.TYPE_BOOL: [True],
    F.TYPE_STRING: ["x", "ab==", "1"],
    F.TYPE_BYTES: [b"x", b"\x00\xff"],
    "E": [1],
    "M": [None],
}
"""What a field may hold; integers are small, as types of other widths have other ranges."""


def described(kind, label=F.LABEL_OPTIONAL):
    file = FileDescriptorProto(name="a.proto", package="p", syntax="proto2")
    file.dependency.append(WRAPPERS.name)
    enum = file.enum_type.add(name="E")
    enum.value.add(name="ZERO", number=0)
    enum.value.add(name="ONE", number=1)
    file.message_type.add(name="M").field.add(name="y", number=1, type=F.TYPE_INT32, label=F.LABEL_OPTIONAL)
    field = file.message_type.add(name="A").field.add(name="x", number=1, label=label, json_name="x")
    if kind in WRAPPER.values():
        field.type, field.type_name = F.TYPE_MESSAGE, f".google.protobuf.{kind}"
    elif kind in ("E", "M"):
        field.type, field.type_name = (F.TYPE_ENUM, ".p.E") if kind == "E" else (F.TYPE_MESSAGE, ".p.M")
    else:
        field.type = kind
    return file


def made(file):
    pool = DescriptorPool()
    pool.AddSerializedFile(WRAPPERS.serialized_pb)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("p.A"))


def messages(cls, kind):
    wrapped = next((scalar for scalar, name in WRAPPER.items() if name == kind), kind)
    for value in VALUES.get(wrapped, [7, 1]):
        message = cls()
        if kind == "M":
            message.x.y = 5
        elif kind in WRAPPER.values():
            message.x.value = value
        else:
            message.x = value
        yield message


def content(message):
    """What the field holds, whether wrapped or not."""
    value = message.x
    return value if not hasattr(value, "DESCRIPTOR") else value.value if hasattr(value, "value") else value.y


def is_read(old_class, old, new_class):
    for message in messages(old_class, old):
        try:
            back = XML.decode(new_class, XML.encode(message))
        except CodecError:
            return False
        value, read = content(message), content(back)
        if isinstance(value, bool) != isinstance(read, bool) or value != read:
            return False
    return True


@pytest.fixture(scope="module")
def classes():
    return {kind: made(described(kind)) for kind in KINDS}


def test_types_that_pass_are_read_and_others_are_not(classes):
    wrong = []
    for old, new in itertools.permutations(KINDS, 2):
        findings = compare([described(old)], [described(new)], RULES)
        passes = not any("XML" in finding.breaks for finding in findings)
        both_ways = is_read(classes[old], old, classes[new]) and is_read(classes[new], new, classes[old])
        if passes != both_ways:
            wrong.append((old, new, passes, both_ways))
    assert not wrong


def test_repeated_and_singular(classes):
    many = made(described(F.TYPE_INT32, F.LABEL_REPEATED))
    (finding,) = (
        finding
        for finding in compare(
            [described(F.TYPE_INT32, F.LABEL_REPEATED)], [described(F.TYPE_INT32)], ["FIELD_XML_COMPATIBLE_CARDINALITY"]
        )
    )
    assert finding.text == "field 1, x, of p.A: it was repeated, is singular with presence"
    with pytest.raises(CodecError):
        XML.decode(classes[F.TYPE_INT32], XML.encode(many(x=[1, 2])))


def test_map_entries_are_compared_by_what_is_in_them():
    def a_map(name, value):
        file = FileDescriptorProto(name="a.proto", package="p", syntax="proto3")
        message = file.message_type.add(name="A")
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        for label, number, kind in (("key", 1, F.TYPE_STRING), ("value", 2, value)):
            entry.field.add(name=label, number=number, type=kind, label=F.LABEL_OPTIONAL)
        field = message.field.add(name=name, number=1, type=F.TYPE_MESSAGE, label=F.LABEL_REPEATED)
        field.type_name = f".p.A.{entry.name}"
        return file

    def broken(old, new):
        return [one.rule for one in compare([old], [new], RULES) if one.rule.startswith("FIELD_XML")]

    assert broken(a_map("m", F.TYPE_INT32), a_map("n", F.TYPE_INT64)) == []
    assert broken(a_map("m", F.TYPE_INT32), a_map("n", F.TYPE_STRING)) == ["FIELD_XML_COMPATIBLE_TYPE"]
    assert broken(a_map("m", F.TYPE_INT32), a_map("m", F.TYPE_STRING)) == ["FIELD_XML_COMPATIBLE_TYPE"]
