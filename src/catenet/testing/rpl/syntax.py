"""What a scenario says: settings, ranges of answers, steps."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from catenet.wire.dns.message import Question
from catenet.wire.dns.record import Record

__all__ = [
    "Dialect",
    "Entry",
    "Head",
    "Packet",
    "Range",
    "Scenario",
    "ScenarioError",
    "Setting",
    "Step",
    "Unsupported",
]


class ScenarioError(ValueError):
    """A scenario is not as the language has it: `line` of the file, 0 when it is about the whole, and what is wrong."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Unsupported(ScenarioError):
    """A scenario asks for what this resolver, or this runner, does not have."""


class Dialect(enum.Enum):
    """The two programs whose scenarios these are; they differ where a scenario does not say what is meant."""

    UNBOUND = "unbound"
    """Testbound: steps go on while queries are open; a query without an entry stays open; EDNS only where written."""
    DECKARD = "deckard"
    """Deckard: a query step ends with its answer; a query without an entry is answered SERVFAIL; EDNS everywhere."""


@dataclass(slots=True)
class Packet:
    """A message to send, or to compare with.

    Attributes:
        flags: second word of the header, with opcode and response code.
        dnssec_ok: whether DO is set.
        question: None when the section is empty.
        edns_data: options in wire format, None without any.
        raw: bytes to send as they are, in place of all the rest.
        delay: seconds before it is sent.
    """

    flags: int = 0
    dnssec_ok: bool = False
    question: Question | None = None
    answer: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    edns_data: bytes | None = None
    raw: bytes | None = None
    delay: float = 0.0


@dataclass(slots=True)
class Entry:
    """A message with what it is compared by, and what is changed in it before it goes out.

    Attributes:
        line: where it begins.
        match: words of its MATCH lines, in lower case: `opcode`, `qname`, `all`, `tcp`…
        adjust: words of its ADJUST lines: `copy_id`, `copy_query`…
        serial: of the SOA record in a request for an incremental transfer, None for any.
        error: code of the extended error that must be there, -1 for any, None for no matter.
        packets: the message, and those that follow it on a stream.
        mandatory: whether the scenario fails unless this entry has answered.
    """

    line: int
    match: set[str] = field(default_factory=set)
    adjust: set[str] = field(default_factory=set)
    serial: int | None = None
    error: int | None = None
    packets: list[Packet] = field(default_factory=list)
    mandatory: bool = False


@dataclass(slots=True)
class Range:
    """What servers answer during steps `first` to `last`; at every address when `addresses` is empty."""

    line: int
    first: int
    last: int
    addresses: set[bytes] = field(default_factory=set)
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Step:
    """One step.

    Attributes:
        line: where it is.
        number: by which ranges are chosen.
        kind: `QUERY`, `CHECK_ANSWER`, `TIME_PASSES`…
        entry: message, of kinds that have one.
        address: of the client or server, None for any.
        seconds: of TIME_PASSES.
        variable, expression: what ASSIGN sets, and to what; seconds to pass, as an expression.
        name: of the file that is compared.
        content: its expected lines.
    """

    line: int
    number: int
    kind: str
    entry: Entry | None = None
    address: bytes | None = None
    seconds: float = 0.0
    variable: str = ""
    expression: str = ""
    name: str = ""
    content: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the head: the words behind `key:`, in clause number `clause` of kind `section`."""

    line: int
    section: str
    clause: int
    key: str
    words: tuple[str, ...]

    @property
    def value(self) -> str:
        """All words, as they stood."""
        return " ".join(self.words)


@dataclass(slots=True)
class Head:
    """Settings, and the files that they name: `files` for zones, `anchors` for trust anchors, as lines of text."""

    settings: list[Setting] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)
    anchors: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Scenario:
    """A scenario as it was read."""

    title: str
    dialect: Dialect
    head: Head
    ranges: list[Range]
    steps: list[Step]
