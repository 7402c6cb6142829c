"""Everything of a query but its question: header, OPT record. Clients have few such forms, which are read once each.

A query of the common kind is header, question and, with EDNS, an OPT record of eleven bytes at its end. What lies
between is the question if it equals one that is known to be valid; so nothing of a query is parsed here that has an
answer already.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LEAST_LIMIT", "Form", "Forms"]

LEAST_LIMIT: Final = 512
"""Bytes that a client without EDNS takes (RFC 1035 4.2.1)."""
_MOST_FORMS: Final = 256
"""Forms that are kept; a client that makes up others is served as well, but slower."""
_OPT_HEAD: Final = b"\0\0\x29"
_NO_RECORDS: Final = b"\0\1\0\0\0\0\0"
"""QDCOUNT 1, ANCOUNT 0, NSCOUNT 0, high byte of ARCOUNT."""


class Form:
    """One of them.

    Attributes:
        cut: bytes behind the question.
        limit: bytes that the client takes.
        prefix: what keys of answers to such queries begin with: RD, CD and DO make different ones.
        index: which of an entry's heads it gets.
        opt: OPT record of the answer.
    """

    __slots__ = ("cut", "index", "limit", "opt", "prefix")

    def __init__(self, cut: int, limit: int, prefix: bytes, index: int, opt: bytes) -> None:
        self.cut = cut
        self.limit = limit
        self.prefix = prefix
        self.index = index
        self.opt = opt


class Forms:
    """Forms by the bytes that make them. `most`: bytes that the transport takes; `payload`: what our OPT record says.

    Over a stream (`stream`) a client takes whatever fits into a message.
    """

    __slots__ = ("_most", "_payload", "_stream", "known")

    def __init__(self, most: int, payload: int, stream: bool = False) -> None:
        self._most = most
        self._payload = payload
        self._stream = stream
        self.known: dict[bytes, Form] = {}

    def read(self, signature: bytes) -> Form | None:
        """The form of a signature: bytes 2 to 12 of a query, and its last eleven if it has an additional record.

        None for what is no plain query: a response, another opcode, other counts, EDNS with options or of another
        version.
        """
        high, low = signature[0], signature[1]
        if high & 0xFA or signature[2:9] != _NO_RECORDS:  # QR, opcode, TC
            return None
        index = high & 1 | (2 if low & 0x10 else 0) | (4 if low & 0x20 else 0)
        limit, cut, opt, with_signatures = LEAST_LIMIT, 0, b"", 0
        if signature[9] == 1:
            if len(signature) != 21 or signature[10:13] != _OPT_HEAD or signature[16] or signature[19] or signature[20]:
                return None
            cut, limit = 11, max(signature[13] << 8 | signature[14], LEAST_LIMIT)
            with_signatures = signature[17] & 0x80
            opt = _OPT_HEAD + self._payload.to_bytes(2, "big") + b"\0\0" + bytes((with_signatures, 0, 0, 0))
            index |= 8 | (4 if with_signatures else 0)
        elif signature[9]:
            return None
        limit = self._most if self._stream else min(limit, self._most)
        prefix = bytes((index & 3 | (4 if with_signatures else 0),))
        form = Form(cut, limit, prefix, index, opt)
        if len(self.known) < _MOST_FORMS:
            self.known[signature] = form
        return form
