"""Data of records field by field, as text and as bytes (RFC 1035 5.1, and the RFC of each type).

A type is a tuple of fields; one table serves reading and writing. A word that begins with `"` was quoted in its file:
its escapes are still there, its last quote is not.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import difflib
import re
import socket
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from catenet.wire.address import format_address
from catenet.wire.dns.bitmap import pack_types, unpack_types
from catenet.wire.dns.name import name_from_text, name_to_text, skip_name
from catenet.wire.dns.numbers import TYPES, type_from_text, type_to_text
from catenet.wire.errors import Malformed

__all__ = [
    "ALGORITHM",
    "BASE64",
    "DURATION",
    "HASH",
    "HEX",
    "IPV4",
    "IPV6",
    "LONG_STRING",
    "MOMENT",
    "NAME",
    "SALT",
    "STRING",
    "STRINGS",
    "TAG",
    "TYPE",
    "TYPE_MAP",
    "Field",
    "duration",
    "nearest",
    "number",
]


class Field(NamedTuple):
    """One part of a record's data.

    Attributes:
        title: what the RFC calls it, for messages.
        read: bytes from its word, or words, and the origin; ValueError for what it does not take.
        write: text of what begins at an offset of the data, and the offset behind it; Malformed if it is none.
        rest: it takes all words that are left.
    """

    title: str
    read: Callable[[list[str], bytes], bytes]
    write: Callable[[bytes, int], tuple[str, int]]
    rest: bool = False

    def named(self, title: str) -> Field:
        """The same kind of field with another title."""
        return self._replace(title=title)


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean X?` with the choice that is most like the word; empty when none is."""
    near = difflib.get_close_matches(word.upper(), [one.upper() for one in choices], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unescape(word: str) -> bytes:
    r"""Bytes of a character-string: its quote taken off, `\DDD` and `\X` read."""
    text = word[1:] if word.startswith('"') else word
    if "\\" not in text:
        return text.encode("latin-1")
    return _ESCAPE.sub(_escaped, text).encode("latin-1")


_ESCAPE: Final = re.compile(r"\\(\d{3}|.|$)", re.DOTALL)


def _escaped(match: re.Match[str]) -> str:
    found = match[1]
    if len(found) == 3:
        if int(found) > 255:
            raise ValueError(f"\\{found} is no byte; escapes go from \\000 to \\255")
        return chr(int(found))
    if not found or found.isdecimal():
        raise ValueError("a backslash needs three digits or one letter behind it")
    return found


_UNITS: Final = {"S": 1, "M": 60, "H": 3600, "D": 86_400, "W": 604_800}
_DURATION: Final = re.compile(r"(?:\d+[SMHDW])+", re.IGNORECASE | re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+)([SMHDW])", re.IGNORECASE)


def duration(word: str) -> int:
    """Seconds, from a number or from units as BIND has them (`1h30m`). Raises ValueError."""
    if word.isdecimal() and word.isascii():
        seconds = int(word)
    elif _DURATION.fullmatch(word):
        seconds = sum(int(number) * _UNITS[unit.upper()] for number, unit in _DURATION_PART.findall(word))
    else:
        raise ValueError(f"{word!r} is no time; write seconds, or units as in 1h30m")
    if seconds > 0xFFFF_FFFF:
        raise ValueError(f"{word!r} is more than 4294967295 seconds")
    return seconds


# Reading and writing of the kinds of fields.


def number(bits: int, title: str) -> Field:
    """An unsigned number of so many bits."""
    size, most = bits // 8, (1 << bits) - 1

    def read(words: list[str], origin: bytes) -> bytes:
        word = words[0]
        if not (word.isdecimal() and word.isascii()) or int(word) > most:
            raise ValueError(f"{title} {word!r} is no number from 0 to {most}")
        return int(word).to_bytes(size, "big")

    def write(data: bytes, at: int) -> tuple[str, int]:
        return str(int.from_bytes(_cut(data, at, size), "big")), at + size

    return Field(title, read, write)


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise Malformed("dns: record data is cut off")
    return data[at : at + size]


def _read_duration(words: list[str], origin: bytes) -> bytes:
    return duration(words[0]).to_bytes(4, "big")


@lru_cache(maxsize=100_000)
def _name_of(word: str, origin: bytes) -> bytes:
    return name_from_text(word, origin)


def _read_name(words: list[str], origin: bytes) -> bytes:
    if words[0].startswith('"'):
        raise ValueError(f"{words[0][1:]!r} is quoted, where a name belongs")
    return _name_of(words[0], origin)


def _write_name(data: bytes, at: int) -> tuple[str, int]:
    end = skip_name(data, at)
    if data[end - 1]:
        raise Malformed("dns: a pointer in record data")
    return name_to_text(data[at:end]), end


def _address(size: int, title: str) -> Field:
    family = socket.AF_INET if size == 4 else socket.AF_INET6

    def read(words: list[str], origin: bytes) -> bytes:
        try:
            return socket.inet_pton(family, words[0])
        except (OSError, ValueError):
            raise ValueError(f"{words[0]!r} is no {title}") from None

    def write(data: bytes, at: int) -> tuple[str, int]:
        return format_address(_cut(data, at, size)), at + size

    return Field(title, read, write)


def _read_string(words: list[str], origin: bytes) -> bytes:
    found = b""
    for word in words:
        value = unescape(word)
        if len(value) > 255:
            raise ValueError(f"a string of {len(value)} bytes; one has at most 255, so split it into several")
        found += bytes((len(value),)) + value
    return found


def _write_string(data: bytes, at: int) -> tuple[str, int]:
    size = _cut(data, at, 1)[0]
    return quoted(_cut(data, at + 1, size)), at + 1 + size


def _write_strings(data: bytes, at: int) -> tuple[str, int]:
    words = []
    while at < len(data):
        word, at = _write_string(data, at)
        words.append(word)
    return " ".join(words), at


def quoted(value: bytes) -> str:
    """A string in quotes, escaped."""
    return '"' + "".join(map(_letter, value)) + '"'


def _letter(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}"


def _read_long_string(words: list[str], origin: bytes) -> bytes:
    return unescape(words[0])


def _write_long_string(data: bytes, at: int) -> tuple[str, int]:
    return quoted(data[at:]), len(data)


def _read_tag(words: list[str], origin: bytes) -> bytes:
    if not (words[0].isalnum() and words[0].isascii()) or len(words[0]) > 255:
        raise ValueError(f"{words[0]!r} is no tag of letters and digits")
    return _read_string(words, origin)


def _write_tag(data: bytes, at: int) -> tuple[str, int]:
    size = _cut(data, at, 1)[0]
    tag = _cut(data, at + 1, size)
    if not tag.isalnum():
        raise Malformed("dns: tag")
    return tag.decode("ascii"), at + 1 + size


def _read_hex(words: list[str], origin: bytes) -> bytes:
    try:
        return binascii.unhexlify("".join(words))
    except ValueError:
        raise ValueError("hexadecimal digits in pairs are expected") from None


def _write_hex(data: bytes, at: int) -> tuple[str, int]:
    return data[at:].hex(), len(data)


def _read_base64(words: list[str], origin: bytes) -> bytes:
    try:
        return base64.b64decode("".join(words), validate=True)
    except ValueError:
        raise ValueError("base64 is expected: letters, digits, + and /, padded by =") from None


def _write_base64(data: bytes, at: int) -> tuple[str, int]:
    return base64.b64encode(data[at:]).decode("ascii"), len(data)


ALGORITHMS: Final = {
    "RSAMD5": 1,
    "DH": 2,
    "DSA": 3,
    "RSASHA1": 5,
    "DSA-NSEC3-SHA1": 6,
    "NSEC3DSA": 6,
    "RSASHA1-NSEC3-SHA1": 7,
    "NSEC3RSASHA1": 7,
    "RSASHA256": 8,
    "RSASHA512": 10,
    "ECC-GOST": 12,
    "ECCGOST": 12,
    "ECDSAP256SHA256": 13,
    "ECDSAP384SHA384": 14,
    "ED25519": 15,
    "ED448": 16,
    "INDIRECT": 252,
    "PRIVATEDNS": 253,
    "PRIVATEOID": 254,
}
"""Mnemonics of DNSSEC algorithms (IANA), and BIND's older ones."""


def _read_algorithm(words: list[str], origin: bytes) -> bytes:
    word = words[0]
    number = int(word) if word.isdecimal() and word.isascii() else ALGORITHMS.get(word.upper(), -1)
    if not 0 <= number <= 255:
        raise ValueError(f"{word!r} is no algorithm{nearest(word, ALGORITHMS)}")
    return bytes((number,))


def _read_type(words: list[str], origin: bytes) -> bytes:
    return _type_number(words[0]).to_bytes(2, "big")


def _type_number(word: str) -> int:
    try:
        return type_from_text(word)
    except ValueError:
        raise ValueError(f"{word!r} is no record type{nearest(word, TYPES.values())}") from None


def _write_type(data: bytes, at: int) -> tuple[str, int]:
    return type_to_text(int.from_bytes(_cut(data, at, 2), "big")), at + 2


def _read_types(words: list[str], origin: bytes) -> bytes:
    """Bit maps by window (RFC 4034 4.1.2)."""
    return _type_map(" ".join(words))


@lru_cache(maxsize=10_000)
def _type_map(words: str) -> bytes:
    return pack_types(map(_type_number, words.split()))


def _write_types(data: bytes, at: int) -> tuple[str, int]:
    return " ".join(map(type_to_text, unpack_types(data[at:]))), len(data)


@lru_cache(maxsize=1_000)
def _read_moment(word: str) -> bytes:
    if len(word) == 14 and word.isdecimal() and word.isascii():
        seconds = calendar.timegm(time.strptime(word, "%Y%m%d%H%M%S"))
    elif word.isdecimal() and word.isascii() and len(word) <= 10:
        seconds = int(word)
    else:
        raise ValueError(f"{word!r} is no time of the form YYYYMMDDHHmmSS")
    return (seconds & 0xFFFF_FFFF).to_bytes(4, "big")


def _write_moment(data: bytes, at: int) -> tuple[str, int]:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(int.from_bytes(_cut(data, at, 4), "big"))), at + 4


def _read_salt(words: list[str], origin: bytes) -> bytes:
    value = b"" if words[0] == "-" else _read_hex(words, origin)
    if len(value) > 255:
        raise ValueError("a salt has at most 255 bytes")
    return bytes((len(value),)) + value


def _write_salt(data: bytes, at: int) -> tuple[str, int]:
    size = _cut(data, at, 1)[0]
    return _cut(data, at + 1, size).hex() or "-", at + 1 + size


def _read_hash(words: list[str], origin: bytes) -> bytes:
    word = words[0].upper()
    try:
        value = base64.b32hexdecode(word + "=" * (-len(word) % 8))
    except ValueError:
        raise ValueError(f"{words[0]!r} is no hash in base32hex") from None
    return bytes((len(value),)) + value


def _write_hash(data: bytes, at: int) -> tuple[str, int]:
    size = _cut(data, at, 1)[0]
    return base64.b32hexencode(_cut(data, at + 1, size)).decode("ascii").rstrip("=").lower(), at + 1 + size


NAME: Final = Field("name", _read_name, _write_name)
STRING: Final = Field("string", _read_string, _write_string)
STRINGS: Final = Field("strings", _read_string, _write_strings, rest=True)
LONG_STRING: Final = Field("string", _read_long_string, _write_long_string)
TAG: Final = Field("tag", _read_tag, _write_tag)
IPV4: Final = _address(4, "IPv4 address")
IPV6: Final = _address(16, "IPv6 address")
ALGORITHM: Final = Field("algorithm", _read_algorithm, number(8, "").write)
HEX: Final = Field("hexadecimal digits", _read_hex, _write_hex, rest=True)
BASE64: Final = Field("base64", _read_base64, _write_base64, rest=True)
SALT: Final = Field("salt", _read_salt, _write_salt)
HASH: Final = Field("next hash", _read_hash, _write_hash)
TYPE: Final = Field("type", _read_type, _write_type)
TYPE_MAP: Final = Field("types", _read_types, _write_types, rest=True)
DURATION: Final = Field("time", _read_duration, number(32, "").write)
MOMENT: Final = Field("time", lambda words, origin: _read_moment(words[0]), _write_moment)
