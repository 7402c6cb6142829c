"""What is seen of a relay while it runs: a hex view with times, and a recording."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import IO, Final

from catenet.net.relay import Observer, Piece
from catenet.printable import complain

__all__ = ["HexView", "Recorder", "both"]

WIDTH: Final = 16
_HIDDEN = re.compile(rb"[^ -~]")


class HexView:
    """Prints pieces as `hexdump -C` does, behind direction and time of day; the offset is that in the stream."""

    def __init__(self, number: int = 0) -> None:
        self._offsets = {">": 0, "<": 0}
        self._name = f" {number}" if number else ""

    def __call__(self, sign: str, data: Piece | None) -> None:
        """Show a piece, or the end."""
        now = time.time()
        moment = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1e6):06}"
        if data is None:
            complain(f"{sign}{self._name} {moment} end")
            return
        offset = self._offsets[sign]
        self._offsets[sign] += len(data)
        lines = [f"{sign}{self._name} {moment} {len(data)} bytes"]
        lines += hex_lines(bytes(data), offset)
        complain("\n".join(lines), keep="\n")


def hex_lines(data: bytes, offset: int = 0) -> list[str]:
    """Return the lines of `data`; `offset` is that of its first byte."""
    lines = []
    for start in range(0, len(data), WIDTH):
        row = data[start : start + WIDTH]
        half = WIDTH // 2
        digits = f"{row[:half].hex(' '):<{half * 3 - 1}}  {row[half:].hex(' '):<{half * 3 - 1}}"
        lines.append(f"{offset + start:08x}  {digits}  |{_HIDDEN.sub(b'.', row).decode('ascii')}|")
    return lines


class Recorder:
    """Writes lines of JSON: first what it is, then `{connection, time, direction, bytes}` of each piece, or `end`.

    Times are seconds since the recording began; bytes are in base64 (RFC 4648 section 4). The direction is `>` from
    the left end to the right one, `<` back.
    """

    def __init__(self, file: IO[str], urls: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._began = clock()
        self._put({"recording": 1, "urls": list(urls), "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})

    def of(self, connection: int) -> Observer:
        """Return what records one connection."""

        def observe(sign: str, data: Piece | None) -> None:
            line: dict[str, object] = {
                "connection": connection,
                "time": round(self._clock() - self._began, 6),
                "direction": sign,
            }
            line |= {"end": True} if data is None else {"bytes": base64.b64encode(data).decode()}
            self._put(line)

        return observe

    def _put(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def both(observers: Sequence[Observer]) -> Observer:
    """Return one that tells all of them."""
    if len(observers) == 1:
        return observers[0]

    def observe(sign: str, data: Piece | None) -> None:
        for observer in observers:
            observer(sign, data)

    return observe
