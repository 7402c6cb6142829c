"""Deckard's settings to those of our resolver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from catenet.dns.resolver.config import DO_NOT_QUERY, ForwardZone, network_from_text
from catenet.testing.rpl.policies import read_policy
from catenet.testing.rpl.setup import Builder, Setup, boolean, name_of, network, server_of, timestamp
from catenet.testing.rpl.syntax import Head, Setting, Unsupported
from catenet.testing.rpl.words import expected
from catenet.wire.dns.name import ROOT, name_from_text

__all__ = ["setup_deckard"]

_START: Final = 1_500_000_000.0
"""Seconds since 1970 at the start of a scenario that does not say: there, the real time."""
_MEANINGLESS: Final = frozenset(("force-ipv6", "target-fetch-policy", "name", "stub-prime", "harden-referral-path"))
_LOOPBACK: Final = (b"\x7f\0\0\0", bytes(15) + b"\1")
_FLAGS: Final = {
    "query-minimization": "minimise",
    "harden-glue": "harden_glue",
    "do-ip4": "ipv4",
    "do-ip6": "ipv6",
}


def setup_deckard(head: Head) -> Setup:
    """Make sense of the settings of a head of Deckard's.

    Raises:
        ScenarioError: a value is wrong, or a key is none.
        Unsupported: our resolver has nothing of the kind.
    """
    builder = Builder(head)
    builder.first_wall = _START
    builder.values["special_names"] = False  # scenarios have zones in `test.`
    root, name = list[bytes](), name_from_text("k.root-servers.net.")
    for setting in head.settings:
        if setting.key in _FLAGS:
            builder.values[_FLAGS[setting.key]] = boolean(setting)
        elif setting.key == "stub-addr":
            root.append(server_of(setting).address)
        elif setting.key == "stub-name":
            name = name_of(setting)
        elif setting.key in _READERS:
            _READERS[setting.key](builder, setting)
        elif setting.key not in _MEANINGLESS:
            known = [*_FLAGS, *_READERS, *_MEANINGLESS, "stub-addr", "stub-name"]
            raise Unsupported(setting.line, str(expected(setting.key, known, setting.line, "setting")))
    if root:
        builder.values["hints"] = {name: tuple(root)}
    if any(one.startswith(b"\x7f") for one in root):  # who names a server on loopback means it
        builder.values["do_not_query"] = tuple(one for one in DO_NOT_QUERY if one[0] not in _LOOPBACK)
    return builder.finish()


def _localhost(builder: Builder, setting: Setting) -> None:
    if not boolean(setting):
        builder.values["do_not_query"] = tuple(one for one in DO_NOT_QUERY if one[0] not in _LOOPBACK)


def _insecure(builder: Builder, setting: Setting) -> None:
    builder.anchors.add_negative(name_of(setting))


def _trust(builder: Builder, setting: Setting) -> None:
    builder.trust(setting.value, setting.line)


def _date(builder: Builder, setting: Setting) -> None:
    builder.first_wall = timestamp(setting)


def _forward(builder: Builder, setting: Setting) -> None:
    builder.forwards.append(ForwardZone(ROOT, (server_of(setting),)))


def _private(builder: Builder, setting: Setting) -> None:
    builder.values["private_addresses"] = (*builder.values.get("private_addresses", ()), network(setting))


def _features(builder: Builder, setting: Setting) -> None:
    for pair in setting.value.split(";"):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key in ("min_ttl", "max_ttl"):
            builder.values[key] = int(value)
        elif key == "dns64_prefix":
            builder.values["dns64_prefix"] = network_from_text(f"{value}/96")
        elif key != "workarounds":
            raise Unsupported(setting.line, f"features: {key}")


_READERS: Final[dict[str, Callable[[Builder, Setting], None]]] = {
    "do-not-query-localhost": _localhost,
    "domain-insecure": _insecure,
    "trust-anchor": _trust,
    "val-override-date": _date,
    "val-override-timestamp": _date,
    "forward-addr": _forward,
    "private-address": _private,
    "features": _features,
    "feature-list": read_policy,
}
