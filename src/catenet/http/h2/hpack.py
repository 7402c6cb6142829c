"""HPACK (RFC 7541) as a memoised automaton.

A decoder is a function of its dynamic table and a header block: it yields fields and the next table. Both tables and
fields are immutable values here, so each pair (table, block) is computed once and looked up from then on, for *all*
connections that share a `Memo`: the thousandth connection of one client library finds every block it sends
already decoded, and an idle connection owns a reference instead of a table. Encoding is the same the other way.

Blocks with never-indexed literals (section 7.1.3) are not remembered, nor are long ones.

Encoder policy: fields enter the dynamic table as long as there is room and nothing is ever evicted. Indices then change
only when something is inserted, and soon nothing is; what does not fit goes as a literal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from catenet.http.errors import ErrorCode, HttpError, PeerLimit
from catenet.http.h2 import huffman
from catenet.http.h2.shapes import BlockShape, Hole, shape_of
from catenet.http.h2.static import (
    NEVER_INDEXED,
    NOT_WORTH_INDEXING,
    STATIC,
    STATIC_COUNT,
    STATIC_FIELD,
    STATIC_NAME,
)
from catenet.http.message import FIELD_OVERHEAD as ENTRY_OVERHEAD  # section 4.1
from catenet.http.message import Fields, RequestHead, list_size

__all__ = ["Decoder", "Encoder", "Memo", "Table"]

Field = tuple[bytes, bytes]
T = TypeVar("T")

DEFAULT_TABLE_SIZE = 4096
_MEMO_BLOCK_LIMIT = 1024
_MEMO_LIST_LIMIT = 8192
_MEMO_BLOCKS = 2048
_MEMO_TABLES = 512
_MEMO_ONCE = 4096
_MISSES = 4
"""Blocks of one connection that were new, until their shape is kept."""

_BREAK = re.compile(rb"[\r\n\0]").search


class Table:
    """A dynamic table, immutable. `entries` is newest first for a decoder, oldest first for an encoder."""

    __slots__ = ("after", "entries", "limit", "size")

    def __init__(self, entries: tuple[Field, ...], size: int, limit: int) -> None:
        self.entries = entries
        self.size = size
        self.limit = limit
        self.after: dict[Any, tuple[Any, Table]] = {}


class Memo:
    """The tables and transitions that the decoders (or encoders) of many connections share; bounded."""

    __slots__ = ("_count", "_filled", "_once", "_tables", "start")

    def __init__(self) -> None:
        self._tables: dict[tuple[tuple[Field, ...], int], Table] = {}
        self._filled: list[Table] = []
        self._count = 0
        self._once: set[int] = set()
        self.start = self.table([], 0, DEFAULT_TABLE_SIZE)

    def table(self, entries: list[Field], size: int, limit: int) -> Table:
        """Return the one table with that content."""
        key = (tuple(entries), limit)
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _MEMO_TABLES:
                self._tables.clear()
            table = self._tables[key] = Table(key[0], size, limit)
        return table

    def comes_again(self, block: bytes) -> bool:
        """Whether a block that is worth remembering has come before; of what has not, only a hash is kept."""
        once, number = self._once, hash(block)
        if number in once:
            return len(block) <= _MEMO_BLOCK_LIMIT
        if len(once) >= _MEMO_ONCE:
            once.clear()
        once.add(number)
        return False

    def remember(self, table: Table, key: Any, result: Any, following: Table) -> None:
        """Store a transition; when there are too many, forget all rather than keep score."""
        self._count += 1
        if self._count > _MEMO_BLOCKS:
            for filled in self._filled:
                filled.after.clear()
            self._filled.clear()
            self._tables.clear()
            self._tables[self.start.entries, self.start.limit] = self.start
            self._count = 0
        if not table.after:
            self._filled.append(table)
        table.after[key] = (result, following)


class Decoder(Generic[T]):
    """One direction of one connection. `interpret` turns fields into what the caller wants to have remembered.

    A field list over `list_limit` is counted but not built. One of more than `list_factor` times as much ends the
    connection: a byte can stand for a field of 4 KB, and every field costs time even if nobody keeps it. `overrun` is
    how many whole limits the last list over the limit came to.
    """

    __slots__ = ("_interpret", "_list_factor", "_list_limit", "_memo", "_misses", "_shape", "_shape_secret",
                 "_shape_table", "_table", "_table_limit", "overrun")  # fmt: skip

    def __init__(
        self,
        interpret: Callable[[Fields], T],
        memo: Memo,
        list_limit: int,
        table_limit: int = DEFAULT_TABLE_SIZE,
        list_factor: int = 16,
    ) -> None:
        self._interpret = interpret
        self._memo = memo
        self._list_limit = list_limit
        self._list_factor = list_factor
        self._table_limit = table_limit
        self.overrun = 0
        self._table = memo.start
        # What the last new block looked like, and in which state of the table; how many were new.
        self._shape: BlockShape | None = None
        self._shape_table = memo.start
        self._shape_secret = False
        self._misses = 0

    @property
    def table(self) -> Table:
        """What a decoder that goes on from here needs to know."""
        return self._table

    def resume(self, table: Table) -> None:
        """Go on from where another decoder was."""
        self._table = table

    def decode(self, block: bytes) -> T | None:
        """Decode one header block; None if the fields are over the limit.

        Raises `HttpError` if the block is wrong (COMPRESSION_ERROR) or its fields are far over the limit
        (ENHANCE_YOUR_CALM), and whatever `interpret` raises. In the last case, as in that of None, the table is what
        the block made it, and the connection can go on.
        """
        known = self._table.after.get(block)
        if known is not None:
            self._table = known[1]
            value: T = known[0]
            return value
        before = self._table
        if self._shape is not None and before is self._shape_table:
            head = self._shape.read(block, self._list_limit)
            if head is not None:
                if not self._shape_secret and self._memo.comes_again(block):
                    self._memo.remember(before, block, head, before)
                return cast(T, head)
        work = _Decoding(block, before, self._table_limit, self._list_limit, self._list_factor)
        work.run()
        if work.changed:
            self._table = self._memo.table(work.entries, work.size, work.limit)
        if work.list_size > self._list_limit:
            self.overrun = work.list_size // max(self._list_limit, 1)
            return None
        fields = tuple(work.fields)
        result = self._interpret(fields)
        if not work.changed and type(result) is RequestHead:
            self._note_shape(block, fields, cast(RequestHead, result), work)
        if len(block) <= _MEMO_BLOCK_LIMIT and not work.secret:
            self._memo.remember(before, block, result, self._table)
        return result

    def _note_shape(self, block: bytes, fields: Fields, head: RequestHead, work: _Decoding) -> None:
        """A block was new: if that comes often, the next is likely to have its shape."""
        self._misses += 1
        if self._misses >= _MISSES:
            self._shape = shape_of(block, fields, head, work.holes)
            self._shape_table = self._table
            self._shape_secret = work.secret


class _Decoding:
    """The decoding of one block that was not seen before in this table."""

    __slots__ = ("_block", "_list_factor", "_max_limit", "_max_list", "_offset", "changed", "entries", "fields",
                 "holes", "limit", "list_size", "secret", "size")  # fmt: skip

    def __init__(self, block: bytes, table: Table, max_limit: int, max_list: int, list_factor: int) -> None:
        self._block = block
        self._offset = 0
        self._max_limit = max_limit
        self._max_list = max_list
        self._list_factor = list_factor
        self.entries = list(table.entries)
        self.size = table.size
        self.limit = table.limit
        self.fields: list[Field] = []
        self.holes: list[Hole] = []
        self.list_size = 0
        self.changed = False
        self.secret = False

    def run(self) -> None:
        """Read all representations (section 6)."""
        block, fields, entries, limit = self._block, self.fields, self.entries, self._max_list
        end, offset, size = len(block), 0, 0
        while offset < end:
            first = block[offset]
            # What nearly all are: indexed, in one byte.
            if 0x80 < first <= 0x80 + STATIC_COUNT:
                field = STATIC[first - 0x81]
            elif 0x80 + STATIC_COUNT < first < 0xFF and first - 0x81 - STATIC_COUNT < len(entries):
                field = entries[first - 0x81 - STATIC_COUNT]
            else:
                self._offset, self.list_size = offset, size
                self._read(first)
                offset, size = self._offset, self.list_size
                continue
            offset += 1
            size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
            if size <= limit:
                fields.append(field)
            elif size > self._list_factor * limit:
                raise HttpError("fields are far over the limit", ErrorCode.ENHANCE_YOUR_CALM)
        self.list_size = size

    def _read(self, first: int) -> None:
        """Read one representation that begins with `first`."""
        if first & 0x80:
            self._emit(self._entry(self._integer(7)))
        elif first & 0x40:
            field = self._name(6), self._string()
            self._insert(field)
            self._emit(field)
        elif first & 0x20:
            self._resize(self._integer(5))
        else:
            self.secret |= first & 0x10 != 0
            name = self._name(4)
            start = self._offset
            value = self._string()
            self.holes.append((len(self.fields), start, self._offset))
            self._emit((name, value))

    def _emit(self, field: Field) -> None:
        # Counted on after the limit too, but no longer kept: the table must still follow to the end of the block.
        self.list_size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        if self.list_size <= self._max_list:
            self.fields.append(field)
        elif self.list_size > self._list_factor * self._max_list:
            raise HttpError("fields are far over the limit", ErrorCode.ENHANCE_YOUR_CALM)

    def _entry(self, index: int) -> Field:
        if 1 <= index <= STATIC_COUNT:
            return STATIC[index - 1]
        if 0 < index <= STATIC_COUNT + len(self.entries):
            return self.entries[index - STATIC_COUNT - 1]
        raise _wrong(f"index {index} is in no table")

    def _name(self, bits: int) -> bytes:
        index = self._integer(bits)
        return self._entry(index)[0] if index else self._string()

    def _insert(self, field: Field) -> None:
        size = len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        self.changed = True
        self._evict(self.limit - size)
        if size <= self.limit:  # section 4.4: a larger one empties the table and is no error
            self.entries.insert(0, field)
            self.size += size

    def _evict(self, room: int) -> None:
        while self.entries and self.size > room:
            name, value = self.entries.pop()
            self.size -= len(name) + len(value) + ENTRY_OVERHEAD

    def _resize(self, limit: int) -> None:
        if self.fields or self.list_size:
            raise _wrong("table size update after a field")  # section 4.2
        if limit > self._max_limit:
            raise _wrong(f"table size {limit} is over the limit of {self._max_limit}")
        self.changed = True
        self.limit = limit
        self._evict(limit)

    def _integer(self, bits: int) -> int:
        block, offset = self._block, self._offset
        mask = (1 << bits) - 1
        value = block[offset] & mask
        offset += 1
        if value == mask:
            for shift in (0, 7, 14, 21, 28):
                if offset >= len(block):
                    raise _wrong("block ends inside an integer")
                byte = block[offset]
                offset += 1
                value += (byte & 0x7F) << shift
                if byte < 0x80:
                    break
            else:
                raise _wrong("integer of more than five bytes")
        self._offset = offset
        return value

    def _string(self) -> bytes:
        if self._offset >= len(self._block):
            raise _wrong("block ends before a string")
        coded = self._block[self._offset] & 0x80
        length = self._integer(7)
        start = self._offset
        self._offset = start + length
        if self._offset > len(self._block):
            raise _wrong("block ends inside a string")
        data = self._block[start : self._offset]
        return huffman.decode(data) if coded else data


def _wrong(message: str) -> HttpError:
    return HttpError(message, ErrorCode.COMPRESSION_ERROR)


class Encoder:
    """One direction of one connection. `list_limit` is the largest field section, uncompressed, that it encodes.

    The memo has no block of a section over `_MEMO_LIST_LIMIT`. An encoder with a smaller limit uses tables of its
    own, where nothing is ever found, so that a block from the memo needs no look at the limit. `strict`: line breaks
    are a `ValueError`; all encoders of a memo are strict, or none.
    """

    __slots__ = (
        "_alone",
        "_last",
        "_last_table",
        "_memo",
        "_smallest",
        "_strict",
        "last_block",
        "list_limit",
        "table",
    )

    def __init__(self, memo: Memo, list_limit: int = 1 << 32, strict: bool = False) -> None:
        self._memo = memo
        self._strict = strict
        self.table = memo.start
        # The last block that was found in the memo and has left the table as it was: to find it again costs a hash of
        # all fields.
        self._last: Fields | None = None
        self._last_table = memo.start
        self.last_block = b""
        self._smallest: int | None = None
        self._alone = False
        self.set_list_limit(list_limit)

    @property
    def is_settled(self) -> bool:
        """Whether an encoder that has this `table` and `list_limit` can go on from here: nothing is unsaid."""
        return self._smallest is None

    def resume(self, table: Table, list_limit: int) -> None:
        """Go on from where another encoder was."""
        self.table, self.list_limit = table, list_limit
        self._alone = list_limit < _MEMO_LIST_LIMIT

    def set_limit(self, limit: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE: empty the table; the next block announces the size (section 4.2)."""
        limit = min(limit, DEFAULT_TABLE_SIZE)
        if limit == self.table.limit:
            return
        # Emptying keeps the promise that nothing is evicted one by one; it happens once, with the first SETTINGS.
        self._smallest = limit if self._smallest is None else min(limit, self._smallest)
        self.table = self._next_table([], 0, limit)

    def set_list_limit(self, limit: int) -> None:
        """Encode no field section over `limit`, counted as SETTINGS_MAX_HEADER_LIST_SIZE."""
        self.list_limit = limit
        if (limit < _MEMO_LIST_LIMIT) is not self._alone:
            self._alone = not self._alone
            self.table = self._next_table(list(self.table.entries), self.table.size, self.table.limit)

    def _next_table(self, entries: list[Field], size: int, limit: int) -> Table:
        return Table(tuple(entries), size, limit) if self._alone else self._memo.table(entries, size, limit)

    def encode_both(self, head: Fields, trailers: Fields) -> tuple[bytes, bytes]:
        """Return the header blocks for both. Raises as `encode` does for either, and then has encoded neither."""
        before, smallest = self.table, self._smallest
        first = self.encode(head)
        try:
            return first, self.encode(trailers)
        except (PeerLimit, ValueError):
            self.table, self._smallest = before, smallest
            raise

    def encode(self, fields: Fields) -> bytes:
        """Return the header block for `fields`. Raises `PeerLimit`, `ValueError`."""
        table = self.table
        if fields is self._last and table is self._last_table and self._smallest is None:
            return self.last_block
        known = table.after.get(fields)
        if known is None:
            known = self._encode(fields)
        elif known[1] is table:
            self._last, self._last_table, self.last_block = fields, table, known[0]
        block: bytes = known[0]
        if self._smallest is not None:
            block = self._size_updates() + block
        self.table = known[1]
        return block

    def _size_updates(self) -> bytes:
        smallest, self._smallest = self._smallest, None
        limit = self.table.limit
        first = _integer(smallest, 5, 0x20) if smallest is not None and smallest < limit else b""
        return first + _integer(limit, 5, 0x20)

    def _encode(self, fields: Fields) -> tuple[bytes, Table]:
        table = self.table
        whole = list_size(fields)
        if whole > self.list_limit:
            raise PeerLimit(whole, self.list_limit)
        if self._strict and _BREAK(b"".join([name + value for name, value in fields])):
            raise ValueError("a field has a line break in it")  # behind a downgrade it would be another field
        entries, size = list(table.entries), table.size
        parts = []
        for field in fields:
            index = STATIC_FIELD.get(field, 0) or _find(entries, field)
            if index:
                parts.append(_integer(index, 7, 0x80))
                continue
            name, value = field
            prefix, flag = 4, 0
            cost = len(name) + len(value) + ENTRY_OVERHEAD
            if name in NEVER_INDEXED:
                flag = 0x10
            elif size + cost <= table.limit and _worth_indexing(name, value):
                prefix, flag = 6, 0x40
            parts.append(_name(name, entries, prefix, flag) + _string(value))
            if flag == 0x40:
                entries.append(field)
                size += cost
        following = self._next_table(entries, size, table.limit) if size != table.size else table
        block = b"".join(parts)
        if len(block) <= _MEMO_BLOCK_LIMIT and whole <= _MEMO_LIST_LIMIT and not self._alone:
            self._memo.remember(table, fields, block, following)
        return block, following


def _worth_indexing(name: bytes, value: bytes) -> bool:
    if name in NOT_WORTH_INDEXING or name.endswith(b"-bin"):
        return False
    return not (name == b":path" and b"?" in value)


def _find(entries: list[Field], field: Field) -> int:
    try:
        return STATIC_COUNT + len(entries) - entries.index(field)
    except ValueError:
        return 0


def _name(name: bytes, entries: list[Field], bits: int, flag: int) -> bytes:
    index = STATIC_NAME.get(name, 0)
    if not index:
        known = next((at for at, entry in enumerate(entries) if entry[0] == name), None)
        if known is not None:
            index = STATIC_COUNT + len(entries) - known
    return _integer(index, bits, flag) if index else bytes((flag,)) + _string(name)


def _integer(value: int, bits: int, flag: int) -> bytes:
    mask = (1 << bits) - 1
    if value < mask:
        return bytes((flag | value,))
    out = bytearray((flag | mask,))
    value -= mask
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(data: bytes) -> bytes:
    coded_length = huffman.encoded_length(data)
    if coded_length < len(data):
        return _integer(coded_length, 7, 0x80) + huffman.encode(data)
    return _integer(len(data), 7, 0) + data
