"""Documents as XML 1.0: nodes are the children of the root element, cells theirs, and there is no more depth."""

from __future__ import annotations

import math
import re
from base64 import b64decode, b64encode
from typing import Any, Final

from catenet.codec.graph.document import CONTAINERS, SCALARS, UNSET, Array, Document, Limits, TypeEntry
from catenet.codec.graph.scalars import float_bits, from_float_bits, parse_big_int
from catenet.codec.safe_xml import attribute_text, element_text, is_xml_text, parse_xml

NAMESPACE: Final = "urn:catenet:graph:1"
_PREFIX: Final = NAMESPACE + " "
_BEFORE: Final = len(_PREFIX)
_INTEGER = re.compile(r"-?[0-9]{1,20}").fullmatch
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,4})?").fullmatch
_INDEX = re.compile(r"[0-9]{1,18}").fullmatch


def write(document: Document) -> bytes:
    """Return the document as XML."""
    parts = [f'<graph xmlns="{NAMESPACE}" order="{document.order}">']
    for entry in document.types:
        fields = "".join(f'<field name="{_attribute(name)}"/>' for name in entry.fields)
        parts.append(f'<type name="{_attribute(entry.name)}">{fields}</type>')
    parts.append(f"<root>{_cell(document.root)}</root>")
    for node in document.nodes:
        _node(node, parts)
    parts.append("</graph>")
    return "".join(parts).encode()


def _attribute(text: str) -> str:
    if not is_xml_text(text):
        raise ValueError(f"a name that XML cannot say: {text!r}")
    return attribute_text(text)


def _node(node: list[Any], parts: list[str]) -> None:
    kind, payload = node[0], node[-1]
    if kind == "object":
        parts.append(f'<object type="{node[1]}">')
        parts.extend(map(_cell, payload))
        parts.append("</object>")
    elif kind == "array":
        shape = " ".join(map(str, payload.shape))
        hint = f' hint="{payload.hint}"' if payload.hint else ""
        parts.append(
            f'<array form="{payload.form}" kind="{payload.kind}" shape="{shape}"{hint}>{_base64(payload.data)}</array>'
        )
    elif kind == "bytearray":
        parts.append(f"<bytearray>{_base64(payload)}</bytearray>")
    elif kind == "value":
        parts.append(f"<value>{_cell(payload)}</value>")
    else:
        parts.append(f"<{kind}>")
        parts.extend(map(_cell, payload))
        parts.append(f"</{kind}>")


def _cell(cell: Any) -> str:
    kind = type(cell)
    if kind is str:
        if is_xml_text(cell):
            return f"<str>{element_text(cell)}</str>"
        return f'<str encoding="base64">{_base64(cell.encode("utf-8", "surrogatepass"))}</str>'
    if kind is int:
        return f"<int>{cell}</int>"
    if kind is float:
        return f"<float>{cell!r}</float>"
    if kind is list:
        return f'<ref node="{cell[0]}"/>' if len(cell) == 1 else _special(*cell)
    return "<none/>" if cell is None else "<true/>" if cell else "<false/>"


def _special(kind: str, payload: Any) -> str:
    if kind == "bytes":
        return f"<bytes>{_base64(payload)}</bytes>"
    if kind == "int":
        return f"<int>{payload:#x}</int>"
    if kind == "float":
        return f"<float>0x{float_bits(payload)}</float>"
    if kind == "enum":
        index, value = payload
        said = f'name="{_attribute(value)}"' if type(value) is str else f'value="{value:#x}"'
        return f'<enum type="{index}" {said}/>'
    if kind == "unset":
        return "<unset/>"
    return f"<{kind}>{element_text(payload)}</{kind}>"


def _base64(data: Any) -> str:
    return b64encode(data).decode("ascii")


def read(data: bytes | bytearray | memoryview, limits: Limits) -> Document:
    """Return the document in `data`; raise `ValueError`."""
    reader = _Reader()
    parse_xml(data, reader.start, reader.end, reader.text, deepest=None, most_elements=limits.max_values)
    if reader.roots != 1:
        raise ValueError("a graph has one root")
    return reader.document


class _Reader:
    """What the parser reports, put together; `_depth` is 1 within the root, 2 within a node, 3 within a cell."""

    def __init__(self) -> None:
        self.document = Document("")
        self.roots = 0
        self._depth = 0
        self._kind = ""
        self._attributes: dict[str, str] = {}
        self._cells: list[Any] = []
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name[:_BEFORE] != _PREFIX:
            raise ValueError(f"{name} is of another namespace than {NAMESPACE}")
        local = name[_BEFORE:]
        if self._depth == 0:
            _attributes(attributes, "order")
            if local != "graph" or attributes["order"] not in ("little", "big"):
                raise ValueError("not a graph")
            self.document.order = attributes["order"]
        elif self._depth == 1:
            self._kind, self._attributes, self._cells = local, attributes, []
        elif self._depth == 2:
            if self._text:
                self._no_text()
            self._cell_kind, self._cell_attributes = local, attributes
        else:
            raise ValueError(f"{local} within a value")
        if self._text:
            self._text = []
        self._depth += 1

    def text(self, text: str) -> None:
        """Text, in pieces."""
        self._text.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        self._depth -= 1
        if self._depth == 2:
            text = "".join(self._text) if self._text else ""
            self._cells.append(_read_cell(self._cell_kind, self._cell_attributes, text))
            self._text = []
        elif self._depth == 1:
            self._end_of_node()
            self._text = []
        else:
            self._no_text()

    def _no_text(self) -> None:
        if "".join(self._text).strip(" \t\r\n"):
            raise ValueError("text between values")

    def _end_of_node(self) -> None:
        kind, attributes, cells = self._kind, self._attributes, self._cells
        if kind in ("array", "bytearray"):
            if cells:
                raise ValueError(f"{kind} holds base64")
            self.document.nodes.append(_read_array(kind, attributes, "".join(self._text)))
            return
        self._no_text()
        if kind == "type":
            _attributes(attributes, "name")
            if any(type(one) is not tuple for one in cells):
                raise ValueError("a type has fields")
            self.document.types.append(TypeEntry(attributes["name"], tuple(name for (name,) in cells)))
            return
        if any(type(one) is tuple for one in cells):
            raise ValueError(f"a field within {kind}")
        if kind == "object":
            _attributes(attributes, "type")
            self.document.nodes.append([kind, _index(attributes["type"]), cells])
            return
        _attributes(attributes)
        if kind in ("root", "value"):
            if len(cells) != 1:
                raise ValueError(f"{kind} holds one value")
            if kind == "root":
                self.roots += 1
                self.document.root = cells[0]
            else:
                self.document.nodes.append([kind, cells[0]])
        elif kind in CONTAINERS:
            self.document.nodes.append([kind, cells])
        else:
            raise ValueError(f"no element {kind} in a graph")


def _attributes(given: dict[str, str], *names: str, optional: str = "") -> None:
    if len(given) == len(names) <= 1 and (not names or names[0] in given):
        return  # as nearly all have
    if set(given) - {optional} != set(names):
        raise ValueError(f"attributes {sorted(given)} instead of {sorted(names)}")


def _index(text: str) -> int:
    if not _INDEX(text):
        raise ValueError("malformed index")
    return int(text)


def _read_array(kind: str, attributes: dict[str, str], text: str) -> list[Any]:
    if kind == "bytearray":
        _attributes(attributes)
        return [kind, _unbase64(text)]
    _attributes(attributes, "form", "kind", "shape", optional="hint")
    shape = attributes["shape"].split()
    if len(shape) > 100:
        raise ValueError("malformed shape of an array")
    found = Array(
        attributes["form"], attributes["kind"], tuple(map(_index, shape)), _unbase64(text), attributes.get("hint", "")
    )
    return [kind, found]


def _read_cell(kind: str, attributes: dict[str, str], text: str) -> Any:
    if kind == "ref":
        _no(text)
        _attributes(attributes, "node")
        return [_index(attributes["node"])]
    if kind == "str":
        _attributes(attributes, optional="encoding")
        if not attributes:
            return text
        if attributes["encoding"] != "base64":
            raise ValueError("a text is encoded as base64 or not at all")
        return _unbase64(text).decode("utf-8", "surrogatepass")
    if kind == "enum":
        _no(text)
        _attributes(attributes, "type", "name" if "name" in attributes else "value")
        named = attributes.get("name")
        value = named if named is not None else parse_big_int(attributes["value"])
        return ["enum", (_index(attributes["type"]), value)]
    if kind == "field":
        _no(text)
        _attributes(attributes, "name")
        return (attributes["name"],)
    _attributes(attributes)
    if kind == "int":
        return int(text) if _INTEGER(text) else ["int", parse_big_int(text)]
    if kind == "float":
        return _read_float(text)
    if kind in _CONSTANTS:
        _no(text)
        return _CONSTANTS[kind]
    if kind == "bytes":
        return ["bytes", _unbase64(text)]
    if kind in SCALARS:
        return [kind, text]
    raise ValueError(f"no value {kind} in a graph")


_CONSTANTS: Final = {"none": None, "true": True, "false": False, "unset": UNSET}


def _no(text: str) -> None:
    if text:
        raise ValueError("text where there is none")


def _read_float(text: str) -> float:
    if text.startswith("0x"):
        return from_float_bits(text[2:])
    if not _NUMBER(text):
        raise ValueError("malformed float")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the float is out of range")
    return number


def _unbase64(text: str) -> bytes:
    return b64decode("".join(text.split()), validate=True)
