"""Who may ask: networks to verdicts, the longest prefix first."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["LOOPBACK", "Access", "Action", "NetworkTable", "Verdict", "network"]

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_MAPPED: Final = "::ffff:"
_MOST_KNOWN: Final = 65_536
"""Clients whose verdict is kept."""

V = TypeVar("V")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Action(enum.Enum):
    """What becomes of the queries of a network."""

    ALLOW = "allow"
    REFUSE = "refuse"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a client may: ask at all, and ask for recursion."""

    action: Action
    recursion: bool


def network(text: str) -> Network:
    """A network, or one address. Raises ValueError that says what is wrong."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        try:
            near = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is neither a network nor an address") from None
        raise ValueError(f"{text!r} has bits behind its prefix; do you mean {near}?") from None


class Access:
    """Verdicts by address; an address that no network has may ask, and not for recursion.

    Clients of Unix sockets have the address "" and may everything.
    """

    def __init__(self, actions: Mapping[str, Action], recursion: Iterable[str] = LOOPBACK) -> None:
        self._actions = NetworkTable({network(text): action for text, action in actions.items()})
        self._recursion = NetworkTable({network(text): True for text in recursion})
        self._known: dict[str, Verdict] = {}

    @property
    def uniform(self) -> Verdict | None:
        """The verdict of every client but those of Unix sockets; None: it depends."""
        if len(self._actions) or len(self._recursion):
            return None
        return Verdict(Action.ALLOW, False)

    def verdict(self, address: str) -> Verdict:
        """What a client may; `address` as sockets have it, perhaps with a zone."""
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[address] = self._judge(address)
        return found

    def _judge(self, address: str) -> Verdict:
        if not address:
            return Verdict(Action.ALLOW, True)
        value = _address(address)
        return Verdict(self._actions.find(value) or Action.ALLOW, bool(self._recursion.find(value)))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as sockets have it, perhaps with a zone, perhaps IPv4 on an IPv6 socket."""
    plain = text.partition("%")[0]
    if plain.startswith(_MAPPED) and "." in plain:
        plain = plain.removeprefix(_MAPPED)
    return ipaddress.ip_address(plain)


class NetworkTable(Generic[V]):
    """Values by network; the longest prefix counts."""

    def __init__(self, values: Mapping[Network, V]) -> None:
        self._values = {(one.version, one.prefixlen, int(one.network_address)): value for one, value in values.items()}
        self._lengths = {
            version: sorted({length for kind, length, _ in self._values if kind == version}, reverse=True)
            for version in (4, 6)
        }

    def __len__(self) -> int:
        return len(self._values)

    def find_text(self, address: str) -> V | None:
        """The value of an address as sockets have it; "" is in no network."""
        return self.find(_address(address)) if address else None

    def find(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> V | None:
        """The value of the network of an address, None without one."""
        number, size = int(address), address.max_prefixlen
        for length in self._lengths[address.version]:
            found = self._values.get((address.version, length, number >> (size - length) << (size - length)))
            if found is not None:
                return found
        return None

    def values(self) -> Iterable[V]:
        """All values, some several times."""
        return self._values.values()
