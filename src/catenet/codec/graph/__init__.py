"""Graphs of Python objects as bytes: JSON, XML or protobuf, one model (docs/graph.md).

`dumps` and `loads` take what a program has: dataclasses, attrs and msgspec structs, plain classes, enumerations, dates
and times, numbers of any size, arrays, containers; shared and cyclic as they are. Only types that the program names are
made, and no constructor is called.
"""

from catenet.codec.graph.document import Limits
from catenet.codec.graph.integers import (
    NOT_SENT,
    FloatWidth,
    IntWidth,
    f32,
    f64,
    fixed32,
    fixed64,
    i8,
    i16,
    i32,
    i64,
    sfixed32,
    sfixed64,
    u8,
    u16,
    u32,
    u64,
)
from catenet.codec.graph.marshal import agree, dumps, loads
from catenet.codec.graph.messages import GraphOf, pack, unpack

__all__ = [
    "NOT_SENT",
    "FloatWidth",
    "GraphOf",
    "IntWidth",
    "Limits",
    "agree",
    "dumps",
    "f32",
    "f64",
    "fixed32",
    "fixed64",
    "i8",
    "i16",
    "i32",
    "i64",
    "loads",
    "pack",
    "sfixed32",
    "sfixed64",
    "u8",
    "u16",
    "u32",
    "u64",
    "unpack",
]
