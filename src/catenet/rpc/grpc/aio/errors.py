"""What `grpc.aio` raises, and the mark for the end of a stream."""

from __future__ import annotations

from typing import Any

from catenet.rpc.grpc.aio.metadata import Metadata
from catenet.rpc.grpc.status import Outcome, Pairs, RpcError, StatusCode

__all__ = ["EOF", "AbortError", "AioRpcError", "BaseError", "InternalError", "UsageError"]


class _End:
    """What `read()` returns after the last message."""

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<grpc.aio.EOF>"


EOF = _End()


class BaseError(Exception):
    """The base of the errors that are no call's."""


class UsageError(BaseError):
    """A call or server was used otherwise than it can be."""


class AbortError(BaseError):
    """Raised by `ServicerContext.abort` to end a handler."""


class InternalError(BaseError):
    """Something went wrong here."""


class AioRpcError(RpcError):
    """A call that did not end well."""

    def __init__(
        self,
        code: StatusCode,
        initial_metadata: Any = None,
        trailing_metadata: Any = None,
        details: str | None = None,
        debug_error_string: str | None = None,
    ) -> None:
        super().__init__(code, initial_metadata, trailing_metadata, details, debug_error_string)
        self._code = code
        self._details = details
        self._initial = Metadata() if initial_metadata is None else initial_metadata
        self._trailing = Metadata() if trailing_metadata is None else trailing_metadata
        self._debug = debug_error_string

    @classmethod
    def of(cls, outcome: Outcome, initial: Pairs) -> AioRpcError:
        """Return the error of a call that ended so."""
        trailing = Metadata.from_tuple(outcome.trailing)
        return cls(outcome.code, Metadata.from_tuple(initial), trailing, outcome.details, outcome.debug_string)

    def code(self) -> StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str | None:
        """Return the text of the status."""
        return self._details

    def initial_metadata(self) -> Any:
        """Return what came before the first message."""
        return self._initial

    def trailing_metadata(self) -> Any:
        """Return what came with the status."""
        return self._trailing

    def debug_error_string(self) -> str | None:
        """Return the status as one text."""
        return self._debug

    def __str__(self) -> str:
        outcome = Outcome(self._code, self._details or "", tuple(self._trailing))
        return outcome.text(type(self).__name__, "terminated with")

    __repr__ = __str__

    def __reduce__(self) -> Any:
        return type(self), self.args
