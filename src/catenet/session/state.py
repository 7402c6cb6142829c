"""Sessions of a server in a file, so that the next process goes on with them (SQLite, write-ahead log).

What is kept is what was committed: how far the program had read, what it had written, and what it wants to find again.
Nothing that is not kept is acknowledged or sent, so a restart takes both ends back to the last commit and no further.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from catenet.session.core import Session
from catenet.session.heartbeat import Path
from catenet.session.keys import Keys
from catenet.session.receiving import Receiving
from catenet.session.sending import Sending

__all__ = ["StateError", "Store"]

VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
  token BLOB PRIMARY KEY, client_key BLOB, server_key BLOB, peer BLOB, credentials BLOB, epoch INTEGER, expiry INTEGER,
  silence REAL, received_from INTEGER, received INTEGER, received_all INTEGER, sent_from INTEGER, written INTEGER,
  sent_all INTEGER, saved BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS output (
  token BLOB, offset INTEGER, data BLOB, PRIMARY KEY (token, offset)
) WITHOUT ROWID;
"""


class StateError(OSError):
    """The file cannot be used; the text names it."""


class Store:
    """The file. Raises `StateError` when it is opened."""

    def __init__(self, path: str) -> None:
        self._written: dict[bytes, int] = {}
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise StateError(f"{path}: of version {version}, which is not known here")
            self._db.executescript(f"{SCHEMA} PRAGMA user_version={VERSION};")
        except sqlite3.Error as error:
            raise StateError(f"{path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def keep_epoch(self, session: Session) -> None:
        """A session goes on by another connection: its RESUME is worth nothing any more, also in the next process."""
        self._db.execute("UPDATE sessions SET epoch = ? WHERE token = ?", (session.epoch, session.token))

    def commit(self, session: Session, read: int, saved: bytes) -> None:
        """Keep that the program has read up to `read`, and all that it has written."""
        sending, receiving, keys = session.sending, session.receiving, session.keys
        assert keys is not None
        token = session.token
        at = self._written.get(token, sending.start)
        end = sending.start + sending.written
        new = sending.between(at, end)
        received_all = receiving.ended and read == receiving.end_of_data
        row = (token, keys.client, keys.server, session.peer, session.credentials, session.epoch, session.expiry)
        row += (session.peer_silence, receiving.start, read, received_all)  # type: ignore[assignment]
        row += (sending.start, end, sending.finished, saved)  # type: ignore[assignment]
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(f"REPLACE INTO sessions VALUES ({', '.join('?' * 15)})", row)
            if new:
                self._db.execute("INSERT INTO output VALUES (?, ?, ?)", (token, at, new))
            gone = sending.start + sending.acknowledged
            self._db.execute(
                "DELETE FROM output WHERE token = ? AND offset + length(data) <= ? AND offset < ?", (token, gone, gone)
            )
        self._written[token] = end
        receiving.commit(read)
        sending.release(end)

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self._written.pop(session.token, None)
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM sessions WHERE token = ?", (session.token,))
            self._db.execute("DELETE FROM output WHERE token = ?", (session.token,))

    def sessions(self, buffer: int, heartbeat: float | None) -> Iterator[tuple[Session, bytes]]:
        """Return what was kept: sessions, and what their programs want to find again."""
        for row in self._db.execute("SELECT * FROM sessions").fetchall():
            token, client, server, peer, credentials, epoch, expiry, silence, *streams, saved = row
            received_from, received, received_all, sent_from, written, sent_all = streams
            receiving = Receiving(received_from, buffer, commits=True)
            receiving.go_on(received, bool(received_all))
            sending = Sending(sent_from, 0)
            pieces = self._db.execute("SELECT offset, data FROM output WHERE token = ? ORDER BY offset", (token,))
            kept = pieces.fetchall()
            sending.go_on(kept[0][0] if kept else written, [data for _, data in kept], bool(sent_all))
            session = Session(sending, receiving, expiry, Path(heartbeat))
            session.token, session.keys, session.peer, session.credentials = (
                token,
                Keys(client, server),
                peer,
                credentials,
            )
            session.epoch, session.peer_silence, session.confirmed = epoch, silence, True
            self._written[token] = written
            yield session, saved
