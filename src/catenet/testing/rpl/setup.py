"""What the settings of a head come to: the configuration of our resolver, its clock and its trust anchors."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from catenet.dns.dnssec import AnchorError, Policy, TrustAnchors
from catenet.dns.dnssec.algorithms import Algorithm
from catenet.dns.master.reader import read_records
from catenet.dns.master.tokens import ZoneError
from catenet.dns.resolver.config import (
    AuthZone,
    ForwardZone,
    Network,
    PolicyZone,
    ResolverConfig,
    StubZone,
    network_from_text,
)
from catenet.dns.rrset import RRset
from catenet.dns.server.access import Access, Action
from catenet.dns.zone import Zone, read_zone
from catenet.dns.zone.secondary import Primary
from catenet.testing.rpl.local import LocalData
from catenet.testing.rpl.records import DEFAULT_TTL
from catenet.testing.rpl.syntax import Head, ScenarioError, Setting, Unsupported
from catenet.testing.rpl.words import address, expected
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.stub import Server

__all__ = ["Builder", "Clause", "Setup", "boolean", "integer", "name_of", "network", "server_of", "timestamp"]

_TRUE: Final = frozenset(("yes", "true", "on", "1"))
_ALIAS: Final = re.compile(r"(\S+)\s.*\bCNAME\s")
_FALSE: Final = frozenset(("no", "false", "off", "0"))


@dataclass(slots=True)
class Setup:
    """All that a resolver of a scenario is made from.

    Attributes:
        config: of the resolver.
        wall: makes seconds since 1970 of the time of the scenario.
        anchors: what is trusted; without any, nothing is validated.
        anchor_files: names of the files of managed anchors (RFC 5011), and their contents.
        zone_files: names of zone files, and their contents.
        validating: whether answers are validated.
        policy: settings of validation.
        primaries: of the zones that are fetched.
        copy_files: names of files in which such zones are kept, and the zones.
        access: what becomes of the queries of clients.
        snoopers: clients that may look into the cache by queries without RD.
    """

    config: ResolverConfig
    wall: Callable[[float], float]
    anchors: TrustAnchors
    anchor_files: dict[str, str]
    zone_files: dict[str, str]
    validating: bool
    policy: Policy
    primaries: dict[bytes, tuple[Primary, ...]]
    copy_files: dict[str, bytes]
    access: Access
    snoopers: Access


@dataclass(slots=True)
class Clause:
    """The settings of one `stub-zone:`, `forward-zone:`…, by their keys."""

    section: str
    line: int
    settings: dict[str, list[Setting]] = field(default_factory=dict)

    def one(self, key: str) -> Setting | None:
        """The last setting of a key."""
        found = self.settings.get(key)
        return found[-1] if found else None

    def values(self, key: str) -> list[Setting]:
        """All settings of a key."""
        return self.settings.get(key, [])

    def flag(self, key: str, default: bool = False) -> bool:
        """A setting that is yes or no."""
        found = self.one(key)
        return default if found is None else boolean(found)

    def name(self) -> bytes:
        """Its `name:`, folded. Raises ScenarioError without one."""
        found = self.one("name")
        if found is None:
            raise ScenarioError(self.line, f"{self.section}: without name:")
        return name_of(found)


class Builder:
    """Collects what settings say; `finish` makes a `Setup` of it."""

    def __init__(self, head: Head) -> None:
        self.head = head
        # Scenarios compare options and names of queries, and say themselves when there is to be more than they say.
        # The last is Unbound's default when its scenarios were written.
        self.values: dict[str, Any] = {
            "random_case": False,
            "cookies": False,
            "extended_errors": False,
            "serve_expired_client_timeout": 0.0,
        }
        """Fields of `ResolverConfig`."""
        self.forwards: list[ForwardZone] = []
        self.stubs: list[StubZone] = []
        self.policies: list[PolicyZone] = []
        self.primaries: dict[bytes, tuple[Primary, ...]] = {}
        self.copy_files: dict[str, bytes] = {}
        self.actions: dict[str, Action] = {}
        """What becomes of the queries of networks."""
        self.snoopers: list[str] = []
        self.hidden: set[bytes] = set()
        """Names of the class CH that are not answered."""
        self.auth_zones: list[AuthZone] = []
        self.local = LocalData()
        self.anchors = TrustAnchors()
        self.anchor_files: dict[str, str] = {}
        self.permits_digests = False
        self.validating = True
        # Scenarios are signed by algorithms of their time, DSA among them; what they are about is the validator.
        self.policy = Policy(algorithms=frozenset(Algorithm))
        self.fixed_wall: float | None = None
        """Seconds since 1970 that do not pass, for the times of signatures."""
        self.first_wall = 0.0
        """Seconds since 1970 at the start."""

    def trust(self, text: str, line: int) -> None:
        """Trust a record."""
        try:
            self.anchors.add_text(text)
        except AnchorError as error:
            raise ScenarioError(line, str(error)) from None

    def fetch(self, clause: Clause) -> None:
        """Fetch the zone of a clause from its primaries, if it has any. Raises Unsupported for names and URLs."""
        settings = [*clause.values("primary"), *clause.values("master")]
        for setting in clause.values("url"):
            raise Unsupported(setting.line, f"{clause.section}: with url:")
        if settings:
            self.primaries[clause.name()] = tuple(Primary(server_of(setting)) for setting in settings)
            file = clause.one("zonefile")
            if file is not None:
                self.copy_files[file.value] = clause.name()

    def read_sets(self, setting: Setting, name: bytes) -> tuple[RRset, ...]:
        """The record sets in a file of the head, of several CNAME records of a name the first. Raises ScenarioError."""
        seen, lines = set[str](), []
        for line in self._text_of(setting).split("\n"):
            found = _ALIAS.match(line)
            if found is None or found[1] not in seen:
                lines.append(line)
            seen |= {found[1]} if found is not None else set()
        try:
            return tuple(read_records("\n".join(lines), name))
        except ZoneError as error:
            raise ScenarioError(setting.line, str(error)) from None

    def read_zone(self, setting: Setting, name: bytes) -> Zone | None:
        """The zone in a file of the head; None when it cannot be read."""
        text = self._text_of(setting)
        try:
            return read_zone(text, name)
        except ZoneError:
            return None

    def _text_of(self, setting: Setting) -> str:
        lines = self._lines_of(setting.value)
        return "\n".join([f"$TTL {DEFAULT_TTL}", *lines, ""])

    def _lines_of(self, name: str) -> Iterator[str]:
        for line in self.head.files.get(name, ()):
            word, _, rest = line.strip().partition(" ")
            if word == "$INCLUDE_TEMPFILE":
                yield from self._lines_of(rest.strip())
            else:
                yield line

    def finish(self) -> Setup:
        """What all settings come to."""
        fixed, first = self.fixed_wall, self.first_wall
        chaos = self.values.pop("chaos", {})
        config = ResolverConfig(
            chaos={name: text for name, text in chaos.items() if name not in self.hidden},
            forwards=tuple(self.forwards),
            stubs=tuple(self.stubs),
            auth_zones=tuple(self.auth_zones),
            policies=tuple(self.policies),
            local_zones=self.local.zones(),
            unblocked=self.local.unblocked(),
            **self.values,
        )
        return Setup(
            config,
            (lambda now: first + now) if fixed is None else (lambda now: fixed),
            self.anchors,
            self.anchor_files,
            {name: "\n".join(lines) + "\n" for name, lines in self.head.files.items()},
            self.validating,
            self.policy,
            self.primaries,
            self.copy_files,
            Access(self.actions),
            Access({}, self.snoopers),
        )


def boolean(setting: Setting) -> bool:
    """Yes or no. Raises ScenarioError for anything else."""
    value = setting.value.lower()
    if value not in _TRUE | _FALSE:
        raise expected(value, ("yes", "no"), setting.line, f"value of {setting.key}:")
    return value in _TRUE


def integer(setting: Setting) -> int:
    """A number, with the sign it has. Raises ScenarioError."""
    try:
        return int(setting.value)
    except ValueError:
        raise ScenarioError(setting.line, f"{setting.key}: is a number, not {setting.value!r}") from None


def name_of(setting: Setting) -> bytes:
    """A domain name, folded. Raises ScenarioError."""
    try:
        return fold(name_from_text(setting.value))
    except ValueError as error:
        raise ScenarioError(setting.line, f"{setting.key}: {error}") from None


def server_of(setting: Setting) -> Server:
    """An address, with `@port` behind it or without. Raises ScenarioError; Unsupported for TLS."""
    host, _, port = setting.words[0].partition("@")
    if "#" in port or "#" in host:
        raise Unsupported(setting.line, f"{setting.key}: TLS")
    return Server(address(host, setting.line), int(port) if port.isdecimal() else 53)


def network(setting: Setting) -> Network:
    """An address with or without the length of a prefix. Raises ScenarioError."""
    try:
        return network_from_text(setting.value)
    except ValueError as error:
        raise ScenarioError(setting.line, f"{setting.key}: {error}") from None


def timestamp(setting: Setting) -> float:
    """YYYYMMDDHHMMSS, or seconds since 1970. Raises ScenarioError."""
    value = setting.value
    if len(value) == 14 and value.isdecimal():
        try:
            return float(calendar.timegm(time.strptime(value, "%Y%m%d%H%M%S")))
        except ValueError:
            raise ScenarioError(setting.line, f"{setting.key}: {value!r} is no date") from None
    return float(integer(setting))
