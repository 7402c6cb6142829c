"""Objects that requests name, and to whom they belong."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from catenet.rpc.model.identity import Identity
from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

__all__ = ["HasOwners", "Owners", "check_field", "objects_in"]


@runtime_checkable
class HasOwners(Protocol):
    """A service that knows to whom its objects belong."""

    def owner_of(self, name: str) -> str | Awaitable[str | None] | None:
        """Return the owner (`Identity.name`) of an object, None if there is no such object."""


class Owners:
    """To whom objects belong, in memory, for services whose `owner_of` is this one's.

    `most`: of one owner. One object has one owner, whoever comes first.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._owner: dict[str, str] = {}
        self._count: dict[str, int] = {}

    def add(self, name: str, identity: Identity) -> None:
        """Let a caller own an object. Raises `RpcError`: ALREADY_EXISTS, RESOURCE_EXHAUSTED, UNAUTHENTICATED."""
        if not identity.authenticated:
            raise RpcError(Code.UNAUTHENTICATED, "who owns it is not known")
        if name in self._owner:
            raise RpcError(Code.ALREADY_EXISTS, "the name is taken")
        count = self._count.get(identity.name, 0)
        if count >= self._most:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"at most {self._most} of one owner")
        self._owner[name] = identity.name
        self._count[identity.name] = count + 1

    def remove(self, name: str) -> None:
        """There is no such object any more; to say so twice does no harm."""
        owner = self._owner.pop(name, None)
        if owner is not None:
            self._count[owner] -= 1
            if not self._count[owner]:
                del self._count[owner]

    def owner_of(self, name: str) -> str | None:
        """See `HasOwners`."""
        return self._owner.get(name)

    def of(self, identity: Identity) -> list[str]:
        """The objects of a caller."""
        return [name for name, owner in self._owner.items() if owner == identity.name]


def check_field(path: str, descriptor: Descriptor | None, where: str) -> None:
    """Raise `ValueError` if a request has no such field, or one that names nothing."""
    import difflib

    parts = path.split(".")
    for number, part in enumerate(parts):
        if descriptor is None:
            raise ValueError(f"{where}: {'.'.join(parts[:number])!r} has no fields")
        field = descriptor.fields_by_name.get(part)
        if field is None:
            near = difflib.get_close_matches(part, descriptor.fields_by_name, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"{where}: {descriptor.full_name} has no field {part!r}{hint}")
        last = number == len(parts) - 1
        if not last and (field.message_type is None or field.is_repeated):
            raise ValueError(f"{where}: {part!r} of {descriptor.full_name} is no single message")
        if last and field.type not in _NAMING:
            raise ValueError(f"{where}: {part!r} of {descriptor.full_name} is neither text nor a whole number")
        descriptor = field.message_type


# FieldDescriptorProto.Type: int64, uint64, int32, fixed64, fixed32, string, uint32, sfixed32, sfixed64, sint32, sint64.
_NAMING = frozenset((3, 4, 5, 6, 7, 9, 13, 15, 16, 17, 18))


def objects_in(request: Any, path: str) -> list[str]:
    """Return the names of the objects in a field."""
    *outer, last = path.split(".")
    for part in outer:
        request = getattr(request, part)
    value = getattr(request, last)
    values = [value] if isinstance(value, str | int) else list(value)
    return [str(each) for each in values]
