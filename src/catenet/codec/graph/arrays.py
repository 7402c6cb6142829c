"""Arrays of numbers: `array.array`, numpy's and memoryviews, in the byte order of the document.

Two machines of one order exchange them as they lie in memory: nothing is swapped, and what the receiver gets as numpy
array or memoryview is a view of the bytes that came.
"""

from __future__ import annotations

import array
import math
import sys
from typing import Any, Final, cast

from catenet.codec.graph.document import Array

__all__ = ["describe", "is_numpy", "rebuild", "swapped"]

_SIZES: Final = {
    "i8": 1,
    "u8": 1,
    "i16": 2,
    "u16": 2,
    "i32": 4,
    "u32": 4,
    "i64": 8,
    "u64": 8,
    "f16": 2,
    "f32": 4,
    "f64": 8,
    "c64": 8,
    "c128": 16,
    "bool": 1,
}
_CODES: Final = {
    code: f"{kind}{array.array(code).itemsize * 8}"
    for kind, codes in (("i", "bhilq"), ("u", "BHILQ"), ("f", "fd"))
    for code in codes
}
"""Type codes of `array`, which memoryview shares."""
_FIRST: Final = {kind: code for code, kind in reversed(_CODES.items())}
_VIEWS: Final = {**_CODES, "?": "bool"}
_NUMPY: Final = {**{kind: kind[0] + str(size) for kind, size in _SIZES.items()}, "bool": "b1"}
_MOST_DIMENSIONS: Final = 32


def is_numpy(value: Any) -> bool:
    """Whether a value is an array of numpy's, and no heir of it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def describe(value: Any, order: str) -> Array:
    """Return an array as the document has it; its data are a view of the array if nothing has to be swapped."""
    if type(value) is array.array:
        if value.typecode not in _CODES:
            raise TypeError(f"array of type code {value.typecode!r} is not allowed")
        if order != sys.byteorder and value.itemsize > 1:
            value = array.array(value.typecode, value)
            value.byteswap()
        data = memoryview(value).cast("B") if len(value) else b""
        return Array("array", _CODES[value.typecode], (len(value),), data, value.typecode)
    if type(value) is memoryview:
        return _describe_view(value, order)
    return _describe_numpy(value, order)


def _describe_view(view: memoryview, order: str) -> Array:
    kind = _VIEWS.get(view.format.lstrip("@"))
    if kind is None:
        raise TypeError(f"memoryview of format {view.format!r} is not allowed")
    shape = tuple(view.shape or ())
    if not view.nbytes and len(shape) != 1:
        raise TypeError("an empty memoryview of several dimensions is not allowed")
    if not view.nbytes:
        return Array("memoryview", kind, shape, b"")
    data = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    return Array("memoryview", kind, shape, swapped(data, _SIZES[kind], order))


def _describe_numpy(value: Any, order: str) -> Array:
    import numpy

    kind = value.dtype.kind
    name = "bool" if kind == "b" else f"{kind}{value.dtype.itemsize * 8}"
    if kind not in "iufcb" or name not in _SIZES:
        raise TypeError(f"numpy array of {value.dtype} is not allowed")
    wanted = value.dtype.newbyteorder("<" if order == "little" else ">")
    shape = value.shape
    flat: Any = numpy.ascontiguousarray(value, dtype=wanted)
    return Array("numpy", name, shape, memoryview(flat.reshape(-1).view("u1")) if flat.size else b"")


def swapped(data: Any, size: int, order: str) -> Any:
    """Return the bytes of numbers of `size`, between this machine's order and `order`."""
    if order == sys.byteorder or size == 1:
        return data
    numbers = array.array(_FIRST[f"u{size * 8}"])
    numbers.frombytes(data)
    numbers.byteswap()
    return memoryview(numbers).cast("B")


def rebuild(found: Array, order: str) -> Any:
    """Return the array that is meant; raise `ValueError` for data that do not fit the shape."""
    size = _SIZES.get(found.kind)
    if size is None:
        raise ValueError(f"no array of {found.kind!r}")
    shape = found.shape
    if len(shape) > _MOST_DIMENSIONS or any(type(one) is not int or not 0 <= one < 1 << 62 for one in shape):
        raise ValueError("malformed shape of an array")
    if math.prod(shape) * size != len(found.data):
        raise ValueError(f"an array of shape {shape} and {found.kind} has not {len(found.data)} bytes")
    if found.form == "numpy":
        return _rebuild_numpy(found, order)
    if found.form == "memoryview":
        return _rebuild_view(found, size, order)
    if found.form != "array" or len(shape) != 1:
        raise ValueError("malformed array")
    code = found.hint if _CODES.get(found.hint) == found.kind else _FIRST.get(found.kind)
    if code is None:
        raise ValueError(f"no array of {found.kind!r}")
    made = array.array(code)
    made.frombytes(found.data)
    if order != sys.byteorder:
        made.byteswap()
    return made


def _rebuild_view(found: Array, size: int, order: str) -> memoryview:
    code = "?" if found.kind == "bool" else _FIRST.get(found.kind)
    if code is None:
        raise ValueError(f"no memoryview of {found.kind!r}")
    view = memoryview(swapped(found.data, size, order))
    shape = found.shape
    if not len(view) or len(shape) < 1:
        if len(view):
            return cast(memoryview, cast(Any, view.cast("B")).cast(code, ()))
        if len(shape) != 1:
            raise ValueError("an empty memoryview has one dimension")
        return view.cast("B").cast(cast(Any, code))
    flat = view.cast("B")
    return cast(memoryview, cast(Any, flat).cast(code) if len(shape) == 1 else cast(Any, flat).cast(code, shape))


def _rebuild_numpy(found: Array, order: str) -> Any:
    try:
        import numpy
    except ImportError:
        raise ValueError("the document has an array of numpy's, which is not installed") from None
    dtype = numpy.dtype(_NUMPY[found.kind]).newbyteorder("<" if order == "little" else ">")
    flat = numpy.frombuffer(found.data, dtype) if len(found.data) else numpy.empty(0, dtype)
    if order != sys.byteorder:
        flat = flat.astype(dtype.newbyteorder("="))
    return flat.reshape(found.shape)
