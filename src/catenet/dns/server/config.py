"""The configuration file of a name server: TOML to values, with the place of each mistake and what may be meant."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final, TypeVar

from catenet.dns.dnssec.algorithms import CURRENT, Algorithm, algorithm_to_text
from catenet.dns.server.access import Action, network
from catenet.dns.server.cookies import SECRET_LENGTH
from catenet.dns.server.rates import RateLimits
from catenet.dns.server.settings import CookiePolicy, ServerSettings
from catenet.wire.dns.name import name_from_text

__all__ = [
    "ConfigError",
    "KeyConfig",
    "PolicyConfig",
    "ServerConfig",
    "SettingError",
    "SignConfig",
    "ViewConfig",
    "ZoneConfig",
    "read_config",
]

T = TypeVar("T")


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


def read_config(path: Path) -> ServerConfig:
    """Read a file. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return _Reader(str(path), path.parent).read(table)


class _Reader:
    """Reads the tables of one file; each mistake names its key."""

    def __init__(self, file: str, folder: Path) -> None:
        self._file = file
        self._folder = folder

    def read(self, table: Mapping[str, object]) -> ServerConfig:
        readers: dict[str, Callable[[str, object], object]] = {
            **self._of_views(),
            "listen": self._texts,
            "metrics": self._text,
            "query-log": self._path,
            "user": self._text,
            "key": lambda key, value: self._tables(key, value, self._key),
            "views": self._views,
        }
        settings = {
            "udp-payload": self._size,
            "cache-bytes": self._size,
            "version": self._text,
            "hostname": self._text,
            "nsid": lambda key, value: self._text(key, value).encode(),
            "idle-timeout": self._seconds,
            "most-pipelined": self._size,
            "most-pending": self._size,
            "transfers": self._networks,
            "updates": self._networks,
            "rate-limit": self._rates,
            "designate": lambda key, value: self._name(key, value) if value else self._text(key, value),
        }
        found = self._fields("", table, {**readers, **settings, "access": self._access, "cookies": self._cookies})
        inner: dict[str, object] = {key: found.pop(key) for key in [*settings] if key in found}
        inner = {"rates" if key == "rate-limit" else key.replace("-", "_"): value for key, value in inner.items()}
        for key in ("access", "cookies"):
            part = found.pop(key, {})
            assert isinstance(part, dict)
            inner.update(part)
        outer = _named(found)
        outer["settings"] = replace(ServerSettings(), **inner)  # type: ignore[arg-type]
        config: ServerConfig = replace(ServerConfig(), **outer)  # type: ignore[arg-type]
        return config

    def _of_views(self) -> dict[str, Callable[[str, object], object]]:
        """Settings that may differ from view to view."""
        return {
            "recursive": self._truth,
            "forward": self._texts,
            "root-hints": self._path,
            "trust-anchor": self._path,
            "validate": self._truth,
            "local": self._texts,
            "resolver": self._resolver,
            "zone": lambda key, value: self._tables(key, value, self._zone),
            "policy": lambda key, value: self._tables(key, value, self._policy_zone),
        }

    # Tables.

    def _views(self, where: str, value: object) -> tuple[ViewConfig, ...]:
        if not isinstance(value, dict):
            raise self._error(where, f"is to be tables, [{where}.NAME]")
        views: list[ViewConfig] = []
        taken: dict[str, str] = {}
        for name, table in value.items():
            full = f"{where}.{name}"
            found = self._fields(full, table, {**self._of_views(), "clients": self._networks})
            clients = found.pop("clients", ())
            if not isinstance(clients, tuple) or not clients:
                raise self._error(full, "needs clients, a list of networks")
            for one in clients:
                if one in taken:
                    raise self._error(f"{full}.clients", f"has {one}, as {where}.{taken[one]} has")
                taken[one] = name
            views.append(ViewConfig(name, clients, _named(found)))
        return tuple(views)

    def _policy_zone(self, where: str, value: object) -> PolicyConfig:
        readers: dict[str, Callable[[str, object], object]] = {
            **dict.fromkeys(("zone", "cname"), self._name),
            **dict.fromkeys(("log", "signal-nxdomain-ra"), self._truth),
            "action": lambda key, value: self._choice(key, value, POLICY_ACTIONS),
        }
        found = {key.replace("-", "_"): one for key, one in self._fields(where, value, readers).items()}
        if "zone" not in found:
            raise self._error(where, "needs a zone, the name of a [[zone]]")
        policy: PolicyConfig = replace(PolicyConfig(""), **found, where=f"{self._file}: {where}")  # type: ignore[arg-type]
        if (policy.action == "cname") != bool(policy.cname):
            raise self._error(where, 'needs both action = "cname" and cname, a name, or none of them')
        return policy

    def _fields(
        self, where: str, table: object, readers: Mapping[str, Callable[[str, object], object]]
    ) -> dict[str, object]:
        if not isinstance(table, dict):
            raise self._error(where, "is to be a table")
        found = {}
        for key, value in table.items():
            reader = readers.get(key)
            full = f"{where}.{key}" if where else key
            if reader is None:
                near = difflib.get_close_matches(key, readers, 1)
                hint = f"do you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(readers))}"
                raise self._error(full, f"is no setting; {hint}")
            found[key] = reader(full, value)
        return found

    def _tables(self, where: str, value: object, reader: Callable[[str, object], T]) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise self._error(where, f"is to be tables, [[{where}]]")
        return tuple(reader(f"{where}[{number}]", one) for number, one in enumerate(value))

    def _zone(self, where: str, value: object) -> ZoneConfig:
        texts: dict[str, Callable[[str, object], object]] = {
            "file": self._path,
            "name": self._text,
            "primaries": self._texts,
            "notify": self._texts,
            "transfers": self._networks,
            "updates": self._networks,
            "key": self._text,
            "sign": self._sign,
            "catalog": self._path,
        }
        zone: ZoneConfig = replace(ZoneConfig(), **self._fields(where, value, texts))  # type: ignore[arg-type]
        if not zone.file and not (zone.primaries and zone.name):
            raise self._error(where, "needs a file, or a name and primaries")
        if zone.catalog and not (zone.primaries and zone.name):
            raise self._error(f"{where}.catalog", "is for a zone with a name and primaries")
        if zone.catalog and zone.sign is not None:
            raise self._error(f"{where}.sign", "is not for catalogs")
        if zone.sign is not None and not zone.file and not zone.sign.keys:
            raise self._error(f"{where}.sign", "needs keys, a folder, where the zone has no file")
        return zone

    def _sign(self, where: str, value: object) -> SignConfig | None:
        """`true`, for all defaults, or a table."""
        if value is False:
            return None
        readers: dict[str, Callable[[str, object], object]] = {
            "algorithm": self._algorithm,
            "keys": lambda key, value: tuple(self._path(key, one) for one in self._texts(key, value)),
            "lifetime": self._size,
            "refresh": self._size,
            **dict.fromkeys(("separate-keys", "nsec3", "opt-out", "zonemd"), self._truth),
        }
        found = {
            key.replace("-", "_"): one
            for key, one in self._fields(where, {} if value is True else value, readers).items()
        }
        sign: SignConfig = replace(SignConfig(where=f"{self._file}: {where}"), **found)  # type: ignore[arg-type]
        refresh = sign.refresh if "refresh" in found else min(sign.refresh, sign.lifetime * 5 // 14)
        if refresh >= sign.lifetime:
            raise self._error(f"{where}.refresh", f"is to be less than the lifetime, {sign.lifetime}")
        return replace(sign, refresh=refresh)

    def _algorithm(self, where: str, value: object) -> int:
        """An algorithm that we sign with, by number or mnemonic."""
        names = {algorithm_to_text(number): int(number) for number in sorted(CURRENT)}
        number = names.get(value.upper()) if isinstance(value, str) else value
        if isinstance(number, int) and number in names.values():
            return number
        near = difflib.get_close_matches(str(value).upper(), names, 1)
        known = ", ".join(f"{number} ({name})" for name, number in names.items())
        hint = f"do you mean {near[0]!r}?" if near else f"one of {known}"
        raise self._error(where, f"is to be an algorithm to sign with, not {value!r}; {hint}")

    def _key(self, where: str, value: object) -> KeyConfig:
        readers = {"name": self._text, "algorithm": self._text, "secret": self._text}
        found = self._fields(where, value, readers)
        if "name" not in found or "secret" not in found:
            raise self._error(where, "needs a name and a secret")
        key: KeyConfig = replace(KeyConfig("", ""), **found)  # type: ignore[arg-type]
        return key

    def _access(self, where: str, value: object) -> dict[str, object]:
        names = [action.value for action in Action]
        found = self._fields(where, value, dict.fromkeys([*names, "recursion"], self._networks))
        actions: dict[str, Action] = {}
        for action in Action:
            networks = found.get(action.value, ())
            assert isinstance(networks, tuple)
            for one in networks:
                if one in actions:
                    raise self._error(where, f"{one} is in both {actions[one].value} and {action.value}")
                actions[one] = action
        recursion = {"recursion": found["recursion"]} if "recursion" in found else {}
        return {"actions": actions, **recursion}

    def _cookies(self, where: str, value: object) -> dict[str, object]:
        found = self._fields(where, value, {"policy": self._policy, "secrets": self._secrets})
        return {f"cookie_{key}" if key == "secrets" else "cookies": one for key, one in found.items()}

    def _rates(self, where: str, value: object) -> RateLimits:
        readers: dict[str, Callable[[str, object], object]] = {
            one.name.replace("_", "-"): self._count for one in fields(RateLimits)
        }
        found = self._fields(where, value, {**readers, "exempt": self._networks})
        limits: RateLimits = replace(RateLimits(), **{key.replace("-", "_"): one for key, one in found.items()})  # type: ignore[arg-type]
        return limits

    def _resolver(self, where: str, value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise self._error(where, "is to be a table")
        return {str(key).replace("-", "_"): one for key, one in value.items()}

    # Values.

    def _error(self, where: str, what: str) -> ConfigError:
        return ConfigError(f"{self._file}: {where} {what}" if where else f"{self._file} {what}")

    def _text(self, where: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._error(where, f"is to be a text, not {value!r}")
        return value

    def _name(self, where: str, value: object) -> str:
        text = self._text(where, value)
        try:
            name_from_text(text.rstrip(".") + ".")
        except ValueError as error:
            raise self._error(where, f"is to be a name: {error}") from None
        return text

    def _choice(self, where: str, value: object, choices: Sequence[str]) -> str:
        text = self._text(where, value)
        if text not in choices:
            near = difflib.get_close_matches(text, choices, 1)
            hint = f"do you mean {near[0]!r}?" if near else f"one of {', '.join(choices)}"
            raise self._error(where, f"cannot be {text!r}; {hint}")
        return text

    def _path(self, where: str, value: object) -> str:
        text = self._text(where, value)
        return str(self._folder / text) if text else ""

    def _texts(self, where: str, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise self._error(where, f"is to be a list of texts, not {value!r}")
        return tuple(self._text(f"{where}[{number}]", one) for number, one in enumerate(value))

    def _networks(self, where: str, value: object) -> tuple[str, ...]:
        texts = self._texts(where, value)
        for number, text in enumerate(texts):
            try:
                network(text)
            except ValueError as error:
                raise self._error(f"{where}[{number}]", f"{error}") from None
        return texts

    def _truth(self, where: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self._error(where, f"is to be true or false, not {value!r}")
        return value

    def _count(self, where: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
            raise self._error(where, f"is to be a whole number from 0 on, not {value!r}")
        return value

    def _size(self, where: str, value: object) -> int:
        least = _LEAST.get(where, 1)
        number = self._count(where, value)
        if number < least:
            raise self._error(where, f"is to be at least {least}")
        if number > _MOST.get(where, number):
            raise self._error(where, f"is to be at most {_MOST[where]}")
        return number

    def _seconds(self, where: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
            raise self._error(where, f"is to be a number of seconds above 0, not {value!r}")
        return float(value)

    def _policy(self, where: str, value: object) -> CookiePolicy:
        return CookiePolicy(self._choice(where, value, [one.value for one in CookiePolicy]))

    def _secrets(self, where: str, value: object) -> tuple[bytes, ...]:
        secrets = []
        for number, text in enumerate(self._texts(where, value)):
            try:
                secret = bytes.fromhex(text)
            except ValueError:
                secret = b""
            if len(secret) != SECRET_LENGTH:
                raise self._error(f"{where}[{number}]", f"is to be {2 * SECRET_LENGTH} hexadecimal digits")
            secrets.append(secret)
        return tuple(secrets)


_NAMES: Final = {"zone": "zones", "key": "keys", "policy": "policies"}
_LEAST: Final = {"udp-payload": 512, "cache-bytes": 1 << 20}
_MOST: Final = {"udp-payload": 4096}


def _named(found: Mapping[str, object]) -> dict[str, object]:
    """Settings by their names in `ServerConfig`."""
    return {_NAMES.get(key, key.replace("-", "_")): value for key, value in found.items()}
