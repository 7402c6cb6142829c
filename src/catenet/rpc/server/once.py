"""Calls that are carried out once, however often and by whichever process they are made: by a key of the caller's.

A client that has restarted cannot hear the answer of a call that its former process made. It makes the call again, with
the same `idempotency-key` in its metadata (as draft-ietf-httpapi-idempotency-key-header has it): one that still runs is
waited for, one that is over is answered from what was kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from catenet.rpc.model.context import Context
from catenet.rpc.model.interceptor import Interceptor, Proceed
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError

__all__ = ["KEY", "Once"]

KEY: Final = "idempotency-key"
_LONGEST_KEY: Final = 255
_AGAIN: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
"""With these a handler says that a call may be made again, so the next one is carried out."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
  caller TEXT, method TEXT, key TEXT, request BLOB, code INTEGER, message TEXT, response BLOB, until REAL,
  PRIMARY KEY (caller, method, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ends ON calls (until);
"""

Name = tuple[str, str, str]


class _Outcome(NamedTuple):
    """How a call has ended; `code` None: nobody knows."""

    request: bytes
    code: int | None
    message: str
    response: bytes | None


class Once(Interceptor):
    """An interceptor of servers: carries out unary calls with a key once, and keeps their outcomes for `keep` seconds.

    `path`: a file (SQLite) of one process, in which they survive it; None: they do not. `most`: how many are kept; when
    all of them are needed, calls with new keys end with RESOURCE_EXHAUSTED. Keys are the caller's own if it has an
    identity; others share theirs, so that they should be random. Details and metadata are not kept. Raises `OSError`.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        keep: float = 24 * 3600.0,
        most: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keep = keep
        self._most = most
        self._clock = clock
        self._running: dict[Name, asyncio.Task[_Outcome]] = {}
        self._requests: WeakKeyDictionary[Context, bytes] = WeakKeyDictionary()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
            (self._count,) = self._db.execute("SELECT count(*) FROM calls").fetchone()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # As an interceptor.

    def request(self, call: Any, message: Any) -> Any:
        """Remember what a call with a key asks for."""
        if call.method.kind is Kind.UNARY and call.get(KEY) is not None:
            self._requests[call] = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
        return message

    async def around(self, call: Any, proceed: Proceed) -> Any:
        """Carry a call out, or find out how it went."""
        request = self._requests.pop(call, None)
        if request is None:
            return await proceed()
        name = self._name(call)
        task = self._running.get(name)
        if task is not None:
            outcome = await asyncio.shield(task)
        else:
            found = self._find(name)
            outcome = found if found is not None else await asyncio.shield(self._begin(name, request, proceed))
        return self._answer(call, request, outcome)

    def _name(self, call: Any) -> Name:
        key = call.get(KEY)
        if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
            raise RpcError(Code.INVALID_ARGUMENT, f"{KEY}: 1 to {_LONGEST_KEY} characters")
        return call.peer.identity.name, call.method.full_name, key

    def _answer(self, call: Any, request: bytes, outcome: _Outcome) -> Any:
        if outcome.request != request:
            raise RpcError(Code.INVALID_ARGUMENT, f"{KEY}: it was that of another request")
        if outcome.code is None:
            why = "the server stopped while the call was carried out: whether it has taken effect is not known"
            raise RpcError(Code.UNKNOWN, why)
        if outcome.response is None:
            raise RpcError(Code.from_number(outcome.code), outcome.message)
        return call.method.response.FromString(outcome.response)

    def _begin(self, name: Name, request: bytes, proceed: Proceed) -> asyncio.Task[_Outcome]:
        """Carry a call out in a task of its own, which goes on when its caller is gone."""
        self._make_room()
        row = (*name, request, self._clock() + self._keep)
        self._db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, NULL, '', NULL, ?)", row)
        self._count += 1
        task = asyncio.get_running_loop().create_task(self._carry_out(name, request, proceed))
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))
        return task

    async def _carry_out(self, name: Name, request: bytes, proceed: Proceed) -> _Outcome:
        try:
            response = await proceed()
            outcome = _Outcome(request, Code.OK, "", response.SerializeToString())
        except RpcError as error:
            outcome = _Outcome(request, error.code, error.message, None)
        except Exception as error:
            outcome = _Outcome(request, Code.UNKNOWN, f"{type(error).__name__} in the handler", None)
        self._keep_outcome(name, outcome)
        return outcome

    # The file.

    def _find(self, name: Name) -> _Outcome | None:
        where = "caller = ? AND method = ? AND key = ? AND until > ?"
        found = self._db.execute(
            f"SELECT request, code, message, response FROM calls WHERE {where}", (*name, self._clock())
        ).fetchone()
        return None if found is None else _Outcome(*found)

    def _keep_outcome(self, name: Name, outcome: _Outcome) -> None:
        where = "WHERE caller = ? AND method = ? AND key = ?"
        if outcome.code in _AGAIN:
            self._count -= self._db.execute(f"DELETE FROM calls {where}", name).rowcount
        else:
            row = (int(outcome.code or 0), outcome.message, outcome.response, self._clock() + self._keep, *name)
            self._db.execute(f"UPDATE calls SET code = ?, message = ?, response = ?, until = ? {where}", row)

    def _make_room(self) -> None:
        """Forget what need not be kept any longer; what runs is kept as long as it runs."""
        self._count -= self._db.execute("DELETE FROM calls WHERE until <= ?", (self._clock(),)).rowcount
        if self._count >= self._most:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "no more calls with keys can be kept")
