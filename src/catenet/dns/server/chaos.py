"""What a server says of itself: class CH, as BIND began and RFC 4892 describes."""

from __future__ import annotations

from typing import Final

from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.dns.server.settings import ServerSettings
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import ANY, CH, REFUSED, TXT

__all__ = ["chaos"]

_VERSION: Final = frozenset(map(name_from_text, ("version.bind.", "version.server.")))
_HOSTNAME: Final = frozenset(map(name_from_text, ("hostname.bind.", "id.server.")))
_LONGEST: Final = 255


def chaos(question: Question, settings: ServerSettings) -> Response:
    """The answer to a question of class CH; REFUSED for what is not told."""
    name = fold(question.name)
    text = settings.version if name in _VERSION else settings.hostname if name in _HOSTNAME else ""
    if not text or question.type not in (TXT, ANY):
        return Response(REFUSED)
    data = text.encode()[:_LONGEST]
    return Response(answer=[RRset(question.name, TXT, 0, (bytes((len(data),)) + data,), rclass=CH)], authoritative=True)
