"""Which protocols there are, and what is answered to a request of none of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.rpc.protocols.connect import ConnectClientWire, ConnectServerWire
from catenet.rpc.protocols.grpc import GrpcClientWire, GrpcServerWire
from catenet.rpc.protocols.grpc_web import GrpcWebClientWire, GrpcWebServerWire
from catenet.rpc.protocols.protocol import Answer, ClientWire, ServerWire

__all__ = ["PROTOCOLS", "client_wire", "not_found", "server_wires"]

PROTOCOLS: Mapping[str, Callable[[], ClientWire]] = {
    "grpc": GrpcClientWire,
    "grpc-web": GrpcWebClientWire,
    "connect": ConnectClientWire,
}
"""What a client may speak."""


def server_wires(codecs: Iterable[str], compressions: Iterable[str]) -> list[ServerWire]:
    """Return all wires of a server. The most frequent comes first, Connect, which takes any content type, last."""
    codecs, compressions = list(codecs), list(compressions)
    return [
        GrpcServerWire(codecs, compressions),
        GrpcWebServerWire(codecs, compressions),
        ConnectServerWire(codecs, compressions),
    ]


def client_wire(name: str) -> ClientWire:
    """Return the wire called `grpc`, `grpc-web` or `connect`; raise `ValueError`."""
    wire = PROTOCOLS.get(name)
    if wire is None:
        raise ValueError(f"protocol {name!r}: there are {', '.join(PROTOCOLS)}")
    return wire()


def not_found(head: RequestHead, paths: Container[str]) -> Answer:
    """Answer a request that no wire recognises: plain HTTP, for a person or a health checker to read."""
    path = head.path.partition(b"?")[0].decode("latin-1")
    if path not in paths:
        return _text(404, b"no such method")
    if head.method not in (b"POST", b"GET"):
        return _text(405, b"remote procedures are called with POST")
    return _text(415, b"the content type is of no RPC protocol this server speaks")


def _text(status: int, text: bytes) -> Answer:
    fields: Fields = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % (len(text) + 1)))
    if status == 405:
        fields = (*fields, (b"allow", b"POST"))
    if status == 415:
        fields = (*fields, (b"accept-post", b"application/grpc, application/grpc-web, application/proto"))
    return Answer(ResponseHead(status, fields), text + b"\n")
