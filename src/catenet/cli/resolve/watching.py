"""`--watch`: rounds of the same questions, of which only what changed is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catenet.cli.resolve.paper import BAD, GOOD, HEAD, Paper
from catenet.cli.resolve.records import data_text, section
from catenet.cli.resolve.show import question_text

if TYPE_CHECKING:
    from catenet.cli.resolve.asking import Answer
    from catenet.cli.resolve.plan import Ask
    from catenet.cli.resolve.verdict import Finding
    from catenet.wire.dns.message import Message

__all__ = ["State", "Watch", "failed_state", "patience", "print_change", "state_of"]

LEAST_WAIT: Final = 1.0
USUAL_WAIT: Final = 10.0
"""Seconds between rounds: at least, and where no TTL says."""


@dataclass(frozen=True, slots=True)
class State:
    """What counts as a change: the code, the verdict, and the records without their TTLs."""

    head: str
    records: frozenset[str]


@dataclass(slots=True)
class Watch:
    """What each question's answer was."""

    rounds: int = 0
    changes: int = 0
    _states: dict[int, State] = field(default_factory=dict)

    def is_first(self, index: int) -> bool:
        """Whether nothing is known of a question yet."""
        return index not in self._states

    def note(self, index: int, state: State) -> State | None:
        """Keep a state; returns the one before if it was another."""
        before = self._states.get(index)
        self._states[index] = state
        if before is None or before == state:
            return None
        self.changes += 1
        return before


def state_of(answer: Answer, finding: Finding | None) -> State:
    """What an answer is, as far as changes count."""
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import rcode_to_text, type_to_text

    message = answer.reply.message
    records = frozenset(
        f"{name_to_text(one.name)} {type_to_text(one.type)} {data_text(one)}" for one in section(message, "answer")
    )
    security = f", {finding.security}" if finding is not None else ""
    return State(f"{rcode_to_text(message.rcode)}{security}", records)


def failed_state(text: str) -> State:
    """That nobody has answered."""
    return State(f"no answer: {text}", frozenset())


def print_change(paper: Paper, ask: Ask, before: State, now: State) -> None:
    """Print what is new and what has gone."""
    paper.line(f";; {time.strftime('%H:%M:%S')} {question_text(ask.question)}: {now.head}", HEAD)
    for line, style in _differences(before, now):
        paper.line(line, style)


def change_lists(before: State, now: State) -> tuple[list[str], list[str]]:
    """Records that have gone, and new ones."""
    return sorted(before.records - now.records), sorted(now.records - before.records)


def _differences(before: State, now: State) -> Iterator[tuple[str, str]]:
    gone, new = change_lists(before, now)
    yield from ((f"- {record}", BAD) for record in gone)
    yield from ((f"+ {record}", GOOD) for record in new)


def patience(messages: Sequence[Message]) -> float:
    """Seconds until the first TTL of these answers has run out (RFC 2308 5 for those without records)."""
    from catenet.wire.dns.numbers import SOA

    ttls = [one.ttl for message in messages for one in section(message, "answer")]
    ttls += [one.ttl for message in messages for one in section(message, "authority") if one.type == SOA]
    return max(LEAST_WAIT, float(min(ttls))) if ttls else USUAL_WAIT
