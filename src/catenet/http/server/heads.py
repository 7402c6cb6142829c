"""Heads of responses: checked, with Date and Server, and kept for as long as the Date is right.

A head that comes often (the same status and fields) is made once a second, not once a response.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from typing import Any, Final

from catenet.http.errors import StreamError
from catenet.http.fields import check_fields
from catenet.http.h1.prepare import prepare_response
from catenet.http.message import Fields, ResponseHead

__all__ = ["BadHead", "Heads", "made_fields"]

_MOST: Final = 4096
# What speaks of one connection is the machine's to say (RFC 9110 section 7.6.1); Upgrade goes with a 101.
_HOP_BY_HOP: Final = frozenset((b"transfer-encoding", b"keep-alive", b"proxy-connection", b"te"))

Pairs = Iterable[Sequence[bytes]]


class BadHead(ValueError):
    """An application has made a head that cannot be sent: a wrong name, value, status or Content-Length."""


def made_fields(pairs: Pairs) -> Fields:
    """Return the fields that an application has made: names in lower case, checked. Raises `BadHead`."""
    try:
        fields = tuple([(bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in pairs])
        check_fields(fields)
    except StreamError as error:
        raise BadHead(str(error)) from None
    except (TypeError, ValueError):
        raise BadHead("header fields are pairs of bytes") from None
    return tuple([field for field in fields if field[0] not in _HOP_BY_HOP])


class Heads:
    """Makes heads for one server. `name` is its Server field; empty: there is none."""

    __slots__ = ("_known", "_last", "_last_pairs", "_stamp", "_stamp_lines", "_until", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self._until = 0.0
        self._stamp: Fields = ()
        self._stamp_lines = b""
        self._known: dict[object, ResponseHead] = {}
        # The last head that was made or found, and a copy of what it was asked for with.
        self._last: ResponseHead | None = None
        self._last_pairs: list[object] = []

    def of(self, status: int, pairs: Pairs) -> ResponseHead:
        """Return the head that an application describes. Raises `BadHead`."""
        if time.time() >= self._until:
            self._tick()
        last = self._last
        if last is not None and last.status == status and pairs == self._last_pairs:
            return last
        key: tuple[Any, ...] = (status, *pairs)  # they may be told only once
        try:
            found = self._known.get(key)
        except TypeError:  # pairs may be lists
            key = (status, *[tuple(pair) for pair in key[1:]])
            found = self._known.get(key)
        if found is None:
            found = self._make(key, status, key[1:])
        self._last, self._last_pairs = found, list(key[1:])
        return found

    def stamped(self, head: ResponseHead) -> ResponseHead:
        """Return a head of ours with Date and Server, the same object while the Date is right."""
        if time.time() >= self._until:
            self._tick()
        note = head.note
        if type(note) is _Stamped and note.stamp is self._stamp:
            return note.head
        missing = self._missing(head.fields)
        made = ResponseHead(head.status, head.fields + missing)
        if type(note) is _Stamped and missing is self._stamp:  # it comes again: but for the Date its bytes are the same
            made.h1 = (head.h1 or prepare_response(head)).extended(self._stamp_lines)
        head.note = _Stamped(self._stamp, made)
        return made

    def _make(self, key: object, status: int, pairs: Pairs) -> ResponseHead:
        if type(status) is not int or not 200 <= status <= 999:
            raise BadHead(f"{status!r} is no status of a final response")
        fields = made_fields(pairs)
        lengths = [value for name, value in fields if name == b"content-length"]
        if len(lengths) > 1 or (lengths and not lengths[0].isdigit()):
            raise BadHead("Content-Length is repeated or not a number")
        if lengths and len(lengths[0]) > 15:
            raise BadHead("Content-Length is too large")
        head = ResponseHead(status, fields + self._missing(fields))
        if lengths:
            head.length = int(lengths[0])
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = head
        return head

    def _missing(self, fields: Fields) -> Fields:
        names = [name for name, _ in fields if name in (b"date", b"server")]
        return tuple([field for field in self._stamp if field[0] not in names]) if names else self._stamp

    def _tick(self) -> None:
        now = time.time()
        self._until = now // 1 + 1
        self._known.clear()
        self._last = None
        date = (b"date", formatdate(now, usegmt=True).encode())
        self._stamp = (date, (b"server", self.name)) if self.name else (date,)
        self._stamp_lines = b"".join([name + b": " + value + b"\r\n" for name, value in self._stamp])


class _Stamped:
    """What a head keeps in its `note`."""

    __slots__ = ("head", "stamp")

    def __init__(self, stamp: Fields, head: ResponseHead) -> None:
        self.stamp = stamp
        self.head = head
