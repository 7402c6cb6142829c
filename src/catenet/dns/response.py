"""What an authority, a resolver or a cache answers, before and after it is a message."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from catenet.dns.errors import ExtendedError
from catenet.dns.rrset import RRset, records_of, rrsets_from_records
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message, pack
from catenet.wire.dns.numbers import AA, AD, CD, NOERROR, QR, RA, RD, TC

__all__ = ["DROPPED", "ExtendedError", "Response", "Security", "pack_response", "response_from_message"]

_LEAST_PAYLOAD: Final = 512
DROPPED: Final = -1
"""As response code: nothing is said at all."""


class Security(enum.Enum):
    """What validation found (RFC 4035 4.3)."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    INDETERMINATE = "indeterminate"


@dataclass(slots=True)
class Response:
    """An answer as record sets.

    Attributes:
        rcode: response code, with the high bits of EDNS.
        answer, authority, additional: record sets of each section, without OPT.
        authoritative: an authority for the name says so (AA).
        truncated: the message was cut (TC).
        recursion: the server recurses (RA).
        security: what validation found; a SECURE answer goes out with AD to who wants to know.
        reason: why it is bogus or insecure, in words.
        errors: extended errors.
        raw_flags: flags as they came, of one that was received.
        glue: so many of the first additional sets must not be left out: without one the message is cut (RFC 9471 3).
    """

    rcode: int = NOERROR
    answer: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)
    additional: list[RRset] = field(default_factory=list)
    authoritative: bool = False
    truncated: bool = False
    recursion: bool = False
    security: Security = Security.INDETERMINATE
    reason: str = ""
    errors: list[ExtendedError] = field(default_factory=list)
    raw_flags: int = 0
    glue: int = 0


def response_from_message(message: Message) -> Response:
    """The record sets of a message. Raises Malformed for records that cannot be read."""
    return Response(
        message.rcode,
        rrsets_from_records(message.answer),
        rrsets_from_records(message.authority),
        rrsets_from_records(message.additional),
        bool(message.flags & AA),
        bool(message.flags & TC),
        bool(message.flags & RA),
        raw_flags=message.flags,
    )


def pack_response(
    response: Response, query: Message, edns: Edns | None, limit: int, options: tuple[tuple[int, bytes], ...] = ()
) -> bytes:
    """The answer to a query as a message.

    Args:
        response: what to say.
        query: what was asked; id, question, RD and CD come from it.
        edns: what the query's OPT record says, None without one: then neither OPT record nor signatures go out.
        limit: bytes that the transport takes; with UDP the least of that and of what the client takes.
        options: EDNS options besides extended errors.
    """
    with_signatures = edns is not None and bool(edns.flags & DNSSEC_OK)
    flags = QR | query.flags & (RD | CD) | query.opcode << 11 | response.rcode & 15
    flags |= AA * response.authoritative | RA * response.recursion | TC * response.truncated
    if response.security is Security.SECURE and (with_signatures or query.flags & AD):
        flags |= AD
    ours: Edns | None = None
    if edns is not None:
        told = [one.option for one in response.errors]
        ours = Edns(flags=edns.flags & DNSSEC_OK, options=(*options, *told), extended_rcode=response.rcode >> 4)
    glue = records_of(response.additional[: response.glue], with_signatures)
    return pack(
        query.id,
        flags,
        query.question,
        records_of(response.answer, with_signatures),
        records_of(response.authority, with_signatures),
        glue + records_of(response.additional[response.glue :], with_signatures),
        ours,
        max(limit, _LEAST_PAYLOAD),
        len(glue),
    )
