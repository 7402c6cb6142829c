"""What is told how the calls of a method end."""

from __future__ import annotations

from dataclasses import dataclass

from catenet.rpc.model.metrics import Meter
from catenet.rpc.server.access_log import AccessLog

__all__ = ["Watch"]


@dataclass(frozen=True, slots=True)
class Watch:
    """A meter, an access log, or both."""

    meter: Meter | None
    log: AccessLog | None
