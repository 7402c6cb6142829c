"""The NAT of a router as people write it down: `nat = true`, or a table of what it does otherwise."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from catenet.stack.nat.config import Behaviour, NatTimeouts, Unknown
from catenet.wire import tcp, udp
from catenet.wire.address import parse_address
from catenet.world.scenario.tables import KeyPath, Tables, texts, truth
from catenet.world.scenario.units import nearest, parse_duration

__all__ = ["Forward", "NatPlan", "parse_nat", "read_nat"]

PROTOCOLS: Final = {"tcp": tcp.PROTOCOL, "udp": udp.PROTOCOL}
LARGEST: Final = 1_000_000
_FORWARD: Final = re.compile(r"\s*(\w+)\s+(\d+)\s*->\s*([^\s:]+)(?::(\d+))?\s*")
_RANGE: Final = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the router that stands for one of a host inside, which is a name or an IPv4 address."""

    protocol: int
    port: int
    host: str
    inside_port: int


@dataclass(frozen=True, slots=True)
class NatPlan:
    """What a world file says of a NAT; `outside` are networks (none: the router's last one)."""

    outside: tuple[str, ...] = ()
    mapping: Behaviour = Behaviour.ENDPOINT_INDEPENDENT
    filtering: Behaviour = Behaviour.ADDRESS_AND_PORT_DEPENDENT
    timeouts: NatTimeouts = field(default_factory=NatTimeouts)
    ports: tuple[int, int] | None = None
    """Ports that mappings get by chance; None: the inside port where it is free."""
    hairpin: bool = True
    refresh_inbound: bool = False
    unknown: Unknown = Unknown.MAP
    limit: int = 65_536
    forwards: tuple[Forward, ...] = ()


def parse_nat(options: Mapping[str, object]) -> NatPlan:
    """The plan that options say; ValueError names the option, and the nearest one."""
    changes: dict[str, Any] = {}
    for key, value in options.items():
        if key == "timeouts":
            if not isinstance(value, Mapping):
                raise ValueError(f"timeouts must be a table, not {value!r}")
            changes["timeouts"] = dataclasses.replace(
                NatTimeouts(), **{name: _timeout(name, each) for name, each in value.items()}
            )
        else:
            name, parsed = _option(key, value)
            changes[name] = parsed
    return NatPlan(**changes)


def read_nat(
    tables: Tables, table: dict[str, Any], path: KeyPath, hosts: Iterable[str], networks: Iterable[str]
) -> NatPlan | None:
    """What the table of a router says under `nat`, None when it has no NAT; WorldFileError."""
    value = table.get("nat", False)
    path = (*path, "nat")
    if isinstance(value, bool):
        return NatPlan() if value else None
    if not isinstance(value, dict):
        raise tables.error(path, f"nat must be true, false or a table, not {value!r}")
    for key, each in value.items():
        try:
            plan = parse_nat({key: each})
        except ValueError as error:
            place = next((name for name in each if _is_wrong(name, each)), "") if isinstance(each, dict) else ""
            raise tables.error((*path, key, place) if place else (*path, key), str(error)) from None
        for name in plan.outside:
            if name not in networks:
                raise tables.error((*path, key), f"{name!r} is no network of this router{nearest(name, networks)}")
        for forward in plan.forwards:
            if not _is_address(forward.host) and forward.host not in hosts:
                raise tables.error((*path, key), f"unknown host {forward.host!r}{nearest(forward.host, hosts)}")
    return parse_nat(value)


def _is_wrong(name: str, timeouts: Mapping[str, object]) -> bool:
    try:
        _timeout(name, timeouts[name])
    except ValueError:
        return True
    return False


def _timeout(name: str, value: object) -> float:
    known = [each.name for each in dataclasses.fields(NatTimeouts)]
    if name not in known:
        raise ValueError(f"unknown time-out {name!r}{nearest(name, known)}")
    seconds = parse_duration(value)
    if not seconds:
        raise ValueError(f"{name} must be more than 0")
    return seconds


def _option(key: str, value: object) -> tuple[str, object]:
    """Field of the plan and its value."""
    if key not in _OPTIONS:
        known = (*_OPTIONS, "timeouts")
        raise ValueError(f"unknown key {key!r}{nearest(key, known)}")
    name, parse = _OPTIONS[key]
    try:
        return name, parse(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _behaviour(value: object) -> Behaviour:
    known = [each.value for each in Behaviour]
    if value not in known:
        raise ValueError(f"must be one of {', '.join(known)}, not {value!r}{nearest(str(value), known)}")
    return Behaviour(value)


def _unknown(value: object) -> Unknown:
    known = [each.value for each in Unknown]
    if value not in known:
        raise ValueError(f"must be one of {', '.join(known)}, not {value!r}{nearest(str(value), known)}")
    return Unknown(value)


def _ports(value: object) -> tuple[int, int] | None:
    if value == "preserve":
        return None
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[1]) <= int(match[2]) <= 0xFFFF:
        raise ValueError(f"must be 'preserve' or two ports as '20000-29999', not {value!r}")
    return int(match[1]), int(match[2])


def _refresh(value: object) -> bool:
    if value not in ("outbound", "both"):
        raise ValueError(f"must be 'outbound' or 'both', not {value!r}")
    return value == "both"


def _limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST:
        raise ValueError(f"must be a number from 1 to {LARGEST}, not {value!r}")
    return value


def _forwards(value: object) -> tuple[Forward, ...]:
    found: dict[tuple[int, int], Forward] = {}
    for each in texts(value):
        match = _FORWARD.fullmatch(each)
        ports = [] if match is None else [int(match[2]), int(match[4] or match[2])]
        if match is None or match[1] not in PROTOCOLS or not all(0 < port <= 0xFFFF for port in ports):
            raise ValueError(f"{each!r} is no forwarded port; write for example 'tcp 8080 -> server:80'")
        forward = Forward(PROTOCOLS[match[1]], ports[0], match[3], ports[1])
        if (forward.protocol, forward.port) in found:
            raise ValueError(f"{match[1]} {ports[0]} is forwarded twice")
        found[forward.protocol, forward.port] = forward
    return tuple(found.values())


def _is_address(text: str) -> bool:
    try:
        return len(parse_address(text)) == 4
    except ValueError:
        return False


_OPTIONS: Final[dict[str, tuple[str, Callable[[object], object]]]] = {
    "outside": ("outside", texts),
    "mapping": ("mapping", _behaviour),
    "filtering": ("filtering", _behaviour),
    "ports": ("ports", _ports),
    "hairpin": ("hairpin", truth),
    "refresh": ("refresh_inbound", _refresh),
    "unknown": ("unknown", _unknown),
    "limit": ("limit", _limit),
    "forward": ("forwards", _forwards),
}
