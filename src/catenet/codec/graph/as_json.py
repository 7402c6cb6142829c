"""Documents as JSON (RFC 8259): one object, and in it nothing but arrays, so that no name can stand for two things."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import Any, NoReturn

from catenet.codec.graph.document import Array, Document, Limits, TypeEntry
from catenet.codec.graph.scalars import float_bits, from_float_bits, parse_big_int

_NAMES = ("graph", "order", "types", "root", "nodes")
_write = json.JSONEncoder(ensure_ascii=True, check_circular=False, allow_nan=False, separators=(",", ":")).encode
_MANY_DIGITS = re.compile(rb"[0-9]{100}").search


def write(document: Document) -> bytes:
    """Return the document as JSON."""
    nodes = [_node(node) for node in document.nodes]
    return _write(
        {
            "graph": 1,
            "order": document.order,
            "types": [[entry.name, list(entry.fields)] for entry in document.types],
            "root": _cells([document.root])[0],
            "nodes": nodes,
        }
    ).encode("ascii")


def _node(node: list[Any]) -> list[Any]:
    payload = node[-1]
    if node[0] == "value":
        return ["value", _cells([payload])[0]]
    if type(payload) is list:
        return [*node[:-1], _cells(payload)]
    if type(payload) is Array:
        return ["array", payload.form, payload.kind, list(payload.shape), payload.hint, _base64(payload.data)]
    return [node[0], _base64(payload)]


def _cells(cells: list[Any]) -> list[Any]:
    if list not in set(map(type, cells)):
        return cells
    return [_special(cell) if type(cell) is list and len(cell) == 2 else cell for cell in cells]


def _special(cell: list[Any]) -> list[Any]:
    kind, payload = cell
    if kind == "bytes":
        return [kind, _base64(payload)]
    if kind == "int":
        return [kind, hex(payload)]
    if kind == "float":
        return [kind, float_bits(payload)]
    if kind == "enum":
        return [kind, list(payload)]
    return cell


def _base64(data: Any) -> str:
    return b64encode(data).decode("ascii")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError("an integer beyond 64 bits is hexadecimal")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Called for every object, of which there is one.
    if tuple(sorted(name for name, _ in pairs)) != tuple(sorted(_NAMES)):
        raise ValueError(f"the object has not just the names {', '.join(_NAMES)}")
    return dict(pairs)


_read = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).decode
# Reading an integer takes quadratic time, for which the interpreter's limit may be switched off.
_read_carefully = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_whole).decode


def read(data: bytes | bytearray | memoryview, limits: Limits) -> Document:
    """Return the document in `data`; raise `ValueError`."""
    try:
        text = str(data, "utf-8")
        found = (_read_carefully if _MANY_DIGITS(data) else _read)(text)
    except RecursionError:
        raise ValueError("not a graph: nested too deeply") from None
    if type(found) is not dict or type(found["graph"]) is not int or found["graph"] != 1:
        raise ValueError("not a graph of version 1")
    if found["order"] not in ("little", "big") or type(found["types"]) is not list or type(found["nodes"]) is not list:
        raise ValueError("malformed graph")
    if len(found["nodes"]) > limits.max_values:
        raise ValueError(f"more than {limits.max_values} values")
    types = [_type(one) for one in found["types"]]
    nodes = [_read_node(node) for node in found["nodes"]]
    return Document(found["order"], types, _read_cell(found["root"]), nodes)


def _type(entry: Any) -> TypeEntry:
    if type(entry) is not list or len(entry) != 2 or type(entry[0]) is not str or type(entry[1]) is not list:
        raise ValueError("malformed type")
    if any(type(name) is not str for name in entry[1]):
        raise ValueError("malformed type")
    return TypeEntry(entry[0], tuple(entry[1]))


def _read_node(node: Any) -> list[Any]:
    if type(node) is not list or len(node) < 2 or type(node[0]) is not str:
        raise ValueError("malformed node")
    kind, payload = node[0], node[-1]
    if kind == "array":
        return _read_array(node)
    if kind == "bytearray" and len(node) == 2:
        return [kind, _unbase64(payload)]
    if kind == "value" and len(node) == 2:
        return [kind, _read_cell(payload)]
    if type(payload) is not list:
        raise ValueError("malformed node")
    for position, cell in enumerate(payload):
        if type(cell) is list and len(cell) != 1:
            payload[position] = _read_cell(cell)
        elif type(cell) is dict:
            raise ValueError("malformed value")
    return node


def _read_array(node: list[Any]) -> list[Any]:
    if len(node) != 6:
        raise ValueError("malformed array")
    _, form, kind, shape, hint, data = node
    if type(form) is not str or type(kind) is not str or type(hint) is not str or type(shape) is not list:
        raise ValueError("malformed array")
    return ["array", Array(form, kind, tuple(shape), _unbase64(data), hint)]


def _read_cell(cell: Any) -> Any:
    if type(cell) is dict:
        raise ValueError("malformed value")
    if type(cell) is not list or len(cell) == 1:
        return cell
    if len(cell) != 2 or type(cell[0]) is not str:
        raise ValueError("malformed value")
    kind, payload = cell
    if kind == "bytes":
        return [kind, _unbase64(payload)]
    if kind == "int":
        return [kind, parse_big_int(payload)]
    if kind == "float":
        return [kind, from_float_bits(payload)]
    if kind == "enum":
        if type(payload) is not list:
            raise ValueError("malformed enumeration")
        return [kind, tuple(payload)]
    return cell


def _unbase64(text: Any) -> bytes:
    if type(text) is not str:
        raise ValueError("malformed base64")
    return b64decode(text, validate=True)
