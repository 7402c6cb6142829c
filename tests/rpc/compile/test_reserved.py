"""What may not be used twice, or no more: refused as protoc refuses it, each in a line that names the place."""

import dataclasses
import re
import subprocess
from typing import Annotated

import pytest
from tests.peers import tool

from catenet.codec.schema import Number, Schema
from catenet.rpc.compile import CompileError, compile_protos

PROTO2, PROTO3 = 'syntax = "proto2";\n', 'syntax = "proto3";\n'
CASES = {
    "reserved number": PROTO3 + "message A {\n  reserved 2;\n  int32 x = 2;\n}",
    "reserved range": PROTO3 + "message A {\n  reserved 5 to 9;\n  int32 x = 7;\n}",
    "reserved to max": PROTO3 + "message A {\n  reserved 5 to max;\n  int32 x = 700;\n}",
    "reserved name": PROTO3 + 'message A {\n  reserved "x";\n  int32 x = 2;\n}',
    "reserved name in a oneof": PROTO3 + 'message A {\n  reserved "x";\n  oneof o {\n    int32 x = 2;\n  }\n}',
    "name reserved twice": PROTO3 + 'message A {\n  reserved "x", "x";\n}',
    "ranges that overlap": PROTO3 + "message A {\n  reserved 5 to 9;\n  reserved 7 to 10;\n}",
    "number twice": PROTO3 + "message A {\n  int32 x = 2;\n  int32 y = 2;\n}",
    "name twice": PROTO3 + "message A {\n  int32 x = 2;\n  int32 x = 3;\n}",
    "name in JSON twice": PROTO3 + "message A {\n  int32 foo_bar = 2;\n  int32 fooBar = 3;\n}",
    "number too large": PROTO3 + "message A {\n  int32 x = 536870912;\n}",
    "number of protobuf's own": PROTO3 + "message A {\n  int32 x = 19500;\n}",
    "number zero": PROTO3 + "message A {\n  int32 x = 0;\n}",
    "field within an extension range": PROTO2 + "message A {\n  extensions 100 to 200;\n  optional int32 x = 150;\n}",
    "extensions of reserved numbers": PROTO2 + "message A {\n  extensions 100 to 200;\n  reserved 150;\n}",
    "extension out of range": PROTO2 + "message A {\n  extensions 10 to 20;\n}\nextend A { optional int32 x = 21; }",
    "extension twice": PROTO2
    + "message A {\n  extensions 10 to 20;\n}\nextend A { optional int32 x = 15; optional int32 y = 15; }",
    "extension ranges that overlap": PROTO2 + "message A {\n  extensions 100 to 200;\n  extensions 150 to 300;\n}",
    "extension range in proto3": PROTO3 + "message A {\n  extensions 100 to 200;\n}",
    "reserved number of an enum": PROTO3 + "enum E {\n  Z = 0;\n  reserved 2;\n  X = 2;\n}",
    "reserved name of an enum": PROTO3 + 'enum E {\n  Z = 0;\n  reserved "X";\n  X = 2;\n}',
    "reserved negative range of an enum": PROTO3 + "enum E {\n  Z = 0;\n  reserved -5 to -1;\n  X = -2;\n}",
    "alias": PROTO3 + "enum E {\n  Z = 0;\n  X = 0;\n}",
    "aliases allowed and none": PROTO3 + "enum E {\n  option allow_alias = true;\n  Z = 0;\n  X = 1;\n}",
    "enum ranges that overlap": PROTO3 + "enum E {\n  Z = 0;\n  reserved 5 to 9, 9;\n}",
    "enum value twice": PROTO3 + "enum E {\n  Z = 0;\n  Z = 1;\n}",
    "enum without zero": PROTO3 + "enum E {\n  X = 1;\n}",
    "two enums with one name": PROTO3 + "enum E {\n  Z = 0;\n}\nenum F {\n  Z = 0;\n}",
}
ALLOWED = {
    "reserved and beside it": PROTO3
    + 'message A {\n  reserved 2, 4 to 6, 9 to max;\n  reserved "x";\n  int32 y = 3;\n}',
    "aliases": PROTO3 + "enum E {\n  option allow_alias = true;\n  Z = 0;\n  X = 0;\n}",
    "extension in range": PROTO2 + "message A {\n  extensions 10 to 20;\n}\nextend A { optional int32 x = 15; }",
    "enum with ranges": PROTO3 + 'enum E {\n  Z = 0;\n  reserved -5 to -1, 7 to max;\n  reserved "X";\n  Y = 3;\n}',
}


def refusal(folder, text):
    (folder / "a.proto").write_text(text)
    try:
        compile_protos([folder / "a.proto"], [], folder)
    except CompileError as error:
        return [line.removeprefix(f"{folder}/") for line in str(error).splitlines()]
    return []


def test_all_in_one_file(tmp_path):
    """Each problem is one line: advice stands in the line of what it is about."""
    assert refusal(
        tmp_path,
        PROTO2
        + 'message A {\n  reserved 2, 5 to 9;\n  reserved "z";\n  optional int32 x = 2;\n'
        + "  optional int32 y = 7;\n  optional int32 z = 20;\n}\n"
        + "message B {\n  extensions 100 to 200;\n  optional int32 x = 150;\n  optional int32 y = 1;\n"
        + "  optional int32 z = 1;\n}\n"
        + "enum E {\n  Z = 0;\n  reserved 2;\n  X = 2;\n}",
    ) == [
        'a.proto:3:12: Field "x" uses reserved number 2. Suggested field numbers for A: 1, 3.',
        'a.proto:3:15: Field "y" uses reserved number 7.',
        'a.proto:7:18: Field name "z" is reserved.',
        'a.proto:10:14: Extension range 100 to 200 includes field "x" (150). Suggested field numbers for B: 2.',
        'a.proto:17:12: Enum value "X" uses reserved number 2.',
        'a.proto:13:22: Field number 1 has already been used in "B" by field "y". Next available field number is 2.',
    ]


@pytest.mark.peer
def test_as_protoc(tmp_path):
    """Another release of protoc, installed beside the one that we call, refuses the same."""
    command = [tool("protoc"), f"-I{tmp_path}", "--descriptor_set_out=/dev/null", "a.proto"]
    for name, text in {**CASES, **ALLOWED}.items():
        lines = refusal(tmp_path, text)
        theirs = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (len(lines), theirs.returncode) == ((1, 1) if name in CASES else (0, 0)), (name, lines, theirs.stderr)
        assert not lines or lines[0].startswith("a.proto:"), name


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ((1, 1), "C.f1: f0 has the number 1 already"),
        ((0,), "C.f0: 0 is no number for a field"),
        ((19500,), "C.f0: 19500 is no number for a field"),
        ((1 << 29,), "C.f0: 536870912 is no number for a field"),
    ],
)
def test_numbers_of_classes(numbers, complaint):
    """A class as an interface description is held to the same."""
    hints = [(f"f{place}", Annotated[int, Number(number)]) for place, number in enumerate(numbers)]
    with pytest.raises(TypeError, match=re.escape(complaint)):
        Schema("p", "c.proto").add(dataclasses.make_dataclass("C", hints))
