"""Recursion as a backend of the chain: the resolver, and its settings from a configuration."""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import ipaddress
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from catenet.dns.dnssec import AnchorError, TrustAnchors
from catenet.dns.master.tokens import ZoneError
from catenet.dns.resolver import ForwardZone, ResolverConfig
from catenet.dns.resolver.client import Client
from catenet.dns.resolver.config import Network, PolicyZone, network_from_text
from catenet.dns.resolver.hints import read_hints
from catenet.dns.resolver.recursor import Recursor
from catenet.dns.resolver.rpz import Ruling
from catenet.dns.response import Response
from catenet.dns.server.build import servers_of, zone_name
from catenet.dns.server.config import ServerConfig, SettingError
from catenet.dns.server.fast.answers import Entry
from catenet.dns.server.request import Request
from catenet.dns.zone import Zone
from catenet.wire.address import format_address
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, name_from_text, name_to_text
from catenet.wire.dns.numbers import SERVFAIL
from catenet.wire.dns.stub import Server

__all__ = ["Recursion", "anchors_of", "resolver_config", "validates"]

logger = logging.getLogger("catenet.dns")

NETWORKS: Final = frozenset(("do_not_query", "private_addresses"))
NAMES: Final = frozenset(("private_domains", "unblocked"))
HERE: Final = frozenset(("hints", "forwards", "stubs", "auth_zones", "local_zones", "policies"))
"""What other keys of the configuration say."""
TURN: Final = 0.002
"""Seconds for which questions begin in one turn of the event loop."""
DNS64_LENGTHS: Final = (32, 40, 48, 56, 64, 96)


class Recursion:
    """A backend that resolves, and validates where there are trust anchors."""

    def __init__(self, recursor: Recursor) -> None:
        self.recursor = recursor
        self._policies = recursor.core.context.policies
        self._policies.told = _log_ruling
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Request, Question, Callable[[Response | Entry], None]]] = deque()
        """Questions that have not begun; the chain bounds them."""

    def ask(self, request: Request, question: Question, done: Callable[[Response | Entry], None]) -> None:
        """Resolve a question; `done` is called once, whatever comes of it.

        It begins soon: a question costs ten times what an answer that is known here does, and those who ask for one of
        these must not wait until all questions that came before have begun.
        """
        if not self._waiting:
            self._loop.call_soon(self._begin_some)
        self._waiting.append((request, question, done))

    def _begin_some(self) -> None:
        """Begin questions for a while, in their order; then sockets have their turn."""
        loop = self._loop
        until = loop.time() + TURN
        while self._waiting:
            self._begin(*self._waiting.popleft())
            if loop.time() >= until:
                break
        if self._waiting:
            loop.call_soon(self._begin_some)

    def _begin(self, request: Request, question: Question, done: Callable[[Response | Entry], None]) -> None:
        address = request.address.partition("%")[0]
        client = Client(ipaddress.ip_address(address).packed if address else b"", request.transport.name)
        try:
            self.recursor.begin(
                question,
                lambda response: done(response or Response(SERVFAIL)),
                dnssec_ok=request.dnssec_ok,
                checking_disabled=request.checking_disabled,
                client=client,
            )
        except Exception:
            logger.exception("a question failed by a mistake of ours")
            done(Response(SERVFAIL))

    def arm(self) -> None:
        """The resolver looks after its deadlines itself."""

    @property
    def is_personal(self) -> bool:
        """Whether a policy has rules about clients."""
        return self._policies.is_personal

    def use_policy(self, name: bytes, zone: Zone | None) -> None:
        """A policy zone has changed, or is gone: then it says nothing."""
        self._policies.replace(name, () if zone is None else zone.sets())

    def close(self) -> None:
        """Stop; what was asked fails."""
        waiting, self._waiting = self._waiting, deque()
        for _, _, done in waiting:
            done(Response(SERVFAIL))
        self._closing = asyncio.get_running_loop().create_task(self.recursor.close())


def _log_ruling(ruling: Ruling, name: bytes, client: bytes) -> None:
    logger.info(
        "policy %s: %s asks for %s: %s says %s",
        name_to_text(ruling.zone.name),
        format_address(client) if client else "a client",
        name_to_text(name),
        name_to_text(ruling.owner),
        ruling.action,
    )


def policy_zones(config: ServerConfig) -> tuple[PolicyZone, ...]:
    """The policies of a configuration, without rules yet."""
    return tuple(
        PolicyZone(
            zone_name(one.zone),
            (),
            one.action,
            name_from_text(one.cname.rstrip(".") + ".") if one.cname else b"",
            one.signal_nxdomain_ra,
            one.log,
        )
        for one in config.policies
    )


def validates(config: ServerConfig) -> bool:
    """Whether answers are validated: where nothing is said, if there is a trust anchor or nothing is forwarded."""
    if config.validate is not None:
        return config.validate
    return bool(config.trust_anchor) or not config.forward


def anchors_of(config: ServerConfig) -> TrustAnchors | None:
    """What is trusted: the file's anchors, or those of the public root. Raises ConfigError."""
    if not validates(config):
        return None
    if not config.trust_anchor:
        return TrustAnchors.root()
    try:
        return TrustAnchors.from_files([config.trust_anchor])
    except AnchorError as error:
        raise SettingError(f"trust-anchor: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        text = error.strerror if isinstance(error, OSError) else "is no text"
        raise SettingError(f"trust-anchor: {config.trust_anchor}: {text}") from None


def resolver_config(config: ServerConfig) -> ResolverConfig:
    """The resolver's settings. Raises ConfigError."""
    changes: dict[str, object] = {name: _value(name, value) for name, value in config.resolver.items()}
    if config.root_hints:
        try:
            changes["hints"] = read_hints(Path(config.root_hints))
        except ZoneError as error:
            raise SettingError(f"root-hints: {error}") from None
        except OSError as error:
            raise SettingError(f"root-hints: {config.root_hints}: {error.strerror}") from None
    if config.forward:
        servers = tuple(Server(ipaddress.ip_address(host).packed, port) for host, port in servers_of(config))
        changes["forwards"] = (ForwardZone(ROOT, servers),)
    changes["policies"] = policy_zones(config)
    changed: ResolverConfig = dataclasses.replace(ResolverConfig(), **changes)  # type: ignore[arg-type]
    return changed


def _value(name: str, value: object) -> object:
    """One setting, as its default's kind has it."""
    defaults: Mapping[str, object] = {
        one.name: getattr(_DEFAULTS, one.name) for one in dataclasses.fields(ResolverConfig) if one.name not in HERE
    }
    shown = f"resolver.{name.replace('_', '-')}"
    if name not in defaults:
        near = difflib.get_close_matches(name, defaults, 1)
        hint = f"do you mean {near[0].replace('_', '-')!r}?" if near else "docs/dns.md has what there is"
        raise SettingError(f"{shown} is no setting; {hint}")
    if name in NETWORKS or name in NAMES:
        return _list(shown, value, network_from_text if name in NETWORKS else name_from_text)
    if name == "dns64_prefix" and isinstance(value, str):
        return _list(shown, [value], _dns64_prefix)[0]
    default = defaults[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        right = isinstance(value, bool)
    elif isinstance(default, float):
        right, value = is_number, float(value) if isinstance(value, int | float) else value
    elif isinstance(default, int):
        right = is_number and isinstance(value, int)
    else:
        raise SettingError(f"{shown} cannot be set here")
    if not right or (is_number and isinstance(value, int | float) and not 0 <= value < math.inf):
        raise SettingError(f"{shown} is to be {_kind(default)}, not {value!r}")
    return value


def _list(shown: str, value: object, read: Callable[[str], object]) -> tuple[object, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SettingError(f"{shown} is to be a list of texts, not {value!r}")
    try:
        return tuple(read(one) for one in value)
    except ValueError as error:
        raise SettingError(f"{shown}: {error}") from None


def _dns64_prefix(text: str) -> Network:
    network = network_from_text(text)
    if len(network[0]) != 16 or network[1] not in DNS64_LENGTHS:
        lengths = ", ".join(map(str, DNS64_LENGTHS))
        raise ValueError(f"{text!r}: an IPv6 prefix of {lengths} bits has room for an IPv4 address (RFC 6052 2.2)")
    return network


def _kind(default: object) -> str:
    if isinstance(default, bool):
        return "true or false"
    return "a number from 0 on" if isinstance(default, float) else "a whole number from 0 on"


_DEFAULTS: Final = ResolverConfig()
