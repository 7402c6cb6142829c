"""Descriptors: what a method is called, which messages it takes, how many of them, and whether it may be repeated."""

from __future__ import annotations

import enum
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from google.protobuf import descriptor

__all__ = [
    "Idempotency",
    "Kind",
    "Method",
    "ServiceDescriptor",
    "attribute_name",
    "service_from_protobuf",
    "snake_case",
    "with_arrays",
]

Req = TypeVar("Req")
Res = TypeVar("Res")


class Kind(enum.Enum):
    """How many messages go each way; the value is `(client streams, server streams)`."""

    UNARY = (False, False)
    SERVER_STREAM = (False, True)
    CLIENT_STREAM = (True, False)
    BIDI = (True, True)

    @property
    def client_streams(self) -> bool:
        """Whether the client sends any number of messages rather than one."""
        return self.value[0]

    @property
    def server_streams(self) -> bool:
        """Whether the server sends any number of messages rather than one."""
        return self.value[1]


class Idempotency(enum.IntEnum):
    """`google.protobuf.MethodOptions.IdempotencyLevel`."""

    UNKNOWN = 0
    NO_SIDE_EFFECTS = 1  # safe: Connect may send it as GET
    IDEMPOTENT = 2  # may be repeated


@dataclass(frozen=True, slots=True, eq=False)
class Method(Generic[Req, Res]):
    """One remote procedure. `service` is the full name with its package, `name` as in the IDL.

    `attribute` is what handlers and clients call it, by default the name in snake case.
    """

    service: str
    name: str
    kind: Kind
    request: type[Req]
    response: type[Res]
    idempotency: Idempotency = Idempotency.UNKNOWN
    attribute: str = ""
    path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.service}/{self.name}")
        if not self.attribute:
            object.__setattr__(self, "attribute", attribute_name(self.name))

    @property
    def full_name(self) -> str:
        """`package.Service/Method`, as spans and messages name it."""
        return self.path[1:]

    def unimplemented(self) -> RpcError:
        """Return the error of a server that does not implement this method."""
        return RpcError(Code.UNIMPLEMENTED, f"{self.full_name} is not implemented")


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDescriptor:
    """A named set of methods. `descriptor` is protobuf's own, for reflection; None for services of other codecs."""

    name: str
    methods: tuple[Method[Any, Any], ...]
    descriptor: descriptor.ServiceDescriptor | None = None

    def __iter__(self) -> Iterator[Method[Any, Any]]:
        return iter(self.methods)

    def method(self, name: str) -> Method[Any, Any] | None:
        """Return the method called `name` in the IDL, or None."""
        return next((method for method in self.methods if method.name == name), None)


def service_from_protobuf(descriptor: descriptor.ServiceDescriptor) -> ServiceDescriptor:
    """Return the service that a protobuf descriptor describes, with message classes made for it if need be."""
    from google.protobuf.message_factory import GetMessageClass

    methods = tuple(
        Method(
            descriptor.full_name,
            method.name,
            Kind((method.client_streaming, method.server_streaming)),
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
            Idempotency(method.GetOptions().idempotency_level),
        )
        for method in descriptor.methods
    )
    return ServiceDescriptor(descriptor.full_name, methods, descriptor)


@overload
def with_arrays(what: Method[Any, Any]) -> Method[Any, Any]: ...
@overload
def with_arrays(what: ServiceDescriptor) -> ServiceDescriptor: ...
def with_arrays(what: Method[Any, Any] | ServiceDescriptor) -> Method[Any, Any] | ServiceDescriptor:
    """Return a method, or all of a service, whose messages have their numbers of fixed width as arrays.

    Messages are then those of `catenet.codec.packed`: a field `repeated double` (`float`, `fixed32`, …) of the message
    itself is a memoryview of the bytes that came, and is set to anything that holds such numbers. What is on the wire
    is the same.
    """
    from catenet.codec.packed import has_packed, packed

    if isinstance(what, ServiceDescriptor):
        return replace(what, methods=tuple(map(with_arrays, what.methods)))
    request, response = (packed(kind) if has_packed(kind) else kind for kind in (what.request, what.response))
    return Method(what.service, what.name, what.kind, request, response, what.idempotency, what.attribute)


_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


_TAKEN = frozenset(("_channel",))
"""What generated clients have for themselves."""


def snake_case(name: str) -> str:
    """Return `GetTopScores` as `get_top_scores`; without underscores in front that mean something in a class.

    Within a class Python renames `__x` and keeps `__x__` for itself, so of two or more in front none is left, or
    one where a digit follows.
    """
    snake = _WORD_STARTS.sub("_", name).lower()
    bare = snake.lstrip("_")
    if not snake.startswith("__") or not bare:
        return snake
    return bare if bare[0].isalpha() else "_" + bare


def attribute_name(name: str) -> str:
    """Return the Python name of a method: `GetTopScores` is `get_top_scores`, `Import` is `import_`."""
    snake = snake_case(name)
    return snake + "_" if keyword.iskeyword(snake) or snake in _TAKEN else snake
