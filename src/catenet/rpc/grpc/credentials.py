"""Credentials of channels, calls and servers, on `ssl`."""

from __future__ import annotations

import asyncio
import enum
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from catenet.net.tls import client_context
from catenet.net.tls_source import load_pair
from catenet.rpc.grpc.interfaces import AuthMetadataContext, AuthMetadataPluginCallback
from catenet.rpc.grpc.status import Pairs, sendable
from catenet.rpc.model.status import Code
from catenet.rpc.model.status import RpcError as CallError

__all__ = [
    "CallCredentials",
    "ChannelCredentials",
    "LocalConnectionType",
    "ServerCertificateConfiguration",
    "ServerCredentials",
    "access_token_call_credentials",
    "alts_channel_credentials",
    "alts_server_credentials",
    "composite_call_credentials",
    "composite_channel_credentials",
    "compute_engine_channel_credentials",
    "dynamic_ssl_server_credentials",
    "insecure_channel_credentials",
    "insecure_server_credentials",
    "local_channel_credentials",
    "local_server_credentials",
    "metadata_call_credentials",
    "metadata_of",
    "ssl_channel_credentials",
    "ssl_server_certificate_configuration",
    "ssl_server_credentials",
    "xds_channel_credentials",
    "xds_server_credentials",
]


class CallCredentials:
    """What finds the metadata that authenticates calls: one plugin or several."""

    def __init__(self, credentials: Any) -> None:
        self.plugins: tuple[Any, ...] = tuple(credentials)


class ChannelCredentials:
    """How a channel secures its connections, and what authenticates all of its calls."""

    def __init__(self, credentials: Any, calls: CallCredentials | None = None) -> None:
        self.make_context: Callable[[], ssl.SSLContext] | None = credentials
        self.calls = calls


class ServerCredentials:
    """How a server secures its connections."""

    def __init__(self, credentials: Any) -> None:
        self.make_context: Callable[[], ssl.SSLContext] | None = credentials


class ServerCertificateConfiguration:
    """Certificates of a server, and whose certificates clients may have."""

    def __init__(self, certificate_configuration: Any) -> None:
        self.certificates: tuple[Any, Any] = certificate_configuration


class LocalConnectionType(enum.Enum):
    """What local credentials are for."""

    UDS = 0
    LOCAL_TCP = 1


# Channels.


def ssl_channel_credentials(
    root_certificates: bytes | None = None, private_key: bytes | None = None, certificate_chain: bytes | None = None
) -> ChannelCredentials:
    """Return credentials for TLS. All is PEM; without `root_certificates` the system's authorities are trusted."""

    def make() -> ssl.SSLContext:
        roots = root_certificates
        path = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
        if roots is None:
            context = client_context(ca=path)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            _trust(context, roots)
        if private_key is not None and certificate_chain is not None:
            _load_pair(context, private_key, certificate_chain)
        return context

    return ChannelCredentials(make)


def insecure_channel_credentials() -> ChannelCredentials:
    """Return credentials for connections without TLS."""
    return ChannelCredentials(None)


def local_channel_credentials(
    local_connect_type: LocalConnectionType = LocalConnectionType.LOCAL_TCP,
) -> ChannelCredentials:
    """Return credentials for connections within this machine, which are not encrypted."""
    return ChannelCredentials(None)


def composite_channel_credentials(
    channel_credentials: ChannelCredentials, *call_credentials: CallCredentials
) -> ChannelCredentials:
    """Return the channel's credentials with those of all its calls."""
    known = (channel_credentials.calls,) if channel_credentials.calls is not None else ()
    return ChannelCredentials(channel_credentials.make_context, composite_call_credentials(*known, *call_credentials))


def alts_channel_credentials(service_accounts: Any = None) -> NoReturn:
    """Refuse: ALTS is Google's own, within its data centres."""
    _refuse("ALTS")


def compute_engine_channel_credentials(call_credentials: Any) -> NoReturn:
    """Refuse: these stand on ALTS."""
    _refuse("Compute Engine's credentials")


def xds_channel_credentials(fallback_credentials: Any = None) -> Any:
    """Return the credentials to fall back to, as there is no xDS here."""
    return insecure_channel_credentials() if fallback_credentials is None else fallback_credentials


# Calls.


def metadata_call_credentials(metadata_plugin: Any, name: str | None = None) -> CallCredentials:
    """Return credentials of which `metadata_plugin` finds the metadata, for each call."""
    return CallCredentials((metadata_plugin,))


def access_token_call_credentials(access_token: str) -> CallCredentials:
    """Return credentials that are one bearer token."""

    def give(context: Any, callback: Any) -> None:
        callback((("authorization", f"Bearer {access_token}"),), None)

    return CallCredentials((give,))


def composite_call_credentials(*call_credentials: CallCredentials) -> CallCredentials:
    """Return credentials that are several."""
    return CallCredentials(plugin for one in call_credentials for plugin in one.plugins)


class _Context(
    NamedTuple("_Context", [("service_url", str), ("method_name", str)]),
    AuthMetadataContext,
):
    """For which call."""


class _Answer(AuthMetadataPluginCallback):
    """Takes what a plugin has found, from whatever thread it comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def __call__(self, metadata: Any, error: Any) -> None:
        """Give the metadata, or the error because of which there is none."""
        self._loop.call_soon_threadsafe(self._set, metadata, error)

    def _set(self, metadata: Any, error: Any) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(metadata)
        else:
            self.future.set_exception(_failed(error))


async def metadata_of(credentials: Sequence[CallCredentials], authority: str, path: str) -> Pairs:
    """Return the metadata that `credentials` have for a call. Raises our `RpcError`: UNAVAILABLE.

    Plugins are plain functions that may ask a server for a token, so they run on threads.
    """
    loop = asyncio.get_running_loop()
    service, _, name = path.removeprefix("/").rpartition("/")
    context = _Context(f"https://{authority.removesuffix(':443')}/{service}", name)
    found: list[Any] = []
    for one in credentials:
        for plugin in one.plugins:
            answer = _Answer(loop)
            try:
                await asyncio.to_thread(plugin, context, answer)
            except Exception as error:
                raise _failed(error) from error
            found += await answer.future or ()
    try:
        return sendable(found)
    except ValueError as error:
        raise _failed(error) from error


def _failed(error: Any) -> CallError:
    return CallError(Code.UNAVAILABLE, f"Getting metadata from plugin failed with error: {error}")


# Servers.


def ssl_server_credentials(
    private_key_certificate_chain_pairs: Sequence[tuple[bytes, bytes]],
    root_certificates: bytes | None = None,
    require_client_auth: bool = False,
) -> ServerCredentials:
    """Return credentials for TLS: keys with their chains (PEM; the first pair is used), and clients' authorities.

    Raises `ValueError` for what does not go together.
    """
    if not private_key_certificate_chain_pairs:
        raise ValueError("At least one private key-certificate chain pair is required!")
    if require_client_auth and root_certificates is None:
        raise ValueError("Illegal to require client auth without providing root certificates!")
    configuration = ssl_server_certificate_configuration(private_key_certificate_chain_pairs, root_certificates)
    return dynamic_ssl_server_credentials(configuration, None, require_client_auth)


def ssl_server_certificate_configuration(
    private_key_certificate_chain_pairs: Sequence[tuple[bytes, bytes]], root_certificates: bytes | None = None
) -> ServerCertificateConfiguration:
    """Return certificates for `dynamic_ssl_server_credentials`. Raises `ValueError`."""
    if not private_key_certificate_chain_pairs:
        raise ValueError("At least one private key-certificate chain pair is required!")
    return ServerCertificateConfiguration((tuple(private_key_certificate_chain_pairs), root_certificates))


def dynamic_ssl_server_credentials(
    initial_certificate_configuration: ServerCertificateConfiguration,
    certificate_configuration_fetcher: Callable[[], ServerCertificateConfiguration | None] | None,
    require_client_authentication: bool = False,
) -> ServerCredentials:
    """Return credentials whose certificates may change: the fetcher is asked at each handshake; None: no change."""

    def build(configuration: ServerCertificateConfiguration) -> ssl.SSLContext:
        pairs, roots = configuration.certificates
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, chain = pairs[0]
        _load_pair(context, key, chain)
        context.set_alpn_protocols(["h2"])
        if roots is not None:
            _trust(context, roots)
            context.verify_mode = ssl.CERT_REQUIRED if require_client_authentication else ssl.CERT_OPTIONAL
        return context

    def make() -> ssl.SSLContext:
        context = build(initial_certificate_configuration)
        if certificate_configuration_fetcher is not None:
            fetch, current = certificate_configuration_fetcher, [context]

            def choose(connection: Any, name: Any, _: ssl.SSLContext) -> None:
                changed = fetch()
                if changed is not None:
                    current[0] = build(changed)
                connection.context = current[0]

            context.sni_callback = choose
        return context

    return ServerCredentials(make)


def insecure_server_credentials() -> ServerCredentials:
    """Return credentials for connections without TLS."""
    return ServerCredentials(None)


def local_server_credentials(
    local_connect_type: LocalConnectionType = LocalConnectionType.LOCAL_TCP,
) -> ServerCredentials:
    """Return credentials for connections within this machine, which are not encrypted."""
    return ServerCredentials(None)


def alts_server_credentials() -> NoReturn:
    """Refuse: ALTS is Google's own, within its data centres."""
    _refuse("ALTS")


def xds_server_credentials(fallback_credentials: ServerCredentials) -> ServerCredentials:
    """Return the credentials to fall back to, as there is no xDS here."""
    return fallback_credentials


# TLS.


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(f"{what}: not in catenet.rpc.grpc; take ssl_channel_credentials()")


def _trust(context: ssl.SSLContext, roots: bytes | str) -> None:
    text = roots.decode("ascii") if isinstance(roots, bytes) else roots
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        raise ValueError(f"root_certificates are no certificates in PEM: {error.reason or error}") from None


def _load_pair(context: ssl.SSLContext, key: bytes, chain: bytes) -> None:
    try:
        load_pair(context, key, chain)
    except ssl.SSLError as error:
        raise ValueError(f"certificate chain and key cannot be used: {error.reason or error}") from None
