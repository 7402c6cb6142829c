"""Media types, and what a server chooses by Accept, Accept-Encoding and Accept-Language (RFC 9110 section 12.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from catenet.http.policy.parameters import parse_parameters, quote, split_list

__all__ = ["MediaType", "negotiate_coding", "negotiate_language", "negotiate_media", "parse_media", "qualities"]

_TYPE = re.compile(r"([!#$&^_.+\-0-9A-Za-z]+|\*)/([!#$&^_.+\-0-9A-Za-z]+|\*)").fullmatch
_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?").fullmatch


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type or, with `*`, a range of them; type, subtype and names of parameters in lower case."""

    type: str
    subtype: str
    parameters: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}" + "".join(
            f"; {key}={quote(text)}" for key, text in self.parameters.items()
        )

    @property
    def essence(self) -> str:
        """`type/subtype`."""
        return f"{self.type}/{self.subtype}"

    @property
    def charset(self) -> str | None:
        """The character encoding, in lower case."""
        found = self.parameters.get("charset")
        return None if found is None else found.lower()

    def accepts(self, other: MediaType) -> int | None:
        """Return how exactly this range names `other` (3 with parameters, 2, 1 `type/*`, 0 `*/*`); None: not at all."""
        if self.type == "*":
            return 0 if self.subtype == "*" else None
        if self.type != other.type:
            return None
        if self.subtype == "*":
            return 1
        if self.subtype != other.subtype:
            return None
        wanted = self.parameters.items()
        if any(other.parameters.get(key, "").lower() != value.lower() for key, value in wanted):
            return None
        return 2 + len(wanted)


def parse_media(text: str | None) -> MediaType | None:
    """Return the media type, None for what is none (a browser would guess; a caller may take a default)."""
    parsed = None if text is None else parse_parameters(text)
    found = None if parsed is None else _TYPE(parsed[0])
    if parsed is None or found is None:
        return None
    return MediaType(found[1].lower(), found[2].lower(), parsed[1])


def qualities(text: str) -> list[tuple[str, float]]:
    """Return the elements of an Accept field and their q-values, best first, equal ones in the order they came.

    Elements keep their other parameters; malformed ones are left out.
    """
    found: list[tuple[str, float]] = []
    for element in split_list(text):
        parsed = parse_parameters(element)
        if parsed is None:
            continue
        value, parameters = parsed
        weight = parameters.pop("q", "1")
        if value and _QVALUE(weight):
            rest = "".join(f"; {key}={quote(said)}" for key, said in parameters.items())
            found.append((value + rest, float(weight)))
    return sorted(found, key=lambda pair: -pair[1])


def negotiate_media(accept: str | None, available: Sequence[str]) -> str | None:
    """Return which of `available` a client likes best by its Accept, the first of equals; None: none (status 406).

    An Accept of which nothing can be read says nothing.
    """
    listed = qualities(accept) if accept else []
    ranges = [(media, weight) for text, weight in listed if (media := parse_media(text)) is not None]
    if not ranges:
        return available[0] if available else None
    best: tuple[float, str] | None = None
    for offered in available:
        media = parse_media(offered)
        if media is None:
            raise ValueError(f"{offered!r} is no media type")
        matches = [(rank, weight) for wanted, weight in ranges if (rank := wanted.accepts(media)) is not None]
        weight = max(matches)[1] if matches else 0.0
        if weight > 0 and (best is None or weight > best[0]):
            best = weight, offered
    return None if best is None else best[1]


def negotiate_coding(accept: str | None, available: Sequence[str]) -> str | None:
    """Return which content coding to use by Accept-Encoding: the client's best, of equals the first of `available`.

    `identity` is what is left if nothing else fits; None if even that is refused (RFC 9110 section 12.5.3).
    """
    if accept is None:
        return "identity"
    weights = {("gzip" if name.lower() == "x-gzip" else name.lower()): weight for name, weight in qualities(accept)}
    rest = weights.get("*")
    best, chosen = 0.0, None
    for coding in available:
        weight = weights.get(coding, rest if rest is not None else 0.0)
        if weight > best:
            best, chosen = weight, coding
    identity = weights.get("identity", rest if rest is not None else None)
    if chosen is None or (identity is not None and identity > best):
        return None if identity == 0 else "identity"
    return chosen


def negotiate_language(accept: str | None, available: Sequence[str]) -> str | None:
    """Return the language by RFC 4647's lookup: `de-CH` falls back to `de`; None: none of them fits."""
    if not accept:
        return available[0] if available else None
    known = {language.lower(): language for language in available}
    wanted = qualities(accept)
    refused = {name.lower() for name, weight in wanted if not weight}
    for name, weight in wanted:
        tag = name.lower()
        while weight and tag:
            if tag in known and tag not in refused:
                return known[tag]
            tag = tag.rpartition("-")[0]
        if weight and name == "*":
            return next((language for key, language in known.items() if key not in refused), None)
    return None
