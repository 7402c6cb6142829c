"""How a server treats its callers, and what it has done so far."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

from catenet.checks import check_choice, check_numbers
from catenet.codec import CODECS, COMPRESSIONS, Codec, Compression
from catenet.http.limits import Limits
from catenet.net.limits import ServerLimits
from catenet.rpc.model.sessions import SessionOptions

__all__ = ["Counters", "ServerOptions"]


@dataclass(frozen=True, slots=True)
class ServerOptions(ServerLimits):
    """How a server treats its callers: `catenet.net.limits.ServerLimits`, and more. Seconds and bytes.

    Raises `ValueError` that names the field.

    * `limits`: of HTTP, for each connection.
    * `max_receive`, `max_send`: largest message, uncompressed.
    * `max_assembly`, `max_assembly_total`: parts of messages that one connection, and all, may have pending.
    * `compression`: for responses, where the caller accepts it.
    * `keepalive_time`, `keepalive_timeout`: ping a quiet peer, close if it does not answer (gRFC A9).
    * `peer_timeout`: after so much silence TCP asks whether the caller is there, and what it has not acknowledged for
      so long ends the connection; None: as the system has it.
    * `executor`: where handlers that are not `async` run; None: the loop's default.
    * `session`: of `session+grpc://`, `session+grpcs://`; keepalive is then the session's.
    """

    limits: Limits = field(default_factory=Limits)
    max_receive: int = 4 << 20
    max_send: int = 1 << 31
    max_assembly: int = 64 << 20
    max_assembly_total: int = 256 << 20
    compression: str = "identity"
    codecs: Mapping[str, Codec] = field(default_factory=lambda: CODECS)
    compressions: Mapping[str, Compression] = field(default_factory=lambda: COMPRESSIONS)
    keepalive_time: float = 7200.0
    keepalive_timeout: float = 20.0
    peer_timeout: float | None = 60.0
    executor: Executor | None = None
    session: SessionOptions = field(default_factory=SessionOptions)

    def __post_init__(self) -> None:
        check_choice("compression", self.compression, self.compressions)
        ServerLimits.__post_init__(self)
        check_numbers(self, ("max_receive", "max_send", "max_assembly", "max_assembly_total"), whole=True)
        check_numbers(self, ("keepalive_time", "keepalive_timeout"))
        check_numbers(self, ("peer_timeout",), none=True)


@dataclass(slots=True)
class Counters:
    """What a server has done so far, as channelz counts it."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    protocol_errors: int = 0
    connections_opened: int = 0
    connections_closed: int = 0
