"""What `grpc` takes as arguments of channels and servers (`grpc_types.h`), as our options; and its targets as ours."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from catenet.http.limits import Limits
from catenet.rpc.client.balancing.config import PolicyConfig, policy_named
from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.client.service_config import ServiceConfig, parse_service_config
from catenet.rpc.grpc.raw import CODECS
from catenet.rpc.grpc.status import COMPRESSIONS
from catenet.rpc.model.sessions import SessionOptions
from catenet.rpc.model.target import SESSION_SCHEMES
from catenet.rpc.server.options import ServerOptions

__all__ = ["Arguments", "channel_options", "channel_target", "listening_url", "server_options"]

logger = logging.getLogger("catenet.rpc")

_UNLIMITED = 1 << 31
_DEFAULT_RECEIVE = 4 << 20
_KEEPALIVE_NEVER_MS = (1 << 31) - 1


class Arguments:
    """The arguments that a program gave, pairs of `grpc.…` names and values; the last of a name counts."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] | None) -> None:
        self._given: dict[str, Any] = {str(name).removeprefix("grpc."): value for name, value in pairs or ()}

    def get(self, name: str, default: Any = None) -> Any:
        """Return what was given under `grpc.NAME`."""
        return self._given.get(name, default)

    def size(self, name: str, default: int) -> int:
        """Return a number of bytes; -1 means no limit."""
        value = int(self.get(name, default))
        return _UNLIMITED if value < 0 else value

    def seconds(self, name: str, default: float | None) -> float | None:
        """Return a time that was given in milliseconds; the largest number, or less than none, means never."""
        value = self.get(name)
        if value is None:
            return default
        return None if not 0 < int(value) < _KEEPALIVE_NEVER_MS else int(value) / 1000


def channel_options(arguments: Arguments, compression: Any) -> ChannelOptions:
    """Return how a channel treats its server. Raises `ValueError` for a service config that is none."""
    config = ServiceConfig()
    text = arguments.get("service_config")
    if text:
        try:
            config = parse_service_config(text.decode() if isinstance(text, bytes) else text)
        except ValueError as error:  # as `grpc`, which goes on without
            logger.warning("grpc.service_config is not used: %s", error)
    if not arguments.get("enable_retries", 1):
        once = {name: replace(one, retry=None, hedging=None) for name, one in config.methods.items()}
        config = replace(config, methods=once)
    if arguments.get("inhibit_health_checking"):
        config = replace(config, health_service=None)
    return ChannelOptions(
        compression=COMPRESSIONS.get(compression, "identity"),
        accepts=("gzip", "deflate"),
        max_receive=arguments.size("max_receive_message_length", _DEFAULT_RECEIVE),
        service_config=config,
        balancing=_balancing(arguments, config),
        resolve_floor=arguments.seconds("dns_min_time_between_resolutions_ms", 30.0) or 0.0,
        keepalive_time=arguments.seconds("keepalive_time_ms", None),
        keepalive_timeout=arguments.seconds("keepalive_timeout_ms", 20.0) or 20.0,
        keepalive_without_calls=bool(arguments.get("keepalive_permit_without_calls", 0)),
        authority=arguments.get("default_authority") or arguments.get("ssl_target_name_override"),
        server_name=arguments.get("ssl_target_name_override"),
        retry_buffer=arguments.size("per_rpc_retry_buffer_size", 256 << 10),
        session=_session_options(arguments),
        codecs=CODECS,
    )


def _balancing(arguments: Arguments, config: ServiceConfig) -> PolicyConfig:
    """Return the policy: of the service config, else of `grpc.lb_policy_name`, else `pick_first` (as C's gRPC)."""
    if config.load_balancing is not None:
        return config.load_balancing
    name = arguments.get("lb_policy_name")
    if name:
        try:
            return policy_named(name.decode() if isinstance(name, bytes) else str(name))
        except ValueError as error:  # C's gRPC takes the usual one too
            logger.warning("grpc.lb_policy_name is not used: %s", error)
    return policy_named("pick_first")


def server_options(arguments: Arguments, compression: Any) -> ServerOptions:
    """Return how a server treats its callers."""
    limits = Limits()
    streams = arguments.get("max_concurrent_streams")
    if streams is not None:
        limits = replace(limits, max_streams=int(streams))
    return ServerOptions(
        limits=limits,
        max_receive=arguments.size("max_receive_message_length", _DEFAULT_RECEIVE),
        max_send=arguments.size("max_send_message_length", _UNLIMITED),
        compression=COMPRESSIONS.get(compression, "identity"),
        keepalive_time=arguments.seconds("keepalive_time_ms", 7200.0) or 7200.0,
        keepalive_timeout=arguments.seconds("keepalive_timeout_ms", 20.0) or 20.0,
        max_idle=arguments.seconds("max_connection_idle_ms", None),
        max_age=arguments.seconds("max_connection_age_ms", None),
        session=_session_options(arguments),
        codecs=CODECS,
    )


def _session_options(arguments: Arguments) -> SessionOptions:
    """Of `session+grpc://`: `catenet.session_key`, bytes, and `catenet.session_expiry_ms`."""
    usual = SessionOptions()
    key: bytes | None = arguments.get("catenet.session_key")
    expiry = arguments.seconds("catenet.session_expiry_ms", None)
    return SessionOptions(expiry=usual.expiry if expiry is None else expiry, key=key)


def channel_target(target: str | bytes) -> str:
    """Return a target as a URL of ours (gRPC `naming.md`). Raises `ValueError`."""
    if isinstance(target, bytes):
        target = target.decode()
    scheme, colon, rest = target.partition(":")
    if scheme in SESSION_SCHEMES:
        return target
    if scheme in ("unix", "unix-abstract") and colon:
        return _unix(scheme, rest)
    if scheme in ("ipv4", "ipv6") and colon:
        return target.replace("///", "")
    if scheme == "dns" and rest.startswith("//") and not rest.startswith("///"):
        server, _, name = rest[2:].partition("/")
        return f"dns://{server}/{_with_port(name)}"
    if scheme in ("dns", "passthrough") and colon:
        rest = rest.rpartition("/")[2]
    elif rest.startswith("//"):
        raise ValueError(f"target {target!r}: no scheme {scheme!r}; take dns:///host:port, ipv4:, ipv6:, unix:")
    else:
        rest = target
    return f"tcp://{_with_port(rest)}" if scheme == "passthrough" else f"dns:///{_with_port(rest)}"


def listening_url(address: str | bytes) -> str:
    """Return where to listen as a URL of ours. Raises `ValueError`."""
    if isinstance(address, bytes):
        address = address.decode()
    scheme, colon, rest = address.partition(":")
    if scheme in SESSION_SCHEMES:
        return f"{scheme}:{rest.replace('//[::]:', '//:')}"
    if scheme in ("unix", "unix-abstract") and colon:
        return _unix(scheme, rest)
    if scheme in ("dns", "ipv4", "ipv6") and colon:
        address = rest.rpartition("/")[2]
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"address {address!r} names no port")
    return f"tcp://:{port}" if host in ("[::]", "*", "") else f"tcp://{_bracketed(host)}:{port}"


def _unix(scheme: str, path: str) -> str:
    path = path.removeprefix("//")
    return f"unix:@{path}" if scheme == "unix-abstract" else f"unix:{path}"


def _with_port(endpoint: str) -> str:
    """GRPC's port for a name without one is that of https."""
    host, colon, port = endpoint.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        return f"{_bracketed(host)}:{port}"
    return f"{_bracketed(endpoint)}:443"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
