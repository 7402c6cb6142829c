"""Choosing among weights without randomness: static stride scheduling, as gRFC A58 has it. Pure.

Each item has a weight of 16 bits. Turns go through the items again and again; in its turn of generation `g` an item of
weight `w` is chosen if `w * g` has passed a multiple of the largest weight since the generation before. So an
item with half of the largest weight is chosen in every other generation, and those chosen lie apart from each other.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Stride"]

LARGEST = 0xFFFF
MOST_ROUNDS = 10
"""No weight counts for more than this many times the mean, so that a choice takes at most as many turns on average."""
LEAST_SHARE = 0.01
"""Nor for less than this share of the mean."""


class Stride:
    """Chooses indices of `weights` in their proportion; a weight of 0 is unknown, and counts as the mean.

    `start` is the turn to begin with: a random one, so that clients do not march in step.
    """

    def __init__(self, weights: Sequence[float], start: int) -> None:
        known = [weight for weight in weights if weight > 0]
        mean = sum(known) / len(known) if known else 1.0
        largest = min(max(known, default=1.0), MOST_ROUNDS * mean)
        scale = LARGEST / largest
        usual = round(mean * scale)
        least = max(1, round(usual * LEAST_SHARE))
        self._weights = [
            min(max(round(min(weight, largest) * scale), least), LARGEST) if weight > 0 else usual for weight in weights
        ]
        self._turn = start

    def next(self) -> int:
        """Return the index whose turn it is."""
        weights = self._weights
        count = len(weights)
        while True:
            generation, index = divmod(self._turn, count)
            self._turn += 1
            weight = weights[index]
            if (weight * generation + index * (LARGEST // 2)) % LARGEST >= LARGEST - weight:
                return index
