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

# One step of the decoder takes eight bits: (next state, what they complete). A state is a node of the code tree.
_Step = tuple[int, bytes]
_FAILED = -1


class _Machine:
    """The code tree as a table of bytes, and the states in which a string may end.

    The row of a state is made when a string first comes to it: ordinary text needs some thirty of the 256.
    """

    def __init__(self) -> None:
        self._children: list[list[int]] = [[0, 0]]  # 0: no child yet; negative: a leaf, -1 - symbol
        for symbol, (code, length) in enumerate(_CODES):
            self._plant(symbol, code, length)
        self.rows: list[list[_Step]] = [[] for _ in self._children]
        self.may_end = self._padding_states()

    def row(self, state: int) -> list[_Step]:
        """Return the steps of one state, by the byte that comes."""
        row = self.rows[state]
        if not row:
            row = self.rows[state] = [self._step(state, byte) for byte in range(256)]
        return row

    def _plant(self, symbol: int, code: int, length: int) -> None:
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not self._children[node][bit]:
                self._children.append([0, 0])
                self._children[node][bit] = len(self._children) - 1
            node = self._children[node][bit]
        self._children[node][code & 1] = -1 - symbol

    def _step(self, state: int, byte: int) -> _Step:
        out = b""
        for shift in range(7, -1, -1):
            state = self._children[state][byte >> shift & 1]
            if state < 0:
                symbol = -1 - state
                if symbol == EOS:
                    return _FAILED, b""
                out += bytes((symbol,))
                state = 0
        return state, out

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
    rows = machine.rows
    state = 0
    parts = []
    for byte in data:
        state, decoded = (rows[state] or machine.row(state))[byte]
        if state < 0:
            raise HttpError("EOS within a Huffman string", ErrorCode.COMPRESSION_ERROR)
        parts.append(decoded)
    if state not in machine.may_end:
        raise HttpError("Huffman string ends inside a symbol", ErrorCode.COMPRESSION_ERROR)
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
