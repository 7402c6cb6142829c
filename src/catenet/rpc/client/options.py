"""What a channel may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from catenet import __version__
from catenet.checks import check_choice, check_numbers
from catenet.codec import CODECS, COMPRESSIONS, Codec, Compression
from catenet.http.fields import ADDRESS_LIST, AUTHORITY
from catenet.http.limits import Limits
from catenet.net.pool import PoolLimits
from catenet.net.target import Target
from catenet.rpc.client.balancing.config import PolicyConfig, policy_named
from catenet.rpc.client.names import Resolver
from catenet.rpc.client.service_config import ServiceConfig
from catenet.rpc.model.sessions import SessionOptions
from catenet.rpc.protocols.registry import PROTOCOLS

__all__ = ["USER_AGENT", "ChannelOptions", "policy_of"]

USER_AGENT = f"catenet/{__version__}".encode()


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How a channel treats its server. Times in seconds, sizes in bytes. Raises `ValueError` that names the field.

    * `protocol`: `grpc`, `grpc-web` or `connect`; `codec`: `proto` or `json`; `http1`: speak HTTP/1.1
      where TLS does not choose (not with gRPC); `use_get`: Connect sends methods without side effects as GET.
    * `compression`: of requests; `accepts`: for responses, best first.
    * `max_receive`: largest response message, uncompressed.
    * `timeout`: for calls that name none. `wait_for_ready`: for calls that do not say.
    * `service_config`: timeouts, retries, hedging, load balancing, health. `balancing` overrides its policy: a name of
      `catenet.rpc.client.balancing.config.POLICIES`, or one with settings.
    * `resolver`: who is asked for addresses. `resolve_floor`: seconds between an answer and the next question.
    * `peer_timeout`: after so much silence TCP asks whether the server is there, and what it has not acknowledged for
      so long ends the connection (gRFC A18). Servers see no PING of it.
    * `keepalive_time`, `keepalive_timeout`, `keepalive_without_calls`: PINGs while calls run (gRFC A8). Servers of gRPC
      take one in five minutes, unless they say otherwise, and go away from who sends more; the time is then doubled.
    * `authority`, `server_name`: instead of the target's, for HTTP and for TLS.
    * `retry_buffer`, `retry_buffer_total`: what one call and all calls of the channel may keep of request streams, to
      send it again in another attempt; beyond it there is none (gRFC A6).
    * `pool`: how many connections there may be. Over HTTP/1.1 each call needs one for itself. Over HTTP/2 all calls
      share one (`max_shared`), which is kept; beyond the streams that the server admits they wait.
    * `session`: of targets `session+grpc://` and `session+grpcs://`, whose silence the session looks into instead of
      `keepalive_time` and `peer_timeout`, and connects again.
    """

    protocol: str = "grpc"
    codec: str = "proto"
    http1: bool = False
    use_get: bool = False
    compression: str = "identity"
    accepts: tuple[str, ...] = ("gzip", "zstd", "deflate")
    max_receive: int = 4 << 20
    timeout: float | None = None
    wait_for_ready: bool = False
    service_config: ServiceConfig = field(default_factory=ServiceConfig)
    balancing: str | PolicyConfig | None = None
    resolver: Resolver | None = None
    resolve_floor: float = 5.0
    peer_timeout: float | None = 30.0
    keepalive_time: float | None = 360.0
    keepalive_timeout: float = 20.0
    keepalive_without_calls: bool = False
    connect_timeout: float = 20.0
    authority: str | None = None
    server_name: str | None = None
    retry_buffer: int = 256 << 10
    retry_buffer_total: int = 16 << 20
    pool: PoolLimits = field(default_factory=PoolLimits)
    session: SessionOptions = field(default_factory=SessionOptions)
    limits: Limits = field(default_factory=lambda: Limits(max_streams=0, glitch_burst=10_000, glitch_rate=1000.0))
    codecs: Mapping[str, Codec] = field(default_factory=lambda: CODECS)
    compressions: Mapping[str, Compression] = field(default_factory=lambda: COMPRESSIONS)

    def __post_init__(self) -> None:
        check_choice("protocol", self.protocol, PROTOCOLS)
        check_choice("codec", self.codec, self.codecs)
        check_choice("compression", self.compression, self.compressions)
        for name in self.accepts:
            check_choice("accepts", name, self.compressions)
        if self.http1 and self.protocol == "grpc":
            raise ValueError("http1=True: gRPC needs HTTP/2; protocol='connect' and 'grpc-web' do not")
        if self.authority is not None:
            authority = self.authority.encode(errors="replace")
            if not AUTHORITY(authority) and not ADDRESS_LIST(authority):
                raise ValueError(f"authority={self.authority!r}: must be HOST or HOST:PORT")
        check_numbers(self, ("resolve_floor", "keepalive_timeout", "connect_timeout"))
        check_numbers(self, ("max_receive", "retry_buffer", "retry_buffer_total"), whole=True)
        check_numbers(self, ("timeout", "peer_timeout", "keepalive_time"), none=True)
        if isinstance(self.balancing, str):
            policy_named(self.balancing)


def policy_of(target: Target, options: ChannelOptions) -> PolicyConfig:
    """Return the policy: that of the options, of the service config, or the usual one of the target."""
    chosen = options.balancing or options.service_config.load_balancing
    if isinstance(chosen, PolicyConfig):
        return chosen
    return policy_named(chosen or ("round_robin" if target.resolve_all else "pick_first"))
