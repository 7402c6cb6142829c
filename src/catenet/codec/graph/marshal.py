"""`dumps` and `loads`: the list of types, the model and an encoding, put together."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from catenet.codec.graph import as_json, as_protobuf, as_xml
from catenet.codec.graph.document import Document, Limits
from catenet.codec.graph.flatten import BUILTIN, flatten
from catenet.codec.graph.registry import Registry
from catenet.codec.graph.restore import restore

__all__ = ["Types", "agree", "dumps", "loads"]

Types = Iterable[Any] | Mapping[str, Any]


_FORMATS: Final[dict[str, Any]] = {"json": as_json, "xml": as_xml, "protobuf": as_protobuf}
_DEFAULT: Final = Limits()


def agree(ours: str, theirs: str | None) -> str:
    """Return the byte order for arrays between two machines: theirs if it is ours too, otherwise network order."""
    return ours if ours == theirs else "big"


def dumps(value: Any, format: str = "json", types: Types = (), *, order: str | None = None) -> bytes:
    """Return the graph that `value` is the root of as bytes.

    Args:
        value: any object of a built-in type or of one in `types`.
        format: `json`, `xml` or `protobuf`.
        types: the classes whose objects may be sent, or a mapping of names to classes.
        order: byte order of arrays, `little` or `big`; this machine's if not given. Every document says which it is;
            `agree` has the rule for two machines that know each other.

    Raises:
        TypeError: an object is of a type that is not allowed.
        ValueError: a field does not hold what its type hint says, or the format is unknown.
    """
    if order not in (None, "little", "big"):
        raise ValueError(f"order {order!r}: there are little and big")
    document = flatten(value, _registry(types), order or sys.byteorder)
    encoded: bytes = _format(format).write(document)
    return encoded


def loads(
    data: bytes | bytearray | memoryview, format: str = "json", types: Types = (), *, limits: Limits = _DEFAULT
) -> Any:
    """Return the root of the graph in `data`.

    numpy's arrays and memoryviews that came as protobuf in this machine's byte order are views of `data`.

    Raises:
        TypeError: the document names a type that is not in `types`.
        ValueError: the document is malformed, or beyond `limits`.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    size = memoryview(data).nbytes
    if size > limits.max_bytes:
        raise ValueError(f"{size} bytes, more than the limit of {limits.max_bytes}")
    registry = _registry(types)
    document: Document = _format(format).read(data, limits)
    return restore(document, registry, limits)


def _registry(types: Types) -> Registry:
    if isinstance(types, Mapping):
        return _kept_registry(tuple(types.items()), True)
    return _kept_registry(tuple(types), False)


@lru_cache(maxsize=64)
def _kept_registry(types: tuple[Any, ...], named: bool) -> Registry:
    return Registry(dict(types) if named else types, BUILTIN)


def _format(name: str) -> Any:
    found = _FORMATS.get(name)
    if found is None:
        raise ValueError(f"format {name!r}: there are {', '.join(_FORMATS)}")
    return found
