"""Asking for the keys of trust anchors from time to time, so that they follow roll-overs (RFC 5011 2.3)."""

from __future__ import annotations

from typing import Final

from catenet.dns.dnssec import AnchorKeeper
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.steps import Ask, Pause, Steps, Work, ask, pause
from catenet.dns.response import Response
from catenet.wire.dns.numbers import NOERROR

__all__ = ["keep_anchors"]

LEAST_PAUSE: Final = 1.0
"""Seconds between two looks at what is due."""


def keep_anchors(context: Context, keeper: AnchorKeeper) -> Steps[Response]:
    """Ask when the keeper wants it, for as long as it follows a zone."""
    while True:
        for question in keeper.due(context.wall(context.now)):
            response = yield from ask(Ask(question, Work(), fresh=True))
            wall = context.wall(context.now)
            if response.rcode == NOERROR and response.answer:
                keeper.observe(question.name, response, wall)
            else:
                keeper.failed(question.name, wall)
        due = keeper.next_probe()
        if due is None:
            return Response()
        wait = due - context.wall(context.now)
        yield from pause(Pause(context.now + max(wait, LEAST_PAUSE)))
