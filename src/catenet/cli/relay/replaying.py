"""A recording as an end: it says what one side said then, when the other has said as much as then."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from catenet.cli import UsageError
from catenet.net.relay import Piece

__all__ = ["Recording", "Replay", "read_recording"]

OTHER: Final = {">": "<", "<": ">"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A piece, or None for an end; `heard`: bytes that the other side had said before it."""

    seconds: float
    data: bytes | None
    heard: int


@dataclass(slots=True)
class _Side:
    entries: list[_Entry] = field(default_factory=list)
    said: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class Recording:
    """The connections of a recording, each with both sides by direction."""

    connections: list[dict[str, _Side]] = field(default_factory=list)
    began: list[float] = field(default_factory=list)


def read_recording(path: Path) -> Recording:
    """Read what `--record` has written. Raises `UsageError` that names the line."""
    recording = Recording()
    numbers: dict[object, int] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                line = _parse(path, number, text)
                if number == 1:
                    if line.get("recording") != 1:
                        raise UsageError(f"--replay {path}: no recording; catenet connect --record makes one")
                    continue
                _add(recording, numbers, line, f"--replay {path}:{number}")
    except OSError as error:
        raise UsageError(f"--replay {path}: {str(error.strerror).lower()}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--replay {path}: no recording; catenet connect --record makes one") from None
    if not recording.connections:
        raise UsageError(f"--replay {path}: nothing was recorded")
    return recording


def _parse(path: Path, number: int, text: str) -> dict[str, object]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict):
        raise UsageError(f"--replay {path}:{number}: no line of a recording")
    return line


def _add(recording: Recording, numbers: dict[object, int], line: dict[str, object], place: str) -> None:
    sign, seconds, text = line.get("direction"), line.get("time"), line.get("bytes")
    connection = line.get("connection")
    if sign not in OTHER or not isinstance(seconds, int | float) or not isinstance(connection, int):
        raise UsageError(f"{place}: no line of a recording (connection, time, direction)")
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (ValueError, binascii.Error):
        raise UsageError(f"{place}: bytes are not in base64") from None
    if data is None and line.get("end") is not True:
        raise UsageError(f"{place}: neither bytes nor end")
    if connection not in numbers:
        numbers[connection] = len(recording.connections)
        recording.connections.append({">": _Side(), "<": _Side()})
        recording.began.append(float(seconds))
    index = numbers[connection]
    sides = recording.connections[index]
    side, other = sides[str(sign)], sides[OTHER[str(sign)]]
    side.entries.append(_Entry(float(seconds) - recording.began[index], data, len(other.said)))
    if data is not None:
        side.said += data


class Replay:
    """Plays the direction `sign` of one recorded connection. `timed`: not before the time of then.

    `differs`: the first byte at which the peer said something else than then; None: it has not.
    """

    datagrams = False
    last_words: float | None = None
    afterlife: float | None = None

    def __init__(self, recording: Recording, connection: int, sign: str, *, timed: bool, datagrams: bool) -> None:
        sides = recording.connections[connection % len(recording.connections)]
        self.name = "the recording"
        self.datagrams = datagrams
        self.differs: int | None = None
        self._entries = iter(sides[sign].entries)
        self._expected = sides[OTHER[sign]].said
        self._heard = 0
        self._peer_ended = False
        self._timed = timed
        self._began = asyncio.get_running_loop().time()
        self._changed = asyncio.Event()
        self._left = b""

    async def read(self, most: int) -> Piece | None:
        """Return what was said next, when its time has come."""
        while not self._left:
            entry = next(self._entries, None)
            if entry is None:
                return None
            await self._wait(entry)
            if entry.data is None:
                return None
            self._left = entry.data
            if self.datagrams:
                break
        size = len(self._left) if self.datagrams else most
        data, self._left = self._left[:size], self._left[size:]
        return data

    async def _wait(self, entry: _Entry) -> None:
        while self._heard < entry.heard and not self._peer_ended:
            self._changed.clear()
            await self._changed.wait()
        if self._timed:
            await asyncio.sleep(max(self._began + entry.seconds - asyncio.get_running_loop().time(), 0))

    async def write(self, data: Piece) -> None:
        """Compare what the peer says with what it said."""
        piece = bytes(data)
        if self.differs is None:
            expected = bytes(self._expected[self._heard : self._heard + len(piece)])
            if expected != piece:
                same = (at for at, (one, two) in enumerate(zip(piece, expected, strict=False)) if one != two)
                self.differs = self._heard + next(same, min(len(piece), len(expected)))
        self._heard += len(piece)
        self._changed.set()

    async def end(self) -> None:
        """The peer has ended: it will not say what is waited for."""
        self._peer_ended = True
        if self.differs is None and self._heard < len(self._expected):
            self.differs = self._heard
        self._changed.set()

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """There is nothing to break off."""
