"""Remote procedure calls: one .proto, three wires (gRPC, gRPC-Web, Connect), one port."""

from catenet.net.stream_server import Listener
from catenet.rpc.client.bidi import BidiCall
from catenet.rpc.client.call import CallInfo, CallOptions
from catenet.rpc.client.client import Channel
from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.client.streams import ResponseStream
from catenet.rpc.client.sync import SyncBidiCall, SyncChannel
from catenet.rpc.model.context import Context, Peer
from catenet.rpc.model.identity import Identity
from catenet.rpc.model.interceptor import Interceptor
from catenet.rpc.model.method import Idempotency, Kind, Method, ServiceDescriptor, service_from_protobuf, with_arrays
from catenet.rpc.model.metrics import Metrics
from catenet.rpc.model.service_class import client_of, idempotent, proto_of, service
from catenet.rpc.model.sessions import SessionOptions
from catenet.rpc.model.status import Code, Detail, RpcError
from catenet.rpc.mount.asgi import AsgiApp
from catenet.rpc.mount.wsgi import WsgiApp
from catenet.rpc.policy.guard import Guard
from catenet.rpc.server.options import ServerOptions
from catenet.rpc.server.requests import Requests
from catenet.rpc.server.server import Server

__all__ = [
    "AsgiApp",
    "BidiCall",
    "CallInfo",
    "CallOptions",
    "Channel",
    "ChannelOptions",
    "Code",
    "Context",
    "Detail",
    "Guard",
    "Idempotency",
    "Identity",
    "Interceptor",
    "Kind",
    "Listener",
    "Method",
    "Metrics",
    "Peer",
    "Requests",
    "ResponseStream",
    "RpcError",
    "Server",
    "ServerOptions",
    "ServiceDescriptor",
    "SessionOptions",
    "SyncBidiCall",
    "SyncChannel",
    "WsgiApp",
    "client_of",
    "idempotent",
    "proto_of",
    "service",
    "service_from_protobuf",
    "with_arrays",
]
