"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

The code is canonical: sorted by length, then by symbol, the codes count upwards. So the lengths alone, one byte per
symbol, hold the whole table.
"""

from __future__ import annotations

from functools import cache

from catenet.http.errors import ErrorCode, HttpError

__all__ = ["decode", "encode", "encoded_length"]

EOS = 256
_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b0806060605050506060606060606"
    "07080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f05060506050606060507070606060506070605"
    "050607070707070f0b0e0d1c141614141616161716171717171718171818161718171717171516171617171816151416161717151716161815161"
    "717151516151716171714161616171616171a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b141814151615151716"
    "16191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)


def _canonical_codes() -> list[tuple[int, int]]:
    codes = [(0, 0)] * (EOS + 1)
    code = length = 0
    for symbol in sorted(range(EOS + 1), key=lambda symbol: (_LENGTHS[symbol], symbol)):
        code <<= _LENGTHS[symbol] - length
        length = _LENGTHS[symbol]
        codes[symbol] = (code, length)
        code += 1
    return codes


_CODES = _canonical_codes()
_BITS = ["".join("01"[code >> shift & 1] for shift in range(length - 1, -1, -1)) for code, length in _CODES]
_bits_of = _BITS.__getitem__
_BYTE_LENGTHS = _LENGTHS[:EOS]

# One step of the decoder takes eight bits: (the row of the next state, what they complete). A state is a node of the
# code tree; the row of one in which a string may end has an entry more than there are bytes.
_Row = list["tuple[_Row, bytes]"]
_MAY_END = 257


class _Machine:
    """The code tree as a table of bytes. `failed` is where EOS leads; nothing leads out of it.

    The row of a state is filled when a string first comes to it: ordinary text needs some thirty of the 256.
    """

    def __init__(self) -> None:
        self._children: list[list[int]] = [[0, 0]]  # 0: no child yet; negative: a leaf, -1 - symbol
        for symbol, (code, length) in enumerate(_CODES):
            self._plant(symbol, code, length)
        self._rows: list[_Row] = [[] for _ in self._children]
        self._ends = self._padding_states()
        self.first = self._rows[0]
        self.failed: _Row = []
        self.failed += [(self.failed, b"")] * 256

    def fill(self, row: _Row) -> None:
        """Make the steps of a state, by the byte that comes, unless they are there."""
        if not row:
            state = next(state for state, known in enumerate(self._rows) if known is row)
            row += [self._step(state, byte) for byte in range(256)]
            if state in self._ends:
                row.append((self.failed, b""))

    def _plant(self, symbol: int, code: int, length: int) -> None:
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not self._children[node][bit]:
                self._children.append([0, 0])
                self._children[node][bit] = len(self._children) - 1
            node = self._children[node][bit]
        self._children[node][code & 1] = -1 - symbol

    def _step(self, state: int, byte: int) -> tuple[_Row, bytes]:
        out = b""
        for shift in range(7, -1, -1):
            state = self._children[state][byte >> shift & 1]
            if state < 0:
                symbol = -1 - state
                if symbol == EOS:
                    return self.failed, b""
                out += bytes((symbol,))
                state = 0
        return self._rows[state], out

    def _padding_states(self) -> frozenset[int]:
        """Up to seven one-bits, the beginning of EOS, may fill the last byte."""
        states, node = [0], 0
        for _ in range(7):
            node = self._children[node][1]
            states.append(node)
        return frozenset(states)


@cache
def _machine() -> _Machine:
    return _Machine()


def decode(data: bytes) -> bytes:
    """Return the decoded string; raise `HttpError` for EOS within it or wrong padding."""
    machine = _machine()
    row = machine.first
    parts = []
    for byte in data:
        try:
            row, decoded = row[byte]
        except IndexError:
            machine.fill(row)
            row, decoded = row[byte]
        parts.append(decoded)
    machine.fill(row)
    if len(row) != _MAY_END:
        what = "EOS within a Huffman string" if row is machine.failed else "Huffman string ends inside a symbol"
        raise HttpError(what, ErrorCode.COMPRESSION_ERROR)
    return b"".join(parts)


def encode(data: bytes) -> bytes:
    """Return the encoded string, its last byte filled with ones."""
    # Through text, because an integer that grows with the string is copied for each of its bytes. Python reads and
    # writes integers of base 2 in linear time.
    bits = "".join(map(_bits_of, data))
    padding = -len(bits) % 8
    return int((bits + "1" * padding) or "0", 2).to_bytes((len(bits) + padding) // 8, "big")


def encoded_length(data: bytes) -> int:
    """Return the number of bytes that `encode(data)` has."""
    return sum(data.translate(_BYTE_LENGTHS)) + 7 >> 3
