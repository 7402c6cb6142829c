"""Content codings (RFC 9110 section 8.4.1): gzip, deflate in both of its forms, br and zstd, alone or chained.

A decoder never makes more at once than a small multiple of what it was given, and gives up on what grows beyond a limit
or a ratio: a few kilobytes may stand for gigabytes. What ends before its end is an error, not a short answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Protocol

__all__ = [
    "CODINGS",
    "Decoder",
    "DecodingError",
    "Encoder",
    "Stage",
    "accept_encoding",
    "content_codings",
]

MAX_CODINGS = 5
"""Codings of one message: each may multiply what the one before made."""
MAX_RATIO = 1100
"""Times that a message may grow, counted over all its codings: what deflate (1032) reaches for zeros passes."""
FREE = 64 << 20
"""Bytes that a message may grow to whatever the ratio."""

PIECE = 64 << 10
ZSTD_WINDOW = 8 << 20
"""Window that a client grants to zstd (RFC 9659)."""
# Bytes given to zstd at a time: a block of 128 KiB may come from four bytes, and there is no way to stop it in between.
ZSTD_SLICE = 1024


class DecodingError(ValueError):
    """A body is not what its Content-Encoding says, ends too early, or grows beyond the limits."""


class Stage(Protocol):
    """One coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` means, in pieces of bounded size."""

    def finish(self) -> None:
        """Raise `DecodingError` if the stream has not ended."""


class Decoder:
    """Decodes a body by its codings as they come; `limit` bytes at most (None: only the ratio bounds it)."""

    def __init__(self, codings: str | Sequence[str], limit: int | None = None, ratio: int = MAX_RATIO) -> None:
        names = content_codings(codings) if isinstance(codings, str) else list(codings)
        if len(names) > MAX_CODINGS:
            raise DecodingError(f"more than {MAX_CODINGS} content codings")
        self._stages = [_stage(name) for name in reversed(names)]  # the last one applied comes off first
        self._limit = limit
        self._ratio = ratio
        self.taken = 0
        """Bytes fed."""
        self.made = 0
        """Bytes that came of them."""

    def decode(self, data: bytes) -> bytes:
        """Return all that `data` means; raise `DecodingError` for what is malformed or too large."""
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the same in pieces of bounded size, made as they are taken."""
        self.taken += len(data)
        for piece in self._through(0, data):
            self.made += len(piece)
            if self._limit is not None and self.made > self._limit:
                raise DecodingError(f"the decoded body is over its limit of {self._limit} bytes")
            if self.made > FREE and self.made > self.taken * self._ratio:
                raise DecodingError(
                    f"{self.taken} bytes of body became over {FREE >> 20} MiB: more than {self._ratio} times"
                )
            yield piece

    def finish(self) -> None:
        """The body has ended; raise `DecodingError` if one of its codings has not."""
        if self.taken:
            for stage in self._stages:
                stage.finish()

    def _through(self, at: int, data: bytes) -> Iterator[bytes]:
        if at == len(self._stages):
            if data:
                yield data
            return
        for piece in self._stages[at].feed(data):
            if at + 1 == len(self._stages):
                yield piece
            else:
                yield from self._through(at + 1, piece)


class _Zlib:
    """gzip (members may follow each other) and deflate."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inflate: zlib._Decompress | None = None
        self._start = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate is None:
                data = self._start + data
                if len(data) < 2:
                    self._start = data
                    return
                self._start = b""
                self._inflate = zlib.decompressobj(self._window(data))
            inflate = self._inflate
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error as error:
                raise DecodingError(f"the body is not {self._name}: {error}") from None
            if piece:
                yield piece
            data = inflate.unconsumed_tail
            if inflate.eof:
                data = inflate.unused_data
                if data and self._name != "gzip":
                    raise DecodingError(f"bytes follow the end of the {self._name} stream")
                if data:
                    self._inflate = None

    def finish(self) -> None:
        if self._inflate is None or not self._inflate.eof:
            raise DecodingError(f"the {self._name} stream ends too early")

    def _window(self, start: bytes) -> int:
        if self._name == "gzip":
            return 16 + zlib.MAX_WBITS
        # RFC 9110 says zlib (RFC 1950); some servers send the bare stream (RFC 1951), and so every client reads both.
        wrapped = start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
        return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS


class _Brotli:
    def __init__(self, module: ModuleType) -> None:
        self._error: type[Exception] = module.error
        self._inflate = module.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        inflate = self._inflate
        if data and inflate.is_finished():
            raise DecodingError("bytes follow the end of the br stream")
        try:
            while True:
                piece: bytes = inflate.process(data, output_buffer_limit=PIECE)
                if piece:
                    yield piece
                data = b""
                if len(piece) < PIECE:  # otherwise more of it waits, also if more input would be taken
                    return
        except self._error as error:
            raise DecodingError(f"the body is not br: {error}") from None

    def finish(self) -> None:
        if not self._inflate.is_finished():
            raise DecodingError("the br stream ends too early")


class _Zstd:
    """Frames may follow each other (RFC 8878 section 3)."""

    def __init__(self, module: ModuleType) -> None:
        self._error: type[Exception] = module.ZstdError
        self._new: Callable[[], object] = module.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj
        self._inflate = self._new()

    def feed(self, data: bytes) -> Iterator[bytes]:
        view = memoryview(data)
        for at in range(0, len(data), ZSTD_SLICE):
            part = bytes(view[at : at + ZSTD_SLICE])
            while part:
                inflate = self._inflate
                if inflate.eof:
                    inflate = self._inflate = self._new()
                try:
                    piece: bytes = inflate.decompress(part)
                except self._error as error:
                    raise DecodingError(f"the body is not zstd: {error}") from None
                if piece:
                    yield piece
                part = inflate.unused_data if inflate.eof else b""

    def finish(self) -> None:
        if not self._inflate.eof:
            raise DecodingError("the zstd stream ends too early")


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        pass


@lru_cache(maxsize=4)
def _module(name: str) -> ModuleType | None:
    try:
        found = import_module(name)
    except ImportError:
        return None
    # Brotli before 1.2 has no way to bound what it makes (CVE-2025-6176).
    return None if name == "brotli" and not hasattr(found.Decompressor, "can_accept_more_data") else found


def _stage(name: str) -> Stage:
    if name in ("gzip", "deflate"):
        return _Zlib(name)
    if name == "br" and (module := _module("brotli")) is not None:
        return _Brotli(module)
    if name == "zstd" and (module := _module("zstandard")) is not None:
        return _Zstd(module)
    if name == "identity":
        return _Identity()
    raise DecodingError(f"no content coding {name!r} here; {accept_encoding()} are known")


class Encoder:
    """Encodes a body by one coding (`CODINGS`)."""

    def __init__(self, coding: str, level: int | None = None) -> None:
        self._flush: Callable[[], bytes] | None = None
        if coding in ("gzip", "deflate"):
            window = zlib.MAX_WBITS + (16 if coding == "gzip" else 0)
            deflate = zlib.compressobj(6 if level is None else level, zlib.DEFLATED, window)
            self._encode, self._end = deflate.compress, deflate.flush
            self._flush = lambda: deflate.flush(zlib.Z_SYNC_FLUSH)
        elif coding == "br" and (brotli := _module("brotli")) is not None:
            made = brotli.Compressor(quality=5 if level is None else level)
            self._encode, self._end, self._flush = made.process, made.finish, made.flush
        elif coding == "zstd" and (zstd := _module("zstandard")) is not None:
            made = zstd.ZstdCompressor(level=3 if level is None else level).compressobj()
            self._encode, self._end = made.compress, made.flush
            self._flush = lambda: made.flush(zstd.COMPRESSOBJ_FLUSH_BLOCK)
        else:
            raise ValueError(f"no content coding {coding!r} here; {accept_encoding()} are known")

    def encode(self, data: bytes) -> bytes:
        """Return what is ready after the next bytes of the body, perhaps nothing."""
        return self._encode(data)

    def flush(self) -> bytes:
        """Return what lets the receiver decode all that has been encoded, for events and other slow bodies."""
        return self._flush() if self._flush is not None else b""

    def finish(self) -> bytes:
        """Return the rest."""
        return self._end()


def content_codings(value: str | None) -> list[str]:
    """Return the codings that a Content-Encoding field names, in the order they were applied, without `identity`."""
    names = [part.strip().lower() for part in (value or "").split(",", MAX_CODINGS + 1)]
    names = [{"x-gzip": "gzip", "x-deflate": "deflate"}.get(name, name) for name in names if name]
    return [name for name in names if name != "identity"]


def _installed() -> tuple[str, ...]:
    extra = [coding for coding, name in (("br", "brotli"), ("zstd", "zstandard")) if _module(name) is not None]
    return "gzip", "deflate", *extra


CODINGS = ("gzip", "deflate", "br", "zstd")
"""Names of the codings; `br` and `zstd` if their libraries are installed (`accept_encoding`)."""


@lru_cache(maxsize=1)
def accept_encoding() -> str:
    """Return the value of Accept-Encoding: what can be decoded here."""
    return ", ".join(_installed())
