"""XML Schemas from .proto files: xmllint validates with them what we write, and refuses what is wrong."""

import re
import subprocess
import sys
from xml.dom import minidom

import pytest
from tests.peers import environment, tool

from catenet.cli import main
from catenet.codec import XML
from catenet.rpc.compile import write_schemas

TICKET = """
syntax = "proto3";
package travel.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "travel/station.proto";
import "plain.proto";

// A ticket, as <textbooks> & agencies have it.
message Ticket {
  // Who travels.
  string passenger = 1;
  Station from = 2;
  Station to = 3;
  repeated Leg legs = 9;
  google.protobuf.Timestamp departs = 4;
  google.protobuf.Duration lasts = 5;
  map<string, string> remarks = 6;
  map<int32, Leg> seats = 7;
  map<bool, Class> upgrades = 18;
  Class class = 8;
  bytes seal = 10;
  repeated double prices = 11;
  oneof paid { string card = 12; uint64 cash = 13; }
  google.protobuf.Any more = 14;
  google.protobuf.Struct extra = 15;
  google.protobuf.StringValue note = 16;
  optional bool checked = 17;
  Ticket back = 19;
  plain.Thing thing = 20;
  Bare bare = 21;
  message Leg {
    Station via = 1;
    enum Kind { UNKNOWN = 0; TRAIN = 1; SHIP = 2; }
    Kind kind = 2;
  }
}
enum Class { NONE = 0; FIRST = 1; SECOND = 2; }
"""
STATION = 'syntax = "proto3"; package travel.v1; message Station { string name = 1; }'
PLAIN = 'syntax = "proto3"; package plain; import "bare.proto"; message Thing { Bare bare = 1; int64 n = 2; }'
BARE = 'syntax = "proto3"; message Bare { float f = 1; }'


@pytest.fixture(scope="module")
def ticket(tmp_path_factory):
    """The message class, the folder of the schemas, and the files written."""
    from catenet.rpc.compile import compile_protos

    root = tmp_path_factory.mktemp("protos")
    texts = {"ticket.proto": TICKET, "travel/station.proto": STATION, "plain.proto": PLAIN, "bare.proto": BARE}
    for name, text in texts.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text.replace('import "plain.proto";', 'import "plain.proto";\nimport "bare.proto";'))
    out = tmp_path_factory.mktemp("out")
    written = write_schemas([root / "ticket.proto"], [root], out)
    compile_protos([root / "ticket.proto"], [root], out)
    sys.path.insert(0, str(out))
    try:
        import ticket_pb2
    finally:
        sys.path.remove(str(out))
    return ticket_pb2.Ticket, out, written


def full(kind):
    message = kind(
        passenger="A. Person & Co. <x>",
        to={"name": "B"},
        legs=[{"via": {"name": "C"}, "kind": "TRAIN"}, {"kind": 77}, {}],
        departs={"seconds": 1_600_000_000, "nanos": 5},
        lasts={"seconds": -5, "nanos": -1_000_000},
        remarks={"": "empty", "\0": "\0", "ä": "<"},
        seats={-1: {"kind": "SHIP"}},
        upgrades={True: "FIRST", False: 9},
        seal=b"\xff\0",
        prices=[1.5, float("inf"), float("nan"), -0.0, 1e300],
        cash=2**64 - 1,
        note={"value": "\x01"},
        checked=False,
        back={"back": {}},
        thing={"bare": {"f": 0.1}, "n": -(2**63)},
        bare={},
    )
    setattr(message, "class", 1)
    message.more.Pack(kind(passenger="inner"))
    message.extra.update({"a": [1, None, {"b": True}]})
    message.MergeFromString(b"\xa2\x06\x03abc")
    getattr(message, "from").name = "A"
    return message


def test_a_schema_for_each_file(ticket):
    kind, out, written = ticket
    names = {str(path.relative_to(out)) for path in written}
    assert {"ticket.xsd", "travel/station.xsd", "plain.xsd", "bare.xsd", "catenet.xsd"} <= names
    assert "google/protobuf/struct.xsd" in names
    for path in written:
        minidom.parse(str(path))
    text = (out / "ticket.xsd").read_text()
    assert "A ticket, as &lt;textbooks&gt; &amp; agencies have it." in text
    assert 'targetNamespace="proto:travel.v1"' in text
    assert XML.decode(kind, XML.encode(full(kind))).SerializeToString(deterministic=True) == full(
        kind
    ).SerializeToString(deterministic=True)


def lint(out, data, tmp_path):
    path = tmp_path / "message.xml"
    path.write_bytes(data)
    words = [tool("xmllint"), "--noout", "--nonet", "--schema", str(out / "ticket.xsd"), str(path)]
    return subprocess.run(words, capture_output=True, text=True, env=environment())


@pytest.mark.peer("xmllint")
def test_xmllint_validates_what_we_write(ticket, tmp_path):
    kind, out, _ = ticket
    for message in (full(kind), kind(), kind(passenger="x"), kind(legs=[{}] * 3)):
        done = lint(out, XML.encode(message), tmp_path)
        assert done.returncode == 0, done.stderr
    good = XML.encode(full(kind)).decode()
    for pattern, wrong in (
        (r"<passenger>[^<]*</passenger>", "<passager>x</passager>"),
        (r"TRAIN", "PLANE"),
        (r"2020-", "20-"),
        (r"-PT5", "5"),
        (r"<cash>\d+", "<cash>-1"),
        (r' key="-1"', ""),
        (r"<checked>false", "<checked>no"),
    ):
        bad = re.sub(pattern, wrong, good)
        assert bad != good
        assert lint(out, bad.encode(), tmp_path).returncode == 3, pattern


def test_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "bare.proto").write_text(BARE)
    monkeypatch.chdir(tmp_path)
    assert main(["rpc", "compile", "--xsd", "bare.proto", "--out", "schemas"]) == 0
    assert capsys.readouterr().out.splitlines() == ["schemas/bare.xsd", "schemas/catenet.xsd"]
    assert main(["rpc", "compile", "--xsd", "--name", "a.B=c", "bare.proto"]) == 2
    assert "--xsd writes no modules" in capsys.readouterr().err
