"""What a stub resolver remembers of answers, as systemd-resolved and nscd do; glibc itself remembers nothing.

It keeps whole messages by the question, as long as their records live (RFC 2181 5.2: the shortest life of a set, here
of the answer), and that a name or its records do not exist as long as the zone says (RFC 2308 5). What says neither,
or was an error, is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from catenet.wire.dns.message import Message
from catenet.wire.dns.name import fold, skip_name
from catenet.wire.dns.numbers import IN, NOERROR, NXDOMAIN, SOA
from catenet.wire.dns.record import Record
from catenet.wire.errors import Malformed

__all__ = ["LONGEST", "OVERHEAD", "StubCache"]

LONGEST: Final = 86_400
"""Seconds that anything is kept at most (RFC 8767 4 has a week for caches that serve many)."""
MOST_BYTES: Final = 1 << 20
OVERHEAD: Final = 512
"""Bytes that an entry takes beside its message, more or less."""


class StubCache:
    """Answers by name and type, at most `most_bytes` of them; the oldest make room."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._size = 0
        self._entries: dict[tuple[bytes, int], tuple[float, Message]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: bytes, types: Sequence[int], now: float) -> list[Message] | None:
        """Messages that answer for all of the types; None when one has to be asked for."""
        found = []
        for kind in types:
            entry = self._entries.get((fold(name), kind))
            if entry is None:
                return None
            if entry[0] <= now:
                self._drop((fold(name), kind))
                return None
            found.append(entry[1])
        return found

    def store(self, name: bytes, messages: Sequence[Message], now: float) -> None:
        """Keep the answers to the questions for a name."""
        for message in messages:
            question = message.question
            seconds = _life_of(message)
            size = len(message.data) + OVERHEAD
            if question is None or seconds <= 0 or size > self._most:
                continue
            key = fold(name), question.type
            self._drop(key)
            self._entries[key] = now + min(seconds, LONGEST), message
            self._size += size
            while self._size > self._most:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0

    def _drop(self, key: tuple[bytes, int]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= len(entry[1].data) + OVERHEAD


def _life_of(message: Message) -> int:
    """Seconds that an answer may be kept; 0: not at all."""
    code = message.flags & 15
    if code == NOERROR and message.answer:
        return min(record.ttl for record in message.answer)
    if code not in (NOERROR, NXDOMAIN):
        return 0
    for record in message.authority:
        if record.type == SOA and record.rclass == IN:
            return min([record.ttl, _minimum(record), *(alias.ttl for alias in message.answer)])
    return 0


def _minimum(record: Record) -> int:
    """Last field of an SOA record's data; 0 of what is none."""
    try:
        data = record.data
        end = skip_name(data, skip_name(data, 0)) + 20
    except Malformed:
        return 0
    return int.from_bytes(data[end - 4 : end], "big") if end == len(data) else 0
