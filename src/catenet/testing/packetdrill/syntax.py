"""The packetdrill language as values: what a script says, before anything is done about it.

A script is options, then events on one time line: packets that come in (`<`) or must go out (`>`), system calls, shell
commands and Python code. Numbers are as written (script sequence numbers, script descriptors); times are microseconds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "Action",
    "Assignment",
    "Call",
    "Clock",
    "Code",
    "Command",
    "EcnCheck",
    "Ellipsis_",
    "Event",
    "Expression",
    "Function",
    "IcmpSpec",
    "Integer",
    "IpInfo",
    "Items",
    "Or",
    "OuterHeader",
    "PacketSpec",
    "Quoted",
    "Script",
    "ScriptError",
    "Structure",
    "TcpOption",
    "TcpSpec",
    "UdpSpec",
    "When",
    "Word",
]


class ScriptError(ValueError):
    """The script cannot be read or makes no sense; `line` says where."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Clock(enum.Enum):
    """Ways to give the time of an event."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class When:
    """Time of an event in microseconds; `end` is set for a range, both 0 for ANY."""

    clock: Clock
    start: int
    end: int | None = None


# --- expressions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Integer:
    """A number, decimal or hexadecimal."""

    value: int


@dataclass(frozen=True, slots=True)
class Word:
    """A symbolic constant, as `SO_REUSEADDR`."""

    name: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """A string; `open_ended` when dots follow it (compare the beginning only)."""

    value: bytes
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Ellipsis_:
    """`...`: whatever the runner would put there."""


@dataclass(frozen=True, slots=True)
class Or:
    """`a|b`."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]` (an array) or `{a, b}` (a structure without names, as an iovec)."""

    values: tuple[Expression, ...]
    braces: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """`htons(8080)`, `inet_addr("10.0.0.1")`: a function within an expression."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name=value` or `name(size)=value` outside of a structure, as an argument."""

    name: str
    value: Expression
    size: Expression | None = None


@dataclass(frozen=True, slots=True)
class Structure:
    """`{name=value, name(size)=value}` in the order written."""

    fields: tuple[Assignment, ...]

    def get(self, name: str) -> Expression | None:
        """Value of a field, None when the script leaves it out."""
        for one in self.fields:
            if one.name == name:
                return one.value
        return None

    def __iter__(self) -> Iterator[Assignment]:
        return iter(self.fields)


Expression: TypeAlias = Integer | Word | Quoted | Ellipsis_ | Or | Items | Function | Assignment | Structure
Argument: TypeAlias = Expression


# --- packets ----------------------------------------------------------------------------------------------------------


class EcnCheck(enum.Enum):
    """What is compared of the traffic class of an outbound packet."""

    NOTHING = "nothing"
    ECN = "ecn"
    ECT01 = "ect01"
    TOS = "tos"


@dataclass(frozen=True, slots=True)
class IpInfo:
    """`[ect0]`, `(tos 0x10, flowlabel 0x1, ttl 64)`: what is said of the IP header; 0 for not said."""

    check: EcnCheck = EcnCheck.NOTHING
    tos: int = 0
    flow_label: int = 0
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class TcpOption:
    """One TCP option: `kind` of its first byte; `value` what follows kind and length; `name` for messages."""

    kind: int
    value: bytes = b""
    name: str = ""


@dataclass(frozen=True, slots=True)
class TcpSpec:
    """A TCP segment. `options` None: not compared (`<...>`); `ace` the AccECN field when given as a digit."""

    flags: int
    seq: int
    length: int
    ack: int = 0
    window: int | None = None
    urgent: int = 0
    options: tuple[TcpOption, ...] | None = ()
    ace: int | None = None


@dataclass(frozen=True, slots=True)
class UdpSpec:
    """A UDP datagram of `length` octets of payload."""

    length: int


@dataclass(frozen=True, slots=True)
class IcmpSpec:
    """An ICMP message by name; `quoted` is the segment or datagram it is about (`udp` or `raw` tell which)."""

    type_name: str
    code_name: str | None = None
    mtu: int | None = None
    identifier: int = 0
    quoted_protocol: str = "tcp"
    quoted_seq: int = 0
    quoted_length: int | None = None


@dataclass(frozen=True, slots=True)
class OuterHeader:
    """A header around the packet: `ipv4`, `ipv6`, `gre` or `mpls`, with its words as written."""

    kind: str
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PacketSpec:
    """A packet line. `outbound` is seen from the stack under test: `>` in the script."""

    outbound: bool
    body: TcpSpec | UdpSpec | IcmpSpec
    ip: IpInfo = field(default_factory=IpInfo)
    source_port: int = 0
    destination_port: int = 0
    outer: tuple[OuterHeader, ...] = ()


# --- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A system call; `end` (microseconds, as the event's time) when it blocks; `errno` the name expected."""

    name: str
    arguments: tuple[Argument, ...]
    result: Expression
    end: int | None = None
    errno: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Shell commands in backquotes."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Python between `%{` and `}%`."""

    text: str


Action: TypeAlias = PacketSpec | Call | Command | Code


@dataclass(frozen=True, slots=True)
class Event:
    """An event on the time line, and its line in the script."""

    line: int
    when: When
    action: Action


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script: options as (line, name, value), commands before and after, events in order."""

    options: tuple[tuple[int, str, str | None], ...]
    init: tuple[int, Command] | None
    events: tuple[Event, ...]
    cleanup: tuple[int, Command] | None = None
