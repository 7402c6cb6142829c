"""Answers that are validated before anybody gets them (RFC 4035 5)."""

from __future__ import annotations

from dataclasses import replace

from catenet.dns.resolver.context import Context
from catenet.dns.resolver.steps import Ask, Steps, ask
from catenet.dns.response import Response

__all__ = ["resolve_checked"]


def resolve_checked(context: Context, request: Ask) -> Steps[Response]:
    """Answer a question, and say how far the answer can be trusted."""
    return (yield from ask(replace(request, checked=False)))
