"""Zones and their journals on disk: what is there after a crash is the one version or the other, never half of one."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Final

from catenet.dns.dnssec.files import write_atomically
from catenet.dns.master.tokens import ZoneError
from catenet.dns.master.writer import lines_of
from catenet.dns.zone.difference import Difference, Entry, apply
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.load import read_zone
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.name import skip_name
from catenet.wire.dns.record import make_record
from catenet.wire.errors import Malformed

__all__ = ["JournalFile", "load_zone", "save_zone"]

_MAGIC: Final = b"catenet journal 1\n"
_HEAD: Final = struct.Struct("!II")
"""Of each change: bytes that follow, and their CRC-32."""
_COUNTS: Final = struct.Struct("!II")
_RECORD: Final = struct.Struct("!HHIH")


def save_zone(zone: Zone, path: Path, comment: str = "") -> None:
    """Write a zone as a master file, in canonical order, below a comment if there is one. Raises OSError."""
    head = f"; {comment}\n" if comment else ""
    write_atomically(path, (line.encode("ascii") for line in chain([head], lines_of(zone))))


class JournalFile:
    """The changes of a zone since its file was written, appended one by one.

    A change that was cut off by a crash is not there when the file is read again, and nor is what follows it.
    """

    def __init__(self, path: Path, most_bytes: int = 8 << 20) -> None:
        self.path = path
        self.journal = Journal(most_bytes)

    def load(self) -> None:
        """Read what is there; a file that is none, or is spoiled from some place on, counts up to there."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        at = len(_MAGIC)
        if not data.startswith(_MAGIC):
            return
        while at + _HEAD.size <= len(data):
            size, checksum = _HEAD.unpack_from(data, at)
            payload = data[at + _HEAD.size : at + _HEAD.size + size]
            if len(payload) < size or zlib.crc32(payload) != checksum:
                return
            try:
                self.journal.add(_unpack(payload))
            except (Malformed, struct.error, IndexError):
                return
            at += _HEAD.size + size

    def append(self, change: Difference, save: Callable[[], None]) -> None:
        """Note a change on disk before it is answered for.

        Args:
            change: what has been applied to the zone.
            save: writes the zone as it is now. It is called before the oldest changes go, which the file on disk needs.

        Raises:
            OSError: the disk takes no more.
        """
        if not self.journal.has_room(change):
            save()
        before = len(self.journal)
        self.journal.add(change)
        if not before or len(self.journal) <= before or not self.path.exists():
            self.rewrite()  # the oldest were dropped, or this is the first
            return
        with self.path.open("ab") as file:
            file.write(_packed(change))
            file.flush()
            os.fsync(file.fileno())

    def clear(self) -> None:
        """Forget all changes: the zone has been written anew. Raises OSError."""
        self.journal.clear()
        self.path.unlink(missing_ok=True)

    def rewrite(self) -> None:
        """Write the file anew from the journal. Raises OSError."""
        write_atomically(self.path, [_MAGIC, *map(_packed, self.journal)])


def load_zone(path: Path, journal: JournalFile | None = None, origin: bytes | None = None) -> Zone:
    """A zone from its file, brought forward by what the journal has since. Raises ZoneError.

    A journal that does not go on from the file's version was made for another file: it is cleared.
    """
    zone = read_zone(path, origin)
    if journal is None:
        return zone
    changes = journal.journal.since(zone.serial)
    newest = [*journal.journal][-1].after if len(journal.journal) else zone.serial
    if changes is None:
        if newest != zone.serial:
            journal.journal.clear()
        return zone
    try:
        for change in changes:
            apply(zone, change)
    except ValueError as error:
        raise ZoneError(str(journal.path), 0, f"does not fit {path}: {error}") from None
    return zone


def _packed(change: Difference) -> bytes:
    payload = _COUNTS.pack(len(change.removed), len(change.added))
    payload += b"".join(make_record(*one).source for one in (*change.removed, *change.added))
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _unpack(payload: bytes) -> Difference:
    removed, added = _COUNTS.unpack_from(payload)
    entries, at = [], _COUNTS.size
    for _ in range(removed + added):
        head = skip_name(payload, at)
        kind, _, ttl, size = _RECORD.unpack_from(payload, head)
        end = head + _RECORD.size + size
        entries.append(Entry(payload[at:head], kind, ttl, payload[head + _RECORD.size : end]))
        at = end
    return Difference(tuple(entries[:removed]), tuple(entries[removed:]))
