"""Several addresses by turns: each answer begins with the next one (RFC 1794)."""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.message import Message, parse
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AAAA, A
from catenet.wire.dns.record import HEAD_LENGTH, Record
from catenet.wire.errors import Malformed

__all__ = ["Turns"]

MOST_NAMES: Final = 4096


class Turns:
    """How often each name has been answered for."""

    def __init__(self) -> None:
        self._counts: dict[tuple[bytes, int], int] = {}

    def turn(self, answer: bytes) -> bytes:
        """The answer with its addresses in the next order.

        Data of one set are of one length, so that they change places where they are; signatures hold in any order.
        """
        try:
            message = parse(answer)
            groups = _groups(message)
        except Malformed:
            return answer
        if not groups:
            return answer
        turned = bytearray(answer)
        for key, records in groups.items():
            count = self._counts.get(key, 0)
            if len(self._counts) < MOST_NAMES or key in self._counts:
                self._counts[key] = count + 1
            for place, record in enumerate(records):
                source = records[(place + count) % len(records)]
                turned[record.head + HEAD_LENGTH : record.end] = answer[source.head + HEAD_LENGTH : source.end]
        return bytes(turned)


def _groups(message: Message) -> dict[tuple[bytes, int], list[Record]]:
    """Sets of several addresses of the answer section, by name and type."""
    found: dict[tuple[bytes, int], list[Record]] = {}
    for record in message.answer:
        if record.type in (A, AAAA):
            found.setdefault((fold(record.name), record.type), []).append(record)
    return {key: records for key, records in found.items() if len(records) > 1}
