"""How long a client waits before it connects again (gRPC `connection-backoff.md`). Pure: randomness is handed in."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["ConnectionBackoff"]


@dataclass(slots=True)
class ConnectionBackoff:
    """The wait before the next attempt: 1 s, then 1.6 times longer each, up to 120 s, give or take 20 %. Seconds."""

    initial: float = 1.0
    multiplier: float = 1.6
    maximum: float = 120.0
    jitter: float = 0.2
    failures: int = 0

    def failed(self, rng: random.Random) -> float:
        """Count a failure; return the seconds from the beginning of that attempt to the next."""
        delay: float = min(self.initial * self.multiplier ** min(self.failures, 100), self.maximum)
        self.failures += 1
        return delay * rng.uniform(1 - self.jitter, 1 + self.jitter)

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0
