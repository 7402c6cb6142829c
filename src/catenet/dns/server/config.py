"""What a name server is told, as values. `config_file` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from catenet.dns.dnssec.algorithms import Algorithm
from catenet.dns.server.settings import ServerSettings

__all__ = [
    "POLICY_ACTIONS",
    "ConfigError",
    "KeyConfig",
    "PolicyConfig",
    "ServerConfig",
    "SettingError",
    "SignConfig",
    "ViewConfig",
    "ZoneConfig",
]


class ConfigError(ValueError):
    """A configuration cannot be used; the text is `FILE: KEY: what is wrong; what may be meant`."""


class SettingError(ConfigError):
    """A setting cannot be used; the text does not name the file that has it yet."""


@dataclass(frozen=True, slots=True)
class SignConfig:
    """How a zone is signed. Times in seconds.

    Attributes:
        algorithm: number, of keys that are made.
        separate_keys: a key for the keys and one for the rest are made, rather than one for all.
        keys: key files, and folders of them; none: the folder `keys` beside the zone's file.
        nsec3, opt_out: NSEC3 rather than NSEC, and no records for insecure delegations (RFC 5155 6).
        zonemd: with a digest over the zone (RFC 8976).
        lifetime: of signatures.
        refresh: before they expire they are made anew.
        where: the setting, for mistakes.
    """

    algorithm: int = Algorithm.ECDSAP256
    separate_keys: bool = False
    keys: tuple[str, ...] = ()
    nsec3: bool = False
    opt_out: bool = False
    zonemd: bool = False
    lifetime: int = 14 * 86_400
    refresh: int = 5 * 86_400
    where: str = ""


@dataclass(frozen=True, slots=True)
class ZoneConfig:
    """One zone.

    Attributes:
        file: master file; of a secondary, where its copy is kept.
        name: of the zone; empty: the file says it.
        primaries: addresses from which it is transferred; then it is a secondary.
        notify: addresses that are told of changes.
        transfers: networks that may have it whole, besides those of the server.
        updates: networks that may change it.
        key: name of the key that signs its transfers, updates and notifications (TSIG).
        sign: how it is signed here, None: it is served as it is.
        catalog: the zone is a catalog, of which all zones are served too (RFC 9432): the folder of their copies.
    """

    file: str = ""
    name: str = ""
    primaries: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    key: str = ""
    sign: SignConfig | None = None
    catalog: str = ""


@dataclass(frozen=True, slots=True)
class KeyConfig:
    """A secret shared with peers (TSIG)."""

    name: str
    secret: str
    algorithm: str = "hmac-sha256"


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """A zone that says what may be resolved (RPZ).

    Attributes:
        zone: its name; how it comes here, its `ZoneConfig` says.
        action: what all its rules do instead, one of `POLICY_ACTIONS`; "" for what they say.
        cname: the alias of the action `cname`.
        log: what it decides is logged.
        signal_nxdomain_ra: its NXDOMAIN goes out without RA.
        where: the setting, for mistakes.
    """

    zone: str
    action: str = ""
    cname: str = ""
    log: bool = False
    signal_nxdomain_ra: bool = False
    where: str = ""


POLICY_ACTIONS: Final = ("passthru", "nxdomain", "nodata", "drop", "tcp-only", "cname", "disabled")


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """What the clients of some networks get: what is said here, and otherwise what all get.

    Attributes:
        name: for logs and mistakes.
        clients: networks; of several views that of the longest prefix counts.
        changes: settings by names of `ServerConfig`.
    """

    name: str
    clients: tuple[str, ...]
    changes: Mapping[str, object]

    def of(self, outer: ServerConfig) -> ServerConfig:
        """The configuration of these clients: zones are its own, the resolver's settings are joined with the others."""
        changes = {"zones": (), **self.changes}
        resolver = changes.get("resolver", {})
        assert isinstance(resolver, dict)
        config: ServerConfig = replace(outer, **{**changes, "views": (), "resolver": {**outer.resolver, **resolver}})  # type: ignore[arg-type]
        return config


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """All that a server is told. Empty or None: nothing was said.

    Attributes:
        listen: URLs.
        zones: to be served.
        recursive: answer questions about other names by recursion or forwarding.
        forward: addresses of recursive servers that are asked instead.
        root_hints, trust_anchor: files in master format.
        validate: check signatures; None: if there is a trust anchor, or nothing is forwarded.
        local: records in master format.
        metrics: URL of the page of figures.
        query_log: file.
        user: who the process becomes once it listens, when it is started as root.
        resolver: settings of the resolver by their names.
        keys: for transfers and updates.
        policies: what may be resolved; earlier ones win.
        views: for the clients of some networks.
        settings: the rest.
        file: where this was read from.
    """

    listen: tuple[str, ...] = ()
    zones: tuple[ZoneConfig, ...] = ()
    recursive: bool | None = None
    forward: tuple[str, ...] = ()
    root_hints: str = ""
    trust_anchor: str = ""
    validate: bool | None = None
    local: tuple[str, ...] = ()
    metrics: str = ""
    query_log: str = ""
    user: str = ""
    resolver: Mapping[str, object] = field(default_factory=dict)
    keys: tuple[KeyConfig, ...] = ()
    policies: tuple[PolicyConfig, ...] = ()
    views: tuple[ViewConfig, ...] = ()
    settings: ServerSettings = field(default_factory=ServerSettings)
    file: str = ""
