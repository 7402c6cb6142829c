"""The configuration file of a name server: tables of TOML to values."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from catenet.dns.server.access import Action
from catenet.dns.server.config import (
    POLICY_ACTIONS,
    ConfigError,
    KeyConfig,
    PolicyConfig,
    ServerConfig,
    SignConfig,
    ViewConfig,
    ZoneConfig,
)
from catenet.dns.server.config_values import Values
from catenet.dns.server.rates import RateLimits
from catenet.dns.server.settings import ServerSettings

__all__ = ["read_config"]

_NAMES: Final = {"zone": "zones", "key": "keys", "policy": "policies"}


def read_config(path: Path) -> ServerConfig:
    """Read a file. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return _Reader(str(path), path.parent).read(table)


class _Reader(Values):
    """Reads the tables of one file; each mistake names its key."""

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


def _named(found: Mapping[str, object]) -> dict[str, object]:
    """Settings by their names in `ServerConfig`."""
    return {_NAMES.get(key, key.replace("-", "_")): value for key, value in found.items()}
