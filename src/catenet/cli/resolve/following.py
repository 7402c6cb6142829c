"""Carries out `--trace`: walks, judges, prints."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from catenet.cli import UsageError
from catenet.cli.resolve.asking import Session
from catenet.cli.resolve.hints import Hints, asked_hints, known_hints, read_hints
from catenet.cli.resolve.needs import need
from catenet.cli.resolve.paper import Paper
from catenet.cli.resolve.servers import Habits, system_servers
from catenet.cli.resolve.show_trace import print_last, print_step, step_json, trace_json
from catenet.cli.resolve.tracing import Step, Tracer
from catenet.cli.resolve.verdict import Finding

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.dns.dnssec import TrustAnchors
    from catenet.wire.dns.record import Record

__all__ = ["Following", "failures_text"]

SEVERITY: Final = ("secure", "insecure", "indeterminate", "bogus")


class Following:
    """The traces of one call; what one has come by serves the next.

    Args:
        args: of the command line.
        session: by which it asks.
        paper: where steps go as they are made; None keeps them for JSON.
        anchors: what is trusted; a text says why nothing is.
        port: of the servers on the way.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        session: Session,
        paper: Paper | None,
        anchors: TrustAnchors | str,
        port: int,
    ) -> None:
        need("catenet.dns.resolver", "--trace")
        self._args = args
        self._session = session
        self._paper = paper
        self._anchors = anchors
        self._port = port
        self._file = None if args.root_hints is None else read_hints(args.root_hints)
        self._tracers: dict[str, Tracer] = {}
        self.json: dict[str, Any] = {}
        """The last trace."""

    async def run(self, ask: Ask) -> tuple[Step, Finding]:
        """Walk to an answer, and say what it is worth. Raises OSError when the servers of the line name no root."""
        from catenet.dns.rrset import records_of

        tracer = await self._tracer(ask)
        shown: list[dict[str, Any]] = []
        worst = Finding("secure")
        last: Step | None = None
        links: list[Record] = []
        async with contextlib.aclosing(tracer.walk(ask)) as steps:
            async for step in steps:
                if last is not None:
                    self._show(ask, last, shown)
                if step.reading is not None and not step.reading.zone:
                    worst = _worse(worst, await tracer.judge(ask, step))
                if step.reading is not None and step.reading.target:
                    links += records_of(step.reading.response.answer)
                last = step
        assert last is not None
        shown.append(step_json(last))
        self.json = trace_json(ask, shown, last, links, worst)
        if self._paper is not None and last.reply is not None:
            print_last(self._paper, ask, last, links, None if self._args.no_validate else worst)
        return last, worst

    def _show(self, ask: Ask, step: Step, shown: list[dict[str, Any]]) -> None:
        shown.append(step_json(step))
        if self._paper is not None and not ask.options.short:
            print_step(self._paper, ask, step)

    async def _tracer(self, ask: Ask) -> Tracer:
        scheme = "tcp" if ask.options.tcp else "udp"
        key = f"{scheme} {[server.text for server in ask.servers]}"
        if key not in self._tracers:
            hints = await self._hints(ask)
            anchors = None if isinstance(self._anchors, str) else self._anchors
            is_private = self._args.trust_anchor is not None
            tracer = Tracer(self._session, hints, scheme, self._port, anchors, is_private, self._args.explain)
            self._tracers[key] = tracer
        return self._tracers[key]

    async def _hints(self, ask: Ask) -> Hints:
        """The root's servers: of the file, of the servers of the line, of the machine's servers, or the public ones.

        As with dig the machine's servers are asked first, since they know where names come from in a private network or
        in a world; who asks nothing of them names a file.
        """
        if ask.servers:
            return await asked_hints(ask, self._session)
        if self._file is not None:
            return self._file
        try:
            options = replace(ask.options, tries=1)
            servers = system_servers(ask.options, Habits(self._args.version))
            return await asked_hints(replace(ask, servers=tuple(servers), options=options), self._session)
        except (OSError, UsageError):
            return known_hints()


def _worse(first: Finding, second: Finding) -> Finding:
    return max((first, second), key=lambda one: SEVERITY.index(one.security))


def failures_text(failures: Sequence[str]) -> str:
    """Why there is no answer, a line for each server."""
    return "\n".join(dict.fromkeys(failures)) or "no answer"
