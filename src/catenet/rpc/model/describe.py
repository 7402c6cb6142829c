"""Descriptors as .proto text, for people who look at a server."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

__all__ = ["describe"]

_SCALARS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_") and name not in ("TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP")
}
_LEVELS = {1: "NO_SIDE_EFFECTS", 2: "IDEMPOTENT"}


def describe(descriptor: Any) -> str:
    """Return a service, method, message or enum as it would stand in a .proto file."""
    if isinstance(descriptor, ServiceDescriptor):
        return _service(descriptor)
    if isinstance(descriptor, MethodDescriptor):
        return _method(descriptor)
    if isinstance(descriptor, EnumDescriptor):
        return _enum(descriptor)
    return _message(cast(Descriptor, descriptor))


def _block(head: str, lines: list[str]) -> str:
    if not lines:
        return f"{head} {{}}"
    inner = "\n".join(f"  {line}" for text in lines for line in text.splitlines())
    return f"{head} {{\n{inner}\n}}"


def _service(service: ServiceDescriptor) -> str:
    return _block(f"service {service.full_name}", [_method(method) for method in service.methods])


def _method(method: MethodDescriptor) -> str:
    request = f"{'stream ' if method.client_streaming else ''}{method.input_type.full_name}"
    response = f"{'stream ' if method.server_streaming else ''}{method.output_type.full_name}"
    level = _LEVELS.get(method.GetOptions().idempotency_level)
    head = f"rpc {method.name}({request}) returns ({response})"
    return _block(head, [f"option idempotency_level = {level};"]) if level else f"{head};"


def _message(message: Descriptor) -> str:
    lines = [_enum(item) for item in message.enum_types]
    lines += [_message(item) for item in message.nested_types if not item.GetOptions().map_entry]
    seen: set[str] = set()
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is None or _is_optional(field):
            lines.append(_field(field))
        elif oneof.name not in seen:
            seen.add(oneof.name)
            lines.append(_block(f"oneof {oneof.name}", [_field(item) for item in oneof.fields]))
    return _block(f"message {message.full_name if message.containing_type is None else message.name}", lines)


def _is_optional(field: FieldDescriptor) -> bool:
    """A proto3 `optional` is a oneof of its own."""
    oneof = field.containing_oneof
    return oneof is not None and len(oneof.fields) == 1 and oneof.name == f"_{field.name}"


def _field(field: FieldDescriptor) -> str:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
        return f"map<{_type(key)}, {_type(value)}> {field.name} = {field.number};"
    label = "repeated " if cast(Any, field).is_repeated else "optional " if _is_optional(field) else ""
    return f"{label}{_type(field)} {field.name} = {field.number};"


def _type(field: FieldDescriptor) -> str:
    kind = field.message_type or field.enum_type
    return kind.full_name if kind is not None else _SCALARS[field.type]


def _enum(enum: EnumDescriptor) -> str:
    name = enum.full_name if enum.containing_type is None else enum.name
    return _block(f"enum {name}", [f"{value.name} = {value.number};" for value in enum.values])
