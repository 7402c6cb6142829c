"""Calls of one key go to one address, also when others come and go (gRFC A42 `ring_hash`, A76). Pure.

Each address has many places on a ring of hashes; a call goes to the next place from the hash of its key on. When
an address comes or goes, only the calls next to its places move.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from catenet.rpc.client.balancing.policy import A, Policy, State
from catenet.rpc.client.balancing.xxh64 import xxh64

__all__ = ["RingHash", "RingSize"]


@dataclass(frozen=True, slots=True)
class RingSize:
    """How many places the ring has. `key_header`: metadata whose value decides; without it chance does."""

    least: int = 1024
    most: int = 4096
    key_header: str | None = None


class RingHash(Policy[A]):
    """Calls go to the address that is next on the ring; `name_of` says under which name an address is placed there.

    Addresses are connected to when a call goes there first. A call whose address has failed goes to the next one.
    """

    keyed = True

    def __init__(self, size: RingSize, rng: random.Random, name_of: Callable[[A], str]) -> None:
        super().__init__()
        self._size = size
        self._rng = rng
        self._name_of = name_of
        self._asked: dict[A, None] = {}
        self._idle: OrderedDict[A, None] = OrderedDict()
        self._hashes: list[int] = []
        self._places: list[A] = []
        self.key_header = size.key_header

    def update(self, addresses: Sequence[A], now: float) -> None:
        """Take the addresses, and place them."""
        before = self.addresses
        super().update(addresses, now)
        self._asked = {address: None for address in self._asked if address in self.states}
        self._idle = OrderedDict((one, None) for one in self.addresses if self.states[one] is State.IDLE)
        if set(before) == set(self.addresses):
            return
        placed = sorted(self._placed(), key=lambda place: place[0])
        self._hashes = [position for position, _ in placed]
        self._places = [address for _, address in placed]

    def _placed(self) -> Iterator[tuple[int, A]]:
        """Yield hashes with their addresses: as many for each, as near to the least size as that allows."""
        count = len(self.addresses)
        if not count:
            return
        scale = min(math.ceil(self._size.least / count) * count, self._size.most)
        made, target = 0, 0.0
        for address in self.addresses:
            target += scale / count
            name, number = self._name_of(address), 0
            while made < target:
                yield xxh64(f"{name}_{number}".encode()), address
                number += 1
                made += 1

    def set_state(self, address: A, state: State, now: float) -> None:
        """A connection stands otherwise; one that ended is made again when a call goes there, a failed one always."""
        super().set_state(address, state, now)
        if self.states.get(address) is State.IDLE:
            self._asked.pop(address, None)
            self._idle[address] = None
            return
        self._idle.pop(address, None)
        if state is State.FAILED and self.state in (State.FAILED, State.CONNECTING):
            self._ask_another()

    def _ask_another(self) -> None:
        """While nothing is ready, one more address is tried whenever one fails: no call may come that would ask."""
        if not self.counts[State.CONNECTING]:
            idle = next(iter(self._idle), None)
            if idle is not None:
                self._ask(idle)

    def _ask(self, address: A) -> None:
        if address not in self._asked:
            self._asked[address] = None
            self.more.append(address)

    def wanted(self) -> Sequence[A]:
        """Return those to which calls have gone."""
        return tuple(self._asked)

    def wants(self, address: A) -> bool:
        """Whether calls have gone there."""
        return address in self._asked

    def pick(self, key: bytes | None = None) -> A | None:
        """Return where a call with this key goes; None while that is not connected, which is wanted from now on."""
        if key is None:
            return self._pick_any()
        for address in self._from(xxh64(key)):
            state = self.states[address]
            if state is State.READY:
                return address
            if state is State.IDLE:
                self._ask(address)
            if state is not State.FAILED:
                return None
        return None

    def _pick_any(self) -> A | None:
        """Return an address at random that is ready; otherwise have one connected."""
        asked = self.counts[State.CONNECTING] > 0
        for address in self._from(self._rng.getrandbits(64)):
            state = self.states[address]
            if state is State.READY:
                return address
            if state is State.IDLE and not asked:
                self._ask(address)
                asked = True
        return None

    def _from(self, position: int) -> Iterator[A]:
        """Yield the addresses in the order of the ring from a hash on, each once."""
        start = bisect_left(self._hashes, position)
        seen: set[A] = set()
        for index in range(len(self._places)):
            address = self._places[(start + index) % len(self._places)]
            if address not in seen:
                seen.add(address)
                yield address
                if len(seen) == len(self.addresses):
                    return

    def fails(self, key: bytes | None = None) -> bool:
        """A call fails when every address has."""
        return self.counts[State.FAILED] == len(self.states)

    @property
    def state(self) -> State:
        """How all stand together: two that have failed are as good as all, while none is ready (gRFC A42)."""
        failed = self.counts[State.FAILED]
        if self.counts[State.READY]:
            return State.READY
        if failed >= 2 or failed == len(self.states):
            return State.FAILED
        if self.counts[State.CONNECTING] or failed:
            return State.CONNECTING
        return State.IDLE
