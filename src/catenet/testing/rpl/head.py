"""The head of a scenario: settings as unbound.conf has them, or Deckard's, and files."""

from __future__ import annotations

import re
from typing import Final

from catenet.testing.rpl.syntax import Dialect, Head, ScenarioError, Setting, Unsupported
from catenet.testing.rpl.words import Lines, unquote

__all__ = ["read_head"]

_SECTIONS: Final = frozenset(
    [
        "server",
        "stub-zone",
        "forward-zone",
        "auth-zone",
        "rpz",
        "view",
        "remote-control",
        "python",
        "dynlib",
        "cachedb",
        "redis",
        "ipset",
        "dnscrypt",
        "dnstap",
        "clause",
    ]
)
"""Clauses of unbound.conf."""
_WORD: Final = re.compile(r'"[^"]*"|\'[^\']*\'|#.*|[^\s"\'#]+|["\']')
_KEY: Final = re.compile(r"[a-z][a-z0-9-]*:")
_CLAUSE: Final = re.compile(rf"\s*({'|'.join(sorted(_SECTIONS))}):(\s|$|#)")


def read_head(lines: Lines) -> tuple[Head, Dialect]:
    """Read up to CONFIG_END. Raises ScenarioError."""
    head, texts = Head(), list[tuple[int, str]]()
    while True:
        line = lines.take()
        if line is None:
            raise ScenarioError(lines.line, "the file ends without CONFIG_END")
        text = line.strip()
        word, _, rest = text.replace("\t", " ").partition(" ")
        if text.startswith("CONFIG_END"):
            break
        if word == "SCENARIO_BEGIN":
            raise ScenarioError(lines.line, "CONFIG_END expected before SCENARIO_BEGIN")
        if word == "COMMANDLINE":
            raise Unsupported(lines.line, "COMMANDLINE: there is no command line here")
        if word == "AUTOTRUST_FILE":
            head.anchors[rest.strip()] = lines.take_until("AUTOTRUST_END")
            texts.append((lines.line, f'server: auto-trust-anchor-file: "{rest.strip()}"'))
        elif word == "TEMPFILE_CONTENTS":
            head.files[rest.strip()] = lines.take_until("TEMPFILE_END")
        elif word == "TEMPFILE_NAME":
            texts.append((lines.line, rest.strip()))
        elif text and not text.startswith((";", "#")):
            texts.append((lines.line, text))
    if any(_CLAUSE.match(text) for _, text in texts) or head.anchors or head.files:
        head.settings = _clauses(texts)
        return head, Dialect.UNBOUND
    head.settings = _pairs(texts)
    return head, Dialect.DECKARD if head.settings else Dialect.UNBOUND


def _clauses(texts: list[tuple[int, str]]) -> list[Setting]:
    """Settings of unbound.conf(5): free of lines, a key and the words up to the next."""
    found: list[Setting] = []
    section, clause = "server", 0
    key, start, words = "", 0, list[str]()

    def finish() -> None:
        if key:
            found.append(Setting(start, section, clause, key, tuple(words)))

    for line, text in texts:
        for word in _WORD.findall(text):
            if word.startswith("#"):
                continue
            if not _KEY.fullmatch(word):
                if not key:
                    raise ScenarioError(line, f"a setting expected, not {word!r}")
                words.append(unquote(word))
                continue
            finish()
            key, start, words = word[:-1], line, []
            if key in _SECTIONS:
                section, clause, key = key, clause + 1, ""
    finish()
    return found


def _pairs(texts: list[tuple[int, str]]) -> list[Setting]:
    """Deckard's settings: one a line."""
    found = []
    for line, text in texts:
        key, colon, value = text.partition("#")[0].partition(":")
        if not colon:
            raise ScenarioError(line, f"a setting is KEY: VALUE, not {text!r}")
        value = value.strip()
        if value[:1] not in "\"'" and key.strip() not in ("features", "feature-list"):
            value = value.partition(";")[0].strip()
        found.append(Setting(line, "", 0, key.strip(), (unquote(value),)))
    return found
