"""As `grpc`: what a program takes from there, on our own client and server.

A program written for `grpc` or `grpc.aio` runs with `from catenet.rpc import grpc`, or as it is by
`catenet run --grpc`; so does the code that grpcio-tools generates. What differs is listed in `docs/grpc.md`.
"""

from typing import Any

from catenet.rpc.grpc import aio, experimental
from catenet.rpc.grpc.channel import channel_ready_future, insecure_channel, secure_channel
from catenet.rpc.grpc.credentials import (
    CallCredentials,
    ChannelCredentials,
    LocalConnectionType,
    ServerCertificateConfiguration,
    ServerCredentials,
    access_token_call_credentials,
    alts_channel_credentials,
    alts_server_credentials,
    composite_call_credentials,
    composite_channel_credentials,
    compute_engine_channel_credentials,
    dynamic_ssl_server_credentials,
    insecure_server_credentials,
    local_channel_credentials,
    local_server_credentials,
    metadata_call_credentials,
    ssl_channel_credentials,
    ssl_server_certificate_configuration,
    ssl_server_credentials,
    xds_channel_credentials,
    xds_server_credentials,
)
from catenet.rpc.grpc.handlers import (
    GenericRpcHandler,
    HandlerCallDetails,
    RpcMethodHandler,
    ServerInterceptor,
    ServiceRpcHandler,
    method_handlers_generic_handler,
    stream_stream_rpc_method_handler,
    stream_unary_rpc_method_handler,
    unary_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from catenet.rpc.grpc.interceptors import intercept_channel
from catenet.rpc.grpc.interfaces import (
    AuthMetadataContext,
    AuthMetadataPlugin,
    AuthMetadataPluginCallback,
    Call,
    Channel,
    ClientCallDetails,
    Future,
    RpcContext,
    Server,
    ServicerContext,
    StreamStreamClientInterceptor,
    StreamStreamMultiCallable,
    StreamUnaryClientInterceptor,
    StreamUnaryMultiCallable,
    UnaryStreamClientInterceptor,
    UnaryStreamMultiCallable,
    UnaryUnaryClientInterceptor,
    UnaryUnaryMultiCallable,
)
from catenet.rpc.grpc.server import server
from catenet.rpc.grpc.status import (
    ChannelConnectivity,
    Compression,
    FutureCancelledError,
    FutureTimeoutError,
    RpcError,
    Status,
    StatusCode,
)

__all__ = [
    "AuthMetadataContext",
    "AuthMetadataPlugin",
    "AuthMetadataPluginCallback",
    "Call",
    "CallCredentials",
    "Channel",
    "ChannelConnectivity",
    "ChannelCredentials",
    "ClientCallDetails",
    "Compression",
    "Future",
    "FutureCancelledError",
    "FutureTimeoutError",
    "GenericRpcHandler",
    "HandlerCallDetails",
    "LocalConnectionType",
    "RpcContext",
    "RpcError",
    "RpcMethodHandler",
    "Server",
    "ServerCertificateConfiguration",
    "ServerCredentials",
    "ServerInterceptor",
    "ServiceRpcHandler",
    "ServicerContext",
    "Status",
    "StatusCode",
    "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable",
    "StreamUnaryClientInterceptor",
    "StreamUnaryMultiCallable",
    "UnaryStreamClientInterceptor",
    "UnaryStreamMultiCallable",
    "UnaryUnaryClientInterceptor",
    "UnaryUnaryMultiCallable",
    "__version__",
    "access_token_call_credentials",
    "aio",
    "alts_channel_credentials",
    "alts_server_credentials",
    "channel_ready_future",
    "composite_call_credentials",
    "composite_channel_credentials",
    "compute_engine_channel_credentials",
    "dynamic_ssl_server_credentials",
    "experimental",
    "insecure_channel",
    "insecure_server_credentials",
    "intercept_channel",
    "local_channel_credentials",
    "local_server_credentials",
    "metadata_call_credentials",
    "method_handlers_generic_handler",
    "protos",
    "protos_and_services",
    "secure_channel",
    "server",
    "services",
    "ssl_channel_credentials",
    "ssl_server_certificate_configuration",
    "ssl_server_credentials",
    "stream_stream_rpc_method_handler",
    "stream_unary_rpc_method_handler",
    "unary_stream_rpc_method_handler",
    "unary_unary_rpc_method_handler",
    "xds_channel_credentials",
    "xds_server_credentials",
]

__version__ = "1.999.0"
"""Generated code refuses a `grpc` that is older than its generator; this one takes the code of all versions."""


def protos(protobuf_path: str) -> Any:
    """Refuse: modules are compiled beforehand."""
    raise NotImplementedError(f"grpc.protos: run `catenet rpc compile {protobuf_path}` and import what it writes")


def services(protobuf_path: str) -> Any:
    """Refuse: modules are compiled beforehand."""
    return protos(protobuf_path)


def protos_and_services(protobuf_path: str) -> Any:
    """Refuse: modules are compiled beforehand."""
    return protos(protobuf_path)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"catenet.rpc.grpc has no {name!r}: docs/grpc.md lists what of grpc is not there")
