"""The messages of graph.proto: what protoc would write, made of the file itself when it is asked for.

Modules that `catenet rpc compile` writes import this one where their .proto imports `catenet/codec/graph/graph.proto`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

__all__ = ["FILE", "Graph"]

_LINE = re.compile(
    r"(?P<block>message|enum|oneof) (?P<name>\w+) \{|(?P<end>\})|"
    r"(?P<repeated>repeated )?(?P<type>\w+) (?P<field>\w+) = (?P<number>\d+);|(?P<value>\w+) = (?P<its>\d+);"
)
_F = FieldDescriptorProto


def _read(text: str) -> FileDescriptorProto:
    """Return the descriptor of a file that is as plain as graph.proto, which a test compares with protoc's."""
    package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
    assert package is not None
    file = FileDescriptorProto(name="catenet/codec/graph/graph.proto", package=package[1], syntax="proto3")
    block: Any = None
    in_oneof = False
    for line in re.sub(r"//.*", "", text).splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None:
            continue
        if found["block"] == "oneof":
            block.oneof_decl.add(name=found["name"])
            in_oneof = True
        elif found["block"]:
            block = (file.message_type if found["block"] == "message" else file.enum_type).add(name=found["name"])
        elif found["end"]:
            in_oneof = False
        elif found["value"]:
            block.value.add(name=found["value"], number=int(found["its"]))
        else:
            _add_field(block, found, in_oneof)
    _name_types(file)
    return file


def _add_field(message: DescriptorProto, found: re.Match[str], in_oneof: bool) -> None:
    label = _F.LABEL_REPEATED if found["repeated"] else _F.LABEL_OPTIONAL
    words = found["field"].split("_")
    json_name = words[0] + "".join(map(str.capitalize, words[1:]))
    field = message.field.add(name=found["field"], number=int(found["number"]), label=label, json_name=json_name)
    scalar = f"TYPE_{found['type'].upper()}"
    if found["type"].islower():
        field.type = getattr(_F, scalar)
    else:
        field.type_name = found["type"]
    if in_oneof:
        field.oneof_index = 0


def _name_types(file: FileDescriptorProto) -> None:
    enums = {enum.name for enum in file.enum_type}
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type = _F.TYPE_ENUM if field.type_name in enums else _F.TYPE_MESSAGE
                field.type_name = f".{file.package}.{field.type_name}"


FILE = _read((Path(__file__).parent / "graph.proto").read_text())
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(FILE.SerializeToString())  # type: ignore[no-untyped-call]
Graph: Any = GetMessageClass(DESCRIPTOR.message_types_by_name["Graph"])
