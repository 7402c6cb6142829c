"""Scalars as text and back: Decimal, dates and times, UUID, integers of any size, floats bit by bit."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

__all__ = ["PARSERS", "SPELLERS", "TEXT_FIELDS", "float_bits", "from_float_bits", "parse_big_int"]

_SUFFIX = re.compile(r"\[([^\[\]]{1,100})\]")
_HEX = re.compile(r"-?0x[0-9a-f]+").fullmatch
_WHOLE = re.compile(r"-?[0-9]{1,20}").fullmatch
_DECIMAL = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:E[+-]?[0-9]{1,19})?|Infinity|s?NaN[0-9]*)").fullmatch
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*").fullmatch
_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?(?:[+-][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{6})?)?)?"
_TIME = re.compile(_CLOCK).fullmatch
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T" + _CLOCK).fullmatch


def float_bits(value: float) -> str:
    """Return the 64 bits of a float in hexadecimal, most significant first."""
    return struct.pack(">d", value).hex()


def from_float_bits(text: str) -> float:
    """Return the float of `float_bits`; raise `ValueError`."""
    if not isinstance(text, str) or len(text) != 16:
        raise ValueError("a float is 16 hexadecimal digits")
    number: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return number


def parse_big_int(text: str) -> int:
    """Return an integer from hexadecimal, which takes linear time; raise `ValueError`."""
    if not isinstance(text, str) or not _HEX(text):
        raise ValueError("an integer beyond 64 bits is hexadecimal: 0x..., -0x...")
    return int(text, 16)


def _spell_zoned(value: datetime | time) -> str:
    """ISO 8601 with the suffixes of RFC 9557: the name of the zone, and `fold` of the hour that occurs twice."""
    zone = value.tzinfo
    suffix = "" if zone is None or type(zone) is timezone else f"[{_key(zone)}]"
    if type(zone) is ZoneInfo and isinstance(value, datetime):
        value = value.replace(tzinfo=None)  # the offset follows from the zone
    elif type(zone) is ZoneInfo:
        value = value.replace(tzinfo=None)
    return value.isoformat() + suffix + ("[fold=1]" if value.fold else "")


def _key(zone: tzinfo) -> str:
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    raise TypeError(f"tzinfo of type {type(zone).__qualname__} is not allowed: timezone and ZoneInfo are")


def _zoned(text: str) -> tuple[str, tzinfo | None, int]:
    """Split the suffixes off."""
    bare, bracket, _ = text.partition("[")
    if not bracket:
        return bare, None, 0
    suffixes = _SUFFIX.findall(text)
    if "".join(f"[{one}]" for one in suffixes) != text[len(bare) :]:
        raise ValueError("malformed suffix of a time")
    fold = int(suffixes[-1] == "fold=1")
    names = suffixes[: len(suffixes) - fold]
    if len(names) > 1:
        raise ValueError("a time has one zone")
    return bare, _zone(names[0]) if names else None, fold


def _zone(key: str) -> tzinfo:
    if not _ZONE(key):
        raise ValueError(f"no time zone {key!r}")
    try:
        return ZoneInfo(key)
    except (ValueError, KeyError, OSError):
        raise ValueError(f"no time zone {key!r}") from None


Zoned = TypeVar("Zoned", datetime, time)


def _parse_zoned(kind: type[Zoned], matches: Callable[[str], object], text: str) -> Zoned:
    bare, zone, fold = _zoned(text)
    if not matches(bare):
        raise ValueError(f"malformed {kind.__name__}")
    value = kind.fromisoformat(bare)
    if zone is not None and value.tzinfo is not None:
        raise ValueError(f"a {kind.__name__} has an offset or a zone")
    return value.replace(tzinfo=zone or value.tzinfo, fold=fold)


def _parse_date(text: str) -> date:
    if not _DATE(text):
        raise ValueError("malformed date")
    return date.fromisoformat(text)


def _parse_timedelta(text: str) -> timedelta:
    if not _WHOLE(text):
        raise ValueError("a timedelta is a whole number of microseconds")
    # Not timedelta(microseconds=...), which goes through floats.
    days, rest = divmod(int(text), 86_400_000_000)
    try:
        return timedelta(days, *divmod(rest, 1_000_000))
    except OverflowError:
        raise ValueError("the timedelta is out of range") from None


def _spell_timedelta(value: timedelta) -> str:
    return str((value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds)


def _parse_decimal(text: str) -> Decimal:
    if not _DECIMAL(text):
        raise ValueError("malformed decimal")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("the decimal is out of range") from None


def _parse_uuid(text: str) -> UUID:
    if not _UUID(text):
        raise ValueError("malformed UUID")
    return UUID(text)


SPELLERS: Final[dict[type, tuple[str, Callable[[Any], str]]]] = {
    Decimal: ("decimal", str),
    datetime: ("datetime", _spell_zoned),
    date: ("date", date.isoformat),
    time: ("time", _spell_zoned),
    timedelta: ("timedelta", _spell_timedelta),
    UUID: ("uuid", str),
}
"""By exact type: the kind of the cell, and the value as text."""
PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "decimal": _parse_decimal,
    "datetime": partial(_parse_zoned, datetime, _DATETIME),
    "date": _parse_date,
    "time": partial(_parse_zoned, time, _TIME),
    "timedelta": _parse_timedelta,
    "uuid": _parse_uuid,
}
"""The converse, by kind; each raises `ValueError` for anything else than what its speller writes."""
TEXT_FIELDS: Final = {"decimal": 9, "datetime": 10, "date": 11, "time": 12, "timedelta": 13, "uuid": 14}
"""Numbers of their fields in `graph.proto`."""
