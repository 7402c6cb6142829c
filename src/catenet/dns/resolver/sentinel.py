"""Telling whether a key of the root is trusted here, by names that whoever rolls keys asks for (RFC 8509)."""

from __future__ import annotations

from typing import Final

from catenet.dns.dnssec import TrustAnchors
from catenet.dns.response import Response, Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT
from catenet.wire.dns.numbers import AAAA, SERVFAIL, A

__all__ = ["says_no"]

_IS: Final = b"root-key-sentinel-is-ta-"
_IS_NOT: Final = b"root-key-sentinel-not-ta-"
_DIGITS: Final = 5


def says_no(anchors: TrustAnchors, question: Question, response: Response) -> bool:
    """Whether a secure answer has to be SERVFAIL, as the key of that number is (not) trusted; the name is folded."""
    name = question.name
    if question.type not in (A, AAAA) or response.security is not Security.SECURE or response.rcode == SERVFAIL:
        return False
    label = name[1 : 1 + name[0]]
    for prefix, wanted in ((_IS, True), (_IS_NOT, False)):
        digits = label.removeprefix(prefix)
        if digits != label and len(digits) == _DIGITS and digits.isdigit():
            return (int(digits) in _tags(anchors)) is not wanted
    return False


def _tags(anchors: TrustAnchors) -> set[int]:
    anchor = anchors.get(ROOT)
    if anchor is None:
        return set()
    return {one.tag for one in anchor.digests} | {one.tag for one in anchor.keys}
