"""Rules of Knot Resolver's policy module, as Deckard's `feature-list` has them, as response policies."""

from __future__ import annotations

import re
from typing import Final

from catenet.dns.resolver.config import ForwardZone, PolicyZone
from catenet.dns.rrset import RRset
from catenet.testing.rpl.setup import Builder
from catenet.testing.rpl.syntax import Setting, Unsupported
from catenet.testing.rpl.words import address
from catenet.wire.dns.name import ROOT, fold, name_from_text
from catenet.wire.dns.numbers import CNAME
from catenet.wire.dns.stub import Server

__all__ = ["read_policy"]

_RULE: Final = re.compile(r"policy=policy:add\(policy\.(\w+)\(policy\.(\w+)(?:\('([^']*)'\))?(?:, *(.*))?\)\)")
_NAMES: Final = re.compile(r"todname\('([^'\\]+)'\)|todnames\(\{([^}]*)\}\)")
_QUOTED: Final = re.compile(r"'([^']*)'")
_ACTIONS: Final = {"DENY": ROOT, "PASS": name_from_text("rpz-passthru."), "TC": name_from_text("rpz-tcp-only.")}
_ORIGIN: Final = name_from_text("policy.")
_TTL: Final = 10_800


def read_policy(builder: Builder, setting: Setting) -> None:
    """Take a rule over. Raises Unsupported for one that says something else than names and what is done about them."""
    found = _RULE.fullmatch(setting.value)
    if found is None:
        raise Unsupported(setting.line, "feature-list: a program for another resolver")
    which, action, argument, rest = found.groups()
    names = [""] if which == "all" else _names(rest or "")
    if which == "suffix_common":
        names = names[:-1]  # the last is what they have in common
    if action == "FORWARD" and argument:
        for name in names:
            zone = fold(name_from_text(name + "."))
            builder.forwards.append(ForwardZone(zone, (Server(address(argument, setting.line)),)))
    elif action in _ACTIONS and names:
        owners = [label + name for name in names for label in ("", "*." if name else "*")]
        sets = [RRset(name_from_text(one, _ORIGIN), CNAME, _TTL, (_ACTIONS[action],)) for one in owners if one]
        builder.policies.append(PolicyZone(_ORIGIN, tuple(sets)))
    else:
        raise Unsupported(setting.line, f"feature-list: {which} {action}")


def _names(text: str) -> list[str]:
    names: list[str] = []
    for one, several in _NAMES.findall(text):
        names += [one] if one else _QUOTED.findall(several)
    return [name.removesuffix(".") for name in names]
