"""A file descriptor as the text of a .proto file."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

__all__ = ["proto_text"]

_F = FieldDescriptorProto
_LEVELS = {1: "NO_SIDE_EFFECTS", 2: "IDEMPOTENT"}


def proto_text(file: FileDescriptorProto) -> str:
    """Return the text; protoc makes the same descriptor of it (without options but idempotency)."""
    lines = ['syntax = "proto3";']
    if file.package:
        lines.append(f"package {file.package};")
    lines += [f'import "{name}";' for name in file.dependency]
    for service in file.service:
        lines += ["", *_service(service)]
    for message in file.message_type:
        lines += ["", *_message(message)]
    for enum in file.enum_type:
        lines += ["", *_enum(enum)]
    return "\n".join([*lines, ""])


def _service(service: ServiceDescriptorProto) -> Iterator[str]:
    yield f"service {service.name} {{"
    for method in service.method:
        request = ("stream " if method.client_streaming else "") + method.input_type
        response = ("stream " if method.server_streaming else "") + method.output_type
        level = _LEVELS.get(method.options.idempotency_level)
        end = f" {{ option idempotency_level = {level}; }}" if level else ";"
        yield f"  rpc {method.name}({request}) returns ({response}){end}"
    yield "}"


def _message(message: DescriptorProto) -> Iterator[str]:
    yield f"message {message.name} {{"
    entries = {inner.name: inner for inner in message.nested_type}
    open_oneof = ""
    for field in message.field:
        oneof = ""
        if field.HasField("oneof_index") and not field.proto3_optional:
            oneof = message.oneof_decl[field.oneof_index].name
        if open_oneof and oneof != open_oneof:
            yield "  }"
        if oneof and oneof != open_oneof:
            yield f"  oneof {oneof} {{"
        open_oneof = oneof
        yield f"{'    ' if oneof else '  '}{_field(field, entries)}"
    if open_oneof:
        yield "  }"
    yield "}"


def _field(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    entry = entries.get(field.type_name.rpartition(".")[2]) if field.type == _F.TYPE_MESSAGE else None
    if entry is not None:
        return f"map<{_type(entry.field[0])}, {_type(entry.field[1])}> {field.name} = {field.number};"
    label = "repeated " if field.label == _F.LABEL_REPEATED else "optional " if field.proto3_optional else ""
    return f"{label}{_type(field)} {field.name} = {field.number};"


def _type(field: FieldDescriptorProto) -> str:
    return field.type_name or str(_F.Type.Name(field.type)).removeprefix("TYPE_").lower()


def _enum(enum: EnumDescriptorProto) -> Iterator[str]:
    yield f"enum {enum.name} {{"
    numbers = [value.number for value in enum.value]
    if len(set(numbers)) < len(numbers):
        yield "  option allow_alias = true;"
    yield from (f"  {value.name} = {value.number};" for value in enum.value)
    yield "}"
