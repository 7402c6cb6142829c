"""Servers that answer worse than the others get no calls for a while (gRFC A50, `outlier_detection`). Pure.

It stands around another policy and shows it the addresses that it has ejected as failed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from catenet.rpc.client.balancing.policy import A, Policy, State

if TYPE_CHECKING:
    from catenet.rpc.model.load_report import LoadReport

__all__ = ["FailurePercentage", "OutlierDetection", "Outliers", "SuccessRate"]


@dataclass(frozen=True, slots=True)
class SuccessRate:
    """Eject who succeeds less often than the mean, by `stdev_factor` thousandths of the standard deviation.

    `enforcement`: percent of such findings that are carried out. Needs `minimum_hosts` with `request_volume` calls.
    """

    stdev_factor: int = 1900
    enforcement: int = 100
    minimum_hosts: int = 5
    request_volume: int = 100


@dataclass(frozen=True, slots=True)
class FailurePercentage:
    """Eject whose share of failed calls is above `threshold` percent; the rest as for `SuccessRate`."""

    threshold: int = 85
    enforcement: int = 100
    minimum_hosts: int = 5
    request_volume: int = 50


@dataclass(frozen=True, slots=True)
class Outliers:
    """The settings of gRFC A50, with its defaults. Seconds and percent.

    * `interval`: how often servers are looked at.
    * `base_time`: the first ejection takes so long, each further one as much longer, up to `longest`.
    * `most`: percent of the addresses that may be ejected; one may always be.
    """

    interval: float = 10.0
    base_time: float = 30.0
    longest: float = 300.0
    most: int = 10
    success_rate: SuccessRate | None = None
    failure_percentage: FailurePercentage | None = None


class _Record:
    """One address: its calls of this interval, and its ejections. `ejected`: since when."""

    __slots__ = ("ejected", "failures", "multiplier", "state", "successes")

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.multiplier = 0
        self.ejected: float | None = None
        self.state = State.IDLE


class OutlierDetection(Policy[A]):
    """Passes everything on to `child`, but for the addresses that it has ejected."""

    def __init__(self, settings: Outliers, child: Policy[A], rng: random.Random) -> None:
        super().__init__()
        self._settings = settings
        self._child = child
        self.more = child.more
        self._rng = rng
        self._records: dict[A, _Record] = {}
        self._due: float | None = None
        self._counts = settings.success_rate is not None or settings.failure_percentage is not None
        self.watches_calls = self._counts or child.watches_calls
        self.reads_load = child.reads_load
        self.keyed = child.keyed
        self.key_header = child.key_header
        self.ejections: list[A] = []
        """The addresses that are ejected at the moment."""

    # What the child does.

    def update(self, addresses: Sequence[A], now: float) -> None:
        """Take the addresses; those that stay keep their records."""
        self._child.update(addresses, now)
        self.addresses, self.states, self.counts = self._child.addresses, self._child.states, self._child.counts
        self._records = {address: self._records.get(address) or _Record() for address in self.addresses}
        self._note()
        if self._due is None and self._counts:
            self._due = now + self._settings.interval

    def set_state(self, address: A, state: State, now: float) -> None:
        """Pass it on, unless the address is ejected."""
        record = self._records.get(address)
        if record is not None:
            record.state = state
            if record.ejected is None:
                self._child.set_state(address, state, now)

    def wanted(self) -> Sequence[A]:
        """Return what the child wants, and those that are ejected: they stay connected."""
        return tuple(dict.fromkeys([*self._child.wanted(), *self.ejections]))

    def wants(self, address: A) -> bool:
        """Whether an address is one of them."""
        return not self.usable(address) or self._child.wants(address)

    def pick(self, key: bytes | None = None) -> A | None:
        """Return what the child picks."""
        return self._child.pick(key)

    def fails(self, key: bytes | None = None) -> bool:
        """Return what the child says."""
        return self._child.fails(key)

    def usable(self, address: A) -> bool:
        """Calls do not go to an address that is ejected."""
        record = self._records.get(address)
        return record is None or record.ejected is None

    @property
    def state(self) -> State:
        """How the child stands."""
        return self._child.state

    def call_ended(self, address: A, failed: bool, load: LoadReport | None, now: float) -> None:
        """Count it."""
        record = self._records.get(address)
        if record is not None:
            if failed:
                record.failures += 1
            else:
                record.successes += 1
        self._child.call_ended(address, failed, load, now)

    def next_deadline(self) -> float | None:
        """Return when servers are looked at, or the child has something to do."""
        child = self._child.next_deadline()
        dues = [due for due in (self._due, child) if due is not None]
        return min(dues, default=None)

    def handle_timeout(self, now: float) -> None:
        """Look at the servers, if it is time."""
        self._child.handle_timeout(now)
        if self._due is not None and now >= self._due:
            self._due = now + self._settings.interval
            self._look(now)

    # Ejecting.

    def _look(self, now: float) -> None:
        """One round (gRFC A50, "The ejection algorithm")."""
        records = self._records
        counted = {address: (record.successes, record.failures) for address, record in records.items()}
        for record in records.values():
            record.successes = record.failures = 0
        if self._settings.success_rate is not None:
            self._by_success_rate(self._settings.success_rate, counted, now)
        if self._settings.failure_percentage is not None:
            self._by_failure_percentage(self._settings.failure_percentage, counted, now)
        for address, record in records.items():
            if record.ejected is None:
                record.multiplier = max(record.multiplier - 1, 0)
            elif now >= record.ejected + self._length(record):
                record.ejected = None
                self._child.set_state(address, record.state, now)
        self._note()

    def _length(self, record: _Record) -> float:
        settings = self._settings
        return min(settings.base_time * record.multiplier, max(settings.base_time, settings.longest))

    def _by_success_rate(self, terms: SuccessRate, counted: dict[A, tuple[int, int]], now: float) -> None:
        rates = _shares(counted, terms.request_volume)
        if len(rates) < max(terms.minimum_hosts, 1):
            return
        least = fmean(rates.values()) - pstdev(rates.values()) * terms.stdev_factor / 1000
        self._eject([one for one, rate in rates.items() if rate < least], terms.enforcement, now)

    def _by_failure_percentage(self, terms: FailurePercentage, counted: dict[A, tuple[int, int]], now: float) -> None:
        rates = _shares(counted, terms.request_volume)
        if len(rates) < terms.minimum_hosts:
            return
        found = [one for one, rate in rates.items() if 100 * (1 - rate) > terms.threshold]
        self._eject(found, terms.enforcement, now)

    def _eject(self, found: Sequence[A], enforcement: int, now: float) -> None:
        ejected = sum(record.ejected is not None for record in self._records.values())
        for address in found:
            if 100 * ejected >= self._settings.most * len(self._records):
                return
            record = self._records[address]
            if record.ejected is None and self._rng.randrange(100) < enforcement:
                record.ejected = now
                record.multiplier += 1
                ejected += 1
                self._child.set_state(address, State.FAILED, now)

    def _note(self) -> None:
        self.ejections = [address for address, record in self._records.items() if record.ejected is not None]


def _shares(counted: dict[A, tuple[int, int]], volume: int) -> dict[A, float]:
    """Return the share of calls that succeeded, of the addresses that had at least `volume`."""
    return {one: good / (good + bad) for one, (good, bad) in counted.items() if good + bad >= max(volume, 1)}
