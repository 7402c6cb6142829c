"""The choice of a connection for a call: load balancing. Pure decisions.

Source: gRPC `load-balancing.md`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

__all__ = ["PickFirst", "Picker", "RoundRobin", "picker_for"]

A = TypeVar("A")


class Picker(Protocol[A]):
    """Chooses a connection for a call among those that are ready."""

    def update(self, addresses: Sequence[A]) -> None:
        """Take the addresses that the resolver found."""

    def wanted(self) -> Sequence[A]:
        """Return the addresses to keep connections to; the driver tries them in this order."""

    def set_ready(self, address: A, ready: bool) -> None:
        """A connection has come up, or has gone."""

    def pick(self) -> A | None:
        """Return where the next call goes, or None while nothing is ready."""


@dataclass(slots=True)
class PickFirst(Generic[A]):
    """All calls go to the first address that connects; the driver races them as happy eyeballs does."""

    addresses: Sequence[A] = ()
    current: A | None = None

    def update(self, addresses: Sequence[A]) -> None:
        """Take the addresses that the resolver found; a connection to one that is gone is no longer picked."""
        self.addresses = tuple(addresses)
        if self.current is not None and self.current not in self.addresses:
            self.current = None

    def wanted(self) -> Sequence[A]:
        """Return the connected address, or all."""
        return self.addresses if self.current is None else (self.current,)

    def set_ready(self, address: A, ready: bool) -> None:
        """A connection has come up, or has gone."""
        if ready and self.current is None and address in self.addresses:
            self.current = address
        elif not ready and self.current == address:
            self.current = None

    def pick(self) -> A | None:
        """Return the connected address."""
        return self.current


@dataclass(slots=True)
class RoundRobin(Generic[A]):
    """Calls go to all ready addresses in turn. `rng` chooses where to begin, so that clients do not march in step."""

    rng: random.Random
    addresses: Sequence[A] = ()
    _ready: list[A] = field(default_factory=list)
    _next: int = 0

    def update(self, addresses: Sequence[A]) -> None:
        """Take the addresses that the resolver found."""
        self.addresses = tuple(addresses)
        self._ready = [address for address in self._ready if address in self.addresses]

    def wanted(self) -> Sequence[A]:
        """Return all addresses."""
        return self.addresses

    def set_ready(self, address: A, ready: bool) -> None:
        """A connection has come up, or has gone."""
        if ready and address in self.addresses and address not in self._ready:
            self._ready.append(address)
            if len(self._ready) == 1:
                self._next = self.rng.randrange(1 << 16)
        elif not ready and address in self._ready:
            self._ready.remove(address)

    def pick(self) -> A | None:
        """Return the next ready address."""
        if not self._ready:
            return None
        self._next += 1
        return self._ready[self._next % len(self._ready)]


def picker_for(policy: str, rng: random.Random) -> Picker[A]:
    """Return the picker of a load balancing policy: `pick_first` or `round_robin`; raise `ValueError`."""
    if policy == "pick_first":
        return PickFirst()
    if policy == "round_robin":
        return RoundRobin(rng)
    raise ValueError(f"load balancing policy {policy!r}: there are pick_first and round_robin")
