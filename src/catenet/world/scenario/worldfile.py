"""World files: a small internet written down in TOML, read into plain values with every mistake at its line.

`read_world(path)` returns a `WorldPlan`; a `WorldFileError` is one line, `FILE:LINE: what is wrong; did you mean ...?`.
The keys are described in docs/worlds.md.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from catenet.link.properties import LinkProperties
from catenet.wire.address import Prefix, parse_interface
from catenet.world.scenario.autoconf import AUTOCONF_KEYS, AutoconfPlan, read_autoconf
from catenet.world.scenario.clocks import CLOCK_CHANGES, ClockProperties, parse_clock_change, read_clock
from catenet.world.scenario.console_scripts import find_console_script
from catenet.world.scenario.dns import DnsPlan, read_dns
from catenet.world.scenario.isolation import Files, check_files, check_mode
from catenet.world.scenario.nat import NatPlan, read_nat
from catenet.world.scenario.resolv import ResolvPlan, read_resolv
from catenet.world.scenario.settings import flatten, parse_setting
from catenet.world.scenario.tables import (
    MAX_SIZE,
    KeyPath,
    Place,
    Tables,
    WorldFileError,
    parse_tables,
    text,
    texts,
    truth,
)
from catenet.world.scenario.units import PARSERS, link_properties, nearest, parse_duration, parse_stall

__all__ = [
    "EventPlan",
    "HostPlan",
    "LinkPlan",
    "NetworkPlan",
    "WorldFileError",
    "WorldPlan",
    "override",
    "parse_world",
    "read_world",
    "set_on_hosts",
]

Restart: TypeAlias = Literal["never", "on-failure", "always"]

RESTARTS: Final[tuple[Restart, ...]] = ("never", "on-failure", "always")
ACTIONS: Final = (
    "partition",
    "heal",
    "crash",
    "restart",
    "link",
    "pause",
    "resume",
    "freeze",
    "thaw",
    "renumber",
    "move",
    "clock",
)
LASTING: Final = ("partition", "crash", "link", "pause", "freeze")
"""Events that `for` can limit: afterwards the partition heals, the host starts or goes on, the link is as it was."""

TOP_KEYS: Final = ("world", "link", "settings", "resolv", "dns", "hosts", "routers", "networks", "links", "events")
WORLD_KEYS: Final = ("seed", "duration", "quiet", "isolation", "files", "stall")
RUN_KEYS: Final = (
    "run",
    "address",
    "start",
    "restart",
    "service",
    "settings",
    "resolv",
    "clock",
    "isolation",
    "files",
    "env",
    "stdin",
)
HOST_KEYS: Final = (*RUN_KEYS, "network")
ROUTER_KEYS: Final = (*RUN_KEYS, "networks", "nat")
NETWORK_KEYS: Final = ("name", "address", *AUTOCONF_KEYS)
LINK_KEYS: Final = ("between",)
KEYS_OF_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "link": tuple(PARSERS),
    "renumber": ("to", "keep"),
    "move": ("to",),
    "clock": CLOCK_CHANGES,
}
EVENT_KEYS: Final = ("at", "for", *ACTIONS)
HOST_NAME: Final = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
"""Letters, digits and hyphens between dots (RFC 1123 section 2.1): what a resolver takes for a name."""


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host: its command lines, addresses (none: given out), networks (none: the first) and link.

    `service` says whether the world may end while its programs run; None leaves it to `restart` and what they do.
    `settings` are those of its stack, by names of fields. `resolv` says which name servers it asks (None: none).
    """

    name: str
    run: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    start: float = 0.0
    restart: Restart = "never"
    service: bool | None = None
    router: bool = False
    link: LinkProperties = field(default_factory=LinkProperties)
    settings: Mapping[str, object] = field(default_factory=dict)
    resolv: ResolvPlan | None = None
    nat: NatPlan | None = None
    clock: ClockProperties | None = None
    isolation: str | None = None
    """"process" or "shared"; None: as the world's."""
    files: Files | None = None
    """"own" or "machine"; None: as the world's."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables in the environment of its programs."""
    stdin: str = ""
    """What each of its programs can read."""
    place: Place | None = field(default=None, compare=False)
    """Where its addresses stand, or its table."""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network: its name and prefixes (none: given out)."""

    name: str
    prefixes: tuple[str, ...] = ()
    autoconf: AutoconfPlan | None = None
    """How hosts without addresses of their own get them; None: they are given out."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """A dedicated link between two hosts."""

    a: str
    b: str
    properties: LinkProperties


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What happens at a time: `action` to `groups` of hosts, for `duration` seconds (None: for good).

    A partition has its groups; crash, restart, pause, clock and their like one group of all the hosts; link one group
    of one host (its link) or two (the link between them). A link or clock has `changes` as written in the file.
    """

    at: float
    action: str
    groups: tuple[tuple[str, ...], ...] = ()
    changes: Mapping[str, object] = field(default_factory=dict)
    duration: float | None = None
    addresses: tuple[str, ...] = ()
    """What a renumbered host gets (none: the next free ones)."""
    keep: float = 0.0
    """Seconds for which its old addresses stay, deprecated."""
    network: str = ""
    """Where hosts are taken that move."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """Everything that a world file says; `folder` is where its programs are looked for."""

    folder: Path
    seed: int | str = 0
    duration: float | None = None
    quiet: float | None = None
    stall: float | None = None
    """Seconds of real time after which a run ends in which a program stands still; None: the usual ones."""
    hosts: tuple[HostPlan, ...] = ()
    networks: tuple[NetworkPlan, ...] = ()
    links: tuple[LinkPlan, ...] = ()
    events: tuple[EventPlan, ...] = ()
    dns: DnsPlan | None = None
    isolation: str | None = None
    files: Files = "own"
    """Whether hosts have temporary directories and homes of their own."""


def read_world(path: Path) -> WorldPlan:
    """Read a world file; WorldFileError for what is wrong in it, OSError when it cannot be read."""
    with path.open("rb") as file:
        return parse_world(file.read(MAX_SIZE + 1), path)


def parse_world(source: bytes, path: Path) -> WorldPlan:
    """Read the text of a world file that came from `path`; WorldFileError."""
    return _Reader(parse_tables(source, path)).world()


class _Reader:
    """Turns the document into plans, failing at the line of what it is looking at."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._document = tables.document
        self._folder = tables.path.parent
        self._hosts: list[str] = []
        self._networks: list[str] = []
        self._configured: list[str] = []
        """Networks that give their hosts addresses."""
        self._linked: set[frozenset[str]] = set()
        self._defaults = LinkProperties()
        self._settings: dict[str, object] = {}
        self._resolv: dict[str, Any] = {}

    def world(self) -> WorldPlan:
        """The whole file."""
        document = self._document
        self._tables.check_keys(document, (), TOP_KEYS, "table")
        for name in ("world", "link", "settings", "hosts", "routers"):
            self._tables.table(document, (), name)
        world = self._tables.table(document, (), "world")
        self._tables.check_keys(world, ("world",), WORLD_KEYS)
        seed = world.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int | str):
            raise self._tables.error(("world", "seed"), f"seed must be a number or a text, not {seed!r}")
        self._defaults = self._link(self._tables.table(document, (), "link"), ("link",), LinkProperties())
        self._settings = self._own_settings(document, ())
        self._hosts = [*self._tables.table(document, (), "hosts"), *self._tables.table(document, (), "routers")]
        networks = tuple(self._network(*entry) for entry in self._tables.array("networks"))
        dns = read_dns(self._tables, self._hosts, self._networks)
        self._hosts += () if dns is None else dns.made
        self._resolv = read_resolv(self._tables, document, (), self._hosts, {})
        hosts = tuple(
            self._host(kind, name) for kind in ("hosts", "routers") for name in self._tables.table(document, (), kind)
        )
        if not hosts:
            raise self._tables.error((), "a world needs at least one host: add a table [hosts.NAME]")
        if dns is not None:
            hosts += tuple(HostPlan(name, link=self._defaults, settings=self._settings) for name in dns.made)
        return WorldPlan(
            folder=self._folder,
            seed=seed,
            duration=self._tables.value(world, ("world",), "duration", parse_duration, None),
            quiet=self._tables.value(world, ("world",), "quiet", parse_duration, None),
            isolation=self._tables.value(world, ("world",), "isolation", check_mode, None),
            files=self._tables.value(world, ("world",), "files", check_files, "own"),
            stall=self._tables.value(world, ("world",), "stall", parse_stall, None),
            hosts=hosts,
            networks=networks,
            dns=dns,
            links=tuple(self._dedicated(*entry) for entry in self._tables.array("links")),
            events=tuple(
                sorted((self._event(*entry) for entry in self._tables.array("events")), key=lambda event: event.at)
            ),
        )

    def _network(self, table: dict[str, Any], path: KeyPath) -> NetworkPlan:
        self._tables.check_keys(table, path, NETWORK_KEYS)
        name = self._tables.value(table, path, "name", text, None)
        if name is None:
            raise self._tables.error(path, "a network needs a name")
        if name in self._networks:
            raise self._tables.error((*path, "name"), f"there is a network {name!r} already")
        self._networks.append(name)
        prefixes = self._tables.value(table, path, "address", _prefixes, ())
        plan = read_autoconf(self._tables, table, path, self._hosts)
        if plan is not None:
            self._configured.append(name)
            by = [plan.by] if plan.by is not None else self._tables.table(self._document, (), "routers")
            tables = [
                self._document[kind][each]
                for each in by
                for kind in ("hosts", "routers")
                if each in self._document.get(kind, ())
            ]
            if not any(name in texts(each.get("networks", each.get("network", ()))) for each in tables):
                who = (
                    f"host {plan.by!r} is not on it" if plan.by else "it has no router; name a host of it: by = 'NAME'"
                )
                raise self._tables.error((*path, "configure"), f"nobody gives addresses on network {name!r}: {who}")
        return NetworkPlan(name, prefixes, plan, self._tables.place((*path, "address" if prefixes else "name")))

    def _host(self, kind: str, name: str) -> HostPlan:
        path: KeyPath = (kind, name)
        router = kind == "routers"
        if not HOST_NAME.fullmatch(name):
            raise self._tables.error(path, f"{name!r} is not a host name: letters, digits and hyphens (RFC 1123)")
        if (router and name in self._document.get("hosts", ())) or name == "localhost":
            raise self._tables.error(path, f"the name {name!r} is taken")
        table = self._tables.table(self._document[kind], (kind,), name)
        own = ROUTER_KEYS if router else HOST_KEYS
        self._tables.check_keys(table, path, (*own, *PARSERS))
        settings = {key: value for key, value in table.items() if key in PARSERS}
        runs = self._tables.value(table, path, "run", texts, ())
        for line in runs:
            self._check_command(line, (*path, "run"))
        resolv = read_resolv(self._tables, table, path, self._hosts, self._resolv)
        networks = self._host_networks(table, path, "networks" if router else "network")
        return HostPlan(
            name=name,
            run=runs,
            addresses=self._tables.value(table, path, "address", _addresses, ()),
            networks=networks,
            start=self._tables.value(table, path, "start", parse_duration, 0.0),
            restart=self._tables.value(table, path, "restart", _restart, "never"),
            service=self._tables.value(table, path, "service", truth, None),
            router=router,
            link=self._link(settings, path, self._defaults),
            settings={**self._settings, **self._own_settings(table, path)},
            resolv=ResolvPlan(**resolv) if resolv else None,
            nat=read_nat(self._tables, table, path, self._hosts, networks) if router else None,
            clock=read_clock(self._tables, table, path),
            isolation=self._tables.value(table, path, "isolation", check_mode, None),
            files=self._tables.value(table, path, "files", check_files, None),
            env=self._environment(table, path),
            stdin=self._tables.value(table, path, "stdin", _any_text, ""),
            place=self._tables.place((*path, "address")),
        )

    def _environment(self, table: dict[str, Any], path: KeyPath) -> dict[str, str]:
        variables = self._tables.table(table, path, "env")
        for name, value in variables.items():
            where = (*path, "env", name)
            if not name or "=" in name or "\0" in name:
                raise self._tables.error(where, f"env: no variable can have the name {name!r}")
            if not isinstance(value, str) or "\0" in value:
                raise self._tables.error(where, f"env: {name} must be a text, not {value!r}")
        return variables

    def _own_settings(self, parent: dict[str, Any], path: KeyPath) -> dict[str, object]:
        """What a table `settings` says, by names of fields."""
        chosen: dict[str, object] = {}
        for names, value in flatten(self._tables.table(parent, path, "settings")):
            try:
                field, parsed = parse_setting(".".join(names), value)
            except ValueError as error:
                raise self._tables.error((*path, "settings", *names), str(error)) from None
            chosen[field] = parsed
        return chosen

    def _host_networks(self, table: dict[str, Any], path: KeyPath, key: str) -> tuple[str, ...]:
        names: tuple[str, ...] = self._tables.value(table, path, key, texts, ())
        for name in names:
            if name not in self._networks:
                raise self._tables.error((*path, key), f"unknown network {name!r}{nearest(name, self._networks)}")
        self._tables.check_distinct(names, (*path, key), key)
        if key == "networks" and len(names) < 2:
            raise self._tables.error((*path, key), "a router needs at least two networks: networks = ['NAME', 'NAME']")
        return names

    def _dedicated(self, table: dict[str, Any], path: KeyPath) -> LinkPlan:
        self._tables.check_keys(table, path, (*LINK_KEYS, *PARSERS))
        ends = self._tables.value(table, path, "between", texts, ())
        if len(ends) != 2:
            raise self._tables.error((*path, "between"), "a link joins two hosts: between = ['NAME', 'NAME']")
        for name in ends:
            self._known(name, (*path, "between"))
        self._tables.check_distinct(ends, (*path, "between"), "between")
        if frozenset(ends) in self._linked:
            raise self._tables.error((*path, "between"), f"there is a link between {ends[0]!r} and {ends[1]!r} already")
        self._linked.add(frozenset(ends))
        settings = {key: value for key, value in table.items() if key in PARSERS}
        return LinkPlan(ends[0], ends[1], self._link(settings, path, self._defaults))

    def _event(self, table: dict[str, Any], path: KeyPath) -> EventPlan:
        more = next((keys for action, keys in KEYS_OF_ACTIONS.items() if action in table), ())
        self._tables.check_keys(table, path, (*EVENT_KEYS, *more))
        at = self._tables.value(table, path, "at", parse_duration, None)
        if at is None:
            raise self._tables.error(path, "an event needs a time: at = '5s'")
        actions = [action for action in ACTIONS if action in table]
        if len(actions) != 1:
            raise self._tables.error(
                path, f"an event needs exactly one of {', '.join(ACTIONS)}; this one has {len(actions)}"
            )
        action = actions[0]
        duration = self._tables.value(table, path, "for", parse_duration, None)
        if duration is not None and action not in LASTING:
            raise self._tables.error((*path, "for"), f"'for' goes with {', '.join(LASTING)}, not with {action}")
        changes = {key: value for key, value in table.items() if key in more}
        if action == "link":
            if not changes:
                raise self._tables.error(path, "a link event needs what changes, as loss = '10%'")
            self._link(changes, path, self._defaults)
        if action == "clock":
            if not changes:
                raise self._tables.error(path, "a clock event needs what changes, as step = '1s'")
            for key in changes:
                self._tables.value(table, path, key, partial(parse_clock_change, key), None)
        if action == "heal":
            self._tables.value(table, path, "heal", _only_true, None)
        groups = () if action == "heal" else self._groups(table[action], (*path, action), action)
        if action == "move":
            network = self._destination(table, path, groups[0])
            return EventPlan(at, action, groups, network=network, place=self._tables.place((*path, action)))
        addresses = self._tables.value(table, path, "to", _addresses, ())
        if addresses and len(groups[0]) > 1:
            raise self._tables.error((*path, "to"), "'to' goes with one host or network")
        keep = self._tables.value(table, path, "keep", parse_duration, 0.0)
        place = self._tables.place((*path, "to" if addresses else action))
        return EventPlan(at, action, groups, changes, duration, addresses, keep, place=place)

    def _destination(self, table: dict[str, Any], path: KeyPath, hosts: tuple[str, ...]) -> str:
        """The network to which hosts move."""
        name = self._tables.value(table, path, "to", text, None)
        if name is None:
            raise self._tables.error(path, "move needs a network: to = 'NAME'")
        if name not in self._networks:
            raise self._tables.error((*path, "to"), f"unknown network {name!r}{nearest(name, self._networks)}")
        for host in hosts:
            if host in self._document.get("routers", ()):
                raise self._tables.error((*path, "move"), f"{host} cannot move: others find their way by it")
        return str(name)

    def _groups(self, value: object, path: KeyPath, action: str) -> tuple[tuple[str, ...], ...]:
        """Hosts of an event: of a partition each name or list is a group, of the others all names are one."""
        entries: list[object] = value if isinstance(value, list) else [value]
        groups = []
        for entry in entries:
            try:
                groups.append(texts(entry))
            except ValueError:
                raise self._tables.error(path, f"{action} needs host names, not {entry!r}") from None
            for name in groups[-1]:
                if action != "renumber":
                    self._known(name, path)
                elif name in self._networks and name not in (*self._hosts, *self._configured):
                    needs = "configure = 'dhcp', 'slaac' or 'dhcpv6' in its [[networks]]"
                    raise self._tables.error(path, f"network {name!r} gives its hosts no addresses: it needs {needs}")
                elif name not in (known := (*self._hosts, *self._configured)):
                    raise self._tables.error(path, f"unknown host or network {name!r}{nearest(name, known)}")
        self._tables.check_distinct((name for group in groups for name in group), path, action)
        if action == "partition":
            if not groups or not all(groups):
                raise self._tables.error(path, "partition needs at least one host")
            return tuple(groups)
        names = tuple(name for group in groups for name in group)
        if not names or (action == "link" and len(names) > 2):
            wanted = "one host, or the two that it joins" if action == "link" else "at least one host"
            raise self._tables.error(path, f"{action} needs {wanted}")
        return (names,)

    def _check_command(self, line: str, path: KeyPath) -> None:
        """A command line starts with a script that exists, or with -m and a module."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise self._tables.error(path, f"{line!r}: {error}".lower()) from None
        if len(words) > 1 and Path(words[0]).name.startswith("python"):
            words = words[1:]
        if not words or words == ["-m"]:
            raise self._tables.error(
                path, "run needs a command line, as 'server.py --port 8080' or '-m http.server 80'"
            )
        if (
            words[0] not in ("-m", "catenet")
            and not os.path.isfile(self._folder / words[0])
            and find_console_script(words[0]) is None
        ):
            scripts = [script.name for script in sorted(self._folder.glob("*.py"))]
            hint = nearest(words[0], scripts)
            if not hint and words[0].isidentifier() and importlib.util.find_spec(words[0]) is not None:
                hint = f"; a module runs as '-m {words[0]}'"
            raise self._tables.error(path, f"no program {words[0]!r} in {self._folder}/{hint}")

    def _link(self, settings: Mapping[str, object], path: KeyPath, base: LinkProperties) -> LinkProperties:
        for key, value in settings.items():
            try:
                base = link_properties({key: value}, base)
            except ValueError as error:
                raise self._tables.error((*path, key), str(error)) from None
        return base

    def _known(self, name: str, path: KeyPath) -> None:
        if name not in self._hosts:
            raise self._tables.error(path, f"unknown host {name!r}{nearest(name, self._hosts)}")


def _addresses(value: object) -> tuple[str, ...]:
    written = texts(value)
    for each in written:
        parse_interface(each)
    return written


def _prefixes(value: object) -> tuple[str, ...]:
    written = texts(value)
    for each in written:
        if "/" not in each:
            raise ValueError(f"{each!r} needs a prefix length, as '10.1.0.0/24'")
        Prefix.parse(each)
    return written


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {value!r}")
    return value


def _only_true(value: object) -> None:
    if value is not True:
        raise ValueError(f"must be true, not {value!r}")


def _restart(value: object) -> Restart:
    for known in RESTARTS:
        if value == known:
            return known
    raise ValueError(f"must be one of {', '.join(RESTARTS)}, not {value!r}{nearest(str(value), RESTARTS)}")


def override(plan: WorldPlan, **changes: Any) -> WorldPlan:
    """Return the plan with what the command line says instead; how hosts are isolated it says for all."""
    if changes.get("isolation") is not None:
        changes["hosts"] = tuple(dataclasses.replace(host, isolation=None) for host in plan.hosts)
    return dataclasses.replace(plan, **{key: value for key, value in changes.items() if value is not None})


def set_on_hosts(plan: WorldPlan, changes: Mapping[str, Mapping[str, object]]) -> WorldPlan:
    """Return the plan with settings by host, those of all hosts under '', on top of the file's."""
    hosts = [
        dataclasses.replace(host, settings={**host.settings, **_fields(changes, ""), **_fields(changes, host.name)})
        for host in plan.hosts
    ]
    return dataclasses.replace(plan, hosts=tuple(hosts))


def _fields(changes: Mapping[str, Mapping[str, object]], host: str) -> dict[str, object]:
    return dict(parse_setting(name, value) for name, value in changes.get(host, {}).items())
