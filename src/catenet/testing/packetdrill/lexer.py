"""Words of the packetdrill language: text to tokens, longest match first.

Comments are `/* */`, `//` to the end of the line and `#` at the start of a word. Code (`%{ }%`), commands (backquotes)
and strings are one token each. Symbols defined by `--define` are replaced here, so that they may stand anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from catenet.testing.packetdrill.syntax import ScriptError

__all__ = ["Token", "tokenize"]

_HEX = r"[0-9a-fA-F]{1,4}"
_IPV4 = r"\d+\.\d+\.\d+\.\d+"

# An IPv6 address needs `::` or all eight groups: anything less would swallow the sequence numbers of `1:1001(1000)`.
_IPV6 = rf"(?:(?:{_HEX}:){{1,7}}:(?:(?:{_HEX}:){{0,6}}(?:{_HEX}|{_IPV4}))?|::(?:(?:{_HEX}:){{0,6}}(?:{_HEX}|{_IPV4}))?"
_IPV6 += rf"|(?:{_HEX}:){{7}}{_HEX})"

_PATTERN = re.compile(
    rf"""
      (?P<space>   [ \t\r\n\f]+ | //[^\n]* | /\*.*?\*/ )
    | (?P<code>    %\{{.*?\}}% )
    | (?P<command> `(?:\\.|[^`\\])*` )
    | (?P<string>  "(?:\\.|[^"\\])*" )
    | (?P<option>  --[A-Za-z0-9_]+ (?: =(?:[A-Za-z0-9_]+=)?(?:"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|[^\s"`]+) )? )
    | (?P<dots>    \.\.\. )
    | (?P<ipv6>    {_IPV6} )
    | (?P<ipv4>    {_IPV4} )
    | (?P<float>   -?[0-9]*\.[0-9]+ )
    | (?P<word>    sequence\# | [A-Za-z0-9_]+ )
    | (?P<integer> -[0-9]+ )
    | (?P<comment> (?<![^\s])\#[^\n]* )
    | (?P<mark>    . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is a group of the pattern (`int` and `hex` split off), or the character itself for a mark."""

    kind: str
    text: str
    line: int


def _classify(kind: str, text: str) -> str:
    if kind == "integer" or (kind == "word" and text.isdecimal()):
        return "int"
    if kind == "word" and re.fullmatch("0x[0-9a-fA-F]+", text):
        return "hex"
    return text if kind == "mark" else kind


def _defined(text: str, line: int, defines: Mapping[str, str]) -> Token:
    """Replace a word by its definition: a string, a command or a word, as its first character says."""
    value = defines.get(text)
    if value is None:
        return Token("word", text, line)
    if value[:1] in ('"', "`"):
        return Token("string" if value[0] == '"' else "command", value, line)
    return Token(_classify("word", value), value, line)


def tokenize(text: str, defines: Mapping[str, str]) -> list[Token]:
    """All tokens of a script and one `end`.

    Raises:
        ScriptError: a quote or block that is never closed.
    """
    tokens: list[Token] = []
    line = 1
    for match in _PATTERN.finditer(text):
        kind, found = match.lastgroup or "mark", match.group()
        if kind not in ("space", "comment"):
            kind = _classify(kind, found)
            if kind in ('"', "`"):
                raise ScriptError(line, f"no closing {found} for the one that opens here")
            tokens.append(_defined(found, line, defines) if kind == "word" else Token(kind, found, line))
        line += found.count("\n")
    tokens.append(Token("end", "end of script", line))
    return tokens
