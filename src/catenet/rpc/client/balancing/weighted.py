"""Calls in proportion to what servers say they can take (gRFC A58, `weighted_round_robin`). Pure.

The weight of a server is the calls that it answers in a second per unit of its load, from the ORCA report that comes
with the trailers of each call (`catenet.rpc.model.load_report`). While fewer than two weights are known all get the
same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catenet.rpc.client.balancing.policy import A, Policy, State
from catenet.rpc.client.balancing.stride import Stride, is_weight

if TYPE_CHECKING:
    from catenet.rpc.model.load_report import LoadReport

__all__ = ["WeightedRoundRobin", "Weighting"]

_TURNS = 1 << 16


@dataclass(frozen=True, slots=True)
class Weighting:
    """The settings of gRFC A58, with its defaults. Seconds.

    * `blackout`: a server's weight counts only after it has reported for so long: the load of one that has just
      started says little.
    * `expiration`: a weight that has not been renewed for so long does not count.
    * `update`: how often weights are taken over.
    * `error_penalty`: how much failed calls count as load.
    """

    blackout: float = 10.0
    expiration: float = 180.0
    update: float = 1.0
    error_penalty: float = 1.0


class _Weight:
    """What one server has said."""

    __slots__ = ("_since", "_told", "_value")

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = 0.0
        self._value = 0.0

    def report(self, load: LoadReport, settings: Weighting, now: float) -> None:
        utilization = load.application_utilization or load.cpu_utilization
        if not (load.rps > 0 and utilization > 0):
            return
        penalty = load.eps / load.rps * settings.error_penalty if load.eps > 0 else 0.0
        value = load.rps / (utilization + penalty)
        if not is_weight(value):  # a number of the report is infinite, or no number, or the quotient is too large
            return
        self._value = value
        self._told = now
        if self._since is None:
            self._since = now

    def reconnected(self) -> None:
        """It may be another server, or one that has started again."""
        self._since = None

    def at(self, now: float, settings: Weighting) -> float:
        """Return the weight; 0 if it does not count."""
        if self._since is None:
            return 0.0
        if now - self._told >= settings.expiration:
            self._since = None
            return 0.0
        return self._value if now - self._since >= settings.blackout else 0.0


class WeightedRoundRobin(Policy[A]):
    """Calls go to all ready addresses, in proportion to their weights."""

    watches_calls = True
    reads_load = True

    def __init__(self, settings: Weighting, rng: random.Random) -> None:
        super().__init__()
        self._settings = settings
        self._rng = rng
        self._weights: dict[A, _Weight] = {}
        self._ready: dict[A, None] = {}
        self._order: list[A] = []
        """Those that are ready, as `_stride` counts them."""
        self._changed: float | None = None
        """Since when `_order` and `_stride` are out of date; the next call makes them anew."""
        self._next = rng.randrange(_TURNS)
        self._stride: Stride | None = None
        self._due: float | None = None

    def update(self, addresses: Sequence[A], now: float) -> None:
        """Take the addresses; those that stay keep their weights."""
        super().update(addresses, now)
        self._weights = {address: self._weights.get(address) or _Weight() for address in self.addresses}
        self._ready = {address: None for address in self._ready if address in self.states}
        self._take_weights(now)

    def set_state(self, address: A, state: State, now: float) -> None:
        """A connection has come up, or has gone."""
        super().set_state(address, state, now)
        if address not in self.states:
            return
        if state is State.READY and address not in self._ready:
            self._ready[address] = None
            self._weights[address].reconnected()
        elif state is not State.READY and address in self._ready:
            del self._ready[address]
        else:
            return
        self._changed = now

    def pick(self, key: bytes | None = None) -> A | None:
        """Return where the next call goes."""
        if self._changed is not None:
            self._take_weights(self._changed)
        ready, stride = self._order, self._stride
        if not ready:
            return None
        if stride is not None:
            return ready[stride.next()]
        self._next += 1
        return ready[self._next % len(ready)]

    def weights(self, now: float) -> dict[A, float]:
        """Return what counts of each address; 0 where nothing is known."""
        return {address: weight.at(now, self._settings) for address, weight in self._weights.items()}

    def call_ended(self, address: A, failed: bool, load: LoadReport | None, now: float) -> None:
        """A server has said how it stands."""
        weight = self._weights.get(address)
        if weight is not None and load is not None:
            weight.report(load, self._settings, now)
            if self._due is None:
                self._due = now + self._settings.update

    def next_deadline(self) -> float | None:
        """Return when weights are taken over."""
        return self._due

    def handle_timeout(self, now: float) -> None:
        """Take over the weights."""
        if self._due is not None and now >= self._due:
            self._take_weights(now)

    def _take_weights(self, now: float) -> None:
        self._changed = None
        self._order = list(self._ready)
        weights = [self._weights[address].at(now, self._settings) for address in self._order]
        known = sum(weight > 0 for weight in weights)
        self._stride = Stride(weights, self._rng.randrange(_TURNS)) if known >= 2 else None
        told = any(weight._since is not None for weight in self._weights.values())
        self._due = now + self._settings.update if told else None
