"""DS and DNSKEY records in master format (RFC 1035 5.1), as files of trust anchors and of keys have them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from catenet.dns.dnssec.algorithms import MNEMONICS
from catenet.dns.dnssec.keys import Ds, Key
from catenet.wire.dns.name import ROOT, fold, name_from_text
from catenet.wire.errors import Malformed

__all__ = ["AnchorError", "parse_anchors"]

_DS_HEX_DIGITS = {1: 40, 2: 64, 4: 96}


class AnchorError(ValueError):
    """A file of trust anchors has a mistake; the message names the file and the line."""


def parse_anchors(text: str, source: str) -> Iterator[tuple[bytes, Ds | Key]]:
    """The records of a text in turn: folded owner, and what is trusted.

    TTL and class may be left out; `$ORIGIN` and `$TTL` are known. Raises AnchorError.
    """
    origin = ROOT
    owner: bytes | None = None
    for line, is_continued, words in _entries(text, source):
        where = f"{source}:{line}"
        if words[0].upper() == "$TTL":
            continue
        try:
            if words[0].upper() == "$ORIGIN":
                origin = name_from_text(words[1], origin)
                continue
            if not is_continued:
                owner = name_from_text(words.pop(0), origin)
            if owner is None:
                raise ValueError("the first record has no owner")
            value = _value(words)
            if value is not None:
                yield fold(owner), value
        except (ValueError, IndexError, Malformed, binascii.Error) as error:
            reason = str(error) if isinstance(error, (ValueError, Malformed)) else "a field is missing"
            raise AnchorError(f"{where}: {reason}") from None


def _value(words: list[str]) -> Ds | Key | None:
    """What is trusted; None for signatures, which tools print along with keys."""
    while words and (words[0].isdecimal() or words[0].upper() in ("IN", "CH")):
        words.pop(0)
    if not words:
        raise ValueError("no record type; expected DS or DNSKEY")
    kind = words.pop(0).upper()
    if kind in ("DS", "CDS"):
        return _ds(words)
    if kind in ("DNSKEY", "CDNSKEY"):
        return _key(words)
    if kind == "RRSIG":
        return None
    raise ValueError(f"record type {kind}; a trust anchor is a DS or DNSKEY record")


def _ds(words: list[str]) -> Ds:
    if len(words) < 4:
        raise ValueError("a DS has four fields: key tag, algorithm, digest type, digest")
    tag, algorithm, digest_type = _number(words[0], 0xFFFF), _algorithm(words[1]), _number(words[2], 0xFF)
    digits = "".join(words[3:])
    expected = _DS_HEX_DIGITS.get(digest_type, len(digits))
    if len(digits) != expected:
        raise ValueError(f"a digest of type {digest_type} has {expected} hexadecimal digits, not {len(digits)}")
    return Ds(tag, algorithm, digest_type, bytes.fromhex(digits))


def _key(words: list[str]) -> Key:
    if len(words) < 4:
        raise ValueError("a DNSKEY has four fields: flags, protocol, algorithm, public key")
    flags, protocol, algorithm = _number(words[0], 0xFFFF), _number(words[1], 0xFF), _algorithm(words[2])
    public = base64.b64decode("".join(words[3:]), validate=True)
    return Key(flags.to_bytes(2, "big") + bytes((protocol, algorithm)) + public)


def _algorithm(word: str) -> int:
    """A number or a mnemonic (RFC 4034 2.2, 5.3)."""
    known = {name: number for number, name in MNEMONICS.items()}.get(word.upper())
    return _number(word, 0xFF) if known is None else known


def _number(word: str, most: int) -> int:
    if not word.isdecimal() or int(word) > most:
        raise ValueError(f"{word!r} is not a number up to {most}")
    return int(word)


def _entries(text: str, source: str) -> Iterator[tuple[int, bool, list[str]]]:
    """Entries that are not empty: number of the first line, whether it begins with a blank, words."""
    words: list[str] = []
    start, depth, is_continued = 0, 0, False
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split(";", 1)[0]
        if not depth:
            start, is_continued, words = number, content[:1].isspace(), []
        for word in content.replace("(", " ( ").replace(")", " ) ").split():
            if word in "()":
                depth += 1 if word == "(" else -1
            else:
                words.append(word)
        if depth < 0:
            raise AnchorError(f"{source}:{number}: a closing parenthesis without an opening one")
        if not depth and words:
            yield start, is_continued, words
    if depth:
        raise AnchorError(f"{source}:{start}: an opening parenthesis without a closing one")
