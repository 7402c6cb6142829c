"""One connection from its first byte to its outcome: the other end, what watches, what is told at the end."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Final

from catenet.cli import UsageError
from catenet.cli.relay.executing import Program
from catenet.cli.relay.opening import tls_facts
from catenet.cli.relay.other import Opened, Other
from catenet.cli.relay.sessions import SessionEnd
from catenet.cli.relay.watching import HexView, Recorder, both
from catenet.net.flows import Flow
from catenet.net.relay import End, Observer, Outcome, RelayOptions, relay
from catenet.net.target import Target
from catenet.printable import complain, printable_json

__all__ = ["Sessions"]

MOST_TOLD: Final = 1000
"""Connections that the object of `--json` has one by one; all are counted."""


class Sessions:
    """Runs connections, and keeps what came of them. `status` is that of the last one."""

    def __init__(
        self, args: argparse.Namespace, kind: str, urls: Sequence[str], other: Other, options: RelayOptions
    ) -> None:
        self._args = args
        self._kind = kind
        self._urls = list(urls)
        self._other = other
        self._options = options
        self._stack = contextlib.ExitStack()
        self._recorder = self._open_recorder()
        self._programs: set[Program] = set()
        self._told: list[dict[str, object]] = []
        self._sums = {"to_right": 0, "to_left": 0}
        self.count = 0
        self.status = 0

    def _open_recorder(self) -> Recorder | None:
        path = self._args.record
        if path is None:
            return None
        try:
            file: IO[str] = self._stack.enter_context(path.open("w", encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"--record {path}: {str(error.strerror).lower()}") from None
        return Recorder(file, self._urls)

    async def run(self, first: End, target: Target, *, is_left: bool) -> None:
        """Relay between `first`, the end at `target`, and the other end; `is_left`: it is the left one."""
        self.count += 1
        number = self.count
        self._log(f"connection {number}: {first.name}{_secured(first)}")
        try:
            opened = await self._other.open(target, first.name, number)
        except OSError as error:
            first.abort()
            self.status = 1
            complain(f"catenet: {error}")
            self._tell(Outcome(first.name, "", reason=str(error), failed=True), None, None)
            return
        except BaseException:
            first.abort()
            raise
        left, right = (first, opened.end) if is_left else (opened.end, first)
        if left.datagrams and right.datagrams:
            for end in (left, right):
                if isinstance(end, Flow):
                    end.whole = True
        program = opened.program
        if program is not None:
            self._programs.add(program)
        try:
            outcome = await relay(left, right, self._options, self._observer(number))
            if program is not None:
                await program.finish()
            await _finish(outcome, left, right)
        except BaseException:
            if program is not None:
                program.kill()
            raise
        finally:
            if program is not None:
                self._programs.discard(program)
        self._judge(outcome, opened, first)

    def _judge(self, outcome: Outcome, opened: Opened, first: End) -> None:
        replay = opened.replay
        if replay is not None and replay.differs is not None:
            outcome.failed = True
            outcome.reason = f"the peer says something else than the recording, from its byte {replay.differs} on"
        self.status = 1 if outcome.failed else 0
        text = f"{outcome.reason} ({outcome.to_right} bytes >, {outcome.to_left} bytes <, {outcome.seconds:.3f} s)"
        if outcome.failed:
            complain(f"catenet: {outcome.reason}")
        self._log(f"{outcome.left} > {outcome.right}: {text}")
        self._tell(outcome, tls_facts(first), opened)

    def _tell(self, outcome: Outcome, tls: dict[str, object] | None, opened: Opened | None) -> None:
        self._sums["to_right"] += outcome.to_right
        self._sums["to_left"] += outcome.to_left
        if len(self._told) >= MOST_TOLD:
            return
        told: dict[str, object] = {**asdict(outcome), "seconds": round(outcome.seconds, 6)}
        if tls is not None:
            told["tls"] = tls
        if opened is not None and isinstance(opened.end, Flow):
            told["dropped"] = opened.end.dropped
        self._told.append(told)

    def _observer(self, number: int) -> Observer:
        observers: list[Observer] = []
        if self._args.hex:
            observers.append(HexView(number if self._kind == "listen" else 0))
        if self._recorder is not None:
            observers.append(self._recorder.of(number))
        return both(observers) if observers else _nobody

    def kill(self) -> None:
        """End all programs at once: the process does not wait for them."""
        for program in self._programs:
            program.kill()

    def finish(self) -> None:
        """Say what came of all, if that was asked for."""
        self._stack.close()
        if not self._args.json:
            return
        if self._kind == "connect":
            whole = {"kind": self._kind, "urls": self._urls, **(self._told[0] if self._told else {})}
        else:
            whole = {"kind": self._kind, "urls": self._urls, "count": self.count, **self._sums}
            whole["connections"] = self._told
        print(printable_json(json.dumps(whole, ensure_ascii=False)))

    def fail(self, reason: str) -> None:
        """There was no connection."""
        self.status = 1
        complain(f"catenet: {reason}")
        self._told.append({"reason": reason, "failed": True})

    def set_urls(self, urls: Sequence[str]) -> None:
        """The true ports are known."""
        self._urls[: len(urls)] = urls

    def _log(self, text: str) -> None:
        if self._args.verbose:
            complain(text)


def _nobody(sign: str, data: object) -> None:
    """Nobody watches."""


async def _finish(outcome: Outcome, *ends: End) -> None:
    """Let sessions end in order: what was written has arrived only when it is acknowledged."""
    for end in ends:
        if isinstance(end, SessionEnd):
            try:
                await end.finish()
            except OSError as error:
                if not outcome.failed:
                    outcome.reason, outcome.failed = f"{end.name}: {error}", True


def _secured(end: End) -> str:
    facts = tls_facts(end)
    if facts is None:
        return ""
    return " (" + ", ".join(str(value) for value in facts.values() if value) + ")"
