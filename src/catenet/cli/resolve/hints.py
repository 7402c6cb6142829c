"""Where a trace begins: the servers of the root, from a file, from a server, or as they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.resolve.asking import Session

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.wire.dns.message import Message

__all__ = ["Hints", "asked_hints", "known_hints", "read_hints"]

MOST_ASKED: Final = 4
"""Servers of the root whose addresses are asked for when none came with their names."""

Hints = Mapping[bytes, Sequence[bytes]]


def known_hints() -> Hints:
    """Those of the public root."""
    from catenet.dns.resolver.config import DEFAULT_HINTS

    return DEFAULT_HINTS


def read_hints(path: Path) -> Hints:
    """The root's servers of a file (master format). Raises UsageError."""
    from catenet.dns.master.tokens import ZoneError
    from catenet.dns.resolver.hints import read_hints as hints_of

    try:
        return hints_of(path)
    except ZoneError as error:
        raise UsageError(f"--root-hints {error}") from None


async def asked_hints(ask: Ask, session: Session) -> Hints:
    """The root's servers as the servers of the command line name them, as dig does. Raises OSError."""
    from catenet.wire.dns.message import Question
    from catenet.wire.dns.name import fold
    from catenet.wire.dns.numbers import AAAA, NS, A

    async def answer(name: bytes, kind: int) -> Message:
        options = replace(ask.options, trace=False)
        return (await session.ask(replace(ask, question=Question(name, kind), options=options))).reply.message

    message = await answer(b"\0", NS)
    found: dict[bytes, list[bytes]] = {fold(one.data): [] for one in message.answer if one.type == NS}
    for one in message.additional:
        if one.type in (A, AAAA) and fold(one.name) in found:
            found[fold(one.name)].append(one.data)
    known = known_hints()
    if found and found.keys() <= known.keys():
        return {name: known[name] for name in found}  # the public root: we know where its servers are
    for name in list(found)[:MOST_ASKED]:
        if not any(found.values()):
            for kind in (A, AAAA):
                found[name] += [one.data for one in (await answer(name, kind)).answer if one.type == kind]
    if not any(found.values()):
        raise OSError("the server names no servers of the root")
    return found
