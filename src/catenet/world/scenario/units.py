"""Quantities as people write them: `20ms`, `10Mbit`, `1%`, `64KiB`, and what they are in SI units.

Every parser takes the text (or a bare number) and returns a number in seconds, bits per second, a probability or bytes;
it raises ValueError with one line that says what would have been right. Numbers without a unit are seconds, bits per
second, a fraction, bytes.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from catenet.link.properties import DISCIPLINES, LinkProperties, QueueProperties

__all__ = [
    "DURATIONS",
    "PARSERS",
    "link_properties",
    "nearest",
    "parse_duration",
    "parse_fraction",
    "parse_queue",
    "parse_rate",
    "parse_size",
    "parse_stall",
    "repeated",
]

DURATIONS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
RATES: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1024.0, "Mi": 1024.0**2, "Gi": 1024.0**3}
SIZES: Final = {"": 1, "k": 1000, "K": 1000, "M": 10**6, "G": 10**9, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}

SMALLEST_MTU: Final = 88
"""Headers of IPv4 and TCP, 20 bytes each, and the 48 below which Linux's TCP makes no segment (`tcp_min_snd_mss`)."""
LARGEST_MTU: Final = 65_535

HALF: Final = 0.5
NEAR: Final = 0.6
"""How much alike two words must be (difflib's ratio): that half of their letters are alike is often chance."""

_QUANTITY = re.compile(r"\s*([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]+)\s*")


def _split(value: object, what: str, example: str) -> tuple[float, str]:
    """Number and unit of a quantity; a bare number has the unit ''."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{what} must be a number or a text as {example!r}, not {value!r}")
    if not isinstance(value, str):
        return _finite(value, what), ""
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no {what}; write for example {example!r}")
    return _finite(float(match[1].replace("_", "")), what), match[2]


def _finite(number: float, what: str) -> float:
    """The number, unless it is infinite, none (NaN), or an integer beyond what a float holds."""
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        shown = number if isinstance(number, float) else "this one"
        raise ValueError(f"a {what} must be a finite number, not {shown}")
    return float(number)


def parse_duration(value: object) -> float:
    """Seconds of `"20ms"`, `"1.5s"`, `"1min 30s"`, or of a bare number of seconds."""
    if isinstance(value, str) and (parts := _DURATION_PART.findall(value)) and len(parts) > 1:
        if _DURATION_PART.sub("", value).strip():
            raise ValueError(f"{value!r} is no duration; write for example '1min 30s'")
        return _finite(sum(parse_duration(number + unit) for number, unit in parts), "duration")
    number, unit = _split(value, "duration", "20ms")
    if number < 0:
        raise ValueError(f"a duration cannot be negative: {value!r}")
    return _finite(number * _scale(unit or "s", DURATIONS, "unit of time", value), "duration")


def parse_stall(value: object) -> float:
    """Seconds of a duration above 0; infinity for `"never"`."""
    if value == "never":
        return math.inf
    seconds = parse_duration(value)
    if not seconds:
        raise ValueError(f"{value!r} is no time in which to get on; write for example '60s', or 'never'")
    return seconds


def parse_rate(value: object) -> float | None:
    """Bits per second of `"10Mbit"`, `"1.5 Gbit/s"`, `"100kbps"`; None for `"unlimited"`."""
    if value == "unlimited":
        return None
    number, unit = _split(value, "rate", "10Mbit")
    prefix = re.fullmatch(r"(Ki|Mi|Gi|k|K|M|G|T|)(bit/s|bits/s|bit|bits|bps|b/s|b|)", unit)
    octets = re.fullmatch(r"(Ki|Mi|Gi|k|K|M|G|T|)(B/s|Bps|byte/s|bytes/s)", unit)
    match = prefix or octets
    if match is None:
        known = [f"{scale}bit" for scale in RATES] + ["kB/s", "MB/s", "GB/s"]
        raise ValueError(f"unknown unit of rate {unit!r} in {value!r}{nearest(unit, known, 'Mbit')}")
    rate = _finite(number * RATES["k" if match[1] == "K" else match[1]] * (8 if octets else 1), "rate")
    if rate <= 0:
        raise ValueError(f"a rate must be more than 0: {value!r}")
    return rate


def parse_fraction(value: object) -> float:
    """A probability from 0 to 1 of `"1%"`, `"0.5 %"`, `0.01`."""
    number, unit = _split(value, "fraction", "1%")
    if unit not in ("", "%"):
        raise ValueError(f"unknown unit {unit!r} in {value!r}; write '1%' or 0.01")
    fraction = number / 100 if unit else number
    if not 0 <= fraction <= 1:
        raise ValueError(f"{value!r} is not from 0 to 1 (0% to 100%)")
    return fraction


def parse_size(value: object) -> int:
    """Bytes of `"64KiB"`, `"1500"`, `"1.5 MB"`, `1500`."""
    number, unit = _split(value, "size", "64KiB")
    match = re.fullmatch(r"(Ki|Mi|Gi|k|K|M|G|)(B|bytes|byte|)", unit)
    if match is None:
        known = [f"{scale}B" for scale in SIZES]
        raise ValueError(f"unknown unit of size {unit!r} in {value!r}{nearest(unit, known, 'KiB')}")
    size = _finite(number * SIZES[match[1]], "size")
    if size != int(size) or size < 0:
        raise ValueError(f"{value!r} is not a whole number of bytes")
    return int(size)


def parse_mtu(value: object) -> int:
    """Bytes of the largest packet of a link: a size with which TCP works."""
    size = parse_size(value)
    if not SMALLEST_MTU <= size <= LARGEST_MTU:
        why = f"TCP needs {SMALLEST_MTU} bytes for headers, options and 8 bytes of data"
        raise ValueError(f"must be from {SMALLEST_MTU} to {LARGEST_MTU}, not {size}: {why}")
    return size


def parse_queue(value: object) -> QueueProperties:
    """The queue of `100` or `"100 packets"`, `"64KiB"`, `"fq_codel"`, `"codel 500 packets"`, `"droptail 1MB"`."""
    if isinstance(value, QueueProperties):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return QueueProperties(packets=value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"queue must be packets, bytes or a discipline, as 100, '64KiB' or 'fq_codel', not {value!r}")
    word, _, rest = value.strip().partition(" ")
    discipline = "droptail"
    if word[0].isalpha():
        discipline = word.lower().replace("-", "_")
        if discipline not in DISCIPLINES:
            raise ValueError(f"unknown queue {word!r}{nearest(discipline, DISCIPLINES, DISCIPLINES[0])}")
        value = rest.strip()
        if not value:
            return QueueProperties(discipline)
    number, unit = _split(value, "queue length", "100 packets")
    if unit in ("", "p", "packet", "packets"):
        if number != int(number):
            raise ValueError(f"{value!r} is not a whole number of packets")
        return QueueProperties(discipline, packets=int(number))
    return QueueProperties(discipline, packets=None, bytes=parse_size(value))


def _scale(unit: str, table: Mapping[str, float], what: str, value: object) -> float:
    if unit not in table:
        hint = nearest(unit, table) or f"; units are {', '.join(one for one in table if one and one.isascii())}"
        raise ValueError(f"unknown {what} {unit!r} in {value!r}{hint}")
    return table[unit]


PARSERS: Final = {
    "latency": parse_duration,
    "jitter": parse_duration,
    "loss": parse_fraction,
    "duplicate": parse_fraction,
    "reorder": parse_fraction,
    "corrupt": parse_fraction,
    "rate": parse_rate,
    "queue": parse_queue,
    "mtu": parse_mtu,
}
"""The properties of a link as `LinkProperties` names them, and who reads each."""


def link_properties(settings: Mapping[str, object], base: LinkProperties | None = None) -> LinkProperties:
    """Link properties from values as people write them, on top of `base`; ValueError names the key at fault."""
    changes: dict[str, object] = {}
    for key, value in settings.items():
        parse = PARSERS.get(key)
        if parse is None:
            raise ValueError(f"unknown link property {key!r}{nearest(key, PARSERS)}")
        try:
            changes[key] = None if key == "rate" and value is None else parse(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return (base or LinkProperties()).replace(**changes)


def nearest(word: str, choices: Iterable[str], otherwise: str | None = None) -> str:
    """`"; did you mean 'latency'?"` for the valid choice that is most like the word, or '' when none is near."""
    known = list(choices)
    close = [
        near
        for each in (word, word.lower())
        for near in difflib.get_close_matches(each, known, n=1, cutoff=HALF)
        if _is_near(each, near)
    ]
    best = close[0] if close else otherwise
    return f"; did you mean {best!r}?" if best else ""


def _is_near(word: str, other: str) -> bool:
    """Whether a word, half of which is alike, is near: more of it, or its letters in another order, or a beginning."""
    near = difflib.SequenceMatcher(None, other, word).ratio() >= NEAR
    return near or sorted(word) == sorted(other) or word.startswith(other) or other.startswith(word)


def repeated(names: Iterable[str]) -> str | None:
    """The first name that comes a second time, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
