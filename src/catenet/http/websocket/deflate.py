"""permessage-deflate (RFC 7692): what is agreed on, and compression as agreed, bounded."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from catenet.http.websocket.codes import CloseCode
from catenet.http.websocket.errors import Violation
from catenet.http.websocket.extensions import Extension, Parameters

__all__ = ["Deflate", "DeflateOptions", "Deflater", "Inflater", "agree", "check_agreed", "offer"]

NAME: Final = "permessage-deflate"
_TAIL: Final = b"\x00\x00\xff\xff"
_NO_CONTEXT: Final = {True: "client_no_context_takeover", False: "server_no_context_takeover"}
_WINDOW: Final = {True: "client_max_window_bits", False: "server_max_window_bits"}
_EMPTY_BLOCK: Final = b"\x00"
_MOST_FINALS: Final = 16
"""Final blocks in one piece of a message."""
_SMALLEST_WINDOW: Final = 9  # zlib cannot compress with a window of 256 bytes


@dataclass(frozen=True, slots=True)
class DeflateOptions:
    """What we want of the extension, at either side (RFC 7692 section 7.1).

    Windows are the base-2 logarithms of their sizes, 8 to 15. A compressor with `level` and `memory` as zlib has them
    costs 2 ** (window + 2) + 2 ** (memory + 9) bytes: 24 KiB with a window of 12 and memory 4; with zlib's own defaults
    it were 256 KiB for each connection. Messages below `min_size` bytes are sent as they are.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    level: int = 6
    memory: int = 5
    min_size: int = 64

    def __post_init__(self) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if not 8 <= getattr(self, name) <= 15:
                raise ValueError(f"{name} {getattr(self, name)}: 8 to 15")


@dataclass(frozen=True, slots=True)
class Deflate:
    """What both sides have agreed on, and how we compress."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    level: int = 6
    memory: int = 5
    min_size: int = 64

    def compressor(self, client: bool) -> Deflater | None:
        """What compresses messages of the client, or of the server. None: a window so small that zlib has none."""
        bits = self.client_max_window_bits if client else self.server_max_window_bits
        if bits < _SMALLEST_WINDOW:
            return None  # a message may always go uncompressed (section 6)
        fresh = self.client_no_context_takeover if client else self.server_no_context_takeover
        return Deflater(bits, fresh, self.level, self.memory)

    def decompressor(self, client: bool) -> Inflater:
        """What decompresses messages of the client, or of the server."""
        bits = self.client_max_window_bits if client else self.server_max_window_bits
        fresh = self.client_no_context_takeover if client else self.server_no_context_takeover
        return Inflater(bits, fresh)


class Deflater:
    """Compresses messages of one direction (section 7.2.1)."""

    def __init__(self, bits: int, fresh: bool, level: int, memory: int) -> None:
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, memory)
        # A full flush makes zlib forget what it has seen, and costs less than a compressor for each message.
        self._flush = zlib.Z_FULL_FLUSH if fresh else zlib.Z_SYNC_FLUSH

    def compress(self, data: bytes, end: bool) -> bytes:
        """Return a piece of a message; `end`: it is the last one."""
        packed = self._compressor.compress(data)
        if not end:
            return packed + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        packed += self._compressor.flush(self._flush)
        # Section 7.2.3.6: without anything to flush, one empty block.
        return packed[:-4] if packed.endswith(_TAIL) else packed or _EMPTY_BLOCK


class Inflater:
    """Decompresses messages of one direction (section 7.2.2)."""

    def __init__(self, bits: int, fresh: bool) -> None:
        self._bits = max(bits, _SMALLEST_WINDOW)
        self._fresh = fresh
        self._decompressor = zlib.decompressobj(-self._bits)

    def decompress(self, data: bytes, room: int) -> bytes:
        """Return what a piece of a message holds, at most one byte more than `room`. Raises `Violation`."""
        parts = []
        finals = 0
        while data:
            try:
                part = self._decompressor.decompress(data, room + 1)
            except zlib.error as error:
                raise Violation(CloseCode.INVALID_DATA, f"damaged compressed data: {error}") from None
            parts.append(part)
            room -= len(part)
            if room < 0:
                break
            data = self._decompressor.unconsumed_tail
            if self._decompressor.eof:  # section 7.2.3.4: a final block may be followed by others
                data = self._decompressor.unused_data
                self._decompressor = zlib.decompressobj(-self._bits)
                finals += 1
                if finals > _MOST_FINALS:  # each costs a copy of what follows
                    raise Violation(CloseCode.POLICY_VIOLATION, "too many final blocks in compressed data")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self, room: int) -> bytes:
        """Return what is left of a message, at most one byte more than `room`. Raises `Violation`."""
        rest = self.decompress(_TAIL, room)
        if self._fresh:
            self._decompressor = zlib.decompressobj(-self._bits)
        return rest


# Agreeing.


def offer(options: DeflateOptions) -> Extension:
    """Return what a client offers (section 7.1)."""
    parameters: dict[str, str | None] = {}
    if options.server_no_context_takeover:
        parameters["server_no_context_takeover"] = None
    if options.client_no_context_takeover:
        parameters["client_no_context_takeover"] = None
    if options.server_max_window_bits < 15:
        parameters["server_max_window_bits"] = str(options.server_max_window_bits)
    # Section 7.1.2.2: without it the server may not limit our window.
    bits = options.client_max_window_bits
    parameters["client_max_window_bits"] = str(bits) if bits < 15 else None
    return NAME, tuple(parameters.items())


def agree(offers: Sequence[Extension], options: DeflateOptions) -> tuple[Extension, Deflate] | None:
    """Return what a server answers to the first offer that it can take, and what is agreed on then."""
    for name, parameters in offers:
        asked = _read(parameters, offered=True) if name == NAME else None
        if asked is not None:
            return _accept(asked, options)
    return None


def check_agreed(answer: Extension, options: DeflateOptions) -> Deflate | None:
    """Return what the server's answer to `offer(options)` agrees on; None: it answers something else."""
    name, parameters = answer
    said = _read(parameters, offered=False) if name == NAME else None
    if said is None:
        return None
    if options.server_no_context_takeover and not said.server_fresh:
        return None  # section 7.1.1.1: the server must confirm it
    server_bits = said.server_bits or 15
    if server_bits > options.server_max_window_bits:
        return None
    return Deflate(
        said.server_fresh,
        said.client_fresh or options.client_no_context_takeover,
        server_bits,
        min(said.client_bits or 15, options.client_max_window_bits),
        options.level,
        options.memory,
        options.min_size,
    )


@dataclass(slots=True)
class _Asked:
    server_fresh: bool = False
    client_fresh: bool = False
    server_bits: int | None = None
    client_bits: int | None = None
    limits_client: bool = False
    """`client_max_window_bits` was there, with or without a value."""


def _read(parameters: Parameters, offered: bool) -> _Asked | None:
    """Return the parameters; None if one is unknown, repeated or has a wrong value (sections 7.1 and 7.1.2)."""
    asked, seen = _Asked(), set()
    for name, value in parameters:
        if name in seen:
            return None
        seen.add(name)
        if name in _NO_CONTEXT.values():
            if value is not None:
                return None
            if name == _NO_CONTEXT[True]:
                asked.client_fresh = True
            else:
                asked.server_fresh = True
        elif name == _WINDOW[True] and value is None and offered:
            asked.limits_client = True
        elif name in _WINDOW.values():
            if value is None or not (value.isascii() and value.isdigit() and value[0] != "0" and 8 <= int(value) <= 15):
                return None
            if name == _WINDOW[True]:
                asked.client_bits, asked.limits_client = int(value), True
            else:
                asked.server_bits = int(value)
        else:
            return None
    return asked


def _accept(asked: _Asked, options: DeflateOptions) -> tuple[Extension, Deflate]:
    server_fresh = asked.server_fresh or options.server_no_context_takeover
    client_fresh = asked.client_fresh or options.client_no_context_takeover
    server_bits = min(asked.server_bits or 15, options.server_max_window_bits)
    client_bits = min(asked.client_bits or 15, options.client_max_window_bits) if asked.limits_client else 15
    said: list[tuple[str, str | None]] = []
    if server_fresh:
        said.append((_NO_CONTEXT[False], None))
    if client_fresh:
        said.append((_NO_CONTEXT[True], None))
    if asked.server_bits is not None or server_bits < 15:
        said.append((_WINDOW[False], str(server_bits)))
    if asked.limits_client and client_bits < 15:
        said.append((_WINDOW[True], str(client_bits)))
    agreed = Deflate(
        server_fresh, client_fresh, server_bits, client_bits, options.level, options.memory, options.min_size
    )
    return (NAME, tuple(said)), agreed
