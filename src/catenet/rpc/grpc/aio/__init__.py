"""As `grpc.aio`: what a program takes from there, on our own client and server."""

from catenet.rpc.grpc.aio.call import (
    Call,
    RpcContext,
    StreamStreamCall,
    StreamUnaryCall,
    UnaryStreamCall,
    UnaryUnaryCall,
)
from catenet.rpc.grpc.aio.channel import (
    Channel,
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
    insecure_channel,
    secure_channel,
)
from catenet.rpc.grpc.aio.context import ServicerContext
from catenet.rpc.grpc.aio.errors import EOF, AbortError, AioRpcError, BaseError, InternalError, UsageError
from catenet.rpc.grpc.aio.interceptor import (
    ClientCallDetails,
    ClientInterceptor,
    InterceptedUnaryUnaryCall,
    StreamStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    UnaryUnaryClientInterceptor,
)
from catenet.rpc.grpc.aio.metadata import Metadata
from catenet.rpc.grpc.aio.server import Server, ServerInterceptor, server

__all__ = [
    "EOF",
    "AbortError",
    "AioRpcError",
    "BaseError",
    "Call",
    "Channel",
    "ClientCallDetails",
    "ClientInterceptor",
    "InterceptedUnaryUnaryCall",
    "InternalError",
    "Metadata",
    "RpcContext",
    "Server",
    "ServerInterceptor",
    "ServicerContext",
    "StreamStreamCall",
    "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable",
    "StreamUnaryCall",
    "StreamUnaryClientInterceptor",
    "StreamUnaryMultiCallable",
    "UnaryStreamCall",
    "UnaryStreamClientInterceptor",
    "UnaryStreamMultiCallable",
    "UnaryUnaryCall",
    "UnaryUnaryClientInterceptor",
    "UnaryUnaryMultiCallable",
    "UsageError",
    "init_grpc_aio",
    "insecure_channel",
    "secure_channel",
    "server",
    "shutdown_grpc_aio",
]


def init_grpc_aio() -> None:
    """Do nothing: there is nothing to start."""


def shutdown_grpc_aio() -> None:
    """Do nothing: there is nothing to stop."""
