"""Remote procedure calls: one .proto, three wires (gRPC, gRPC-Web, Connect), one port."""

from catenet.rpc.call import Requests
from catenet.rpc.context import Context, Peer
from catenet.rpc.interceptor import Interceptor
from catenet.rpc.method import Idempotency, Kind, Method, ServiceDescriptor, service_from_protobuf
from catenet.rpc.server import Listener, Server, ServerOptions
from catenet.rpc.status import Code, Detail, RpcError

__all__ = [
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
    "RpcError",
    "Server",
    "ServerOptions",
    "ServiceDescriptor",
    "service_from_protobuf",
]
