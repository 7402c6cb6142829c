"""Zones: master files, look-up as authorities do it, transfers, updates, signing."""

from catenet.dns.zone.load import read_zone
from catenet.dns.zone.zone import Zone, ZoneSet

__all__ = ["Zone", "ZoneSet", "read_zone"]
