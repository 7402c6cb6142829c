"""A policy as a file: TOML with `[[policy]]`, `[[limit]]` and `[[issuer]]`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from catenet.rpc.identity.keys import FetchedKeys, Keys
from catenet.rpc.identity.tokens import Issuer, Tokens
from catenet.rpc.policy.limits import Limit
from catenet.rpc.policy.rules import HEALTH, Policy, Rule
from catenet.rpc.policy.terms import ANYONE, Terms, parse_terms

__all__ = ["PolicyError", "PolicyFile", "parse_policy", "read_policy"]

_TOP: Final = ("policy", "limit", "issuer", "exempt", "validate")
_RULE: Final = ("method", "allow", "deny", "object")
_LIMIT: Final = ("method", "callers", "rate", "burst", "concurrent", "bytes", "bytes_burst")
_ISSUER: Final = ("name", "audience", "keys", "ca", "algorithms", "types", "leeway", "max_lifetime")
_SCALE: Final = {"": 1, "s": 1, "min": 60, "h": 3600, "day": 86_400}
_SIZES: Final = {"": 1, "b": 1, "kb": 1000, "kib": 1 << 10, "mb": 10**6, "mib": 1 << 20, "gb": 10**9, "gib": 1 << 30}
_AMOUNT: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)(?:\s*/\s*([a-z]+))?", re.IGNORECASE)
_METHOD: Final = re.compile(r"\*|[\w.]+/(?:\w+|\*)", re.ASCII)


class PolicyError(ValueError):
    """What is wrong with a policy file, and where."""


@dataclass(frozen=True)
class PolicyFile:
    """What a file says."""

    policy: Policy
    limits: Sequence[Limit] = ()
    tokens: Tokens | None = None
    validate: bool = False


def read_policy(path: str | Path) -> PolicyFile:
    """Read a file; files that it names are beside it. Raises `PolicyError`."""
    path = Path(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise PolicyError(f"{path}: {why}") from None
    return parse_policy(text, str(path), path.parent)


def parse_policy(text: str, name: str = "policy", folder: Path = Path()) -> PolicyFile:
    """Read a text; `name` is what errors and logs call it. Raises `PolicyError`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise PolicyError(f"{name}: {error}") from None
    _check_names(document, _TOP, name)
    rules = [_rule(table, where) for table, where in _tables(document, "policy", name)]
    limits = [_limit(table, where) for table, where in _tables(document, "limit", name)]
    issuers = [_issuer(table, where, folder) for table, where in _tables(document, "issuer", name)]
    exempt = document.get("exempt", list(HEALTH))
    if not isinstance(exempt, list) or not all(isinstance(one, str) and _METHOD.fullmatch(one) for one in exempt):
        raise PolicyError(f"{name}: exempt: a list of methods is expected")
    validate = document.get("validate", False)
    if not isinstance(validate, bool):
        raise PolicyError(f"{name}: validate: true or false is expected")
    policy = Policy([rule for some in rules for rule in some], exempt=exempt, name=name)
    return PolicyFile(policy, limits, _tokens(issuers, name), validate)


def _tokens(issuers: Sequence[Issuer], name: str) -> Tokens | None:
    if len({issuer.name for issuer in issuers}) != len(issuers):
        raise PolicyError(f"{name}: two issuers have one name")
    return Tokens(issuers) if issuers else None


def _tables(document: Mapping[str, Any], kind: str, name: str) -> Iterable[tuple[Mapping[str, Any], str]]:
    tables = document.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PolicyError(f"{name}: write [[{kind}]], with two brackets")
    return [(table, f"{name}, {kind} {number}") for number, table in enumerate(tables, 1)]


def _check_names(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else f" (there are {', '.join(known)})"
            raise PolicyError(f"{where}: {key!r} is unknown{hint}")


def _rule(table: Mapping[str, Any], where: str) -> list[Rule]:
    _check_names(table, _RULE, where)
    effects: list[Literal["allow", "deny"]] = ["deny", "allow"]
    found = [effect for effect in effects if effect in table]
    if not found:
        raise PolicyError(f"{where}: allow or deny is missing")
    named = table.get("object", "")
    if not isinstance(named, str):
        raise PolicyError(f"{where}: object: the name of a field is expected")
    methods = table.get("method")
    rules = []
    for effect in found:
        terms = _terms(table[effect], f"{where}: {effect}")
        owned = any("owner" in names for names in terms)
        for method in methods if isinstance(methods, list) and methods else [methods]:
            try:
                rules.append(Rule(_method(method, where), effect, terms, named if owned else "", source=where))
            except ValueError as error:
                raise PolicyError(str(error)) from None
    if named and not any(rule.object for rule in rules):
        raise PolicyError(f"{where}: object without `owner` in allow or deny")
    return rules


def _terms(given: object, where: str) -> Terms:
    try:
        return parse_terms(given)
    except ValueError as error:
        raise PolicyError(f"{where}: {error}") from None


def _method(name: object, where: str) -> str:
    if not isinstance(name, str) or not _METHOD.fullmatch(name.removeprefix("/")):
        raise PolicyError(f"{where}: method: package.Service/Method, package.Service/* or * is expected")
    return name.removeprefix("/")


def _limit(table: Mapping[str, Any], where: str) -> Limit:
    _check_names(table, _LIMIT, where)
    concurrent = table.get("concurrent")
    if concurrent is not None and (not isinstance(concurrent, int) or isinstance(concurrent, bool)):
        raise PolicyError(f"{where}: concurrent: a whole number is expected")
    who = _terms(table["callers"], f"{where}: callers") if "callers" in table else ANYONE
    if any("owner" in names for names in who):
        raise PolicyError(f"{where}: callers: `owner` is of an object, and a limit has none")
    try:
        return Limit(
            _method(table.get("method", "*"), where),
            who,
            _amount(table, "rate", where, rate=True),
            _amount(table, "burst", where) or 0.0,
            concurrent,
            _amount(table, "bytes", where, _SIZES, rate=True),
            _amount(table, "bytes_burst", where, _SIZES) or 0.0,
        )
    except PolicyError:
        raise
    except ValueError as error:
        raise PolicyError(f"{where}: {error}") from None


def _amount(
    table: Mapping[str, Any], key: str, where: str, units: Mapping[str, int] = _SCALE, rate: bool = False
) -> float | None:
    """A number, or a text like `100/s`, `10/min`, `1 MiB/s`; without a time it is for a second."""
    value = table.get(key)
    if value is None:
        return None
    example = f"{'1 MiB' if units is _SIZES else '100'}{'/s' if rate else ''}"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15:
        return float(value)
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = match[2].lower() if match is not None else ""
    if match is None or (units is _SIZES and unit not in _SIZES) or (units is _SCALE and unit):
        raise PolicyError(f"{where}: {key}: {value!r} is no amount like {example!r}")
    period = (match[3] or "").lower()
    if period not in _SCALE or (period and not rate):
        raise PolicyError(f"{where}: {key}: {value!r} is no amount like {example!r} (s, min, h, day)")
    return float(match[1]) * (units[unit] if units is _SIZES else 1) / _SCALE[period]


def _issuer(table: Mapping[str, Any], where: str, folder: Path) -> Issuer:
    _check_names(table, _ISSUER, where)
    for key in ("name", "keys"):
        if not isinstance(table.get(key), str):
            raise PolicyError(f"{where}: {key}: a text is expected")
    lists: dict[str, Any] = {}
    for key in ("audience", "algorithms", "types"):
        if key in table or key == "audience":
            value = table.get(key)
            value = [value] if isinstance(value, str) else value
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise PolicyError(f"{where}: {key}: a list of texts is expected")
            lists[key] = value
    for key in ("leeway", "max_lifetime"):
        if key in table:
            lists[key] = _amount(table, key, where)
    try:
        return Issuer(table["name"], keys=_keys(table, folder), **lists)
    except OSError as error:
        raise PolicyError(f"{where}: keys: {table['keys']}: {error.strerror}") from None
    except ValueError as error:
        raise PolicyError(f"{where}: {error}") from None
    except ImportError:
        raise PolicyError(f"{where}: tokens need the package joserfc: pip install 'catenet[auth]'") from None


def _keys(table: Mapping[str, Any], folder: Path) -> Keys:
    keys, ca = table["keys"], table.get("ca")
    if "://" in keys:
        if ca is not None and not isinstance(ca, str):
            raise ValueError("ca: the name of a file is expected")
        return FetchedKeys(keys, ca=None if ca is None else str(folder / ca))
    return Keys((folder / keys).read_bytes())
