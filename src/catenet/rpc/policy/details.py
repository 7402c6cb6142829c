"""What callers are told when they are refused: a code, a sentence, and details that name no rule and no object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["exhausted", "refusal"]

DOMAIN: Final = "catenet"


def refusal(code: Code, message: str, reason: str, more: Iterable[Message] = (), metadata: Metadata = ()) -> RpcError:
    """Return an error with `google.rpc.ErrorInfo`, whose reason is a constant that programs may compare."""
    from google.rpc.error_details_pb2 import ErrorInfo

    return RpcError(code, message, [ErrorInfo(reason=reason, domain=DOMAIN), *more], metadata)


def exhausted(what: str, wait: float) -> RpcError:
    """RESOURCE_EXHAUSTED: which of the caller's limits, and in how many seconds to try again (0: nobody knows)."""
    from google.protobuf.duration_pb2 import Duration
    from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo

    violation = QuotaFailure.Violation(subject="caller", description=what)
    more: list[Message] = [QuotaFailure(violations=[violation])]
    if wait > 0:
        seconds = int(wait)
        more.append(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=int((wait - seconds) * 1e9))))
    return refusal(Code.RESOURCE_EXHAUSTED, f"over the caller's limit of {what}", "LIMIT_EXCEEDED", more)
