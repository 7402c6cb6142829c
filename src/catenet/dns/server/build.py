"""A chain from a configuration: zones and local data are read, secrets made."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from catenet.dns.master.reader import read_records
from catenet.dns.server.chain import Chain, Source
from catenet.dns.server.config import ConfigError, ServerConfig, SettingError
from catenet.dns.server.counters import Counters
from catenet.dns.server.local import LocalData
from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.dns.zone.storage import JournalFile, load_zone
from catenet.wire.dns.name import fold, name_from_text, name_to_text

__all__ = [
    "address_of",
    "make_chain",
    "read_copy",
    "read_local",
    "read_zones",
    "servers_of",
    "with_secrets",
    "zone_name",
]

logger = logging.getLogger("catenet.dns")

LOCAL: Final = "local"


def zone_name(text: str) -> bytes:
    """The name of a zone, with or without a dot at its end, folded."""
    return fold(name_from_text(text.rstrip(".") + "."))


def read_zones(config: ServerConfig) -> ZoneSet:
    """Read the zones' files. Raises ConfigError, whose text names file and line."""
    zones = ZoneSet()
    for one in config.zones:
        if one.primaries and not Path(one.file).is_file():
            continue
        try:
            origin = zone_name(one.name) if one.name else None
            zone = _read(Path(one.file), origin)
        except ValueError as error:  # a ZoneError, which says where
            raise ConfigError(str(error)) from None
        except OSError as error:
            raise ConfigError(f"{one.file}: {(error.strerror or str(error)).lower()}") from None
        if zones.get(zone.origin) is not None:
            raise ConfigError(f"{one.file}: the zone {name_to_text(zone.origin)} is there already")
        zones.put(zone)
    return zones


def read_copy(path: Path, origin: bytes) -> Zone | None:
    """The copy of a secondary, None if there is none; a broken one is logged, and counts as none."""
    try:
        return _read(path, origin) if path.is_file() else None
    except (OSError, ValueError) as error:
        logger.error("%s", error)
        return None


def _read(path: Path, origin: bytes | None) -> Zone:
    """A zone, with the updates since its file was written."""
    journal = JournalFile(Path(f"{path}.jnl"))
    if not journal.path.exists():
        return read_zone(path, origin, warn=lambda text: logger.warning("%s", text))
    journal.load()
    return load_zone(path, journal, origin)


def read_local(config: ServerConfig) -> LocalData:
    """Read local data. Raises ConfigError."""
    try:
        return LocalData(list(read_records("\n".join(config.local) + "\n")))
    except ValueError as error:
        raise SettingError(f"{LOCAL}: {error}") from None


def servers_of(config: ServerConfig) -> list[tuple[str, int]]:
    """The addresses to forward to, as sockets have them. Raises ConfigError."""
    return [address_of(text, "forward") for text in config.forward]


def address_of(text: str, what: str) -> tuple[str, int]:
    """An address with or without a port (53): `192.0.2.1:5353`, `[2001:db8::1]:53`. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = text, "53"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise SettingError(f"{what}: {text!r} is no address; write 192.0.2.1, or with a port 192.0.2.1:53") from None
    if not 0 < number < 1 << 16:
        raise SettingError(f"{what}: {text!r} has no port of a server")
    return str(address), number


def make_chain(config: ServerConfig, zones: Sequence[Source], local: LocalData, counters: Counters) -> Chain:
    """A chain that answers so. `config` must have secrets for cookies."""
    sources: list[Source] = [local] if len(local) else []
    return Chain(config.settings, [*sources, *zones], None, time.time, counters)


def with_secrets(config: ServerConfig, secret: bytes) -> ServerConfig:
    """The same, with a secret for cookies if it has none of its own. Processes that share ports share it."""
    if config.settings.cookie_secrets:
        return config
    return replace(config, settings=replace(config.settings, cookie_secrets=(secret,)))
