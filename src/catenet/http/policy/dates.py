"""Dates of HTTP (RFC 9110 section 5.6.7): one form to write, three to read. Seconds are those of the Unix epoch."""

from __future__ import annotations

import calendar
import re
import time

__all__ = ["MONTHS", "format_date", "parse_date", "seconds_of"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
"""Numbers of the months by their names' first three letters, in lower case."""

_TIME = r"([0-2][0-9]):([0-5][0-9]):([0-6][0-9])"
_FIXDATE = re.compile(rf"[A-Za-z]{{3}}, ([0-9]{{2}}) ([A-Za-z]{{3}}) ([0-9]{{4}}) {_TIME} GMT", re.ASCII).fullmatch
_RFC850 = re.compile(rf"[A-Za-z]{{6,9}}, ([0-9]{{2}})-([A-Za-z]{{3}})-([0-9]{{2}}) {_TIME} GMT", re.ASCII).fullmatch
_ASCTIME = re.compile(rf"[A-Za-z]{{3}} ([A-Za-z]{{3}}) ([ 0-9][0-9]) {_TIME} ([0-9]{{4}})", re.ASCII).fullmatch


def format_date(seconds: float) -> str:
    """Return the date as IMF-fixdate, in English whatever the locale; raise `ValueError` after the year 9999."""
    found = time.gmtime(seconds)
    if not 0 <= found.tm_year <= 9999:
        raise ValueError(f"the year {found.tm_year} cannot be written in a field of HTTP")
    day = f"{_DAYS[found.tm_wday]}, {found.tm_mday:02d} {_MONTHS[found.tm_mon - 1]} {found.tm_year:04d}"
    return f"{day} {found.tm_hour:02d}:{found.tm_min:02d}:{found.tm_sec:02d} GMT"


def parse_date(text: str | None, now: float) -> float | None:
    """Return the time that `text` names, None if it is no date.

    `now` decides which century the two digits of RFC 850 mean: more than 50 years ahead is in the past.
    """
    if text is None or len(text) > 40:
        return None
    if found := _FIXDATE(text):
        day, month, year, *clock = found.groups()
    elif found := _RFC850(text):
        day, month, short, *clock = found.groups()
        this = time.gmtime(now).tm_year
        full = this - this % 100 + int(short)
        year = str(full - 100 if full > this + 50 else full)
    elif found := _ASCTIME(text):
        month, day, *clock, year = found.groups()
    else:
        return None
    return seconds_of(int(year), MONTHS.get(month.lower(), 0), int(day), [int(part) for part in clock])


def seconds_of(year: int, month: int, day: int, clock: list[int]) -> float | None:
    """Return the time of a date in UTC and [hour, minute, second], None if there is no such day or hour."""
    hour, minute, second = clock
    if (
        not month
        or not 1 <= year <= 9999
        or hour > 23
        or second > 60
        or not 1 <= day <= calendar.monthrange(year, month)[1]
    ):
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))
