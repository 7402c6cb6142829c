"""What concerns whole zones: transfers out, NOTIFY, updates, and keeping secondaries like their primaries.

The zones' own functions do the work (`catenet.dns.zone`); here are who may ask, files, and the event loop.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from catenet.dns.exchange import Exchange
from catenet.dns.resolver.upstream import Upstream
from catenet.dns.response import ExtendedError, Response
from catenet.dns.server.access import Access, Action
from catenet.dns.server.build import address_of, read_copy
from catenet.dns.server.catalogs import Catalogs
from catenet.dns.server.chain import PENDING, Chain, Handler
from catenet.dns.server.config import ConfigError, ServerConfig, SettingError, ZoneConfig
from catenet.dns.server.courier import Owner
from catenet.dns.server.follower import Follower
from catenet.dns.server.kept import Kept, keys_of, only
from catenet.dns.server.request import HTTPS, UDP, Request
from catenet.dns.server.signing import SignedZone
from catenet.dns.zone import Zone, ZoneSet
from catenet.dns.zone.difference import Difference
from catenet.dns.zone.notify import Notifier, Target, answer_notify
from catenet.dns.zone.secondary import Primary, Secondary
from catenet.dns.zone.storage import JournalFile, save_zone
from catenet.dns.zone.transfer_out import transfer_out
from catenet.dns.zone.update import Grant, answer_update, update_zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, is_below, name_from_text, name_to_text
from catenet.wire.dns.numbers import NOTIFY, REFUSED, SERVFAIL, UPDATE
from catenet.wire.dns.stub import Server

__all__ = ["Authority"]

logger = logging.getLogger("catenet.dns")

NOTAUTH: Final = 9
NOT_READY: Final = 14
JOIN_SPACING: Final = 0.01
LONGEST_WAIT: Final = 3600.0
"""Seconds until the time is looked at again."""


class Authority:
    """The zones of a server, or of a view of it; `outer` has those that all views have. Raises ConfigError.

    `owner` is there if other processes serve the zones too (`catenet.dns.server.helping`), and tells them of changes.

    Attributes:
        zones: contents by name.
        listeners: called with the name of a zone that has changed, and what it is now, None: it has expired.
        keys: what requests may be signed with.
    """

    def __init__(
        self,
        config: ServerConfig,
        zones: ZoneSet,
        outer: Authority | None = None,
        owner: Owner | None = None,
        view: str = "",
    ) -> None:
        self.zones = zones
        self._owner = owner
        self._view = view
        self.listeners: list[Callable[[bytes, Zone | None], None]] = []
        self._outer = outer
        self._hidden: set[bytes] = set()
        self._handlers: dict[int, Handler] = {}
        self.keys = keys_of(config)
        self._missing: set[bytes] = set()
        self._kept: dict[bytes, Kept] = {}
        self._chain: Chain | None = None
        self._upstream: Upstream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._notifier = Notifier(lambda: secrets.randbelow(65536), lambda _: time.time())
        self._open: set[int] = set()
        self._config = config
        self._catalogs = Catalogs()
        self._waiting: deque[tuple[Kept, Zone | None]] = deque()
        self._joining: asyncio.TimerHandle | None = None
        files = {Path(one.file).resolve(): one for one in config.zones if one.file}
        if len(files) < sum(bool(one.file) for one in config.zones):
            raise SettingError("zone: two zones have the same file")
        for one in config.zones:
            self._keep(config, one)

    def _keep(self, config: ServerConfig, told: ZoneConfig) -> Kept:
        origin = self._origin_of(told)
        key = None
        if told.key:
            key = self.keys.get(fold(name_from_text(told.key.rstrip(".") + ".")))
            if key is None:
                raise SettingError(f"zone {told.file or told.name}: no [[key]] is called {told.key!r}")
        networks = (*config.settings.transfers, *told.transfers)
        kept = Kept(told, origin, key, only(networks), only((*config.settings.updates, *told.updates)))
        if told.catalog:
            try:
                Path(told.catalog).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"{told.catalog}: {(error.strerror or str(error)).lower()}") from None
        for text in told.primaries:
            address_of(text, "zone.primaries")
        kept.targets = tuple(Target(address_of(text, "zone.notify"), key) for text in told.notify)
        self._prepare(kept, config)
        self._kept[origin] = kept
        if self.zones.get(origin) is None:
            self._missing.add(origin)
        return kept

    def _prepare(self, kept: Kept, config: ServerConfig) -> None:
        """Find what is kept of a zone beside its file."""
        told = kept.told
        if told.sign is not None:
            kept.signed, kept.source = SignedZone(kept.origin, told, told.sign), self.zones.get(kept.origin)
            kept.journal = kept.signed.journal
        elif told.file and (told.primaries or told.updates or told.key or config.settings.updates):
            kept.file = JournalFile(Path(f"{told.file}.jnl"))
            kept.file.load()
            kept.journal = kept.file.journal

    def _origin_of(self, told: ZoneConfig) -> bytes:
        if told.name:
            return fold(name_from_text(told.name.rstrip(".") + "."))
        return next(zone.apex for zone in self.zones if zone.apex not in self._kept)

    # On the event loop.

    def start(self, chain: Chain, before: Authority | None = None) -> None:
        """Answer for the zones by `chain`, sign them, follow primaries; `before`: what did so before a reload."""
        loop = asyncio.get_running_loop()
        self._chain = chain
        self._upstream = Upstream(self._told, self._open.discard)
        self._handlers = {Chain.TRANSFER: self._transfer, NOTIFY: self._notify, UPDATE: self._update}
        chain.handlers = {kind: partial(self._handle, kind) for kind in self._handlers}
        chain.keys = self.keys
        for kept in list(self._kept.values()):
            old = None if before is None else before._kept.get(kept.origin)
            zone = self.zones.get(kept.origin)
            if zone is None and old is not None and before is not None:
                zone = old.source or before.zones.get(kept.origin)
            if old is not None and zone is not None and kept.signed is None and old.told.file == kept.told.file:
                kept.catch_up(zone, old.journal)
            if kept.signed is not None:
                self._begin_signing(kept, kept.signed, zone, old)
            if kept.told.primaries:
                kept.follower = self._follow(kept, zone)
                if kept.told.catalog and zone is not None:
                    self._follow_catalog(kept, zone, before)
            elif kept.targets and (zone := self.zones.get(kept.origin)) is not None:
                self._notifier.tell(zone, kept.targets, loop.time())
        self._go()

    def names(self) -> list[bytes]:
        """Names of all zones, also of those that have not come yet."""
        return list(self._kept)

    def hide(self, name: bytes) -> None:
        """Let nobody ask for names of this zone, wherever it is; who may have it whole still gets it."""
        if name in self._kept:
            self._hidden.add(name)
        elif self._outer is not None:
            self._outer.hide(name)

    def _handle(self, kind: int, request: Request) -> bytes | None:
        """Take a request about a zone, here or of all views."""
        outer = self._outer
        if outer is not None and self._find(request) is None:
            return outer._handle(kind, request)
        return self._handlers[kind](request)

    def _begin_signing(self, kept: Kept, signed: SignedZone, source: Zone | None, old: Kept | None) -> None:
        if old is not None and old.signed is not None and old.told.file == kept.told.file:
            signed.take_over(old.signed)
            kept.journal = signed.journal
        kept.source = source
        if source is not None:
            self._sign(kept, signed, lambda: signed.begin(source))

    def _sign(self, kept: Kept, signed: SignedZone, sign: Callable[[], object]) -> None:
        """Sign, and serve what that makes; what cannot be signed is served as it was signed last, or not at all."""
        try:
            sign()
        except ValueError as error:
            logger.error("zone %s is not signed: %s", name_to_text(kept.origin), error)
        if signed.zone is None:
            self.zones.discard(kept.origin)
            self._missing.add(kept.origin)
            return
        self.zones.put(signed.zone)
        self._missing.discard(kept.origin)
        self._set_timer(kept, signed)
        if self._owner is not None:
            self._owner.tell(self._view, kept.origin)

    def _set_timer(self, kept: Kept, signed: SignedZone) -> None:
        if kept.timer is not None:
            kept.timer.cancel()
        wait = signed.next_deadline() - time.time()  # of a clock that may be set
        loop = asyncio.get_running_loop()
        kept.timer = loop.call_later(max(0.0, min(wait, LONGEST_WAIT)), self._on_signing_time, kept, signed)

    def _on_signing_time(self, kept: Kept, signed: SignedZone) -> None:
        signed.keys.refresh()
        before = signed.zone
        if before is None:
            return
        serial = before.serial
        self._sign(kept, signed, signed.resign)
        if (zone := self.zones.get(kept.origin)) is not None and zone.serial != serial:
            self._changed(kept, zone)

    def _follow(self, kept: Kept, zone: Zone | None) -> Follower:
        servers = [address_of(text, "zone.primaries") for text in kept.told.primaries]
        primaries = tuple(Primary(Server(ipaddress.ip_address(host).packed, port), kept.key) for host, port in servers)
        offset = time.time() - asyncio.get_running_loop().time()
        core = Secondary(kept.origin, primaries, secrets.SystemRandom(), lambda now: now + offset, zone=zone)
        follower = Follower(core, lambda found, changes: self._replaced(kept, found, changes))
        follower.start()
        return follower

    def _replaced(self, kept: Kept, zone: Zone | None, changes: Sequence[Difference]) -> None:
        """A secondary has another version, or none any more; the differences are passed on to its own secondaries."""
        if zone is None:
            logger.warning("zone %s has expired", kept.told.name)
            self.zones.discard(kept.origin)
            self._missing.add(kept.origin)
            kept.source = None
            if kept.timer is not None:
                kept.timer.cancel()
        else:
            self._have(kept, zone, changes)
        self._changed(kept, self.zones.get(kept.origin))

    def _have(self, kept: Kept, zone: Zone, changes: Sequence[Difference]) -> None:
        logger.info("zone %s: serial %d", kept.told.name, zone.serial)
        kept.store(zone, changes)
        signed = kept.signed
        if signed is not None:
            kept.source = zone
            self._sign(kept, signed, lambda: signed.replace(zone))
            return
        self.zones.put(zone)
        self._missing.discard(kept.origin)
        if kept.told.catalog:
            self._follow_catalog(kept, zone)

    # Catalogs.

    def _follow_catalog(self, kept: Kept, zone: Zone, before: Authority | None = None) -> None:
        """Serve what a catalog has, and what it has no more not any longer."""
        configured = {name for name, one in self._kept.items() if one.told in self._config.zones}
        for step in self._catalogs.changed(zone, kept.told, configured):
            if step.told is None:
                self._leave(step.name)
            else:
                self._join(step.told, None if before is None else before.zones.get(step.name))

    def _join(self, told: ZoneConfig, zone: Zone | None) -> None:
        """Serve a member: what was there before, or its copy on disk, until its primary answers."""
        origin = self._origin_of(told)
        known = self._kept.get(origin)
        if known is not None and known.follower is not None:
            known.follower.close()
        zone = zone or self.zones.get(origin) or read_copy(Path(told.file), origin)
        if zone is not None:
            self.zones.put(zone)
        kept = self._keep(self._config, told)
        self._follow_soon(kept, zone)

    def _follow_soon(self, kept: Kept, zone: Zone | None) -> None:
        self._waiting.append((kept, zone))
        if self._joining is None:
            self._join_next()

    def _join_next(self) -> None:
        """Follow the primary of one more member: not of all at once."""
        self._joining = None
        if self._waiting:
            kept, zone = self._waiting.popleft()
            if self._kept.get(kept.origin) is kept:
                kept.follower = self._follow(kept, zone)
            self._joining = asyncio.get_running_loop().call_later(JOIN_SPACING, self._join_next)

    def _leave(self, name: bytes) -> None:
        """Serve a member no more, and forget it (RFC 9432 5.3)."""
        kept = self._kept.pop(name)
        if kept.follower is not None:
            kept.follower.close()
        self.zones.discard(name)
        self._missing.discard(name)
        try:
            Path(kept.told.file).unlink(missing_ok=True)
        except OSError as error:
            logger.error("%s: %s", kept.told.file, error.strerror)
        logger.info("zone %s: no member any more", kept.told.name)

    def _changed(self, kept: Kept, zone: Zone | None) -> None:
        assert self._chain is not None
        self._chain.forget()
        for listener in self.listeners:
            listener(kept.origin, zone)
        self._tell(kept, zone)

    def _tell(self, kept: Kept, zone: Zone | None) -> None:
        """Let other processes and secondaries know that a zone has changed."""
        if self._owner is not None:
            self._owner.tell(self._view, kept.origin)
        if zone is not None and kept.targets:
            self._notifier.tell(zone, kept.targets, asyncio.get_running_loop().time())
            self._go()

    def ds_lines(self) -> list[str]:
        """DS records of the zones that are signed here, for their parents."""
        return [line for kept in self._kept.values() if kept.signed is not None for line in kept.signed.keys.ds_lines()]

    def close(self) -> None:
        """Follow nobody, tell nobody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kept in self._kept.values():
            if kept.timer is not None:
                kept.timer.cancel()
        if self._joining is not None:
            self._joining.cancel()
            self._joining = None
        self._waiting.clear()
        closing = [kept.follower for kept in self._kept.values() if kept.follower is not None]
        for one in closing:
            one.close()
        for token in list(self._open):
            assert self._upstream is not None
            self._upstream.end(token)
        self._open.clear()

    # NOTIFY out.

    def _go(self) -> None:
        loop, upstream = asyncio.get_running_loop(), self._upstream
        if upstream is None:
            return
        for token, (host, port), data in self._notifier.transmit(loop.time()):
            upstream.end(token)
            upstream.begin(Exchange(token, Server(ipaddress.ip_address(host).packed, port), "udp", data))
            self._open.add(token)
        for token in self._open - self._notifier.open_tokens():
            upstream.end(token)
        self._open &= self._notifier.open_tokens()
        due = self._notifier.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due is None else loop.call_at(due, self._go)

    def _told(self, token: int, data: bytes) -> None:
        self._notifier.receive(token, data, asyncio.get_running_loop().time())
        self._go()

    # Requests. Their signatures have been checked by the chain.

    def _find(self, request: Request) -> Kept | None:
        question = request.question
        return None if question is None else self._kept.get(fold(question.name))

    def _is_signed(self, kept: Kept, request: Request) -> bool:
        signed = request.signed
        return kept.key is not None and signed is not None and not signed.error and signed.key == kept.key

    def _may(self, kept: Kept, request: Request, access: Access) -> bool:
        """Signed with the zone's key; a zone without one is for its networks."""
        if kept.key is not None:
            return self._is_signed(kept, request)
        return access.verdict(request.address).action is Action.ALLOW

    def _transfer(self, request: Request) -> bytes | None:
        assert self._chain is not None
        kept = self._find(request)
        if kept is None:
            return self._chain.error(request, NOTAUTH)
        if request.transport is HTTPS or not self._may(kept, request, kept.transfers):
            return self._chain.error(request, REFUSED)
        zone = self.zones.get(kept.origin)
        if zone is None:
            return self._chain.error(request, SERVFAIL, NOT_READY)
        limit = request.limit if request.transport is UDP else None
        messages = transfer_out(
            zone, request.message, journal=kept.journal, signed=request.signed, wall=time.time(), udp_limit=limit
        )
        if limit is not None or request.stream is None:
            return next(iter(messages), None)
        self._chain.counters.add("transfers")
        request.stream(messages)
        return PENDING

    def _notify(self, request: Request) -> bytes | None:
        kept = self._find(request)
        ours = kept is not None and kept.follower is not None and self._is_primary(kept, request)
        told = answer_notify(request.message, ours, request.signed, time.time())
        if told.origin is not None and kept is not None and kept.follower is not None:
            kept.follower.notify(told.serial)
        return told.reply

    def _is_primary(self, kept: Kept, request: Request) -> bool:
        if kept.key is not None:
            return self._is_signed(kept, request)
        return request.address in {address_of(text, "zone.primaries")[0] for text in kept.told.primaries}

    def _update(self, request: Request) -> bytes | None:
        assert self._chain is not None
        kept = self._find(request)
        zone = None if kept is None else self.zones.get(kept.origin)
        if kept is None or zone is None or kept.told.primaries:
            return self._sealed(request, answer_update(request.message, NOTAUTH))
        if not self._may(kept, request, kept.updates):
            return self._sealed(request, answer_update(request.message, REFUSED))
        name = None if kept.key is None else kept.key.name
        done = update_zone(
            zone, request.message, name, [Grant(name)], None if kept.signed is None else kept.signed.sign
        )
        rcode = done.rcode
        if done.change is not None:
            self._chain.counters.add("updates")
            try:
                if kept.signed is not None:
                    kept.signed.append(done.change)
                    self._set_timer(kept, kept.signed)
                elif kept.file is not None:
                    kept.file.append(done.change, partial(save_zone, zone, Path(kept.told.file)))
                else:
                    kept.journal.add(done.change)
            except OSError as error:
                logger.error("%s.jnl: %s", kept.told.file, error.strerror)
                rcode = SERVFAIL
            self._changed(kept, zone)
        return self._sealed(request, answer_update(request.message, rcode))

    def _sealed(self, request: Request, reply: bytes) -> bytes:
        return reply if request.signed is None else request.signed.sign(reply, time.time())

    # What is not there yet.

    def answer(self, question: Question, dnssec_ok: bool = False, *, every_type: bool = False) -> Response:
        """SERVFAIL for names of zones that have expired, or have never come; of zones that are there their answer."""
        if self._missing:
            name = fold(question.name)
            zone = self.zones.find(name, question.type)
            for origin in self._missing:
                if is_below(name, origin) and (zone is None or len(zone.apex) < len(origin)):
                    return Response(SERVFAIL, errors=[ExtendedError(NOT_READY)])
        if self._hidden:
            zone = self.zones.find(fold(question.name), question.type)
            if zone is not None and zone.apex in self._hidden:
                return Response(REFUSED)
        return self.zones.answer(question, dnssec_ok, every_type=every_type)
