"""Names of callers, as rules write them: `uid:1000`, `group:docker`, `spiffe://example.org/*`, `owner`."""

from __future__ import annotations

import difflib
import grp
import pwd
from collections.abc import Iterable, Sequence
from typing import Final

from catenet.rpc.model.identity import Identity

__all__ = ["ANYONE", "OWNER", "Terms", "matches", "may_hold", "parse_terms", "show_terms", "uses"]

Terms = tuple[tuple[str, ...], ...]
"""Alternatives; of each, all names must be the caller's."""

OWNER: Final = "owner"
ANYONE: Final[Terms] = (("anyone",),)

_WORDS: Final = ("anyone", "authenticated", OWNER)
_KINDS: Final = (
    "uid",
    "gid",
    "user",
    "group",
    "label",
    "dns",
    "uri",
    "email",
    "ip",
    "cert",
    "token",
    "iss",
    "scope",
    "claim",
)
_PREFIXES: Final = ("spiffe://", "token:")


def parse_terms(given: object) -> Terms:
    """Read alternatives: each is a name, or a list of names that must all hold. Raises `ValueError`."""
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, Sequence) or isinstance(entries, bytes) or not entries:
        raise ValueError("a list of names of callers is expected")
    terms = []
    for entry in entries:
        names = [entry] if isinstance(entry, str) else entry
        if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{entry!r}: a name, or a list of names that must all hold, is expected")
        terms.append(tuple(_parse(name) for name in names))
    return tuple(terms)


def _parse(name: str) -> str:
    if name in _WORDS:
        return name
    kind, colon, value = name.partition(":")
    if name.startswith("spiffe://") and len(name) > len("spiffe://"):
        return _check_wildcard(name)
    if not colon or kind not in _KINDS or not value:
        near = _nearest(kind if colon else name)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise ValueError(f"{name!r} is no name of a caller{hint}: KIND:VALUE, spiffe://ID, {', '.join(_WORDS)}")
    if kind in ("uid", "gid"):
        if not value.isascii() or not value.isdigit() or int(value) >= 0xFFFF_FFFF:
            raise ValueError(f"{name!r}: {kind} is a number; names are {'user' if kind == 'uid' else 'group'}:NAME")
        return f"{kind}:{int(value)}"
    if kind == "claim" and "=" not in value:
        raise ValueError(f"{name!r}: write claim:NAME=VALUE")
    if kind in ("user", "group"):
        return _number_of(kind, value)
    return _check_wildcard(name)


def _nearest(word: str) -> str | None:
    """The kind or word that is most like `word`; of several, the one with the same letters."""
    near = difflib.get_close_matches(word, [*_KINDS, *_WORDS, "spiffe"], n=len(_KINDS))
    return next((one for one in near if sorted(one) == sorted(word)), next(iter(near), None))


def _check_wildcard(name: str) -> str:
    """A `*` stands for the rest, from a border on: `spiffe://example.org/*`, `token:ISSUER#*`."""
    star = name.find("*")
    if star >= 0 and not (star == len(name) - 1 and name.startswith(_PREFIXES) and name[-2] in "/#"):
        raise ValueError(f"{name!r}: `*` ends spiffe://DOMAIN/* or token:ISSUER#*, and stands nowhere else")
    return name


def _number_of(kind: str, name: str) -> str:
    try:
        return f"uid:{pwd.getpwnam(name).pw_uid}" if kind == "user" else f"gid:{grp.getgrnam(name).gr_gid}"
    except KeyError:
        raise ValueError(f"{kind}:{name}: there is no such {kind}") from None


def matches(terms: Terms, identity: Identity, owner: str | None = None) -> bool:
    """Whether one of the alternatives holds of a caller; `owner`: of the object that it wants, None: of none."""
    return any(all(_holds(name, identity, owner) for name in names) for names in terms)


def _holds(name: str, identity: Identity, owner: str | None) -> bool:
    if name in identity.principals or name == "anyone":
        return True
    if name == OWNER:
        return identity.authenticated and owner == identity.name
    if name.endswith("*"):
        return any(each.startswith(name[:-1]) and len(each) >= len(name) for each in identity.principals)
    if name.startswith("claim:") and identity.token is not None:
        key, _, value = name[6:].partition("=")
        found = identity.token.claims.get(key)
        return value in (
            [each for each in found if isinstance(each, str)] if isinstance(found, list) else [_text(found)]
        )
    return False


def _text(claim: object) -> object:
    return (
        ("true" if claim else "false") if isinstance(claim, bool) else str(claim) if isinstance(claim, int) else claim
    )


def show_terms(terms: Terms) -> str:
    """The alternatives as text."""
    return " or ".join(" and ".join(names) for names in terms)


def may_hold(terms: Terms, identity: Identity) -> bool:
    """Whether the alternatives could hold if the caller owned the object."""
    return matches(terms, identity, identity.name)


def uses(terms: Terms, names: Iterable[str]) -> bool:
    """Whether a name that begins with one of `names` occurs."""
    return any(name.startswith(tuple(names)) for alternative in terms for name in alternative)
