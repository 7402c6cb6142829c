"""How long the phases of a request may take, and the whole of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; None: no limit.

    * `connect`: name, TCP, proxy and TLS together.
    * `write`: how long the server may take nothing of a request's body.
    * `read`: how long it may send nothing, before its response and between two pieces of it.
    * `pool`: how long a request waits for a connection while all that there may be are in use.
    * `total`: from the call to the last byte of the body, redirects and repetitions included.
    """

    connect: float | None = 10.0
    write: float | None = 30.0
    read: float | None = 30.0
    pool: float | None = 30.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"timeout {name}: {value} is not more than 0")

    @property
    def phase(self) -> float | None:
        """The shorter of `write` and `read`: when to look first."""
        if self.write is None or self.read is None:
            return self.read if self.write is None else self.write
        return min(self.write, self.read)
