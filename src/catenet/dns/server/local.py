"""Local data: names of one's own, before any zone."""

from __future__ import annotations

from collections.abc import Iterable

from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import ANY, CNAME, REFUSED

__all__ = ["LocalData"]


class LocalData:
    """Record sets that are all there is at their names; names below and above are not touched."""

    def __init__(self, sets: Iterable[RRset]) -> None:
        self._names: dict[bytes, dict[int, RRset]] = {}
        for one in sets:
            self._names.setdefault(fold(one.name), {})[one.type] = one

    def __len__(self) -> int:
        return len(self._names)

    def answer(self, question: Question, dnssec_ok: bool = False, *, every_type: bool = False) -> Response:
        """The set, nothing for another type of the name, REFUSED for other names."""
        found = self._names.get(fold(question.name))
        if found is None:
            return Response(REFUSED)
        if question.type == ANY:
            sets = list(found.values())
            return Response(answer=sets if every_type else sets[:1], authoritative=True)
        one = found.get(question.type) or found.get(CNAME)
        return Response(answer=[] if one is None else [one], authoritative=True)
