"""What a server keeps of a zone beside its contents: settings, keys, the journal, who follows and who is followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from catenet.dns.server.access import Access, Action
from catenet.dns.server.config import ServerConfig, SettingError, ZoneConfig
from catenet.dns.server.follower import Follower
from catenet.dns.server.signing import SignedZone
from catenet.dns.zone import Zone
from catenet.dns.zone.difference import Difference, apply
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.notify import Target
from catenet.dns.zone.storage import JournalFile, save_zone
from catenet.dns.zone.tsig import TsigKey

__all__ = ["Kept", "keys_of", "only"]

logger = logging.getLogger("catenet.dns")


@dataclass
class Kept:
    """One zone's settings, and what is kept beside its contents."""

    told: ZoneConfig
    origin: bytes
    key: TsigKey | None
    transfers: Access
    updates: Access
    journal: Journal = field(default_factory=Journal)
    file: JournalFile | None = None
    targets: tuple[Target, ...] = ()
    follower: Follower | None = None
    source: Zone | None = None
    """What is signed here, before it is."""
    signed: SignedZone | None = None
    timer: asyncio.TimerHandle | None = None

    def store(self, zone: Zone, changes: Sequence[Difference]) -> None:
        """Keep a version on disk: its differences in the journal, if they go on from what is there, or else whole."""
        path = Path(self.told.file) if self.told.file else None
        try:
            if path is not None and self.file is not None and changes and path.is_file():
                for change in changes:
                    self.file.append(change, partial(save_zone, zone, path))
                return
            if path is not None:
                save_zone(zone, path)
            if self.file is not None:
                self.file.clear()
        except OSError as error:
            logger.error("%s: %s", self.told.file, error.strerror)
        if self.signed is None and self.file is None:
            for change in changes:
                self.journal.add(change)

    def catch_up(self, zone: Zone, journal: Journal) -> None:
        """Bring a zone that was read from its file forward by what has changed since it was read."""
        known = {change.after for change in self.journal}
        for change in journal.since(zone.serial) or ():
            apply(zone, change)
            if change.after not in known:
                self.journal.add(change)


def keys_of(config: ServerConfig) -> dict[bytes, TsigKey]:
    """Keys for signatures, by folded name. Raises ConfigError."""
    keys = {}
    for one in config.keys:
        try:
            key = TsigKey.from_text(f"{one.algorithm}:{one.name}:{one.secret}")
        except ValueError as error:
            raise SettingError(f"key {one.name!r}: {error}") from None
        keys[key.name] = key
    return keys


def only(networks: tuple[str, ...]) -> Access:
    """Access for these networks alone."""
    return Access({"0.0.0.0/0": Action.REFUSE, "::/0": Action.REFUSE, **dict.fromkeys(networks, Action.ALLOW)})
