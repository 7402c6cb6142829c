"""Challenges of WWW-Authenticate and Proxy-Authenticate (RFC 9110 section 11.6): several in one field or in many."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from catenet.http.policy.parameters import unquote

__all__ = ["Challenge", "parse_challenges"]

MAX_CHALLENGES = 32

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_SKIP = re.compile(r"[ \t,]*+")
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]++|(?=,|\Z))")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|{_TOKEN})[ \t]*+(?=,|\Z)', re.DOTALL)
_TOKEN68 = re.compile(r"([A-Za-z0-9\-._~+/]++=*+)[ \t]*+(?=,|\Z)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A scheme in lower case, with its parameters (names in lower case) or its one opaque word."""

    scheme: str
    parameters: dict[str, str]
    token: str | None = None

    @property
    def realm(self) -> str:
        """The realm, perhaps empty."""
        return self.parameters.get("realm", "")


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Return the challenges in the order they came, at most 32; the rest of a malformed field is left out."""
    found: list[Challenge] = []
    for value in values:
        at = _SKIP.match(value).end()  # type: ignore[union-attr]
        while len(found) < MAX_CHALLENGES and (scheme := _SCHEME.match(value, at)):
            challenge, at = _parameters(value, scheme)
            found.append(challenge)
    return found


def _parameters(value: str, scheme: re.Match[str]) -> tuple[Challenge, int]:
    name, at = scheme[1].lower(), scheme.end()
    parameters: dict[str, str] = {}
    if not _PARAMETER.match(value, at) and (token := _TOKEN68.match(value, at)):
        return Challenge(name, {}, token[1]), _after(value, token.end())
    while parameter := _PARAMETER.match(value, at):
        parameters.setdefault(parameter[1].lower(), unquote(parameter[2]))
        at = _after(value, parameter.end())
    return Challenge(name, parameters), _after(value, at)


def _after(value: str, at: int) -> int:
    found = _SKIP.match(value, at)
    return at if found is None else found.end()
