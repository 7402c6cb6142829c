"""What handlers of calls raise, brought to the log.

The logger is `catenet.rpc`. An exception is logged as an error, a status that the handler chose (`RpcError`)
at level INFO, with its traceback at DEBUG.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging

from catenet.net import failures
from catenet.rpc.model.status import RpcError

__all__ = ["FailureLog", "is_failure", "logger"]

logger = logging.getLogger("catenet.rpc")
logger.addFilter(failures.bounded)


def is_failure(error: BaseException) -> bool:
    """Whether an exception is a defect of the handler, rather than a status that it chose or the end of its call."""
    return not isinstance(error, RpcError | asyncio.CancelledError | concurrent.futures.CancelledError)


class FailureLog(failures.FailureLog):
    """The failures of the calls of one server. Threads may use it."""

    def __init__(self) -> None:
        super().__init__(logger)

    def report(self, what: str, peer: str, error: BaseException, now: float) -> None:
        """Log that `what`, called by `peer`, has ended with `error`; `now` in seconds of any clock."""
        caller = peer or "a peer that has gone"
        if is_failure(error):
            self.failed(what, caller, error, now)
        elif logger.isEnabledFor(logging.INFO):
            told = error if logger.isEnabledFor(logging.DEBUG) else None
            logger.info("%s called by %s ended: %s", what, caller, failures.text_of(error), exc_info=told)
