"""Messages as XML: lossless, and what strangers send is refused with its place."""

import base64
import math
import re
from xml.dom import minidom

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.codec.test_protojson import messages, same

from catenet.codec import CODECS, XML, CodecError, XmlCodec


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_message_comes_back(every, data):
    message = data.draw(messages(every))
    written = XML.encode(message)
    assert same(XML.decode(every, written), message)
    assert XML.encode(XML.decode(every, written)) == written
    assert minidom.parseString(written).documentElement.localName == "Every"
    assert CODECS["xml"] is XML


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(every, text):
    message = every(a_string=text, by_name={text: 1}, some_string=[text, text], a_bytes=text.encode())
    assert same(XML.decode(every, XML.encode(message)), message)


def test_how_it_looks(every):
    message = every(
        an_int32=-5,
        a_double=math.inf,
        a_string="a < b & \r",
        a_bytes=b"\xff",
        a_colour=1,
        child={},
        some_int64=[1, 2],
        by_name={"b": 2, "a": 1},
        by_number={7: {"a_bool": True}},
        by_truth={True: 77},
        maybe_int32=0,
        wrapped={"value": 0},
        when=Timestamp(seconds=1, nanos=500_000_000),
        length=Duration(seconds=-1, nanos=-500_000_000),
    )
    assert XML.encode(message).decode() == (
        '<m:Every xmlns:m="proto:every"><an_int32>-5</an_int32><a_double>INF</a_double>'
        "<a_string>a &lt; b &amp; &#13;</a_string><a_bytes>/w==</a_bytes><a_colour>RED</a_colour><child/>"
        '<some_int64>1</some_int64><some_int64>2</some_int64><by_name key="a">1</by_name><by_name key="b">2</by_name>'
        '<by_number key="7"><a_bool>true</a_bool></by_number><by_truth key="true">77</by_truth>'
        "<maybe_int32>0</maybe_int32><when>1970-01-01T00:00:01.500Z</when><length>-PT1.500S</length>"
        "<wrapped>0</wrapped></m:Every>"
    )
    assert XML.encode(every()) == b'<m:Every xmlns:m="proto:every"></m:Every>'


def test_unknown_fields_come_back(every):
    wire = b"\xa2\x06\x03abc\xa8\x06\x05\xad\x06\x01\x02\x03\x04\xb1\x06" + bytes(8) + b"\xbb\x06\x08\x01\xbc\x06"
    message = every.FromString(b"\x08\x05" + wire)
    message.child.MergeFromString(wire)
    assert XML.decode(every, XML.encode(message)).SerializeToString() == message.SerializeToString()


def unknown(wire):
    return f'<x:unknown xmlns:x="urn:catenet:xml">{base64.b64encode(wire).decode()}</x:unknown>'


def test_what_an_older_program_did_not_know(every):
    """A field that we know may be among what it passed on, but not an element of its own too."""
    message = every(an_int32=5, a_string="x", some_string=["a", "b"])
    message.child.an_int32 = 7
    wire = message.SerializeToString()
    assert XML.decode(every, f"<Every>{unknown(wire)}</Every>".encode()) == message
    assert XML.decode(every, f"<Every><a_bool>true</a_bool>{unknown(wire)}</Every>".encode()).a_bool
    for element in ("<an_int32>6</an_int32>", "<child/>", "<some_string>z</some_string>"):
        for order in (f"{element}{unknown(wire)}", f"{unknown(wire)}{element}"):
            if element.startswith("<some") and order.endswith(element):
                continue
            with pytest.raises(CodecError, match=r"is set twice|is unknown too"):
                XML.decode(every, f"<Every>{order}</Every>".encode())
    # A zero that is not sent does not take the place of what an element says.
    zero = every.DESCRIPTOR.fields_by_name["an_int32"].number << 3
    assert XML.decode(every, f"<Every><an_int32>6</an_int32>{unknown(bytes([zero, 0]))}</Every>".encode()).an_int32 == 6


def test_unknown_fields_are_fields(every):
    for wire in (b"\xff\xff\xff", b"\x08", b"\xa0\x06\x80", b"\x0a\x01x"):
        with pytest.raises(CodecError, match=r"unknown: (field 1 of every\.Every is not|malformed) unknown"):
            XML.decode(every, f"<Every>{unknown(wire)}</Every>".encode())


def test_any(every):
    struct = Struct()
    struct.update({"a": [1, None, "x"]})
    for inner in (struct, every(a_string="x"), Timestamp(seconds=1), StringValue(value="\0"), StringValue(), Struct()):
        packed = Any()
        packed.Pack(inner)
        message = every(anything=packed)
        assert same(XML.decode(every, XML.encode(message)), message)
    nested = Any()
    nested.Pack(packed)
    for odd in (
        nested,
        Any(),
        Any(type_url="type.googleapis.com/no.Such", value=b"\0\1"),
        Any(type_url="type.googleapis.com/every.Every", value=b"\xff"),
    ):
        assert same(XML.decode(every, XML.encode(every(anything=odd))), every(anything=odd))


def deep_any(depth):
    kind = "type.googleapis.com/every.Every"
    opening = f'<anything type="{kind}">' * depth
    return f"<Every>{opening}{'</anything>' * depth}</Every>".encode()


def test_depth(every):
    def nested(depth):
        return ("<Every>" + "<child>" * depth + "</child>" * depth + "</Every>").encode()

    assert XML.decode(every, nested(99)).SerializeToString()
    for data in (nested(200), nested(200_000), b"<Every>" + b"<x>" * 100_000):
        with pytest.raises(CodecError, match="nested more than"):
            XML.decode(every, data)
    with pytest.raises(CodecError, match="nested more than"):
        XML.decode(every, deep_any(5000))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("<Every/>", {}),
        (
            "<?xml version='1.0' encoding='UTF-8'?>\n<Every>\n <!-- note -->\n <an_int32> 5 </an_int32>\n</Every>\n",
            {"an_int32": 5},
        ),
        ("<Every xmlns='proto:every'><an_int32>+5</an_int32></Every>", {"an_int32": 5}),
        ("<e:Every xmlns:e='proto:every'><e:an_int32>5</e:an_int32></e:Every>", {"an_int32": 5}),
        ("<Every><a_string><![CDATA[<&>]]></a_string></Every>", {"a_string": "<&>"}),
        ("<Every><a_string> \n</a_string></Every>", {"a_string": " \n"}),
        ("<Every><a_string/></Every>", {}),
        ("<Every><maybe_string/></Every>", {"maybe_string": ""}),
        ("<Every><a_bool>1</a_bool></Every>", {"a_bool": True}),
        ("<Every><a_double>-INF</a_double></Every>", {"a_double": -math.inf}),
        ("<Every><a_double>1.5e3</a_double></Every>", {"a_double": 1500.0}),
        ("<Every><a_colour>BLUE</a_colour><some_colour>RED</some_colour></Every>", {"some_colour": [1]}),
        ("<Every><a_colour> RED </a_colour></Every>", {"a_colour": 1}),
        ("<Every><nope><deep x='1'>text</deep></nope><an_int32>1</an_int32></Every>", {"an_int32": 1}),
        ("<Every xmlns:o='urn:o'><o:an_int32>1</o:an_int32></Every>", {}),
        (
            "<Every><some_int64>1</some_int64><an_int32>3</an_int32><some_int64>2</some_int64></Every>",
            {"some_int64": [1, 2], "an_int32": 3},
        ),
        ("<Every><a_bytes>/ w\n==</a_bytes></Every>", {"a_bytes": b"\xff"}),
    ],
)
def test_what_is_accepted(every, text, fields):
    assert XML.decode(every, text.encode()) == every(**fields)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not XML"),
        ("{}", "not XML"),
        ("<Every>", "not XML"),
        ("<Every/><Every/>", "not XML"),
        ("<Other/>", "the root must be Every of proto:every, not Other"),
        ("<Every xmlns='proto:other'/>", "the root must be"),
        ("<Every>text</Every>", "text 'text' where elements are expected"),
        ("<Every><child><child>x</child></child></Every>", "child/child: text 'x'"),
        ("<Every><an_int32>x</an_int32></Every>", "an_int32: must be a whole number, not 'x'"),
        ("<Every><an_int32>1_0</an_int32></Every>", "must be a whole"),
        ("<Every><an_int32>2147483648</an_int32></Every>", "an_int32: "),
        ("<Every><an_int32>" + "1" * 100_000 + "</an_int32></Every>", "must be a whole"),
        ("<Every><an_int32/></Every>", "must be a whole"),
        ("<Every><an_int32>1</an_int32><an_int32>2</an_int32></Every>", "an_int32: a field or a oneof is set twice"),
        ("<Every><text>a</text><number>1</number></Every>", "number: a field or a oneof is set twice"),
        ("<Every><an_int32><b/></an_int32></Every>", "an_int32: an element b within text"),
        ("<Every><a_float>1e39</a_float></Every>", "beyond the range of a float"),
        ("<Every><a_double>1e400</a_double></Every>", "beyond the range of a double"),
        ("<Every><a_double>nan</a_double></Every>", "must be a number"),
        ("<Every><a_bool>yes</a_bool></Every>", "must be true or false"),
        ("<Every><a_bytes>*</a_bytes></Every>", "a_bytes: must be base64"),
        ("<Every><a_string encoding='rot13'>x</a_string></Every>", "encoding 'rot13'"),
        ("<Every><a_string encoding='base64'>/w==</a_string></Every>", "a_string: "),
        ("<Every><by_name>1</by_name></Every>", "by_name: an entry of a map needs the attribute key"),
        ("<Every><by_name key='a'>1</by_name><by_name key='a'>2</by_name></Every>", "the key 'a' occurs twice"),
        ("<Every><by_number key='x'/></Every>", "by_number: must be a whole"),
        ("<Every><when>yesterday</when></Every>", "when: "),
        ("<Every><length>5s</length></Every>", "length: must be a duration"),
        ("<Every><anything>x</anything></Every>", "anything: an Any needs the attribute type"),
        ("<Every><anything type='no.Such'/></Every>", "anything: no message type 'no.Such' here"),
        ("<Every xmlns:x='urn:catenet:xml'><x:nope/></Every>", "has no nope"),
        ("<!DOCTYPE Every [<!ENTITY a 'x'>]><Every><a_string>&a;</a_string></Every>", "document type declaration"),
        ("<!DOCTYPE Every SYSTEM 'file:///etc/passwd'><Every/>", "document type declaration"),
        ("<!DOCTYPE Every><Every/>", "document type declaration"),
        ("<Every><a_string>&a;</a_string></Every>", "undefined entity"),
        ("<?xml-stylesheet href='x'?><Every/>", "processing instruction"),
        ("<Every><?php x?></Every>", "processing instruction"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><Every/>", "UTF-8 only"),
        ("<Every a='1' a='2'/>", "not XML"),
        ("<Every><a_string>\0</a_string></Every>", "not XML"),
    ],
)
def test_what_is_refused_is_named(every, text, complaint):
    with pytest.raises(CodecError, match=complaint):
        XML.decode(every, text.encode())


def lots_of_laughs():
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE l [<!ENTITY l0 "lol">{entities}]><Every><a_string>&l9;</a_string></Every>'


@pytest.mark.parametrize("element", ['<an_int32 a:x="">1</an_int32>', "<a:x/>", '<some_string a:x="">y</some_string>'])
def test_a_long_namespace_is_refused_before_it_is_told_of_again_and_again(every, element):
    """A document of 1 MiB took minutes: each element, and each attribute, is reported with the whole name."""
    for length, refused in ((256, False), (257, True), (500_000, True)):
        text = f'<Every xmlns:a="{"u" * length}">{element}</Every>'
        if refused:
            with pytest.raises(CodecError, match="a namespace name of more than 256 characters"):
                XML.decode(every, text.encode())
        else:
            XML.decode(every, text.encode())


def test_bombs(every):
    bombs = [lots_of_laughs(), f'<!DOCTYPE l [<!ENTITY a "{"x" * 10_000}">]><Every>{"&a;" * 1000}</Every>']
    bombs.append('<!DOCTYPE l [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x">%p;]><Every/>')
    for bomb in bombs:
        with pytest.raises(CodecError, match="document type declaration"):
            XML.decode(every, bomb.encode())


def test_bytes_that_are_not_utf_8(every):
    wide = ["<Every/>".encode("utf-16"), "<Every/>".encode("utf-16-le"), " <Every/>".encode("utf-16-be")]
    for data in (b"<Every><a_string>\xff</a_string></Every>", b"\xff\xfe<", *wide):
        with pytest.raises(CodecError, match="not XML"):
            XML.decode(every, data)
    assert XML.decode(every, b"\xef\xbb\xbf<Every/>") == every()


def test_strict(every):
    strict = XmlCodec(ignore_unknown=False)
    for text, complaint in (
        ("<Every><nope/></Every>", "every.Every has no field 'nope'"),
        ("<Every><child><nope/></child></Every>", "child: every.Every has no field 'nope'"),
        ("<Every><a_colour>BLUE</a_colour></Every>", "a_colour: every.Colour has no value 'BLUE'"),
    ):
        with pytest.raises(CodecError, match=re.escape(complaint)):
            strict.decode(every, text.encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(data=st.data())
def test_noise(every, data):
    message = every(
        a_string="x", child={"some_int64": [1, 2]}, by_name={"k": 3}, when=Timestamp(), wrapped={"value": 5}
    )
    noisy = bytearray(XML.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(noisy) - 1))
        noisy[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"<", b">", b"</", b"/>", b"&#0;", b"'", b'"', b"]]>"])
        )
    try:
        XML.decode(every, bytes(noisy))
    except CodecError:
        pass


@pytest.fixture(scope="module")
def old():
    """A message of proto2: required fields, groups, extensions, closed enumerations."""
    file = descriptor_pb2.FileDescriptorProto(name="old_xml.proto", package="", syntax="proto2")
    enum = file.enum_type.add(name="Size")
    enum.value.add(name="SMALL", number=1)
    field = descriptor_pb2.FieldDescriptorProto
    message = file.message_type.add(name="Old")
    message.field.add(name="id", number=1, type=field.TYPE_INT32, label=field.LABEL_REQUIRED)
    message.field.add(name="size", number=2, type=field.TYPE_ENUM, type_name=".Size", label=field.LABEL_OPTIONAL)
    inner = message.nested_type.add(name="Part")
    inner.field.add(name="text", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    message.field.add(name="part", number=3, type=field.TYPE_GROUP, type_name=".Old.Part", label=field.LABEL_REPEATED)
    message.extension_range.add(start=100, end=200)
    for name, number, kind, label in (
        ("ext", 100, field.TYPE_STRING, field.LABEL_OPTIONAL),
        ("exts", 101, field.TYPE_INT32, field.LABEL_REPEATED),
        ("ext_part", 102, field.TYPE_MESSAGE, field.LABEL_OPTIONAL),
    ):
        extension = file.extension.add(name=name, number=number, type=kind, label=label, extendee=".Old")
        if kind == field.TYPE_MESSAGE:
            extension.type_name = ".Old.Part"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Old")), pool


def test_what_is_old(old):
    kind, pool = old
    message = kind(id=5, part=[{"text": "a"}, {}])
    message.Extensions[pool.FindExtensionByName("ext")] = "x"
    message.Extensions[pool.FindExtensionByName("exts")].extend([1, 2])
    message.Extensions[pool.FindExtensionByName("ext_part")].text = "y"
    message.MergeFromString(b"\x10\x4d")  # a value that the closed enumeration does not have
    written = XML.encode(message)
    assert XML.decode(kind, written).SerializeToString() == message.SerializeToString()
    with pytest.raises(CodecError, match="it lacks id"):
        XML.encode(kind())
    with pytest.raises(CodecError, match="lacks id"):
        XML.decode(kind, b"<Old/>")
    again = b'<Old xmlns:x="urn:catenet:xml"><id>1</id>%s</Old>'
    extension = b'<x:extension name="ext">a</x:extension>'
    with pytest.raises(CodecError, match="set twice"):
        XML.decode(kind, again % (extension + extension))
    assert XML.decode(kind, again % b'<x:extension name="no.such"><a/></x:extension>') == kind(id=1)
