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
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from catenet.rpc.model.context import Context
from catenet.rpc.model.interceptor import Interceptor, Proceed
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError

__all__ = ["KEY", "Once", "OnceLimits"]

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

_ROW: Final = 200
"""Bytes that a call takes besides its names and its outcome, about."""
_BASE: Final = f"{_ROW} + length(CAST(caller AS BLOB)) + length(CAST(method AS BLOB)) + length(CAST(key AS BLOB))"
_SIZE: Final = f"sum({_BASE} + length(CAST(message AS BLOB)) + ifnull(length(response), 0))"
_NOT_KEPT: Final = "the call has been carried out, but its response was too large to be kept"

Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class OnceLimits:
    """What calls with keys may cost.

    Attributes:
        bytes: of all that is kept, in memory or in the file; `bytes_of_caller`: of one caller (callers without an
            identity are one). A response that has no room is not kept.
        running: handlers at once, also of calls that nobody waits for; `running_of_caller`: of one caller (those
            without an identity by their addresses).
    """

    bytes: int = 256 << 20
    bytes_of_caller: int = 64 << 20
    running: int = 10_000
    running_of_caller: int = 1000


class _Outcome(NamedTuple):
    """How a call has ended; `code` None: nobody knows."""

    request: bytes
    code: int | None
    message: str
    response: bytes | None


class Once(Interceptor):
    """An interceptor of servers: carries out unary calls with a key once, and keeps their outcomes for `keep` seconds.

    `path`: a file (SQLite) of one process, in which they survive it; None: they do not. `most`: how many are kept; when
    all of them are needed, or `limits` are reached, calls with new keys end with RESOURCE_EXHAUSTED.

    Keys are the caller's own if it has an identity; others share theirs, so that they should be random. Details and
    metadata are not kept. Raises `OSError`.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        keep: float = 24 * 3600.0,
        most: int = 100_000,
        limits: OnceLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keep = keep
        self._most = most
        self._limits = limits or OnceLimits()
        self._held: Counter[str] = Counter()
        """Bytes that are kept, by callers,"""
        self._of_peer: Counter[str] = Counter()
        """and handlers that run, by those who have called them."""
        self._clock = clock
        self._running: dict[Name, asyncio.Task[_Outcome]] = {}
        self._requests: WeakKeyDictionary[Context, bytes] = WeakKeyDictionary()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
            held = self._db.execute(f"SELECT caller, count(*), {_SIZE} FROM calls GROUP BY caller").fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from None
        self._count = sum(count for _, count, _ in held)
        self._held.update({caller: size for caller, _, size in held})
        self._bytes = self._held.total()

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
            outcome = (
                found if found is not None else await asyncio.shield(self._begin(name, _who(call), request, proceed))
            )
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
        if outcome.response is None and outcome.code == Code.OK:
            raise RpcError(Code.DATA_LOSS, _NOT_KEPT)
        if outcome.response is None:
            raise RpcError(Code.from_number(outcome.code), outcome.message)
        return call.method.response.FromString(outcome.response)

    def _begin(self, name: Name, who: str, request: bytes, proceed: Proceed) -> asyncio.Task[_Outcome]:
        """Carry a call out in a task of its own, which goes on when its caller is gone."""
        limits = self._limits
        if len(self._running) >= limits.running or self._of_peer[who] >= limits.running_of_caller:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "too many calls with keys are being carried out")
        self._make_room(name)
        row = (*name, request, self._clock() + self._keep)
        self._db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, NULL, '', NULL, ?)", row)
        self._count += 1
        self._hold(name[0], _base(name))
        task = asyncio.get_running_loop().create_task(self._carry_out(name, request, proceed))
        self._running[name] = task
        self._of_peer[who] += 1
        task.add_done_callback(lambda _: self._over(name, who))
        return task

    def _over(self, name: Name, who: str) -> None:
        self._running.pop(name, None)
        self._of_peer[who] -= 1
        if not self._of_peer[who]:
            del self._of_peer[who]

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
            gone = self._db.execute(f"DELETE FROM calls {where}", name).rowcount
            self._count -= gone
            self._hold(name[0], -gone * _base(name))
            return
        message, response = outcome.message, outcome.response
        size = len(message.encode()) + len(response or b"")
        if not self._has_room(name[0], size):
            message, response, size = "", None, 0
        row = (int(outcome.code or 0), message, response, self._clock() + self._keep, *name)
        kept = self._db.execute(f"UPDATE calls SET code = ?, message = ?, response = ?, until = ? {where}", row)
        self._hold(name[0], kept.rowcount * size)

    def _make_room(self, name: Name) -> None:
        """Forget what need not be kept any longer; what runs is kept as long as it runs."""
        expired = "FROM calls WHERE until <= ?"
        now = (self._clock(),)
        gone = self._db.execute(f"SELECT caller, count(*), {_SIZE} {expired} GROUP BY caller", now).fetchall()
        if gone:
            self._db.execute(f"DELETE {expired}", now)
        for caller, count, size in gone:
            self._count -= count
            self._hold(caller, -size)
        if self._count >= self._most or not self._has_room(name[0], _base(name)):
            raise RpcError(Code.RESOURCE_EXHAUSTED, "no more calls with keys can be kept")

    def _has_room(self, caller: str, size: int) -> bool:
        limits = self._limits
        return self._bytes + size <= limits.bytes and self._held[caller] + size <= limits.bytes_of_caller

    def _hold(self, caller: str, size: int) -> None:
        self._bytes += size
        self._held[caller] += size
        if not self._held[caller]:
            del self._held[caller]


def _base(name: Name) -> int:
    return _ROW + sum(len(part.encode()) for part in name)


def _who(call: Any) -> str:
    """Return by whom handlers that run are counted: an identity, or the host of an address."""
    name: str = call.peer.identity.name
    address: str = call.peer.address
    return name or address.rpartition(":")[0]
