"""Widths of numbers, for annotations: `Annotated[int, u32]`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "NOT_SENT",
    "FloatWidth",
    "IntWidth",
    "NotSent",
    "f32",
    "f64",
    "fixed32",
    "fixed64",
    "i8",
    "i16",
    "i32",
    "i64",
    "sfixed32",
    "sfixed64",
    "u8",
    "u16",
    "u32",
    "u64",
]


@dataclass(frozen=True, slots=True)
class IntWidth:
    """An integer of so many bits. `wire` is protobuf's type for it, which says how it is written in binary."""

    bits: int
    signed: bool
    wire: str

    @property
    def lowest(self) -> int:
        """The least value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The greatest value."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True, slots=True)
class FloatWidth:
    """A float of so many bits."""

    bits: int
    wire: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """The mark of a field that stays with its process."""


NOT_SENT = NotSent()
"""`Annotated[T, NOT_SENT]`: the field is not sent; where fields have metadata, `{"send": False}` says the same."""

u8 = IntWidth(8, False, "uint32")
u16 = IntWidth(16, False, "uint32")
u32 = IntWidth(32, False, "uint32")
u64 = IntWidth(64, False, "uint64")
i8 = IntWidth(8, True, "sint32")
i16 = IntWidth(16, True, "sint32")
i32 = IntWidth(32, True, "sint32")
i64 = IntWidth(64, True, "sint64")
fixed32 = IntWidth(32, False, "fixed32")
fixed64 = IntWidth(64, False, "fixed64")
sfixed32 = IntWidth(32, True, "sfixed32")
sfixed64 = IntWidth(64, True, "sfixed64")
f32 = FloatWidth(32, "float")
f64 = FloatWidth(64, "double")
