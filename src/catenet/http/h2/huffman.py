"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

The code is canonical: sorted by length, then by symbol, the codes count upwards. So the lengths alone, one byte per
symbol, hold the whole table.
"""

from __future__ import annotations

from functools import cache

from catenet.http.errors import ErrorCode, HttpError

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

# One step of the decoder takes four bits: (next state, decoded byte or none). A state is a node of the code tree.
_Step = tuple[int, bytes]


class _Machine:
    """The code tree as a table of nibbles, and the states in which a string may end."""

    def __init__(self) -> None:
        self._children: list[list[int]] = [[0, 0]]  # 0: no child yet; negative: a leaf, -1 - symbol
        for symbol, (code, length) in enumerate(_CODES):
            self._plant(symbol, code, length)
        self.steps = [tuple(self._step(state, nibble) for nibble in range(16)) for state in range(len(self._children))]
        self.may_end = self._padding_states()

    def _plant(self, symbol: int, code: int, length: int) -> None:
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not self._children[node][bit]:
                self._children.append([0, 0])
                self._children[node][bit] = len(self._children) - 1
            node = self._children[node][bit]
        self._children[node][code & 1] = -1 - symbol

    def _step(self, state: int, nibble: int) -> _Step | None:
        out = b""
        for shift in (3, 2, 1, 0):
            state = self._children[state][nibble >> shift & 1]
            if state < 0:
                symbol = -1 - state
                if symbol == EOS:
                    return None
                out = bytes((symbol,))
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
    """Return the decoded string; raise :class:`HttpError` for EOS within it or wrong padding."""
    machine = _machine()
    steps = machine.steps
    state = 0
    parts = []
    for byte in data:
        step = steps[state][byte >> 4]
        if step is not None:
            parts.append(step[1])
            step = steps[step[0]][byte & 15]
        if step is None:
            raise HttpError("EOS within a Huffman string", ErrorCode.COMPRESSION_ERROR)
        state = step[0]
        parts.append(step[1])
    if state not in machine.may_end:
        raise HttpError("Huffman string ends inside a symbol", ErrorCode.COMPRESSION_ERROR)
    return b"".join(parts)


def encode(data: bytes) -> bytes:
    """Return the encoded string, its last byte filled with ones."""
    bits = count = 0
    for byte in data:
        code, length = _CODES[byte]
        bits = bits << length | code
        count += length
    padding = -count % 8
    return ((bits + 1 << padding) - 1).to_bytes((count + padding) // 8, "big")


def encoded_length(data: bytes) -> int:
    """Return the number of bytes that ``encode(data)`` has."""
    return sum([_LENGTHS[byte] for byte in data]) + 7 >> 3
