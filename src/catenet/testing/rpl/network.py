"""The servers of a scenario: which queries are open, and what answers them at a step."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from catenet.testing.rpl.compare import difference
from catenet.testing.rpl.syntax import Dialect, Entry, Scenario
from catenet.wire.dns.message import Message, Question, parse
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import class_to_text, type_to_text
from catenet.wire.dns.stub import Server

__all__ = ["Network", "Pending", "question_to_text"]


@dataclass(slots=True)
class Pending:
    """A query of the resolver that waits for its answer."""

    token: int
    server: Server
    transport: str
    message: Message

    def __str__(self) -> str:
        where = ipaddress.ip_address(self.server.address)
        return f"{question_to_text(self.message.question)} to {where} by {self.transport}"


class Network:
    """Open queries, the newest first, as testbound has them."""

    def __init__(self, scenario: Scenario) -> None:
        self._dialect: Final = scenario.dialect
        # Testbound looks through the ranges from the last to the first.
        is_unbound = scenario.dialect is Dialect.UNBOUND
        self._ranges: Final = scenario.ranges[::-1] if is_unbound else scenario.ranges
        self._addresses: Final = {one for found in scenario.ranges for one in found.addresses}
        self._for_all: Final = any(not found.addresses for found in scenario.ranges)
        self._one_shots: Final = [step for step in scenario.steps if step.kind == "REPLY"]
        self.pending: list[Pending] = []
        self.fired: set[int] = set()
        """Lines of the entries that have answered."""

    def add(self, token: int, server: Server, transport: str, data: bytes) -> Pending:
        """A query is on its way."""
        self.drop(token)
        one = Pending(token, server, transport, parse(data))
        self.pending.insert(0, one)
        return one

    def drop(self, token: int) -> None:
        """A query is not waited for any more."""
        self.pending = [one for one in self.pending if one.token != token]

    def matches(self, entry: Entry, one: Pending) -> bool:
        """Whether a query is the one of an entry."""
        return difference(entry, one.message, one.transport, self._dialect) is None

    def find(self, one: Pending, step: int) -> Entry | None:
        """The entry that answers a query at a step."""
        for found in self._ranges:
            if not found.first <= step <= found.last:
                continue
            if found.addresses and one.server.address not in found.addresses:
                continue
            for entry in found.entries:
                if self.matches(entry, one):
                    return entry
            if self._dialect is Dialect.DECKARD:
                return None
        return self._find_one_shot(one, step) if self._dialect is Dialect.DECKARD else None

    def _find_one_shot(self, one: Pending, step: int) -> Entry | None:
        for candidate in self._one_shots:
            if candidate.number >= step and candidate.entry is not None and self.matches(candidate.entry, one):
                self._one_shots.remove(candidate)
                return candidate.entry
        return None

    def is_known(self, address: bytes) -> bool:
        """Whether some server of the scenario has this address."""
        return self._for_all or address in self._addresses or bool(self._one_shots)


def question_to_text(question: Question | None) -> str:
    """A question in a line."""
    if question is None:
        return "no question"
    return f"{name_to_text(question.name)} {class_to_text(question.rclass)} {type_to_text(question.type)}"
