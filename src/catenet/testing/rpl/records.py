"""Records as text to records, as sections of a scenario have them: one a line, TTL and class optional."""

from __future__ import annotations

import re
from typing import Final

from catenet.dns.master.data import data_from_words
from catenet.dns.master.tokens import ZoneError, next_entry
from catenet.testing.rpl.syntax import ScenarioError
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import IN, RRSIG, class_from_text, type_from_text
from catenet.wire.dns.record import Record, make_record

__all__ = ["DEFAULT_TTL", "read_question", "read_record"]

DEFAULT_TTL: Final = 3600
"""Seconds, of records that are written without."""
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TTL: Final = re.compile(r"(\d+[smhdw]?)+", re.IGNORECASE)
_PART: Final = re.compile(r"(\d+)([smhdw]?)", re.IGNORECASE)
_BEHIND_PADDING: Final = re.compile(r"(=+)[^=].*")
_SIGNER: Final = 8
"""Index of the word behind which the signature stands, in the data of an RRSIG record."""


def read_record(text: str, line: int, origin: bytes = ROOT, default_ttl: int = DEFAULT_TTL) -> Record:
    """A record: owner, TTL and class in any order or left out, type, data. Raises ScenarioError."""
    try:
        owner, *words = next_entry(text, 0, line, "").words
    except (ZoneError, ValueError) as error:
        raise ScenarioError(line, getattr(error, "message", "a record expected")) from None
    ttl, rclass = default_ttl, IN
    while words:
        if _TTL.fullmatch(words[0]):
            ttl = sum(int(count) * _UNITS[unit.lower()] for count, unit in _PART.findall(words[0]))
        elif _is_class(words[0]):
            rclass = class_from_text(words[0])
        else:
            break
        del words[0]
    if not words:
        raise ScenarioError(line, f"the record {text!r} has no type")
    kind = _type(words[0], line)
    try:
        return make_record(_name(owner, line, origin), kind, ttl, _data(kind, words[1:], origin), rclass)
    except ValueError as error:
        raise ScenarioError(line, str(error)) from None


def read_question(text: str, line: int, origin: bytes = ROOT) -> Question:
    """A question: name, class (or none), type; a TTL is passed over. Raises ScenarioError."""
    owner, *words = [word for word in text.split() if not _TTL.fullmatch(word)] or [text]
    rclass = IN
    if len(words) > 1 and _is_class(words[0]):
        rclass = class_from_text(words.pop(0))
    if not words or (_is_class(words[0]) and words[0].upper() != "ANY"):
        raise ScenarioError(line, f"the question {text!r} has no type")
    return Question(_name(owner, line, origin), _type(words[0], line), rclass)


def _is_class(word: str) -> bool:
    try:
        class_from_text(word)
    except ValueError:
        return False
    return True


def _type(word: str, line: int) -> int:
    try:
        return type_from_text(word)
    except ValueError as error:
        raise ScenarioError(line, str(error)) from None


def _name(text: str, line: int, origin: bytes) -> bytes:
    try:
        return name_from_text(text, origin)
    except ValueError as error:
        raise ScenarioError(line, str(error)) from None


def _data(kind: int, words: list[str], origin: bytes) -> bytes:
    """Data, also what breaks the rules of its type: scenarios have that for a resolver to refuse."""
    if words[:1] == ["\\#"] and len(words) > 1:
        return bytes.fromhex("".join(words[2:]))
    if kind != RRSIG or len(words) < _SIGNER:
        return data_from_words(kind, words, origin)
    signature = _BEHIND_PADDING.sub(r"\1", "".join(words[_SIGNER:]))
    if signature:
        return data_from_words(kind, [*words[:_SIGNER], signature], origin)
    return data_from_words(kind, [*words[:_SIGNER], "AAAA"], origin)[:-3]
