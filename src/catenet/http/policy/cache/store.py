"""Where responses are kept: in memory, or in an SQLite file that several processes use at once. Both have limits."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from catenet.http.policy.cache.entry import Entry

__all__ = ["CacheStore", "MemoryStore", "SqliteStore"]

T = TypeVar("T")

MAX_BYTES = 64 << 20
MAX_ENTRY = 16 << 20
MAX_VARIANTS = 16
"""Responses to one URL that differ by Vary; beyond, the oldest goes."""


class CacheStore(Protocol):
    """Entries by key; one for each selection of Vary."""

    max_entry: int

    def get(self, key: str) -> list[Entry]:
        """Return the entries of a key."""

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry in place of the one with the same `vary`; one that is too large is not kept."""

    def delete(self, key: str) -> None:
        """Forget the entries of a key."""

    def clear(self) -> None:
        """Forget all."""

    def close(self) -> None:
        """Give back what the store holds."""


class MemoryStore:
    """At most `max_bytes` in all; what has not been used for longest goes first. For one event loop."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_entry: int = MAX_ENTRY) -> None:
        self.max_bytes = max_bytes
        self.max_entry = min(max_entry, max_bytes)
        self.used = 0
        self._entries: OrderedDict[str, list[Entry]] = OrderedDict()

    def get(self, key: str) -> list[Entry]:
        """Return the entries of a key, and count that as a use."""
        found = self._entries.get(key)
        if found is None:
            return []
        self._entries.move_to_end(key)
        return list(found)

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry; the old one with its `vary` goes even if the new one is too large."""
        kept = [other for other in self._entries.get(key, []) if other.vary != entry.vary]
        if entry.weight <= self.max_entry:
            kept.append(entry)
        self.delete(key)
        if kept:
            self._entries[key] = kept = kept[-MAX_VARIANTS:]
            self.used += sum(other.weight for other in kept)
        while self.used > self.max_bytes:
            self.delete(next(iter(self._entries)))

    def delete(self, key: str) -> None:
        """Forget the entries of a key."""
        self.used -= sum(entry.weight for entry in self._entries.pop(key, []))

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self.used = 0

    def close(self) -> None:
        """Forget all."""
        self.clear()


_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
  key TEXT NOT NULL, vary TEXT NOT NULL, weight INTEGER NOT NULL, used INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (key, vary)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_used ON entry (used);
CREATE TABLE IF NOT EXISTS turn (number INTEGER NOT NULL);
INSERT INTO turn SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM turn);
"""
VERSION = 1
BUSY = 5.0
"""Seconds to wait for another process that writes."""
_PAUSE = 0.01


def _patiently(action: Callable[[], T]) -> T:
    """Do it again for `BUSY` seconds while others hold the file.

    SQLite's own timeout does not cover all: it is not waited for where a reader would become a writer (the change to
    WAL), nor while the last other connection closes or one recovers the log (sqlite.org/wal.html, section 9).
    """
    end = time.monotonic() + BUSY
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
        time.sleep(_PAUSE)


def _transaction(database: sqlite3.Connection, action: Callable[[sqlite3.Connection], T]) -> T:
    database.execute("BEGIN IMMEDIATE")
    try:
        done = action(database)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return done


class SqliteStore:
    """The same in a file. Processes share it: each change is one transaction, and what one wrote the others read.

    A cache never fails a request: a file that is damaged is begun anew, one that cannot be written is not used
    (`failed` says why). Use counts by turns, not by a clock. Methods may be called from any thread.
    """

    def __init__(self, path: str | Path, max_bytes: int = MAX_BYTES, max_entry: int = MAX_ENTRY) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.max_entry = min(max_entry, max_bytes)
        self.failed = ""
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        with self._lock:
            self._open()

    def _open(self) -> None:
        for again in (False, True):
            try:
                self._database = _patiently(self._opened)
                return
            except sqlite3.DatabaseError as error:
                self.failed = str(error)
                if again or isinstance(error, sqlite3.OperationalError):
                    return
                self._remove()

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            if database.execute("PRAGMA user_version").fetchone()[0] not in (0, VERSION):
                raise sqlite3.DatabaseError("made by another version")
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        except sqlite3.Error:
            database.close()
            raise
        self.path.chmod(0o600)  # it holds what only this user may see
        return database

    def _do(self, action: Callable[[sqlite3.Connection], T], default: T, write: bool = True) -> T:
        with self._lock:
            database = self._database
            if database is None:
                return default
            try:
                return _patiently(lambda: _transaction(database, action) if write else action(database))
            except sqlite3.OperationalError as error:  # busy, full: this time without
                self.failed = str(error)
                return default
            except sqlite3.DatabaseError:
                database.close()
                self._database = None
                self._remove()
                self._open()
                return default

    def get(self, key: str) -> list[Entry]:
        """Return the entries of a key, and count that as a use."""

        def action(database: sqlite3.Connection) -> list[bytes]:
            return [row[0] for row in database.execute("SELECT data FROM entry WHERE key = ? ORDER BY used", (key,))]

        nothing: list[bytes] = []
        rows = self._do(action, nothing, write=False)
        if rows:
            self._do(lambda database: self._touch(database, key), None)
        return [entry for row in rows if (entry := Entry.load(row)) is not None]

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry; the old one with its `vary` goes even if the new one is too large."""
        data, vary = entry.dump(), repr(entry.vary)

        def action(database: sqlite3.Connection) -> None:
            if len(data) > self.max_entry:
                database.execute("DELETE FROM entry WHERE key = ? AND vary = ?", (key, vary))
                return
            turn = self._turn(database)
            database.execute("REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", (key, vary, len(data), turn, data))
            database.execute(
                "DELETE FROM entry WHERE key = ?1 AND vary NOT IN"
                " (SELECT vary FROM entry WHERE key = ?1 ORDER BY used DESC LIMIT ?2)",
                (key, MAX_VARIANTS),
            )
            self._shrink(database)

        self._do(action, None)

    def _shrink(self, database: sqlite3.Connection) -> None:
        used = database.execute("SELECT COALESCE(SUM(weight), 0) FROM entry").fetchone()[0]
        while used > self.max_bytes:
            rows = database.execute("SELECT key, vary, weight FROM entry ORDER BY used LIMIT 32").fetchall()
            for key, vary, weight in rows:
                if used > self.max_bytes:
                    database.execute("DELETE FROM entry WHERE key = ? AND vary = ?", (key, vary))
                    used -= weight

    def _touch(self, database: sqlite3.Connection, key: str) -> None:
        database.execute("UPDATE entry SET used = ? WHERE key = ?", (self._turn(database), key))

    @staticmethod
    def _turn(database: sqlite3.Connection) -> int:
        database.execute("UPDATE turn SET number = number + 1")
        return int(database.execute("SELECT number FROM turn").fetchone()[0])

    def delete(self, key: str) -> None:
        """Forget the entries of a key."""
        self._do(lambda database: self._run(database, "DELETE FROM entry WHERE key = ?", (key,)), None)

    def clear(self) -> None:
        """Forget all."""
        self._do(lambda database: self._run(database, "DELETE FROM entry", ()), None)

    @staticmethod
    def _run(database: sqlite3.Connection, statement: str, values: tuple[str, ...]) -> None:
        database.execute(statement, values)

    @property
    def used(self) -> int:
        """Bytes of all entries."""

        def action(database: sqlite3.Connection) -> int:
            return int(database.execute("SELECT COALESCE(SUM(weight), 0) FROM entry").fetchone()[0])

        return self._do(action, 0, write=False)

    def close(self) -> None:
        """Close the file; other processes go on."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
