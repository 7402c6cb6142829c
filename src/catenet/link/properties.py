"""Properties of a link, as one immutable value in SI units."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Final

__all__ = ["DISCIPLINES", "LinkProperties", "QueueProperties"]

DISCIPLINES: Final = ("droptail", "codel", "fq_codel", "dualpi2")
"""How a full or slow queue treats packets: by length only, RFC 8289, RFC 8290, RFC 9332."""

MINIMUM_MTU: Final = 68
"""Every link must carry 68 bytes (RFC 791 section 3.2); IPv6 hosts ask for 1,280 by themselves."""


@dataclass(frozen=True, slots=True)
class QueueProperties:
    """The queue in front of a link of limited rate: its discipline and its limits (None: no such limit)."""

    discipline: str = "droptail"
    packets: int | None = 1000
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.discipline not in DISCIPLINES:
            raise ValueError(f"queue discipline must be one of {', '.join(DISCIPLINES)}, not {self.discipline!r}")
        if self.packets is None and self.bytes is None:
            raise ValueError("queue needs a limit in packets or in bytes")
        for limit in (self.packets, self.bytes):
            if limit is not None and limit < 1:
                raise ValueError(f"queue limit must be at least 1, not {limit}")


@dataclass(frozen=True, slots=True)
class LinkProperties:
    """One direction of a link. Times in seconds, probabilities from 0 to 1, `rate` in bits per second.

    `jitter` spreads the latency evenly over latency +- jitter without changing the order of packets; what would be
    less than 0 is 0, as with netem, so with a jitter above the latency the mean is more than the latency:
    (latency + jitter)**2 / (4 * jitter). `reorder` is the probability that a packet is held back so that later ones
    overtake it. `rate` None is unlimited: then there is
    nothing to queue for. Raises ValueError naming the property that is out of range.
    """

    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate: float | None = None
    queue: QueueProperties = field(default_factory=QueueProperties)
    mtu: int = 1500

    def __post_init__(self) -> None:
        for name in ("latency", "jitter"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a time that is not negative, not {value!r}")
        for name in ("loss", "duplicate", "reorder", "corrupt"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1 (0% to 100%), not {value!r}")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be more than 0 bit/s, not {self.rate!r}")
        if not MINIMUM_MTU <= self.mtu <= 65_535:
            raise ValueError(f"mtu must be from {MINIMUM_MTU} to 65535, not {self.mtu!r}")

    def replace(self, **changes: object) -> LinkProperties:
        """Return the same properties with some changed; TypeError for an unknown name."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]
