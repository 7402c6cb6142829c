"""Values with parameters, `name; key=token; key="quoted"` (RFC 9110 section 5.6), and lists of them, in linear time."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["extended_value", "parse_parameters", "quote", "split_list", "unquote"]

MAX_PARAMETERS = 64
MAX_ELEMENTS = 256

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_IS_TOKEN = re.compile(_TOKEN).fullmatch
# Possessive quantifiers: nothing is tried twice, whatever comes. A quoted string without its end reaches to the end.
_PARAMETER = re.compile(
    rf'[ \t]*+(?:({_TOKEN}+)[ \t]*+=[ \t]*+(?:("(?:[^"\\]|\\.)*+")|([^;"]*+)))?+[ \t]*+(?:;|\Z)', re.DOTALL
)
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.?)*+(?:"|\Z))++', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EXTENDED = re.compile(
    r"(utf-8|iso-8859-1)'[A-Za-z0-9\-]*'((?:[!#$&+\-.^_`|~0-9A-Za-z]|%[0-9A-Fa-f]{2})*)", re.I
).fullmatch


def parse_parameters(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the value before the first semicolon, and its parameters by their names in lower case.

    None if it is malformed, has a parameter twice, or more than 64 of them: two readers could differ about it.
    """
    value, semicolon, rest = text.partition(";")
    found: dict[str, str] = {}
    at = 0
    while semicolon and at < len(rest):
        match = _PARAMETER.match(rest, at)
        if match is None:
            return None
        name, quoted, plain = match.groups()
        if name is not None:
            key = name.lower()
            if key in found or len(found) >= MAX_PARAMETERS:
                return None
            found[key] = plain.rstrip(" \t") if quoted is None else unquote(quoted)
        at = match.end()
    return value.strip(" \t"), found


def split_list(text: str) -> list[str]:
    """Return the elements of a comma-separated list; commas in quoted strings do not separate. At most 256."""
    found = []
    for match in _ELEMENT.finditer(text):
        if element := match[0].strip(" \t"):
            found.append(element)
            if len(found) >= MAX_ELEMENTS:
                break
    return found


def quote(value: str) -> str:
    """Return the value as a token if it is one, else as a quoted string."""
    if _IS_TOKEN(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquote(value: str) -> str:
    """Return what a quoted string says; anything else as it is."""
    if len(value) < 2 or not (value.startswith('"') and value.endswith('"')):
        return value
    return _ESCAPED.sub(r"\1", value[1:-1])


def extended_value(text: str) -> str | None:
    """Return the text of an `ext-value` (RFC 8187 section 3.2), None if it is malformed."""
    found = _EXTENDED(text)
    if found is None:
        return None
    try:
        return unquote_to_bytes(found[2]).decode(found[1].lower())
    except UnicodeDecodeError:
        return None
