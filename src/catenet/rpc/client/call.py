"""One call before its first attempt: what the program said of it, and what the channel says of such calls."""

from __future__ import annotations

from typing import Any, TypedDict

from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.client.service_config import MethodConfig, parse_pushback
from catenet.rpc.model.context import SERVED_UNTIL, Pairs
from catenet.rpc.model.metadata import Metadata, check_metadata
from catenet.rpc.model.method import Method
from catenet.rpc.model.status import RpcError

__all__ = ["Call", "CallInfo", "CallOptions", "coarse", "pushback_of"]


class CallInfo:
    """What there is to know about one call beside its messages: give one as `info`, read it afterwards.

    Interceptors get it as `call` and may change `metadata` and `timeout` before they proceed.
    """

    method: Method[Any, Any]
    metadata: Metadata = ()
    timeout: float | None = None
    initial_metadata: Metadata = ()
    trailing_metadata: Metadata = ()
    attempts: int = 0


class CallOptions(TypedDict, total=False):
    """What every call takes, all of it optional: `timeout` in seconds, `metadata` as pairs, and so on."""

    timeout: float | None
    metadata: Pairs
    wait_for_ready: bool
    compression: str
    info: CallInfo


class Call:
    """One call before its first attempt: options read, deadline fixed."""

    __slots__ = ("compression", "config", "deadline", "info", "method", "wait_for_ready")

    def __init__(
        self, channel_options: ChannelOptions, method: Method[Any, Any], options: CallOptions, now: float
    ) -> None:
        self.method = method
        self.config: MethodConfig = channel_options.service_config.for_method(method)
        self.info = options.get("info") or CallInfo()
        self.info.method = method
        self.info.metadata = check_metadata(options["metadata"]) if "metadata" in options else ()
        timeouts = (options.get("timeout", channel_options.timeout), self.config.timeout)
        self.info.timeout = min((timeout for timeout in timeouts if timeout is not None), default=None)
        ready = options.get("wait_for_ready", self.config.wait_for_ready)
        self.wait_for_ready = channel_options.wait_for_ready if ready is None else ready
        self.compression = options.get("compression", channel_options.compression)
        served_until = SERVED_UNTIL.get(None)
        if served_until is not None:
            left = coarse(max(served_until - now, 0.0))
            self.info.timeout = left if self.info.timeout is None else min(left, self.info.timeout)
        self.deadline: float | None = None
        self.fix_deadline(now)

    @property
    def key(self) -> tuple[Any, ...]:
        """What distinguishes its first attempt from those of other calls."""
        return (self.method, self.info.timeout, self.info.metadata, self.compression)

    def fix_deadline(self, now: float) -> None:
        """An interceptor may have changed the timeout."""
        self.deadline = None if self.info.timeout is None else now + self.info.timeout


def coarse(seconds: float) -> float:
    """Round up to a millisecond: the same remaining time gives the same head."""
    return -(-seconds // 0.001) * 0.001


def pushback_of(error: RpcError) -> float | None:
    """Return what a failure says of retries, as `parse_pushback` does."""
    value = next((value for key, value in error.metadata if key == "grpc-retry-pushback-ms"), None)
    return parse_pushback(value if isinstance(value, str) else None)
