"""A zone that stays signed while it changes and while time goes by."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.dns.dnssec import Nsec3Settings, SigningKey, SigningSettings, sign_at
from catenet.dns.dnssec.schedule import next_change
from catenet.dns.rrset import RRset
from catenet.dns.zone.difference import Difference, apply, combined, difference, is_newer
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.numbers import SOA

__all__ = ["SigningPlan", "ZoneSigner"]

_CLOCK_SKEW: Final = 3600
"""Seconds by which signatures begin before they are made, for clocks that are late (RFC 6781 4.4.2)."""


@dataclass(frozen=True, slots=True)
class SigningPlan:
    """How long signatures last; all in seconds.

    Attributes:
        lifetime: from when one is made until it expires.
        refresh: before it expires, it is made anew; more than the largest TTL of the zone and the time to its last
            secondary (RFC 6781 4.4.2.1).
        jitter: by which expirations are spread.
        nsec3: NSEC3 rather than NSEC.
        key_ttl: of the DNSKEY set; None: that of the SOA record.
        zonemd: hash algorithm of a digest over the zone, None for none.
    """

    lifetime: int = 14 * 86_400
    refresh: int = 5 * 86_400
    jitter: int = 86_400
    nsec3: Nsec3Settings | None = None
    key_ttl: int | None = None
    zonemd: int | None = None


class ZoneSigner:
    """Signs a zone, and again what has changed or expires soon; signatures that are good are kept.

    The order of names is gone through each time, at some microseconds a set; a signature costs a hundred.
    """

    def __init__(self, keys: Callable[[], Sequence[SigningKey]], plan: SigningPlan, rng: random.Random) -> None:
        """`keys`: all keys of the zone, whose times say what they do; they are asked for each time."""
        self._keys = keys
        self._plan = plan
        self._rng = rng

    def sign(self, zone: Zone, wall: float, change: Difference | None = None) -> Difference | None:
        """Bring the signatures of a zone up to date, and say what has become different; None for nothing.

        Args:
            zone: signed or not; it is changed.
            wall: seconds since 1970.
            change: what was just applied to the zone, whose serial then stands for both; the result says both.

        Raises:
            ValueError: no key signs at this time, or the zone has no SOA record.
        """
        now = int(wall)
        signed = self._signed(zone, zone, now)
        made = difference(zone, signed)
        if change is None:
            if set(made.removed) == set(made.added):
                return None
            signed = self._signed(_with_serial(signed, _next_serial(signed.serial)), zone, now)
            made = difference(zone, signed)
        apply(zone, made)
        return made if change is None else combined(change, made)

    def _signed(self, zone: Zone, before: Zone, now: int) -> Zone:
        plan = self._plan
        settings = SigningSettings(
            now - _CLOCK_SKEW,
            now + plan.lifetime,
            plan.jitter,
            self._rng,
            plan.nsec3,
            plan.key_ttl,
            plan.zonemd,
            lambda rrset, keys: _kept(rrset, keys, before, now + plan.refresh),
        )
        return Zone(zone.origin, sign_at(zone.sets(), zone.apex, list(self._keys()), settings, now))

    def replace(self, source: Zone, before: Zone | None, wall: float) -> tuple[Zone, Difference | None]:
        """Sign another version of a zone, with the signatures that its signed version before has where they are good.

        The serial is that of the source if it is newer, otherwise the next one; serials of signed versions only go
        up, whatever those of their sources do.

        Args:
            source: what it is to be, signed or not; it stays as it is.
            before: what was served, None for the first time.
            wall: seconds since 1970.

        Returns:
            The signed zone, and the difference from the one before; None if there is none, or nothing differs.

        Raises:
            ValueError: as `sign` does.
        """
        now = int(wall)
        if before is None:
            return self._signed(_with_serial(source.copy(), _next_serial(source.serial)), source, now), None
        signed = self._signed(_with_serial(source.copy(), before.serial), before, now)
        made = difference(before, signed)
        if set(made.removed) == set(made.added):
            return before, None
        serial = source.serial if is_newer(source.serial, before.serial) else _next_serial(before.serial)
        signed = self._signed(_with_serial(signed, serial), before, now)
        return signed, difference(before, signed)

    def next_deadline(self, zone: Zone, wall: float) -> float:
        """When `sign` is due, in seconds since 1970: a signature expires soon, or a key does something else."""
        now = int(wall)
        ends = [_expiration(data, now) for one in zone.sets() for data in one.signatures]
        due = min(ends, default=now + self._plan.refresh) - self._plan.refresh
        change = next_change(self._keys(), now)
        return float(due if change is None else min(due, change))


def _next_serial(serial: int) -> int:
    return (serial + 1) & 0xFFFF_FFFF or 1


def _with_serial(zone: Zone, serial: int) -> Zone:
    soa = zone.soa
    assert soa is not None
    data = soa.data[0]
    zone.put(RRset(soa.name, SOA, soa.ttl, (data[:-20] + serial.to_bytes(4, "big") + data[-16:],)))
    return zone


def _kept(rrset: RRset, keys: Sequence[SigningKey], before: Zone, until: int) -> tuple[bytes, ...] | None:
    """The signatures that a set has, if it is as it was, the same keys signed it, and they last."""
    old = before.get(rrset.name, rrset.type)
    if old is None or old.ttl != rrset.ttl or (old.data != rrset.data and set(old.data) != set(rrset.data)):
        return None
    wanted = {(key.key.algorithm, key.key.tag) for key in keys}
    found = {(data[2], data[16] << 8 | data[17]) for data in old.signatures}
    if found != wanted or len(old.signatures) != len(keys):
        return None
    return old.signatures if all(_expiration(data, until) > until for data in old.signatures) else None


def _expiration(signature: bytes, near: int) -> int:
    """When a signature expires, in seconds since 1970: of the times with these 32 bits the nearest (RFC 4034 3.1.5)."""
    low = int.from_bytes(signature[8:12], "big")
    return near + ((low - near + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
