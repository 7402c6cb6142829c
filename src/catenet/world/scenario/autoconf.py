"""How the hosts of a network get their addresses, as `[[networks]]` of a world file says it, or `World.network`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from catenet.world.scenario.tables import KeyPath, Tables, text, texts
from catenet.world.scenario.units import nearest, parse_duration

__all__ = ["AUTOCONF_KEYS", "AutoconfPlan", "autoconf_plan", "read_autoconf"]

PROTOCOLS: Final = ("slaac", "dhcp", "dhcpv6")
AUTOCONF_KEYS: Final = ("configure", "by", "lifetime")
_SHORTEST: Final = 60.0
_LONGEST: Final = 2.0**31


@dataclass(frozen=True, slots=True)
class AutoconfPlan:
    """By which protocols hosts without addresses of their own get them, from which host, and for how many seconds."""

    protocols: tuple[str, ...]
    by: str | None = None
    """The host that advertises and serves; None: the first router of the network."""
    lifetime: float = 3600.0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the addresses that hosts get this way: 4, 16."""
        six = "slaac" in self.protocols or "dhcpv6" in self.protocols
        return (4,) * ("dhcp" in self.protocols) + (16,) * six


def autoconf_plan(configure: str | Iterable[str], by: str | None, lifetime: object) -> AutoconfPlan:
    """A plan of what users write; ValueError."""
    protocols = _protocols([configure] if isinstance(configure, str) else list(configure))
    return AutoconfPlan(protocols, by, _lifetime(lifetime))


def read_autoconf(tables: Tables, table: dict[str, Any], path: KeyPath, hosts: list[str]) -> AutoconfPlan | None:
    """What the table of a network says, None for nothing."""
    protocols = tables.value(table, path, "configure", _protocols, None)
    if protocols is None:
        for key in AUTOCONF_KEYS[1:]:
            if key in table:
                raise tables.error((*path, key), f"{key!r} goes with 'configure', as configure = 'dhcp'")
        return None
    by = tables.value(table, path, "by", text, None)
    if by is not None and by not in hosts:
        raise tables.error((*path, "by"), f"unknown host {by!r}{nearest(by, hosts)}")
    return AutoconfPlan(protocols, by, tables.value(table, path, "lifetime", _lifetime, 3600.0))


def _protocols(value: object) -> tuple[str, ...]:
    names = texts(value)
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(f"must be of {', '.join(PROTOCOLS)}, not {name!r}{nearest(name, PROTOCOLS)}")
    if not names:
        raise ValueError(f"needs one of {', '.join(PROTOCOLS)}")
    return tuple(dict.fromkeys(names))


def _lifetime(value: object) -> float:
    seconds = parse_duration(value)
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"must be a minute or more, and less than 68 years, not {value!r}")
    return seconds
