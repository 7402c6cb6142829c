"""Answers of zones and resolvers as entries of wire bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from catenet.dns.options import PADDING
from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset, records_of
from catenet.dns.server.fast.answers import Answers, Entry, make_entry
from catenet.dns.server.request import Request
from catenet.wire.dns.message import Question, pack
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AA, AD, QR, RA, TC

__all__ = ["assemble", "entry_of"]

PADDED_TO: Final = 468
"""Bytes of which a padded answer is a multiple (RFC 8467 4.1)."""
_LONGEST: Final = 65_535


def entry_of(
    response: Response, question: Question, now: int, *, with_signatures: bool, recursion: bool, lasting: bool
) -> Entry:
    """An entry of a response. Names equal to the question's are compressed to it, so that they get the client's case.

    `recursion`: RA goes out. `lasting`: TTLs stay as they are; otherwise the entry ends a tenth early, so that the
    resolver hears of a name that is asked for again before it is gone.
    """
    name = fold(question.name)
    flags = QR | response.rcode & 15 | AA * response.authoritative | TC * response.truncated | RA * recursion
    if response.security is Security.SECURE:
        flags |= AD
    sections = [
        records_of(_named(sets, name), with_signatures)
        for sets in (response.answer, response.authority, response.additional)
    ]
    reply = pack(0, flags, question._replace(name=name), sections[0], sections[1], sections[2], None, _LONGEST)
    entry = make_entry(reply, now, lasting)
    assert entry is not None, "what is packed is well-formed"
    if not lasting:
        entry.expires -= (entry.expires - now) // 10
    return entry


def _named(sets: Iterable[RRset], name: bytes) -> list[RRset]:
    return [replace(one, name=name) if one.name != name and fold(one.name) == name else one for one in sets]


def assemble(request: Request, answers: Answers, entry: Entry, payload: int, rcode: int = 0) -> bytes:
    """The answer to a request, with its EDNS options, padded where the client asks for it; `rcode` beyond 15."""
    message = request.message
    question = message.data[12 : message.questions_end]
    if request.transport.private and request.option(PADDING) is not None:
        request.options.append((PADDING, b""))
        size = 12 + len(question) + len(entry.tail) + len(request.form(payload).opt)
        request.options[-1] = (PADDING, bytes(min(-size % PADDED_TO, max(request.limit - size, 0))))
    form = request.form(payload)
    if rcode > 15 and form.opt:
        form.opt = form.opt[:5] + bytes((rcode >> 4,)) + form.opt[6:]
    reply = answers.assemble(entry, form, question)
    opcode = message.data[2] & 0x78
    if opcode:
        reply = bytes((reply[0] | opcode,)) + reply[1:]
    if not question:
        reply = reply[:2] + b"\0\0" + reply[4:]
    return message.data[:2] + reply
