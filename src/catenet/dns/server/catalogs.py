"""Catalogs that a server follows (RFC 9432): which zones are to be served because of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from catenet.dns.server.config import ZoneConfig
from catenet.dns.zone import Zone
from catenet.dns.zone.catalog import Catalog, Member, compare_catalogs, read_catalog
from catenet.wire.dns.name import name_to_text

__all__ = ["Catalogs", "Step"]

logger = logging.getLogger("catenet.dns")

LONGEST_FILE_NAME: Final = 200


class Step(NamedTuple):
    """A zone to be served, or, without settings, not any more and to be forgotten."""

    name: bytes
    told: ZoneConfig | None


class Catalogs:
    """The catalogs of a server, and whose zone each member is."""

    def __init__(self) -> None:
        self._catalogs: dict[bytes, Catalog] = {}
        self._told: dict[bytes, ZoneConfig] = {}
        self._owners: dict[bytes, bytes] = {}
        """Names of catalogs by member."""

    def changed(self, zone: Zone, told: ZoneConfig, configured: set[bytes]) -> Iterator[Step]:
        """What a version of a catalog makes of the zones, step by step; nothing, if it is a broken one (RFC 9432 5.1).

        `configured` are zones with settings of their own, which no catalog changes.
        """
        origin = zone.apex
        try:
            after = read_catalog(zone)
        except ValueError as error:
            logger.error("catalog %s: %s; nothing is changed", name_to_text(origin), error)
            return
        change = compare_catalogs(self._catalogs.get(origin, Catalog(origin)), after)
        self._catalogs[origin], self._told[origin] = after, told
        for member in (*change.removed, *change.reset):
            yield from self._gone(origin, member)
        for member in change.changed:
            yield from self._hand_over(origin, member)
        for member in (*change.reset, *change.added):
            owner = self._owners.get(member.name)
            if owner is None and member.name not in configured:
                yield self._taken(origin, member)
                continue
            if owner is not None:
                yield from self._hand_over(owner, self._catalogs[owner].members[member.name])
            if self._owners.get(member.name) != origin:
                text = name_to_text(origin), name_to_text(member.name)
                logger.warning("catalog %s: %s is served by other settings, and stays so", *text)  # RFC 9432 5.2

    def _taken(self, origin: bytes, member: Member) -> Step:
        self._owners[member.name] = origin
        return Step(member.name, member_config(self._told[origin], member))

    def _hand_over(self, origin: bytes, member: Member) -> Iterator[Step]:
        """A member goes to another catalog, with all that is known of it, if that has it too (RFC 9432 4.3.1)."""
        other = self._catalogs.get(member.owner)
        if other is not None and member.name in other.members and self._owners.get(member.name) == origin:
            yield self._taken(member.owner, member)

    def _gone(self, origin: bytes, member: Member) -> Iterator[Step]:
        """A member is no more; another catalog that has it too has it now."""
        if self._owners.get(member.name) != origin:
            return
        del self._owners[member.name]
        yield Step(member.name, None)
        for other, catalog in self._catalogs.items():
            if other != origin and member.name in catalog.members:
                yield self._taken(other, catalog.members[member.name])
                return


def member_config(told: ZoneConfig, member: Member) -> ZoneConfig:
    """Settings of a member: those of its catalog, and a file of its own."""
    name = name_to_text(member.name)
    stem = (name.rstrip(".") or "root").replace("/", "%2F")
    if len(stem) > LONGEST_FILE_NAME:
        stem = hashlib.sha256(member.name).hexdigest()
    return replace(told, name=name, file=str(Path(told.catalog) / f"{stem}.zone"), catalog="")
