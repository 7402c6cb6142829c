"""Calls that are counted or logged: how they end, how long that took and how large their messages were."""

from __future__ import annotations

from typing import Any

from catenet.http.events import StreamReset
from catenet.http.message import RequestHead
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.framing import Frame
from catenet.rpc.server.access_log import Entry
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.guarded import GuardedCall
from catenet.rpc.server.watch import Watch

__all__ = ["MeasuredCall", "MeasuredGuardedCall"]

_ENVELOPE = 5


class MeasuredCall(ServerCall):
    """A `ServerCall` that is watched; what nobody counts or logs is none of these, and costs nothing."""

    _watch: Watch
    _head: RequestHead
    _began: float
    _came: int = 0
    _went: int = 0
    _measured: bool = False

    def measure(self, watch: Watch, head: RequestHead) -> None:
        """Begin to count, before anything else."""
        self._watch = watch
        self._head = head
        self._began = self._connection.now
        message = self._route.plan.message
        if message is not None:
            self._came = len(message[1])
        if watch.meter is not None:
            watch.meter.begin()

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the request body has come: all of it, perhaps, which then is not taken apart."""
        if end and self._reader is None and not self.streams_in:
            self._came = max(len(data) - (_ENVELOPE if self._route.quick else 0), 0)
        super().on_data(data, end)

    def _take(self, frames: list[Frame], received: int) -> None:
        size = sum(len(payload) for _, payload in frames)
        self._came = self._came + size if self.streams_in else size or self._came
        super()._take(frames, received)

    def _reply_quickly(self, response: Any) -> bool:
        done = super()._reply_quickly(response)
        if done:
            self._went = self.quick_size
        return done

    def _encode(self, response: Any) -> tuple[bytes, str]:
        payload, compression = super()._encode(response)
        self._went += len(payload)
        return payload, compression

    def on_reset(self, reset: StreamReset) -> None:
        """The caller has gone."""
        self._ended(Code.CANCELLED)
        super().on_reset(reset)

    def _end(self, error: RpcError | None) -> None:
        if error is None:
            self._ended(Code.OK)
        else:
            self._ended(error.code, error.message)
        super()._end(error)

    def _finished(self, value: Any, error: BaseException | None) -> None:
        super()._finished(value, error)
        if self._over:
            self._ended(Code.OK)

    def _ended(self, code: Code, message: str = "") -> None:
        """The call is over; it may be said several times, and the first counts."""
        if not self._measured:
            self._measured = True
            seconds = max(self._connection.loop.time() - self._began, 0.0)
            meter, log = self._watch.meter, self._watch.log
            if meter is not None:
                meter.end(code.name, seconds, self._came, self._went)
            if log is not None:
                log.write(self._entry(code, message, seconds))

    def _entry(self, code: Code, message: str, seconds: float) -> Entry:
        plan = self._route.plan
        return Entry(
            head=self._head,
            peer=self.peer,
            method=plan.method.full_name,
            protocol=plan.wire.name,
            code=code,
            message=message,
            received=self._came,
            sent=self._went,
            seconds=seconds,
            timeout=plan.timeout,
        )


class MeasuredGuardedCall(MeasuredCall, GuardedCall):
    """Both."""
