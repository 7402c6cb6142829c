"""What answers clients: zones, local data and a backend, for all of them, and for those of each view."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from catenet.dns.master.tokens import ZoneError
from catenet.dns.resolver.recursor import Recursor
from catenet.dns.server.authority import Authority
from catenet.dns.server.build import make_chain, read_local, read_zones, servers_of, zone_name
from catenet.dns.server.chain import Chain, Source
from catenet.dns.server.config import ConfigError, ServerConfig, SettingError, ViewConfig
from catenet.dns.server.counters import Counters
from catenet.dns.server.courier import Helper, Owner
from catenet.dns.server.forwarding import Forwarder
from catenet.dns.server.helping import HelpingAuthority
from catenet.dns.server.local import LocalData
from catenet.dns.server.recursion import Recursion, anchors_of, resolver_config, validates
from catenet.dns.server.settings import ServerSettings
from catenet.dns.zone import Zone
from catenet.wire.dns.name import name_to_text

__all__ = ["Part", "Told", "read_files"]

LINGER: Final = 10.0
"""Seconds for which a backend that has been replaced brings answers to what was asked before."""


@dataclass(frozen=True)
class Told:
    """A configuration, and what its files say; `views` has the same of each."""

    config: ServerConfig
    authority: Authority
    local: LocalData
    views: tuple[tuple[ViewConfig, Told], ...] = ()


def read_files(config: ServerConfig, side: Owner | Helper | None = None) -> Told:
    """Read all files that a configuration names; `side`: of several processes. Raises ConfigError."""
    with _placed(config):
        if config.policies and config.recursive is False:
            raise SettingError("policy: answers are only replaced where recursive = true")
        told = _read(config, None, side)
    views = []
    for view in config.views:
        with _placed(config, f"views.{view.name}."):
            views.append((view, _read(view.of(config), told.authority, side, view.name)))
    _check_files(config, [inner.config for _, inner in views])
    return replace(told, views=tuple(views))


def _check_files(config: ServerConfig, views: Sequence[ServerConfig]) -> None:
    """A file that is written, because its zone changes here, is that of one zone."""
    users: dict[Path, list[bool]] = {}
    for part in (config, *views):
        for zone in part.zones:
            is_written = bool(zone.primaries or zone.updates or zone.key or zone.sign or config.settings.updates)
            users.setdefault(Path(zone.file).resolve(), []).append(bool(zone.file) and is_written)
    for file, written in users.items():
        if len(written) > 1 and any(written):
            raise ConfigError(f"{config.file}: views: {file} is written for one view, and cannot be another's file too")


def _read(config: ServerConfig, outer: Authority | None, side: Owner | Helper | None, view: str = "") -> Told:
    servers_of(config), resolver_config(config), anchors_of(config)
    try:
        authority = (
            HelpingAuthority(config, read_zones(config), outer, side, view)
            if isinstance(side, Helper)
            else Authority(config, read_zones(config), outer, side, view)
        )
    except ZoneError as error:
        raise ConfigError(str(error)) from None
    told = Told(config, authority, read_local(config))
    names = [*told.authority.names(), *(outer.names() if outer is not None else ())]
    for one in config.policies:
        name = zone_name(one.zone)
        if name not in names:
            near = difflib.get_close_matches(name_to_text(name), map(name_to_text, names), 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{one.where}.zone: no [[zone]] is called {one.zone!r}{hint}")
        told.authority.hide(name)
    return told


@contextlib.contextmanager
def _placed(config: ServerConfig, prefix: str = "") -> Iterator[None]:
    """Let mistakes in settings name the file that has them."""
    try:
        yield
    except SettingError as error:
        file = f"{config.file}: " if config.file else ""
        raise ConfigError(f"{file}{prefix}{error}") from None


class Part:
    """What answers those who get the same, from reload to reload."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._authority: Authority | None = None
        self._backend: Forwarder | Recursion | None = None
        self._config: ServerConfig | None = None
        self._views: dict[str, Part] = {}

    def use(self, told: Told, outer: Authority | None = None) -> Chain:
        """A chain of what a configuration says; what was there before ends in a while."""
        config, authority = told.config, told.authority
        sources: list[Source] = [one for one in (authority, outer) if one is not None and one.names()]
        chain = make_chain(config, sources, told.local, self._counters)
        before, self._authority = self._authority, authority
        if before is not None:
            before.close()
        authority.start(chain, before)
        self._use_backend(config, chain)
        self._use_policies(config, authority, outer)
        self._use_views(told, chain)
        return chain

    def _use_backend(self, config: ServerConfig, chain: Chain) -> None:
        old, before = self._backend, self._config
        self._config = replace(config, zones=(), keys=(), local=(), settings=ServerSettings(), listen=(), views=())
        if isinstance(old, Recursion) and before == self._config:
            chain.use_backend(old)  # the same resolver, with what it knows
            return
        self._backend = None if config.recursive is False else _new_backend(config, chain)
        if old is not None:
            asyncio.get_running_loop().call_later(LINGER, old.close)

    def _use_policies(self, config: ServerConfig, authority: Authority, outer: Authority | None) -> None:
        """Let the backend know what the policy zones say, now and when they change."""
        backend = self._backend
        if not isinstance(backend, Recursion):
            return
        names = {zone_name(one.zone) for one in config.policies}

        def changed(name: bytes, zone: Zone | None) -> None:
            if name in names:
                backend.use_policy(name, zone)

        for one in (authority, outer):
            if one is not None and names:
                one.listeners.append(changed)
        for name in names:
            backend.use_policy(name, authority.zones.get(name) or (None if outer is None else outer.zones.get(name)))

    def _use_views(self, told: Told, chain: Chain) -> None:
        before, self._views = self._views, {}
        chains = {}
        for view, inner in told.views:
            part = self._views[view.name] = before.pop(view.name) if view.name in before else Part(self._counters)
            chains.update(dict.fromkeys(view.clients, part.use(inner, told.authority)))
        for part in before.values():
            part.close(LINGER)
        chain.use_views(chains)

    def reread(self, view: str, name: bytes) -> None:
        """Another process has changed a zone."""
        part = self._views.get(view) if view else self
        if part is not None and isinstance(part._authority, HelpingAuthority):
            part._authority.reread(name)

    def close(self, linger: float = 0.0) -> None:
        """Follow nobody, ask nobody; what is under way may go on for `linger` seconds."""
        for part in self._views.values():
            part.close(linger)
        self._views.clear()
        if self._authority is not None:
            self._authority.close()
            self._authority = None
        backend, self._backend = self._backend, None
        if backend is not None and linger:
            asyncio.get_running_loop().call_later(linger, backend.close)
        elif backend is not None:
            backend.close()


def _new_backend(config: ServerConfig, chain: Chain) -> Forwarder | Recursion:
    if config.forward and not validates(config) and not config.policies:
        loop = asyncio.get_running_loop()
        most = config.settings.most_pending
        forwarder = Forwarder(loop, servers_of(config), chain.recursive, chain.tick, most)
        chain.use_backend(forwarder, forwarder.table)
        return forwarder
    recursion = Recursion(Recursor(resolver_config(config), anchors=anchors_of(config)))
    chain.use_backend(recursion)
    return recursion
