"""Packed fields as arrays: the same bytes and messages as protobuf's own classes, without a look at each number."""

import array
import sys

import numpy
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.codec import JSON, PROTO, XML, CodecError
from catenet.codec.packed import PackedMessage, has_packed, packed

F = FieldDescriptorProto
KINDS = {
    "doubles": (F.TYPE_DOUBLE, "d"),
    "floats": (F.TYPE_FLOAT, "f"),
    "words": (F.TYPE_FIXED32, "I"),
    "longs": (F.TYPE_FIXED64, "Q"),
    "signed_words": (F.TYPE_SFIXED32, "i"),
    "signed_longs": (F.TYPE_SFIXED64, "q"),
}


def made(is_packed=True):
    file = FileDescriptorProto(name="samples.proto", package="p", syntax="proto3")
    message = file.message_type.add(name="Samples")
    for number, (name, (kind, _)) in enumerate(KINDS.items(), 1):
        field = message.field.add(name=name, number=number, type=kind, label=F.LABEL_REPEATED)
        if not is_packed:
            field.options.packed = False
    message.field.add(name="sensor", number=20, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    message.field.add(name="varied", number=21, type=F.TYPE_INT32, label=F.LABEL_REPEATED)
    message.field.add(name="inner", number=22, type=F.TYPE_MESSAGE, type_name=".p.Samples", label=F.LABEL_OPTIONAL)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("p.Samples"))


Plain, Unpacked = made(), made(is_packed=False)
Samples = packed(Plain)
ORDER = "<" if sys.byteorder == "little" else ">"


def test_arrays_of_all_sorts():
    numbers = [1.5, -2.0, 0.0]
    expected = Plain(doubles=numbers, sensor="x", inner={"doubles": [3.0]})
    given_as = [
        array.array("d", numbers),
        memoryview(array.array("d", numbers)),
        numpy.array(numbers),
        numpy.array(numbers).astype("<f8"),
        numpy.array(numbers).astype(">f8"),
        numpy.repeat(numpy.array(numbers), 2)[::2],
        numbers,
        tuple(numbers),
    ]
    for value in given_as:
        message = Samples(doubles=value, sensor="x", inner=Plain(doubles=[3.0]))
        assert Plain.FromString(PROTO.encode(message)) == expected
        assert message == expected
        back = PROTO.decode(Samples, PROTO.encode(message))
        assert back.doubles.tolist() == numbers
        assert (back.sensor, list(back.inner.doubles)) == ("x", [3.0])
        assert back == message


def test_what_comes_is_a_view():
    data = PROTO.encode(Samples(doubles=numpy.arange(1000.0), signed_words=array.array("i", [-1, 2])))
    back = PROTO.decode(Samples, data)
    assert back.doubles.obj is data
    assert (back.doubles.format, back.doubles.nbytes, back.doubles.readonly) == ("d", 8000, True)
    assert numpy.shares_memory(numpy.asarray(back.doubles), numpy.frombuffer(data, "u1"))
    assert numpy.asarray(back.doubles).sum() == 499500.0
    assert array.array("i", back.signed_words) == array.array("i", [-1, 2])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_the_same_messages_as_protobuf(data):
    values = {
        name: data.draw(st.lists(st.integers(0, 200) if code in "dfIQ" else st.integers(-200, 200), max_size=5))
        for name, (_, code) in KINDS.items()
    }
    more = {"sensor": data.draw(st.text(max_size=5)), "varied": data.draw(st.lists(st.integers(-9, 9), max_size=3))}
    plain = Plain(**values, **more)
    ours = Samples(**{name: array.array(KINDS[name][1], numbers) for name, numbers in values.items()}, **more)
    assert Plain.FromString(PROTO.encode(ours)) == plain
    for wire in (plain.SerializeToString(), Unpacked(**values, **more).SerializeToString(), PROTO.encode(ours)):
        # Messages one after another are one message: runs in pieces.
        for times in (1, 2):
            read = PROTO.decode(Samples, wire * times)
            assert read == Plain.FromString(wire * times)
            assert {name: getattr(read, name).tolist() for name in KINDS} == {
                name: numbers * times for name, numbers in values.items()
            }
    for codec in (JSON, XML):
        assert codec.encode(ours) == codec.encode(plain)
        assert codec.decode(Samples, codec.encode(ours)) == plain


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=40))
def test_whatever_comes(data):
    """What protobuf refuses we refuse; what it takes, we take as the same."""
    try:
        plain = PROTO.decode(Plain, data)
    except CodecError:
        with pytest.raises(CodecError):
            PROTO.decode(Samples, data)
    else:
        read = PROTO.decode(Samples, data)
        assert read.__plain__().SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)


def test_many_fields_are_left_to_protobuf():
    """A flood of small fields costs no more than it does protobuf; the numbers are there all the same."""
    flood = Plain(varied=[1]).SerializeToString() * 5000 + Plain(doubles=[2.5]).SerializeToString()
    read = PROTO.decode(Samples, flood)
    assert (len(read.varied), read.doubles.tolist()) == (5000, [2.5])


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (array.array("f", [1.0]), "doubles is an array of f64, not of f32"),
        (numpy.zeros((2, 2)), "doubles is an array of f64, not of f64 of 2 dimensions"),
        (b"12345678", "doubles is an array of f64, not bytes"),
        ("text", "doubles is an array of f64, not str"),
        (["x"], "must be real number"),
    ],
)
def test_other_numbers_are_refused(value, complaint):
    with pytest.raises(TypeError, match=complaint):
        Samples(doubles=value)
    message = Samples()
    with pytest.raises(TypeError, match=complaint):
        message.doubles = value


def test_which_messages():
    assert has_packed(Plain)
    assert packed(Plain) is Samples
    assert isinstance(Samples(), PackedMessage)
    assert Samples().doubles.tolist() == []
    assert Samples.DESCRIPTOR is Plain.DESCRIPTOR
    from google.protobuf.empty_pb2 import Empty

    assert not has_packed(Empty)
    with pytest.raises(TypeError, match="has no repeated field of numbers of fixed width"):
        packed(Empty)
