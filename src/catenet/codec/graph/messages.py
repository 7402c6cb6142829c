"""Graphs within messages: a field of the type `catenet.graph.v1.Graph` (graph.proto), and the objects in it."""

from __future__ import annotations

from typing import Any

from catenet.codec.graph.document import Limits
from catenet.codec.graph.marshal import Types, dumps, loads

__all__ = ["GraphOf", "pack", "unpack"]


def pack(message: Any, value: Any, types: Types = (), *, order: str | None = None) -> None:
    """Let a `Graph` message carry what `value` is the root of. Raises what `dumps` does."""
    message.Clear()
    message.MergeFromString(dumps(value, "protobuf", types, order=order))


def unpack(message: Any, types: Types = (), *, limits: Limits | None = None) -> Any:
    """Return the root of the graph that a `Graph` message carries. Raises what `loads` does."""
    return loads(message.SerializeToString(), "protobuf", types, limits=limits or Limits())


class GraphOf:
    """`Annotated[T, GraphOf(A, B)]`: a field whose value is sent as a graph of objects of these types."""

    def __init__(self, *types: type, limits: Limits | None = None) -> None:
        self.types = types
        self.limits = limits

    def pack(self, value: Any, message: Any) -> None:
        """Let a message carry a value."""
        pack(message, value, self.types)

    def unpack(self, message: Any) -> Any:
        """Return the value that a message carries; raise `ValueError` for one that is none, or of other types."""
        try:
            return unpack(message, self.types, limits=self.limits)
        except TypeError as error:
            raise ValueError(str(error)) from None
