"""Clients and servers for protocol cores: dialling, listening, TLS, limits, deadlines, draining, workers.

A core with five verbs (`StreamCore`, `DatagramCore`) goes in, a client or a server comes out. Knows no
protocol itself.
"""

from catenet.net.client import ConnectError, connect
from catenet.net.connection import Connection
from catenet.net.core import DatagramCore, Peer, PlainCore, PlainDatagramCore, StreamCore
from catenet.net.datagram import DatagramEndpoint, connect_datagrams, serve_datagrams
from catenet.net.limits import ServerLimits
from catenet.net.server import AcceptedConnection, CoreServer, serve
from catenet.net.target import SCHEMES, Scheme, Target, parse_target
from catenet.net.tls import TlsError, client_context, server_context

__all__ = [
    "SCHEMES",
    "AcceptedConnection",
    "ConnectError",
    "Connection",
    "CoreServer",
    "DatagramCore",
    "DatagramEndpoint",
    "Peer",
    "PlainCore",
    "PlainDatagramCore",
    "Scheme",
    "ServerLimits",
    "StreamCore",
    "Target",
    "TlsError",
    "client_context",
    "connect",
    "connect_datagrams",
    "parse_target",
    "serve",
    "serve_datagrams",
    "server_context",
]
