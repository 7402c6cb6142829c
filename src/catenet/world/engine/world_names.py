"""The table of names that all hosts of a world share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.world.world import World

__all__ = ["WorldNames"]


class WorldNames:
    """Host names of a world, for `getaddrinfo` on any of its hosts (`posix.names.Names`)."""

    def __init__(self, world: World) -> None:
        self._world = world

    def addresses_of(self, name: str) -> list[Address]:
        """Addresses of a host; empty when there is none of this name."""
        return self._world.addresses(name)

    def name_of(self, address: Address) -> str | None:
        """Name of the host that has this address."""
        for name in self._world.hosts:
            if address in self._world.addresses(name):
                return name
        return None

    def entries(self) -> Iterable[tuple[str, list[Address]]]:
        """Names and addresses of all hosts."""
        return [(name, self._world.addresses(name)) for name in self._world.hosts]
