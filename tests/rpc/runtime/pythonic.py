"""A service that is a Python class, for the tests and for the processes that they start."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import attrs
import msgspec

from catenet.codec.graph import NOT_SENT, f32, fixed64, u32
from catenet.codec.schema import Number
from catenet.rpc import Context, Idempotency, idempotent, service


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 0
    HIGH = 7
    BELOW = -1


@attrs.define
class Place:
    name: str
    distance: Annotated[float, f32] = 0.5


class Tag(msgspec.Struct):
    text: str = ""


@dataclass
class Item:
    name: str
    parts: list[Item] = field(default_factory=list)
    when: datetime | None = None
    lasts: timedelta = timedelta(seconds=1.5)
    colour: Colour = Colour.RED
    levels: tuple[Level, ...] = ()
    amounts: dict[str, int] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    either: int | str | Place | None = None
    count: Annotated[int, u32, Number(40)] = 0
    fixed: Annotated[int, fixed64] = 0
    maybe: int | None = None
    price: Decimal = Decimal("1.50")
    key: UUID = field(default_factory=lambda: UUID(int=0))
    day: date = date(2000, 1, 1)
    data: bytes = b""
    good: bool = False
    tag: Tag = field(default_factory=Tag)
    cache: Annotated[Any, NOT_SENT] = None


@service("shop.v1")
class Shop:
    """All kinds of methods, with messages and with parameters."""

    @idempotent(Idempotency.NO_SIDE_EFFECTS)
    async def echo(self, item: Item, context: Context) -> Item:
        context.set_trailing_metadata([("x-name", item.name)])
        return item

    async def add_up(self, one: int, other: int = 2) -> int:
        return one + other

    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    async def total(self, numbers: AsyncIterator[int]) -> Decimal:
        return Decimal(sum([number async for number in numbers]))

    async def names(self, items: AsyncIterator[Item]) -> AsyncIterator[str]:
        async for item in items:
            yield item.name

    def shout(self, text: str, context: Context) -> str:
        return text.upper()

    def letters(self, text: str) -> Iterator[str]:
        yield from text

    def longest(self, texts: Iterator[str]) -> str | None:
        return max(texts, key=len, default=None)

    async def nothing(self) -> None:
        return None

    def _private(self) -> None:
        """Not of the service."""
