"""Header blocks that differ in their literals only: the path, a cookie, a referer.

Clients leave what differs in each request out of the dynamic table (RFC 7541 section 6.2.2), so the rest of a block is
the same bytes as long as the table is the same, and means the same. A connection keeps the shape of its last block:
bytes that stay, and between them strings. Of a block of that shape only the strings are read. What is secret is in a
connection's own blocks, and in nothing that is shared.
"""

from __future__ import annotations

from catenet.http.errors import HttpError
from catenet.http.fields import is_target, is_value
from catenet.http.h2 import huffman
from catenet.http.message import Fields, RequestHead, list_size

__all__ = ["BlockShape", "Hole", "shape_of"]

Hole = tuple[int, int, int]
"""A literal that is not indexed: the place of its field, where the string of its value begins and ends in the block."""

_HOLES = 8
_LONGEST = 2048
_STRING_MASK = 0x7F
# What is said of a message by more than that there is the field; `te` has one value that is allowed.
_NEVER = frozenset((b"host", b"content-length", b"expect", b"te"))


class BlockShape:
    """What the blocks of one shape have in common, in one state of the dynamic table."""

    __slots__ = ("_fields", "_head", "_holes", "_parts", "_path", "_size", "_tail")

    def __init__(self, block: bytes, fields: Fields, head: RequestHead, holes: list[Hole]) -> None:
        self._head = head
        begin = 0
        parts = []
        for _, start, end in holes:
            parts.append(block[begin:start])
            begin = end
        self._parts = tuple(parts)
        self._tail = block[begin:]
        pseudo = len(fields) - len(head.fields)
        self._path = -1
        self._holes: list[tuple[int, int, bytes]] = []
        for at, (place, _, _) in enumerate(holes):
            if fields[place][0] == b":path":
                self._path = at
            else:
                self._holes.append((at, place - pseudo, fields[place][0]))
        self._fields = head.fields
        self._size = list_size(fields) - sum([len(fields[place][1]) for place, _, _ in holes])

    def read(self, block: bytes, limit: int) -> RequestHead | None:
        """Return the head in a block of this shape whose fields are not over the limit; None: it is to be decoded."""
        values = self._strings(block)
        if values is None:
            return None
        size = self._size
        for value in values:
            size += len(value)
        head = self._head
        path = head.path
        if self._path >= 0:
            path = values[self._path]
            if path[:1] != b"/" or not is_target(path):
                return None
        fields = self._fields
        if self._holes:
            changed = list(fields)
            for at, place, name in self._holes:
                if not is_value(values[at]):
                    return None
                changed[place] = (name, values[at])
            fields = tuple(changed)
        if size > limit:
            return None
        made = RequestHead(head.method, path, fields, head.authority, head.scheme)
        made.usual = True
        return made

    def _strings(self, block: bytes) -> list[bytes] | None:
        """Read the strings, if what is between them is the same."""
        offset, end = 0, len(block)
        values = []
        for part in self._parts:
            if not block.startswith(part, offset):
                return None
            offset += len(part)
            if offset >= end:
                return None
            length = block[offset]
            stop = offset + 1 + (length & _STRING_MASK)
            if stop > end or length & _STRING_MASK == _STRING_MASK:
                return None
            value = block[offset + 1 : stop]
            if length > _STRING_MASK:
                try:
                    value = huffman.decode(value)
                except HttpError:
                    return None
            values.append(value)
            offset = stop
        return values if block[offset:] == self._tail else None


def shape_of(block: bytes, fields: Fields, head: RequestHead, holes: list[Hole]) -> BlockShape | None:
    """Return the shape of a block that has been read and has left the table as it was; None: it has none.

    `fields` are all of the block's, `head` is what they mean.
    """
    usual = not head.special and head.length is None and head.protocol is None and head.path[:1] == b"/"
    if not usual or not 0 < len(holes) <= _HOLES or len(block) > _LONGEST:
        return None
    for place, _, _ in holes:
        name = fields[place][0]
        if name in _NEVER or (name[:1] == b":" and name != b":path"):
            return None
    return BlockShape(block, fields, head, holes)
