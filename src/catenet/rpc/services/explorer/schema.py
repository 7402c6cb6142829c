"""What a page needs to know of services: methods with their comments, and the types of their messages, as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from catenet.rpc.model.method import Idempotency, Method, ServiceDescriptor

__all__ = ["schema_of"]

_KINDS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}
_AS_TEXT = frozenset(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask"))
_AS_JSON = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct", "Value", "ListValue"))
_WRAPPED = {
    f"google.protobuf.{name}Value": kind
    for name, kind in {
        "Double": "double",
        "Float": "float",
        "Int64": "int64",
        "UInt64": "uint64",
        "Int32": "int32",
        "UInt32": "uint32",
        "Bool": "bool",
        "String": "string",
        "Bytes": "bytes",
    }.items()
}


def schema_of(implementations: Iterable[Any]) -> dict[str, Any]:
    """Return `services`, and the `messages` and `enums` that their methods reach, by full name.

    Comments are those of the .proto, which generated classes have as docstrings, or a program's own.
    """
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    services = [_service(one, messages, enums) for one in implementations]
    return {"services": services, "messages": messages, "enums": enums}


def _service(implementation: Any, messages: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    service: ServiceDescriptor = implementation.__service__
    cls = type(implementation)
    file = service.descriptor.file.name if service.descriptor is not None else ""
    methods = []
    for method in service.methods:
        for message in (method.request.DESCRIPTOR, method.response.DESCRIPTOR):
            _add(message, messages, enums)
        methods.append(_method(method, cls))
    comment = _comment(*(base for base in cls.__mro__ if base is not object))
    return {"name": service.name, "comment": comment, "file": file, "methods": methods}


def _method(method: Method[Any, Any], cls: type) -> dict[str, Any]:
    return {
        "name": method.name,
        "path": method.path,
        "attribute": method.attribute,
        "comment": _comment(*(vars(base).get(method.attribute) for base in cls.__mro__)),
        "client_streaming": method.kind.client_streams,
        "server_streaming": method.kind.server_streams,
        "safe": method.idempotency is Idempotency.NO_SIDE_EFFECTS,
        "input": method.request.DESCRIPTOR.full_name,
        "output": method.response.DESCRIPTOR.full_name,
    }


def _comment(*documented: Any) -> str:
    """Return the first docstring: `inspect.getdoc` does not find the class of a function that is local to another."""
    texts = (one.__doc__ for one in documented if one is not None)
    return inspect.cleandoc(next((text for text in texts if text), ""))


def _add(message: Descriptor, messages: dict[str, Any], enums: dict[str, Any]) -> None:
    """Add a message and what it reaches; without recursion, as types may lead far."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        name = one.full_name
        if name in messages or name in _AS_TEXT or name in _AS_JSON or name in _WRAPPED:
            continue
        messages[name] = [_field(field, enums) for field in one.fields]
        for field in one.fields:
            kind = field.message_type
            if kind is not None and kind.GetOptions().map_entry:
                kind = kind.fields_by_name["value"].message_type
            if kind is not None:
                waiting.append(kind)


def _field(field: FieldDescriptor, enums: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": field.name, "json": field.json_name}
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
        return {**described, "map": _kind(key, enums)["kind"], **_kind(value, enums)}
    oneof = field.containing_oneof
    if oneof is not None and not (len(oneof.fields) == 1 and oneof.name.startswith("_")):
        described["oneof"] = oneof.name
    if field.is_repeated:
        described["repeated"] = True
    return {**described, **_kind(field, enums)}


def _kind(field: FieldDescriptor, enums: dict[str, Any]) -> dict[str, str]:
    if field.enum_type is not None:
        name = field.enum_type.full_name
        enums.setdefault(name, [value.name for value in field.enum_type.values])
        return {"kind": "enum", "type": name}
    if field.message_type is None:
        return {"kind": _KINDS[field.type]}
    name = field.message_type.full_name
    if name in _WRAPPED:
        return {"kind": _WRAPPED[name]}
    if name in _AS_TEXT:
        return {"kind": name.rpartition(".")[2].lower()}
    return {"kind": "json" if name in _AS_JSON else "message", "type": name}
