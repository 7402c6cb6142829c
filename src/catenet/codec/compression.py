"""Content codings with a bound on what they may expand to: gzip (RFC 1952), deflate (RFC 1950), zstd (RFC 8878)."""

from __future__ import annotations

import zlib
from typing import Any

from catenet.codec.base import CodecError, Compression, Oversized

__all__ = ["COMPRESSIONS", "DEFLATE", "GZIP", "IDENTITY", "ZSTD", "Identity", "Zlib", "Zstd"]

# RFC 9659: a zstd window that receivers of HTTP content must support, and may refuse to go beyond.
ZSTD_WINDOW_LIMIT = 8 << 20
# RFC 8878 section 3.1.1.2: a block costs at least three bytes of header and restores at most 128 KiB.
_ZSTD_BLOCK_MIN, _ZSTD_BLOCK_MAX = 3, 128 << 10

_FIRST_STEP = 256


class Identity:
    """No compression."""

    name = "identity"

    def compress(self, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return `data` if it is within the limit."""
        if len(data) > limit:
            raise Oversized(f"message of {len(data)} bytes is over the limit of {limit}")
        return data


class Zlib:
    """The two codings that zlib implements; `wbits` tells them apart (31 is gzip, 15 is HTTP's "deflate")."""

    def __init__(self, name: str, wbits: int, level: int = 6) -> None:
        self.name = name
        self.wbits = wbits
        self.level = level

    def compress(self, data: bytes) -> bytes:
        """Return `data` compressed; equal input gives equal output (the gzip header carries no time)."""
        return zlib.compress(data, self.level, self.wbits)

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return the original bytes of one member or several (RFC 1952 section 2.2), at most `limit`."""
        parts: list[bytes] = []
        room, position = limit, 0
        while position < len(data):
            try:
                member, size = self._member(data, position, room)
            except zlib.error as error:
                raise CodecError(f"damaged {self.name} data: {error}") from None
            room -= len(member)
            if room < 0:
                raise _oversized(self.name, limit)
            parts.append(member)
            position += size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _member(self, data: bytes, start: int, room: int) -> tuple[bytes, int]:
        """Return what one member holds, at most one byte more than `room`, and the member's size.

        The decoder copies what follows a member. So it is given the first member in one piece, which mostly is all
        there is, and later ones in pieces that grow: a hundred thousand tiny members then cost no more than one large.
        """
        decoder = zlib.decompressobj(self.wbits)
        contents = []
        position, step = start, len(data) if start == 0 else _FIRST_STEP
        while position < len(data):
            piece = data[position : position + step]
            content = decoder.decompress(piece, room + 1)
            contents.append(content)
            position += len(piece) - len(decoder.unused_data)
            room -= len(content)
            if decoder.eof or room < 0:
                return content if len(contents) == 1 else b"".join(contents), position - start
            step *= 2
        raise CodecError(f"truncated {self.name} data")


class Zstd:
    """zstd by the `zstandard` package, imported when first used."""

    name = "zstd"

    def __init__(self, level: int = 3) -> None:
        self.level = level
        self._module: Any = None

    def compress(self, data: bytes) -> bytes:
        """Return `data` as one frame that states its content size."""
        compressed: bytes = self._zstandard().ZstdCompressor(level=self.level).compress(data)
        return compressed

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return the content of the one frame in `data`, at most `limit` bytes."""
        if not data:
            return b""
        zstandard = self._zstandard()
        try:
            stated = zstandard.frame_content_size(data)
            if stated > limit:
                raise _oversized(self.name, limit)
            # The library reserves this much; a frame cannot need more than its blocks can restore.
            room = min(limit, (len(data) // _ZSTD_BLOCK_MIN + 1) * _ZSTD_BLOCK_MAX)
            decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_LIMIT)
            content: bytes = decoder.decompress(data, max_output_size=max(room, 1), allow_extra_data=False)
        except zstandard.ZstdError as error:
            # The library has one error for a frame that is cut off and for one that does not fit.
            if self._exceeds(data, limit):
                raise _oversized(self.name, limit) from None
            raise CodecError(f"damaged zstd data: {error}") from None
        if len(content) > limit:
            raise _oversized(self.name, limit)
        return content

    def _exceeds(self, data: bytes, limit: int) -> bool:
        zstandard = self._zstandard()
        reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_LIMIT).stream_reader(data)
        seen = 0
        try:
            while seen <= limit and (chunk := reader.read(_ZSTD_BLOCK_MAX)):
                seen += len(chunk)
        except zstandard.ZstdError:
            return False
        return seen > limit

    def _zstandard(self) -> Any:
        if self._module is None:
            try:
                import zstandard
            except ImportError:
                raise CodecError("zstd needs the package zstandard: pip install 'catenet[rpc]'") from None
            self._module = zstandard
        return self._module


def _oversized(name: str, limit: int) -> Oversized:
    return Oversized(f"{name} data expands to more than the limit of {limit} bytes")


IDENTITY = Identity()
GZIP = Zlib("gzip", 31)
DEFLATE = Zlib("deflate", 15)
ZSTD = Zstd()

COMPRESSIONS: dict[str, Compression] = {coding.name: coding for coding in (IDENTITY, GZIP, ZSTD, DEFLATE)}
