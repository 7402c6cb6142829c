"""An object of a service config, and where it stands: what is wrong with it is told by place.

Sources: gRPC `service_config.md`; ProtoJSON for numbers and durations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from catenet.rpc.model.status import Code

__all__ = ["Node"]


class Node:
    """A JSON object and where it stands, for messages that name the place."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{place}: must be a JSON object")
        self.value = value
        self.place = place

    def wrong(self, text: str) -> ValueError:
        """Return the error that names this place."""
        return ValueError(f"{self.place}: {text}")

    def child(self, name: str) -> Node | None:
        """Return the object of a name; None if there is none."""
        value = self.value.get(name)
        return None if value is None else Node(value, f"{self.place}.{name}")

    def items(self, name: str) -> list[Node]:
        """Return the objects of a list; none if there is no list."""
        value = self.value.get(name, ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong(f"{name}: must be a list")
        return [Node(item, f"{self.place}.{name}[{index}]") for index, item in enumerate(value)]

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        value = self.value.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(f"{name}: must be text")
        return value

    def number(self, name: str, least: float, most: float = float("inf")) -> float:
        """Return a number within limits."""
        value = self.value.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(f"{name}: must be a number from {least:g}" + (f" to {most:g}" if most < 1e300 else ""))
        return float(value)

    def count(self, name: str) -> int:
        """Return a whole number, not negative; 64-bit integers may be text."""
        value = self.value.get(name)
        # 64-bit integers may be text in ProtoJSON.
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            raise self.wrong(f"{name}: must be a whole number, not negative")
        return int(value)

    def duration(self, name: str, positive: bool = False) -> float:
        """A google.protobuf.Duration in JSON: seconds with up to nine decimals, and an s."""
        value = self.value.get(name)
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?s", value):
            raise self.wrong(f'{name}: must be seconds like "1.5s"')
        seconds = float(value[:-1])
        if positive and seconds == 0:
            raise self.wrong(f"{name}: must be more than 0s")
        return seconds

    def codes(self, name: str) -> frozenset[Code]:
        """Return the status codes of a list, by name or number."""
        value = self.value.get(name, ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong(f"{name}: must be a list of status codes")
        return frozenset(self._code(name, item) for item in value)

    def _code(self, name: str, item: Any) -> Code:
        if isinstance(item, str) and item.upper() in Code.__members__:
            return Code[item.upper()]
        if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= 16:
            return Code(item)
        raise self.wrong(f"{name}: {item!r} is no status code")

    def optional(self, name: str, read: Callable[[str], Any]) -> Any:
        """Return what `read` makes of a name; None if there is nothing of it."""
        return None if self.value.get(name) is None else read(name)

    def flag(self, name: str) -> bool | None:
        """Return whether something is so; None if nothing is said."""
        value = self.value.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"{name}: true or false")
        return value
