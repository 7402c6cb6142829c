"""Choosing among weights without randomness: static stride scheduling, as gRFC A58 has it. Pure.

Each item has a weight of 16 bits. Turns go through the items again and again; in its turn of generation `g` an item of
weight `w` is chosen if `w * g` has passed a multiple of the largest weight since the generation before. So an
item with half of the largest weight is chosen in every other generation, and those chosen lie apart from each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["Stride", "is_weight"]

LARGEST = 0xFFFF
MOST_ROUNDS = 10
"""No weight counts for more than this many times the mean, so that a choice takes at most as many turns on average."""
LEAST_SHARE = 0.01
"""Nor for less than this share of the mean."""


def is_weight(value: float) -> bool:
    """Whether a number can be a weight: it is positive and finite."""
    return 0 < value < math.inf


class Stride:
    """Chooses indices of `weights` in their proportion; a weight that is no positive finite number counts as the mean.

    `start` is the turn to begin with: a random one, so that clients do not march in step.
    """

    def __init__(self, weights: Sequence[float], start: int) -> None:
        known = [weight for weight in weights if is_weight(weight)]
        most = max(known, default=1.0)
        shares = [weight / most for weight in known]  # first, as sums of weights may be too large for a float
        mean = sum(shares) / len(shares) if shares else 1.0
        largest = min(1.0, MOST_ROUNDS * mean)
        scale = LARGEST / largest
        usual = round(mean * scale)
        least = max(1, round(usual * LEAST_SHARE))
        self._weights = [
            min(max(round(min(weight / most, largest) * scale), least), LARGEST) if is_weight(weight) else usual
            for weight in weights
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
