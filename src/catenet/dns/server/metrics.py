"""Figures for Prometheus, in its text format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from catenet.dns.server.counters import CODES, NAMES
from catenet.wire.dns.numbers import rcode_to_text

__all__ = ["CONTENT_TYPE", "figures"]

CONTENT_TYPE: Final = b"text/plain; version=0.0.4"
_GAUGES: Final = frozenset(("pending", "connections"))
_TRANSPORT: Final = "queries_"
_HELP: Final = {
    "malformed": "Messages that were no queries.",
    "dropped_by_access": "Queries that were dropped for their source.",
    "refused_by_access": "Queries that were refused for their source.",
    "bad_cookies": "Datagrams without a good cookie, where one is required.",
    "rate_dropped": "Answers that rate limits have dropped.",
    "rate_slipped": "Answers that rate limits have cut.",
    "recursive": "Questions that other servers were asked for.",
    "recursive_joined": "Questions that waited for the answer to an equal one.",
    "recursive_refused": "Questions that were too many to be begun.",
    "pending": "Questions that wait for other servers.",
    "connections": "Open connections.",
    "log_lost": "Lines that the query log had no room for.",
    "reloads": "Reloads of settings and zones.",
    "transfers": "Zones that were given to others.",
    "updates": "Updates that have changed a zone.",
}


def figures(values: Sequence[int]) -> bytes:
    """The page, of values in the order of `Counters.numbers`."""
    named = dict(zip(NAMES, values, strict=False))
    lines = ["# HELP catenet_dns_queries_total Queries by transport.", "# TYPE catenet_dns_queries_total counter"]
    for name, value in named.items():
        if name.startswith(_TRANSPORT):
            lines.append(f'catenet_dns_queries_total{{transport="{name.removeprefix(_TRANSPORT)}"}} {value}')
    lines += ["# HELP catenet_dns_answers_total Answers by response code.", "# TYPE catenet_dns_answers_total counter"]
    for code, value in enumerate(values[len(NAMES) : len(NAMES) + CODES]):
        if value or not code:
            lines.append(f'catenet_dns_answers_total{{rcode="{rcode_to_text(code)}"}} {value}')
    for name, text in _HELP.items():
        full = f"catenet_dns_{name}" + ("" if name in _GAUGES else "_total")
        kind = "gauge" if name in _GAUGES else "counter"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}", f"{full} {named[name]}"]
    return "\n".join(lines).encode() + b"\n"
