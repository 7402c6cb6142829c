"""Arguments of system calls, taken from the script's expressions."""

from __future__ import annotations

import struct

from catenet.testing.packetdrill.symbols import evaluate
from catenet.testing.packetdrill.syntax import (
    Call,
    Ellipsis_,
    Expression,
    Function,
    Integer,
    Items,
    Quoted,
    Structure,
    Word,
)

__all__ = ["Arguments", "in_bracket", "iovec_lengths", "is_of_no_family", "linger", "name_in"]


class Arguments:
    """Arguments by position; every method raises ValueError with the position when the script makes no sense."""

    def __init__(self, call: Call, low: int, high: int | None = None) -> None:
        self.call = call
        count = len(call.arguments)
        if not low <= count <= (high or low):
            raise ValueError(f"takes {low} arguments, not {count}")

    def raw(self, index: int) -> Expression:
        """An argument as written; `...` when there are not so many."""
        values = self.call.arguments
        return values[index] if index < len(values) else Ellipsis_()

    def number(self, index: int, default: int | None = None) -> int:
        """A number; `...` is the default, if there is one."""
        value = self.raw(index)
        if isinstance(value, Ellipsis_) and default is not None:
            return default
        try:
            return evaluate(value)
        except ValueError as error:
            raise ValueError(f"argument {index + 1}: {error}") from None

    def is_null(self, index: int) -> bool:
        """Whether a buffer is NULL rather than `...`."""
        value = self.raw(index)
        return value in (Word("NULL"), Integer(0))

    def structure(self, index: int) -> Structure:
        """A structure with named fields."""
        value = self.raw(index)
        if not isinstance(value, Structure):
            raise ValueError(f"argument {index + 1}: expected a structure")
        return value

    def items(self, index: int) -> tuple[Expression, ...]:
        """Elements of an array."""
        value = self.raw(index)
        if not isinstance(value, Items):
            raise ValueError(f"argument {index + 1}: expected an array")
        return value.values


def in_bracket(value: Expression) -> int | None:
    """The number of `[5]`; None for anything else."""
    if isinstance(value, Items) and len(value.values) == 1:
        return evaluate(value.values[0])
    return None


def iovec_lengths(value: Expression | None) -> list[int]:
    """Lengths of `[{..., 100}, {..., 200}]`."""
    if not isinstance(value, Items):
        raise ValueError("expected an array of {..., length}")
    lengths = []
    for one in value.values:
        if not (isinstance(one, Items) and len(one.values) == 2):
            raise ValueError("expected {..., length} in an iovec")
        lengths.append(evaluate(one.values[1]))
    return lengths


def linger(value: Structure) -> bytes:
    """`{onoff=1, linger=5}` as struct linger."""
    onoff, seconds = value.get("onoff"), value.get("linger")
    if onoff is None or seconds is None:
        raise ValueError("expected {onoff=…, linger=…}")
    return struct.pack("ii", evaluate(onoff), evaluate(seconds))


def is_of_no_family(address: Expression) -> bool:
    """Whether an address is of family AF_UNSPEC."""
    name = name_in(address)
    if name is not None:
        return name[0] == "AF_UNSPEC"
    try:
        return not isinstance(address, Ellipsis_) and evaluate(address) == 0
    except ValueError:
        return False


def name_in(value: Expression) -> tuple[str, str, int] | None:
    """Family, host and port of `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}`."""
    if not isinstance(value, Structure):
        return None
    family, port, host = value.get("sa_family"), value.get("sin_port"), value.get("sin_addr")
    port = port or value.get("sin6_port")
    host = host or value.get("sin6_addr")
    if not isinstance(family, Word) or port is None or host is None:
        raise ValueError("expected sa_family, sin_port and sin_addr")
    if isinstance(port, Function) and port.arguments:
        port = port.arguments[0]
    if isinstance(host, Function) and host.arguments:
        host = host.arguments[0]
    if not isinstance(host, Quoted):
        raise ValueError('expected inet_addr("…")')
    return family.name, host.value.decode(), evaluate(port)
