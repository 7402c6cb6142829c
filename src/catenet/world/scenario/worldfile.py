"""World files: a small internet written down in TOML, read into plain values with every mistake at its line.

`read_world(path)` returns a `WorldPlan`; a `WorldFileError` is one line, `FILE:LINE: what is wrong; did you mean ...?`.
The keys are described in docs/worlds.md.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

from catenet.link.properties import LinkProperties
from catenet.wire.address import Prefix, parse_interface
from catenet.world.scenario.settings import flatten, parse_setting
from catenet.world.scenario.units import PARSERS, link_properties, nearest, parse_duration, repeated

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
KeyPath: TypeAlias = tuple[str | int, ...]
T = TypeVar("T")

RESTARTS: Final[tuple[Restart, ...]] = ("never", "on-failure", "always")
ACTIONS: Final = ("partition", "heal", "crash", "restart", "link")
LASTING: Final = ("partition", "crash", "link")
"""Events that `for` can limit: afterwards the partition heals, the host starts again, the link is as it was."""

TOP_KEYS: Final = ("world", "link", "settings", "hosts", "routers", "networks", "links", "events")
WORLD_KEYS: Final = ("seed", "duration", "quiet")
HOST_KEYS: Final = ("run", "address", "network", "start", "restart", "service", "settings")
ROUTER_KEYS: Final = ("run", "address", "networks", "start", "restart", "service", "settings")
NETWORK_KEYS: Final = ("name", "address")
LINK_KEYS: Final = ("between",)
EVENT_KEYS: Final = ("at", "for", *ACTIONS)
MAX_DIGITS: Final = 300
"""Of an integer; what is longer no float holds, and of some lengths Python neither reads nor shows it."""
HOST_NAME: Final = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
"""Letters, digits and hyphens between dots (RFC 1123 section 2.1): what a resolver takes for a name."""


class WorldFileError(ValueError):
    """The file does not describe a world; the message is one line that names file and line."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.line = line


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host: its command lines, addresses (none: given out), networks (none: the first) and link.

    `service` says whether the world may end while its programs run; None leaves it to `restart` and what they do.
    `settings` are those of its stack, by names of fields.
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


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network: its name and prefixes (none: given out)."""

    name: str
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """A dedicated link between two hosts."""

    a: str
    b: str
    properties: LinkProperties


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What happens at a time: `action` to `groups` of hosts, for `duration` seconds (None: for good).

    A partition has its groups; crash and restart one group of all the hosts; link one group of one host (its link) or
    two (the link between them), with `changes` as written in the file.
    """

    at: float
    action: str
    groups: tuple[tuple[str, ...], ...] = ()
    changes: Mapping[str, object] = field(default_factory=dict)
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """Everything that a world file says; `folder` is where its programs are looked for."""

    folder: Path
    seed: int | str = 0
    duration: float | None = None
    quiet: float | None = None
    hosts: tuple[HostPlan, ...] = ()
    networks: tuple[NetworkPlan, ...] = ()
    links: tuple[LinkPlan, ...] = ()
    events: tuple[EventPlan, ...] = ()


def read_world(path: Path) -> WorldPlan:
    """Read a world file; WorldFileError for what is wrong in it, OSError when it cannot be read."""
    return parse_world(path.read_bytes(), path)


def parse_world(text: bytes, path: Path) -> WorldPlan:
    """Read the text of a world file that came from `path`; WorldFileError."""
    try:
        source = text.decode()
        document = tomllib.loads(source)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise WorldFileError(path, line, "not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)| \(at end of document\)", str(error))
        line = int(place[1]) if place and place[1] else text.count(b"\n") + 1
        message = str(error)[: place.start()] if place else str(error)
        raise WorldFileError(path, line, message[:1].lower() + message[1:]) from None
    except (ValueError, RecursionError) as error:
        # What tomllib does not tell as its own: a number longer than Python converts, and nesting without end.
        deep = isinstance(error, RecursionError)
        what = "tables and lists are nested too deep" if deep else f"a number has more than {MAX_DIGITS} digits"
        raise WorldFileError(path, _line_of_excess(source, deep), what) from None
    return _Reader(document, _lines_of_keys(source), path).world()


def _line_of_excess(source: str, deep: bool) -> int:
    """Line of the first number that is too long, or of the most brackets."""
    lines = source.splitlines()
    if deep:
        return max(range(len(lines)), key=lambda index: lines[index].count("[") + lines[index].count("{")) + 1
    return next((number for number, line in enumerate(lines, 1) if _LONG_NUMBER.search(line)), 1)


_LONG_NUMBER: Final = re.compile(rf"\d(_?\d){{{MAX_DIGITS}}}")
_HEADER = re.compile(r"\s*\[(\[)?\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORD = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _lines_of_keys(source: str) -> dict[KeyPath, int]:
    """Line number of every key and table. Keys of inline tables are not found: their table's line will do."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(source.splitlines(), 1):
        if (key := _KEY.match(line)) is not None:
            path = table + tuple(word.strip("\"'") for word in _WORD.findall(key[1]))
        elif (header := _HEADER.match(line)) is not None:
            path = tuple(word.strip("\"'") for word in _WORD.findall(header[2]))
            if header[1]:
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
        else:
            continue
        for end in range(1, len(path) + 1):
            lines.setdefault(path[:end], number)
    return lines


class _Reader:
    """Turns the document into plans, failing at the line of what it is looking at."""

    def __init__(self, document: dict[str, Any], lines: dict[KeyPath, int], path: Path) -> None:
        self._document = document
        self._lines = lines
        self._path = path
        self._folder = path.parent
        self._hosts: list[str] = []
        self._networks: list[str] = []
        self._linked: set[frozenset[str]] = set()
        self._defaults = LinkProperties()
        self._settings: dict[str, object] = {}

    def world(self) -> WorldPlan:
        """The whole file."""
        document = self._document
        self._check_numbers(document, ())
        self._check_keys(document, (), TOP_KEYS, "table")
        for name in ("world", "link", "settings", "hosts", "routers"):
            self._table(document, (), name)
        world = self._table(document, (), "world")
        self._check_keys(world, ("world",), WORLD_KEYS)
        seed = world.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int | str):
            raise self._error(("world", "seed"), f"seed must be a number or a text, not {seed!r}")
        self._defaults = self._link(self._table(document, (), "link"), ("link",), LinkProperties())
        self._settings = self._own_settings(document, ())
        self._hosts = [*self._table(document, (), "hosts"), *self._table(document, (), "routers")]
        networks = tuple(self._network(*entry) for entry in self._array("networks"))
        hosts = tuple(
            self._host(kind, name) for kind in ("hosts", "routers") for name in self._table(document, (), kind)
        )
        if not hosts:
            raise self._error((), "a world needs at least one host: add a table [hosts.NAME]")
        return WorldPlan(
            folder=self._folder,
            seed=seed,
            duration=self._value(world, ("world",), "duration", parse_duration, None),
            quiet=self._value(world, ("world",), "quiet", parse_duration, None),
            hosts=hosts,
            networks=networks,
            links=tuple(self._dedicated(*entry) for entry in self._array("links")),
            events=tuple(sorted((self._event(*entry) for entry in self._array("events")), key=lambda event: event.at)),
        )

    def _network(self, table: dict[str, Any], path: KeyPath) -> NetworkPlan:
        self._check_keys(table, path, NETWORK_KEYS)
        name = self._value(table, path, "name", _text, None)
        if name is None:
            raise self._error(path, "a network needs a name")
        if name in self._networks:
            raise self._error((*path, "name"), f"there is a network {name!r} already")
        self._networks.append(name)
        return NetworkPlan(name, self._value(table, path, "address", _prefixes, ()))

    def _host(self, kind: str, name: str) -> HostPlan:
        path: KeyPath = (kind, name)
        router = kind == "routers"
        if not HOST_NAME.fullmatch(name):
            raise self._error(path, f"{name!r} is not a host name: letters, digits and hyphens (RFC 1123)")
        if (router and name in self._document.get("hosts", ())) or name == "localhost":
            raise self._error(path, f"the name {name!r} is taken")
        table = self._table(self._document[kind], (kind,), name)
        own = ROUTER_KEYS if router else HOST_KEYS
        self._check_keys(table, path, (*own, *PARSERS))
        settings = {key: value for key, value in table.items() if key in PARSERS}
        runs = self._value(table, path, "run", _texts, ())
        for line in runs:
            self._check_command(line, (*path, "run"))
        return HostPlan(
            name=name,
            run=runs,
            addresses=self._value(table, path, "address", _addresses, ()),
            networks=self._host_networks(table, path, "networks" if router else "network"),
            start=self._value(table, path, "start", parse_duration, 0.0),
            restart=self._value(table, path, "restart", _restart, "never"),
            service=self._value(table, path, "service", _truth, None),
            router=router,
            link=self._link(settings, path, self._defaults),
            settings={**self._settings, **self._own_settings(table, path)},
        )

    def _own_settings(self, parent: dict[str, Any], path: KeyPath) -> dict[str, object]:
        """What a table `settings` says, by names of fields."""
        chosen: dict[str, object] = {}
        for names, value in flatten(self._table(parent, path, "settings")):
            try:
                field, parsed = parse_setting(".".join(names), value)
            except ValueError as error:
                raise self._error((*path, "settings", *names), str(error)) from None
            chosen[field] = parsed
        return chosen

    def _host_networks(self, table: dict[str, Any], path: KeyPath, key: str) -> tuple[str, ...]:
        names: tuple[str, ...] = self._value(table, path, key, _texts, ())
        for name in names:
            if name not in self._networks:
                raise self._error((*path, key), f"unknown network {name!r}{nearest(name, self._networks)}")
        self._check_distinct(names, (*path, key), key)
        if key == "networks" and len(names) < 2:
            raise self._error((*path, key), "a router needs at least two networks: networks = ['NAME', 'NAME']")
        return names

    def _dedicated(self, table: dict[str, Any], path: KeyPath) -> LinkPlan:
        self._check_keys(table, path, (*LINK_KEYS, *PARSERS))
        ends = self._value(table, path, "between", _texts, ())
        if len(ends) != 2:
            raise self._error((*path, "between"), "a link joins two hosts: between = ['NAME', 'NAME']")
        for name in ends:
            self._known(name, (*path, "between"))
        self._check_distinct(ends, (*path, "between"), "between")
        if frozenset(ends) in self._linked:
            raise self._error((*path, "between"), f"there is a link between {ends[0]!r} and {ends[1]!r} already")
        self._linked.add(frozenset(ends))
        settings = {key: value for key, value in table.items() if key in PARSERS}
        return LinkPlan(ends[0], ends[1], self._link(settings, path, self._defaults))

    def _event(self, table: dict[str, Any], path: KeyPath) -> EventPlan:
        self._check_keys(table, path, (*EVENT_KEYS, *PARSERS) if "link" in table else EVENT_KEYS)
        at = self._value(table, path, "at", parse_duration, None)
        if at is None:
            raise self._error(path, "an event needs a time: at = '5s'")
        actions = [action for action in ACTIONS if action in table]
        if len(actions) != 1:
            raise self._error(path, f"an event needs exactly one of {', '.join(ACTIONS)}; this one has {len(actions)}")
        action = actions[0]
        duration = self._value(table, path, "for", parse_duration, None)
        if duration is not None and action not in LASTING:
            raise self._error((*path, "for"), f"'for' goes with {', '.join(LASTING)}, not with {action}")
        changes = {key: value for key, value in table.items() if key in PARSERS}
        if action == "link":
            if not changes:
                raise self._error(path, "a link event needs what changes, as loss = '10%'")
            self._link(changes, path, self._defaults)
        if action == "heal":
            self._value(table, path, "heal", _only_true, None)
        groups = () if action == "heal" else self._groups(table[action], (*path, action), action)
        return EventPlan(at, action, groups, changes, duration)

    def _groups(self, value: object, path: KeyPath, action: str) -> tuple[tuple[str, ...], ...]:
        """Hosts of an event: of a partition each name or list is a group, of the others all names are one."""
        entries: list[object] = value if isinstance(value, list) else [value]
        groups = []
        for entry in entries:
            try:
                groups.append(_texts(entry))
            except ValueError:
                raise self._error(path, f"{action} needs host names, not {entry!r}") from None
            for name in groups[-1]:
                self._known(name, path)
        self._check_distinct((name for group in groups for name in group), path, action)
        if action == "partition":
            if not groups or not all(groups):
                raise self._error(path, "partition needs at least one host")
            return tuple(groups)
        names = tuple(name for group in groups for name in group)
        if not names or (action == "link" and len(names) > 2):
            wanted = "one host, or the two that it joins" if action == "link" else "at least one host"
            raise self._error(path, f"{action} needs {wanted}")
        return (names,)

    def _check_command(self, line: str, path: KeyPath) -> None:
        """A command line starts with a script that exists, or with -m and a module."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise self._error(path, f"{line!r}: {error}".lower()) from None
        if not words or words == ["-m"]:
            raise self._error(path, "run needs a command line, as 'server.py --port 8080' or '-m http.server 80'")
        if words[0] != "-m" and not (self._folder / words[0]).is_file():
            scripts = [script.name for script in sorted(self._folder.glob("*.py"))]
            raise self._error(path, f"no program {words[0]!r} in {self._folder}/{nearest(words[0], scripts)}")

    def _link(self, settings: Mapping[str, object], path: KeyPath, base: LinkProperties) -> LinkProperties:
        for key, value in settings.items():
            try:
                base = link_properties({key: value}, base)
            except ValueError as error:
                raise self._error((*path, key), str(error)) from None
        return base

    def _check_distinct(self, names: Iterable[str], path: KeyPath, key: str) -> None:
        if (name := repeated(names)) is not None:
            raise self._error(path, f"{key} names {name!r} twice")

    def _known(self, name: str, path: KeyPath) -> None:
        if name not in self._hosts:
            raise self._error(path, f"unknown host {name!r}{nearest(name, self._hosts)}")

    def _value(
        self, table: dict[str, Any], path: KeyPath, key: str, parse: Callable[[object], T], otherwise: Any
    ) -> Any:
        if key not in table:
            return otherwise
        try:
            return parse(table[key])
        except ValueError as error:
            raise self._error((*path, key), f"{key}: {error}") from None

    def _table(self, parent: dict[str, Any], path: KeyPath, name: str) -> dict[str, Any]:
        table = parent.get(name, {})
        if not isinstance(table, dict):
            raise self._error((*path, name), f"{name} must be a table, not {table!r}")
        return table

    def _array(self, name: str) -> Iterable[tuple[dict[str, Any], KeyPath]]:
        tables = self._document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error((name,), f"{name} must be tables, each under its own [[{name}]]")
        for index, table in enumerate(tables):
            yield table, (name, index)

    def _check_keys(self, table: dict[str, Any], path: KeyPath, known: tuple[str, ...], what: str = "key") -> None:
        for key in table:
            if key not in known:
                raise self._error((*path, key), f"unknown {what} {key!r}{nearest(key, known)}")

    def _check_numbers(self, value: object, path: KeyPath) -> None:
        """No integer is longer than can be shown in a message, wherever it stands; hexadecimal ones are read whole."""
        if isinstance(value, dict):
            for key, entry in value.items():
                self._check_numbers(entry, (*path, key))
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                self._check_numbers(entry, (*path, index))
        elif isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise self._error(path, f"a number has more than {MAX_DIGITS} digits")

    def _error(self, path: KeyPath, message: str) -> WorldFileError:
        while path and path not in self._lines:
            path = path[:-1]
        return WorldFileError(self._path, self._lines.get(path, 1), message)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a text, not {value!r}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    """One text or a list of texts."""
    return tuple(_text(entry) for entry in (value if isinstance(value, list) else [value]))


def _addresses(value: object) -> tuple[str, ...]:
    texts = _texts(value)
    for text in texts:
        parse_interface(text)
    return texts


def _prefixes(value: object) -> tuple[str, ...]:
    texts = _texts(value)
    for text in texts:
        if "/" not in text:
            raise ValueError(f"{text!r} needs a prefix length, as '10.1.0.0/24'")
        Prefix.parse(text)
    return texts


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
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
    """Return the plan with what the command line says instead."""
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
