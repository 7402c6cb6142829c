"""The codes, states and errors of `grpc`, by the names and values that programs know."""

from __future__ import annotations

import abc
import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

from catenet.rpc.model.status import Code, Detail, pack_status, unpack_details
from catenet.rpc.model.status import RpcError as CallError

__all__ = [
    "COMPRESSIONS",
    "ChannelConnectivity",
    "Compression",
    "FutureCancelledError",
    "FutureTimeoutError",
    "Metadatum",
    "Outcome",
    "Pairs",
    "RpcError",
    "Status",
    "StatusCode",
    "call_error",
    "outcome_of",
    "pairs_of",
    "sendable",
]

Pairs = tuple[tuple[str, str | bytes], ...]

_DETAILS = "grpc-status-details-bin"
_TRACING = ("grpc-trace-bin", "grpc-tags-bin", "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms")


class StatusCode(enum.Enum):
    """How a call ended (gRPC `statuscodes.md`): number and name."""

    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")


class ChannelConnectivity(enum.Enum):
    """How a channel stands (gRPC `connectivity-semantics-and-api.md`)."""

    IDLE = (0, "idle")
    CONNECTING = (1, "connecting")
    READY = (2, "ready")
    TRANSIENT_FAILURE = (3, "transient failure")
    SHUTDOWN = (4, "shutdown")


class Compression(enum.IntEnum):
    """What messages may be compressed with."""

    NoCompression = 0
    Deflate = 1
    Gzip = 2


COMPRESSIONS = {Compression.NoCompression: "identity", Compression.Deflate: "deflate", Compression.Gzip: "gzip"}


class RpcError(Exception):
    """Raised by calls that did not end well; what is raised also tells `code()` and `details()`."""


class FutureTimeoutError(Exception):
    """A future was not done in time."""


class FutureCancelledError(Exception):
    """A future was cancelled."""


class Status(abc.ABC):
    """What `ServicerContext.abort_with_status` takes: attributes `code`, `details` and `trailing_metadata`."""


class Metadatum(NamedTuple):
    """One pair of metadata."""

    key: str
    value: str | bytes


class Outcome(NamedTuple):
    """How a call ended."""

    code: StatusCode
    details: str
    trailing: Pairs

    @property
    def debug_string(self) -> str:
        """What `debug_error_string()` says."""
        return f'{{"grpc_status":{self.code.value[0]},"grpc_message":"{self.details}"}}'

    def text(self, name: str, what: str) -> str:
        """Several lines for a person, as an error of the class `name` shows itself."""
        return (
            f"<{name} of RPC that {what}:\n\tstatus = {self.code}\n"
            f'\tdetails = "{self.details}"\n\tdebug_error_string = "{self.debug_string}"\n>'
        )


def outcome_of(error: CallError | None, trailing: Sequence[tuple[str, str | bytes]]) -> Outcome:
    """Return how a call ended; the details of an error go where programs look for them, into trailing metadata."""
    if error is None:
        return Outcome(StatusCode.OK, "", pairs_of(trailing))
    pairs = pairs_of(trailing or error.metadata)
    if error.details:
        pairs = (*pairs, Metadatum(_DETAILS, pack_status(error)))
    return Outcome(StatusCode[error.code.name], error.message, pairs)


def call_error(code: Any, details: Any, trailing: Sequence[tuple[str, str | bytes]]) -> CallError | None:
    """Return the error of a handler that ended with that code, None for OK. Whatever is no code is UNKNOWN.

    Of the trailing metadata it takes the details.
    """
    number = getattr(code, "value", code)
    number = number[0] if isinstance(number, tuple) else number
    known = Code.from_number(number) if isinstance(number, int) else Code.UNKNOWN
    if known is Code.OK:
        return None
    if isinstance(details, bytes):
        details = details.decode("utf-8", "replace")
    typed: tuple[Detail, ...] = ()
    for name, value in trailing:
        if name == _DETAILS and isinstance(value, bytes):
            typed = unpack_details(value)
    return CallError(known, "" if details is None else details, typed)


def pairs_of(metadata: Any) -> Pairs:
    """Return metadata as `grpc` gives it to programs."""
    return tuple(Metadatum(name, value) for name, value in metadata or ())


def sendable(metadata: Any) -> Pairs:
    """Return what a program gives as metadata, as our calls take it: names without what gRPC keeps for itself.

    Bytes under a name of text, and text under a name of bytes, are sent as `grpc` sends them. Raises `ValueError`.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in metadata or ():
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        if name.startswith("grpc-") and name not in _TRACING:
            continue
        if name.endswith("-bin"):
            value = value.encode() if isinstance(value, str) else value
        elif isinstance(value, bytes):
            value = value.decode("latin-1")
        pairs.append((name, value))
    return tuple(pairs)
