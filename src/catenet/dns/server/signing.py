"""A zone that a server signs: what is served, and its copy on disk, beside what it is made of.

The signed version is a zone of its own, with serials of its own. `FILE.signed` and `FILE.signed.jnl` keep it: after a
start signatures are as they were, serials go on, and IXFR does. FILE stays as its owner wrote it. When FILE says
something else than what was signed, which a digest in the first line of `FILE.signed` tells, it counts, and updates
that came since are gone, as they are of a zone that is not signed.
"""

from __future__ import annotations

import hashlib
import logging
import random
import secrets
import time
from pathlib import Path
from typing import Final

from catenet.dns.dnssec import Nsec3Settings
from catenet.dns.dnssec.schedule import next_change
from catenet.dns.server.config import ConfigError, SignConfig, ZoneConfig
from catenet.dns.server.keys import ZoneKeys
from catenet.dns.zone import Zone
from catenet.dns.zone.difference import Difference, entries_of
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.signing import SigningPlan, ZoneSigner
from catenet.dns.zone.storage import JournalFile, load_zone, save_zone

__all__ = ["SignedZone"]

logger = logging.getLogger("catenet.dns")

SPACING: Final = 3600
"""Seconds between rounds of signing at least: jitter lets signatures expire one by one, each round goes through all."""
_MADE_FROM: Final = "made from "
SHA384: Final = 1


class SignedZone:
    """What signs a zone, and what is kept of it. Raises ConfigError.

    Attributes:
        zone: the signed version, None before `begin`.
        keys: what it is signed with.
        journal: changes of the signed version.
    """

    def __init__(self, origin: bytes, told: ZoneConfig, sign: SignConfig) -> None:
        self.keys = ZoneKeys(origin, told, sign)
        self._signer = ZoneSigner(self.keys, plan_of(sign), random.Random(secrets.randbits(64)))
        self._spacing = max(1, min(SPACING, sign.refresh // 24))
        self._signed_at = 0.0
        self._path = Path(f"{told.file}.signed") if told.file else None
        self._file = JournalFile(Path(f"{self._path}.jnl")) if self._path is not None else None
        self.journal = Journal() if self._file is None else self._file.journal
        self._digest = ""
        self._saved: int | None = None
        self.zone = self._load(origin)

    def _load(self, origin: bytes) -> Zone | None:
        path, file = self._path, self._file
        if path is None or file is None or not path.is_file():
            return None
        try:
            with path.open(encoding="ascii", errors="replace") as lines:
                self._digest = lines.readline().strip().removeprefix(f"; {_MADE_FROM}")
            file.load()
            zone = load_zone(path, file, origin)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from None
        return zone

    def take_over(self, before: SignedZone) -> None:
        """Go on from what was kept before a reload, rather than from what is on disk."""
        self.zone, self.journal, self._file = before.zone, before.journal, before._file
        self._digest, self._saved = before._digest, before._saved

    def begin(self, source: Zone) -> Zone:
        """Sign what a file says, or a primary; signatures and updates stay if it says what it did.

        Raises ValueError: it cannot be signed.
        """
        digest = digest_of(source)
        if self.zone is not None and digest == self._digest:
            self.resign()
        else:
            self._digest = digest
            self.replace(source)
        assert self.zone is not None
        return self.zone

    def replace(self, source: Zone) -> None:
        """Sign another version. Raises ValueError as `begin` does."""
        self._digest = digest_of(source)
        self._signed_at = time.time()
        self.zone, change = self._signer.replace(source, self.zone, self._signed_at)
        self._save()
        if change is None:
            return
        self._append(change)

    def resign(self) -> Difference | None:
        """Make anew what expires soon, by the keys of this time; returns what became different, None for nothing."""
        assert self.zone is not None
        self._signed_at = time.time()
        change = self._signer.sign(self.zone, self._signed_at)
        if change is not None:
            self._append(change)
        return change

    def sign(self, zone: Zone, change: Difference) -> Difference | None:
        """Sign what an update changed, as `update_zone` wants it."""
        self._signed_at = time.time()
        return self._signer.sign(zone, self._signed_at, change)

    def append(self, change: Difference) -> None:
        """Note a change on disk. Raises OSError."""
        if self._file is None:
            self.journal.add(change)
            return
        self._file.append(change, self._save)
        base = self._base()
        if change.after != base and self.journal.since(base) is None:
            self._save()  # the oldest changes were dropped

    def _base(self) -> int:
        """Serial of the copy on disk."""
        if self._saved is None:
            self._saved = next((one.before for one in self.journal), 0)
        return self._saved

    def _append(self, change: Difference) -> None:
        try:
            self.append(change)
        except OSError as error:
            logger.error("%s.jnl: %s", self._path, error.strerror)

    def _save(self) -> None:
        if self._path is None or self.zone is None:
            return
        try:
            save_zone(self.zone, self._path, _MADE_FROM + self._digest)
            self._saved = self.zone.serial
            if self._file is not None and not len(self.journal):
                self._file.path.unlink(missing_ok=True)  # of another time
        except OSError as error:
            logger.error("%s: %s", self._path, error.strerror)

    def next_deadline(self) -> float:
        """When `resign` is due, in seconds since 1970."""
        assert self.zone is not None
        now = time.time()
        change = next_change(self.keys(), int(now))
        due = max(self._signer.next_deadline(self.zone, now), self._signed_at + self._spacing)
        return due if change is None else min(due, change)


def plan_of(sign: SignConfig) -> SigningPlan:
    """The plan that settings make."""
    return SigningPlan(
        lifetime=sign.lifetime,
        refresh=sign.refresh,
        jitter=max(1, min(86_400, (sign.lifetime - sign.refresh) // 4)),
        nsec3=Nsec3Settings(opt_out=sign.opt_out) if sign.nsec3 or sign.opt_out else None,
        zonemd=SHA384 if sign.zonemd else None,
    )


def digest_of(zone: Zone) -> str:
    """What tells versions of a source from each other."""
    digest = hashlib.sha256()
    for one in zone.sets():
        for name, kind, ttl, data in entries_of(one):
            digest.update(b"%d %d %d %d " % (len(name), kind, ttl, len(data)) + name + data)
    return digest.hexdigest()
