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

from catenet.checks import check_numbers
from catenet.rpc.model.context import Context
from catenet.rpc.model.interceptor import Interceptor, Proceed
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.policy.limits import caller_key

__all__ = ["KEY", "Once", "OnceLimits"]

KEY: Final = "idempotency-key"
_LONGEST_KEY: Final = 255
_AGAIN: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
"""With these a handler says that a call may be made again, so the next one is carried out."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
  caller TEXT, method TEXT, key TEXT, request BLOB, code INTEGER, message TEXT, response BLOB, until REAL,
  payer TEXT NOT NULL DEFAULT '', PRIMARY KEY (caller, method, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ends ON calls (until);
"""

_ROW: Final = 200
"""Bytes that a call takes besides its names and its outcome, about."""
_BASE: Final = " + ".join(
    [str(_ROW), *(f"length(CAST({column} AS BLOB))" for column in ("caller", "method", "key", "payer"))]
)
_SIZE: Final = f"sum({_BASE} + length(CAST(message AS BLOB)) + ifnull(length(response), 0))"
_NOT_KEPT: Final = "the call has been carried out, but its response was too large to be kept"

Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class OnceLimits:
    """What calls with keys may cost. Callers without an identity are told apart by their addresses.

    Raises `ValueError` that names the field.

    Attributes:
        bytes: of all that is kept, in memory or in the file; `bytes_of_caller`: of one caller. A response that has no
            room is not kept.
        share: of the calls that are kept, what one caller may have, as a fraction.
        running: handlers at once, also of calls that nobody waits for; `running_of_caller`: of one caller.
    """

    bytes: int = 256 << 20
    bytes_of_caller: int = 64 << 20
    share: float = 0.25
    running: int = 10_000
    running_of_caller: int = 1000

    def __post_init__(self) -> None:
        check_numbers(self, ("bytes", "bytes_of_caller", "running", "running_of_caller"), whole=True)
        check_numbers(self, ("share",), 0, 1)


@dataclass(slots=True)
class _Account:
    """What is kept for one caller."""

    calls: int = 0
    size: int = 0


class _Outcome(NamedTuple):
    """How a call has ended; `code` None: nobody knows."""

    request: bytes
    code: int | None
    message: str
    response: bytes | None


class Once(Interceptor):
    """An interceptor of servers: carries out unary calls with a key once, and keeps their outcomes for `keep` seconds.

    `path`: a file (SQLite) of one process, in which they survive it; None: they do not. `most`: how many are kept; when
    all of them, or all of a caller's share, are needed, or `limits` are reached, calls with new keys end with
    RESOURCE_EXHAUSTED.

    Keys are the caller's own if it has an identity; others share theirs, so that they should be random. Details and
    metadata are not kept. Raises `OSError`, and `ValueError` for numbers that cannot be.
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
        if not keep > 0 or most < 1:
            raise ValueError(f"keep={keep!r}, most={most!r}: must be more than 0")
        self._keep = keep
        self._most = most
        self._limits = limits or OnceLimits()
        self._most_each = max(int(most * self._limits.share), 1)
        self._accounts: dict[str, _Account] = {}
        self._of_peer: Counter[str] = Counter()
        """Handlers that run, by those who have called them."""
        self._clock = clock
        self._running: dict[Name, asyncio.Task[_Outcome]] = {}
        self._requests: WeakKeyDictionary[Context, bytes] = WeakKeyDictionary()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
            if "payer" not in [row[1] for row in self._db.execute("PRAGMA table_info(calls)")]:  # of an older version
                self._db.execute("ALTER TABLE calls ADD COLUMN payer TEXT NOT NULL DEFAULT ''")
            held = self._db.execute(f"SELECT payer, count(*), {_SIZE} FROM calls GROUP BY payer").fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from None
        self._count = self._bytes = 0
        for payer, count, size in held:
            self._hold(payer, count, size)

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
            payer = caller_key(call.peer.identity, call.peer.address)
            found = self._find(name)
            outcome = found if found is not None else await asyncio.shield(self._begin(name, payer, request, proceed))
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

    def _begin(self, name: Name, payer: str, request: bytes, proceed: Proceed) -> asyncio.Task[_Outcome]:
        """Carry a call out in a task of its own, which goes on when its caller is gone."""
        limits = self._limits
        if len(self._running) >= limits.running or self._of_peer[payer] >= limits.running_of_caller:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "too many calls with keys are being carried out")
        size = _base(name, payer)
        self._make_room(payer, size)
        row = (*name, request, self._clock() + self._keep, payer)
        self._db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, NULL, '', NULL, ?, ?)", row)
        self._hold(payer, 1, size)
        task = asyncio.get_running_loop().create_task(self._carry_out(name, payer, request, proceed))
        self._running[name] = task
        self._of_peer[payer] += 1
        task.add_done_callback(lambda _: self._over(name, payer))
        return task

    def _over(self, name: Name, payer: str) -> None:
        self._running.pop(name, None)
        self._of_peer[payer] -= 1
        if not self._of_peer[payer]:
            del self._of_peer[payer]

    async def _carry_out(self, name: Name, payer: str, request: bytes, proceed: Proceed) -> _Outcome:
        try:
            response = await proceed()
            outcome = _Outcome(request, Code.OK, "", response.SerializeToString())
        except RpcError as error:
            outcome = _Outcome(request, error.code, error.message, None)
        except Exception as error:
            outcome = _Outcome(request, Code.UNKNOWN, f"{type(error).__name__} in the handler", None)
        self._keep_outcome(name, payer, outcome)
        return outcome

    # The file.

    def _find(self, name: Name) -> _Outcome | None:
        where = "caller = ? AND method = ? AND key = ? AND until > ?"
        found = self._db.execute(
            f"SELECT request, code, message, response FROM calls WHERE {where}", (*name, self._clock())
        ).fetchone()
        return None if found is None else _Outcome(*found)

    def _keep_outcome(self, name: Name, payer: str, outcome: _Outcome) -> None:
        where = "WHERE caller = ? AND method = ? AND key = ?"
        if outcome.code in _AGAIN:
            gone = self._db.execute(f"DELETE FROM calls {where}", name).rowcount
            self._hold(payer, -gone, -gone * _base(name, payer))
            return
        message, response = outcome.message, outcome.response
        size = len(message.encode()) + len(response or b"")
        if not self._has_room(payer, size):
            message, response, size = "", None, 0
        row = (int(outcome.code or 0), message, response, self._clock() + self._keep, *name)
        kept = self._db.execute(f"UPDATE calls SET code = ?, message = ?, response = ?, until = ? {where}", row)
        self._hold(payer, 0, kept.rowcount * size)

    def _make_room(self, payer: str, size: int) -> None:
        """Forget what need not be kept any longer; what runs is kept as long as it runs."""
        expired = "FROM calls WHERE until <= ?"
        now = (self._clock(),)
        gone = self._db.execute(f"SELECT payer, count(*), {_SIZE} {expired} GROUP BY payer", now).fetchall()
        if gone:
            self._db.execute(f"DELETE {expired}", now)
        for who, count, freed in gone:
            self._hold(who, -count, -freed)
        account = self._accounts.get(payer)
        if account is not None and account.calls >= self._most_each:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "no more calls with keys can be kept for this caller")
        if self._count >= self._most or not self._has_room(payer, size):
            raise RpcError(Code.RESOURCE_EXHAUSTED, "no more calls with keys can be kept")

    def _has_room(self, payer: str, size: int) -> bool:
        limits = self._limits
        account = self._accounts.get(payer)
        held = 0 if account is None else account.size
        return self._bytes + size <= limits.bytes and held + size <= limits.bytes_of_caller

    def _hold(self, payer: str, calls: int, size: int) -> None:
        self._count += calls
        self._bytes += size
        account = self._accounts.setdefault(payer, _Account())
        account.calls += calls
        account.size += size
        if not account.calls:
            del self._accounts[payer]


def _base(name: Name, payer: str) -> int:
    return _ROW + sum(len(part.encode()) for part in (*name, payer))
