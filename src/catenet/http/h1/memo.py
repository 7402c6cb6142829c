"""What the connections of one server or client remember together of HTTP/1.1 heads.

Of a block that is new only the lines that are new are read (`h1/lines.py`), and what it says of framing is looked up by
the fields that speak of it. Requests that differ each time in the same few places are read at once (`h1/shapes.py`).
"""

from __future__ import annotations

from catenet.http.errors import HttpError
from catenet.http.h1.head import Block, Framing, ParsedResponse, read_status_line, request_framing
from catenet.http.h1.lines import KNOWN, SECRET, Field, LineMemo
from catenet.http.h1.shapes import Shape, Shapes
from catenet.http.message import RequestHead

__all__ = ["H1Memo"]

_MEMO_HEADS = 1024
_MEMO_HEAD_LIMIT = 4096
_MEMO_ONCE = 4096
_MEMO_NOTED = 8
_MEMO_VALUES = 512


class H1Memo:
    """Blocks and response heads by their bytes, shared by the connections of one server or client; bounded.

    Kept is what has come twice: heads that differ each time would only push out those that come again. What has secrets
    in it is not kept: a connection remembers its own last head.
    """

    __slots__ = ("_blocks", "_framings", "_lines", "_once", "_responses", "_shapes")

    def __init__(self) -> None:
        self._lines = LineMemo()
        self._framings: dict[tuple[int, tuple[Field, ...]], Framing] = {}
        self._blocks: dict[bytes, Block] = {}
        self._responses: dict[bytes, ParsedResponse] = {}
        self._once: set[int] = set()
        self._shapes = Shapes()

    def block(self, data: bytes, varies: bool) -> Block:
        """Parse what follows the target of a request, up to the empty line; `varies`: so did the one before it.

        Raises `HttpError`.
        """
        # To look for a block that has a new line in it costs as much as to read several lines.
        block = None if varies else self._blocks.get(data)
        if block is None:
            fields, noted, state = self._lines.read(data[10:-2])
            if varies and state == KNOWN:
                block = self._blocks.get(data)
                if block is not None:
                    return block
            key = (1 if data[7:8] == b"1" else 0, noted)
            framing = self._framings.get(key)
            if framing is None:
                framing = self._framing(key)
            block = Block(fields, framing, state != KNOWN)
            if not ((varies and state) or state & SECRET) and len(data) <= _MEMO_HEAD_LIMIT and self._comes_again(data):
                if len(self._blocks) >= _MEMO_HEADS:
                    self._blocks.clear()
                self._blocks[data] = block
        return block

    def _framing(self, key: tuple[int, tuple[Field, ...]]) -> Framing:
        framing = request_framing(key[1], key[0])
        if len(key[1]) <= _MEMO_NOTED and sum([len(value) for _, value in key[1]]) <= _MEMO_VALUES:
            if len(self._framings) >= _MEMO_HEADS:
                self._framings.clear()
            self._framings[key] = framing
        return framing

    def _comes_again(self, data: bytes) -> bool:
        """Whether it has come before; of what has not, only a hash is kept."""
        once, number = self._once, hash(data)
        if number in once:
            return True
        if len(once) >= _MEMO_ONCE:
            once.clear()
        once.add(number)
        return False

    def response(self, data: bytes) -> ParsedResponse:
        """Parse a response head with its empty line; raise `HttpError`."""
        parsed = self._responses.get(data)
        if parsed is None:
            line, _, section = data.partition(b"\r\n")
            match = read_status_line(line)
            if match is None:
                raise HttpError("malformed status line")
            fields, framing, state = self._lines.read(section[:-2])
            parsed = ParsedResponse(int(match[2]), fields, framing, 1 if match[1] == b"1" else 0)
            if not state & SECRET and len(data) <= _MEMO_HEAD_LIMIT and self._comes_again(data):
                if len(self._responses) >= _MEMO_HEADS:
                    self._responses.clear()
                self._responses[data] = parsed
        return parsed

    def shape(self, head: RequestHead, block: Block, data: bytes) -> Shape | None:
        """Return the shape of a request that has been read, if many have it; `data` is what `block` was made of."""
        return self._shapes.of(head, block.framing, data[10:-2], self._lines)
