"""Remote procedure calls: one .proto, three wires (gRPC, gRPC-Web, Connect), one port."""

from catenet.rpc.channel import ChannelOptions
from catenet.rpc.client import BidiCall, CallInfo, CallOptions, Channel, ResponseStream
from catenet.rpc.context import Context, Peer
from catenet.rpc.interceptor import Interceptor
from catenet.rpc.method import Idempotency, Kind, Method, ServiceDescriptor, service_from_protobuf
from catenet.rpc.requests import Requests
from catenet.rpc.server import Listener, Server, ServerOptions
from catenet.rpc.status import Code, Detail, RpcError
from catenet.rpc.sync import SyncBidiCall, SyncChannel

__all__ = [
    "BidiCall",
    "CallInfo",
    "CallOptions",
    "Channel",
    "ChannelOptions",
    "Code",
    "Context",
    "Detail",
    "Idempotency",
    "Interceptor",
    "Kind",
    "Listener",
    "Method",
    "Peer",
    "Requests",
    "ResponseStream",
    "RpcError",
    "Server",
    "ServerOptions",
    "ServiceDescriptor",
    "SyncBidiCall",
    "SyncChannel",
    "service_from_protobuf",
]
