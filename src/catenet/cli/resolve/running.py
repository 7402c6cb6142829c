"""One round of questions, or rounds without end (`--watch`): ask, judge, print, and the exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

from catenet.cli.resolve.as_json import answer_json, failure_json
from catenet.cli.resolve.as_yaml import answer_yaml, failure_yaml
from catenet.cli.resolve.asking import Answer, Session, make_query, reason, with_dnssec
from catenet.cli.resolve.following import Following, failures_text
from catenet.cli.resolve.paper import Paper
from catenet.cli.resolve.plan import Ask, Plan
from catenet.cli.resolve.searching import print_versions, search_servers, versions_json
from catenet.cli.resolve.show import failure_lines, print_answer
from catenet.cli.resolve.signing import read_signature
from catenet.cli.resolve.transferring import Transfer, is_transfer, over_streams
from catenet.cli.resolve.validating import Validator, read_anchors
from catenet.cli.resolve.verdict import Finding
from catenet.cli.resolve.watching import State, Watch, failed_state, patience, print_change, state_of
from catenet.printable import complain, printable_json

if TYPE_CHECKING:
    from catenet.dns.client import Client
    from catenet.dns.client.discovery import Designated
    from catenet.wire.dns.message import Message

__all__ = ["Runner"]

FAILED: Final = 1
NO_ANSWER: Final = 9
"""Exit status when no server answers, as dig's."""
BOGUS: Final = 10


class Runner:
    """Carries a command line out."""

    def __init__(self, args: argparse.Namespace, plan: Plan, client: Client, unverified: Client | None = None) -> None:
        self._asks = [over_streams(ask) if is_transfer(ask) else ask for ask in plan.asks]
        self._interval = plan.watch
        self._port = plan.port
        self._source: tuple[str, int] | None = args.source
        self._json: bool = args.json
        self._session = Session(client, args.version, read_signature(args), unverified, self._designated)
        self._is_unchecked: bool = args.no_validate
        anchors = read_anchors(args)
        self._validator: Validator | str
        if isinstance(anchors, str):
            self._validator = anchors
        else:
            self._validator = Validator(anchors, self._session, args.trust_anchor is not None, args.explain)
        self._paper = Paper()
        self._following: Following | None = None
        if any(ask.options.trace for ask in plan.asks):
            paper = None if self._json else self._paper
            self._following = Following(args, self._session, paper, anchors, plan.port)
        self._watch = Watch()
        self._results: list[dict[str, Any]] = []
        self._messages: list[Message] = []
        """The answers of this round."""

    async def run(self) -> int:
        """Ask all questions; returns the worst status."""
        if self._interval is not None:
            await self._rounds(self._interval)
        status = await self._round()
        if self._json:
            whole = self._results[0] if len(self._asks) == 1 else {"results": self._results}
            print(printable_json(json.dumps(whole, ensure_ascii=False)))
        return status

    def _designated(self, server: str, found: Designated) -> None:
        how = "verified" if found.verified else "opportunistic: its certificate is not"
        if not self._json:
            self._paper.line(f";; {server} designates {found.name} {found.url} ({how})")

    async def _rounds(self, interval: float) -> None:
        """Ask again and again, until Ctrl-C."""
        try:
            while True:
                self._messages.clear()
                await self._round()
                self._watch.rounds += 1
                await asyncio.sleep(interval or patience(self._messages))
        finally:
            if not self._json:
                self._paper.line(f";; {self._watch.rounds} rounds, {self._watch.changes} changes")

    async def _round(self) -> int:
        status = 0
        for index, ask in enumerate(self._asks):
            if self._following is not None and ask.options.trace:
                status = max(status, await self._trace(index, ask, self._following))
            elif ask.options.nssearch:
                status = max(status, await self._search(index, ask))
            elif is_transfer(ask):
                status = max(status, await self._transfer(ask))
            else:
                status = max(status, await self._one(index, ask))
        return status

    async def _one(self, index: int, ask: Ask) -> int:
        try:
            query = make_query(ask.options, ask)
            if not isinstance(self._validator, str) and self._validator.covers(ask):
                query = with_dnssec(query)
            answer = await self._session.ask(ask, query)
        except OSError as error:
            self._failed(index, ask, reason(error))
            return NO_ANSWER
        self._messages.append(answer.reply.message)
        if isinstance(self._validator, str):
            finding = Finding("indeterminate", self._validator)
        else:
            finding = await self._validator.judge(ask, answer)
        self._show(index, ask, answer, finding)
        if finding.security == "bogus":
            return BOGUS
        return 0 if answer.reply.message.rcode in (0, 3) else FAILED

    def _show(self, index: int, ask: Ask, answer: Answer, finding: Finding) -> None:
        is_first = self._watch.is_first(index)
        if self._interval is not None and not self._changed(index, ask, state_of(answer, finding)) and not is_first:
            return
        if self._json:
            self._put(answer_json(ask, answer, finding))
        elif ask.options.yaml and not ask.options.short:
            for line in answer_yaml(ask, answer, self._source, time.time()):
                self._paper.line(line)
        elif self._interval is None or is_first:
            print_answer(self._paper, ask, answer, None if self._is_unchecked else finding)

    def _changed(self, index: int, ask: Ask, state: State) -> bool:
        """Note a state, and print what is new in it."""
        before = self._watch.note(index, state)
        if before is None:
            return False
        if not self._json:
            print_change(self._paper, ask, before, state)
        return True

    def _put(self, whole: dict[str, Any]) -> None:
        if self._interval is None:
            self._results.append(whole)
        else:
            print(printable_json(json.dumps(whole, ensure_ascii=False)), flush=True)

    async def _trace(self, index: int, ask: Ask, following: Following) -> int:
        try:
            step, finding = await following.run(ask)
        except OSError as error:
            self._failed(index, ask, reason(error))
            return NO_ANSWER
        if step.reply is None:
            self._complain(ask, failures_text(step.failures))
        if self._json:
            self._put(following.json)
        if step.reply is None:
            return NO_ANSWER
        self._messages.append(step.reply.message)
        return BOGUS if finding.security == "bogus" else 0 if step.reply.message.rcode in (0, 3) else FAILED

    async def _search(self, index: int, ask: Ask) -> int:
        try:
            versions = await search_servers(ask, self._session, self._port)
        except OSError as error:
            self._failed(index, ask, reason(error))
            return NO_ANSWER
        if self._json:
            self._put(versions_json(ask, versions))
        else:
            print_versions(self._paper, versions)
        return 0 if any(one.soa for one in versions) else NO_ANSWER

    async def _transfer(self, ask: Ask) -> int:
        transfer = Transfer(ask, self._session, None if self._json else self._paper)
        try:
            await transfer.run()
        except OSError as error:
            self._complain(ask, reason(error))
            if self._json:
                self._put(failure_json(ask, reason(error)))
            return NO_ANSWER if not transfer.records else FAILED
        if self._json:
            self._put(transfer.json())
        else:
            transfer.print_end(self._paper)
        return FAILED if transfer.rcode else 0

    def _failed(self, index: int, ask: Ask, text: str) -> None:
        if self._interval is not None:
            is_first = self._watch.is_first(index)
            if not self._changed(index, ask, failed_state(text)) and not is_first:
                return
        if self._json:
            self._put(failure_json(ask, text))
        elif ask.options.yaml:
            for line in failure_yaml(text):
                self._paper.line(line)
        self._complain(ask, text)

    def _complain(self, ask: Ask, text: str) -> None:
        for line in failure_lines(ask, text):
            complain(line)
