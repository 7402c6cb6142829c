"""Options of channels and servers that cannot be: refused where they are made, with field and nearest choice."""

import re

import pytest

from catenet.http.limits import Limits
from catenet.http.server.server import HttpLimits
from catenet.http.websocket.limits import WebSocketLimits
from catenet.net.limits import ServerLimits
from catenet.net.pool import PoolLimits
from catenet.rpc import ChannelOptions, ServerOptions
from catenet.rpc.model.sessions import SessionOptions
from catenet.rpc.server.once import OnceLimits
from catenet.session.table import SessionLimits

NAN = float("nan")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"codec": "jsn"}, "codec='jsn': there are proto, json, xml; do you mean 'json'?"),
        ({"compression": "gzp"}, "do you mean 'gzip'?"),
        ({"accepts": ("gzip", "br")}, "accepts='br': there are "),
        ({"protocol": "gprc"}, "protocol='gprc': there are grpc, grpc-web, connect; do you mean 'grpc'?"),
        ({"http1": True}, "http1=True: gRPC needs HTTP/2"),
        ({"peer_timeout": -1}, "peer_timeout=-1: must be a number of at least 0, or None"),
        ({"timeout": NAN}, "timeout=nan: must be"),
        ({"timeout": "5"}, "timeout='5': must be"),
        ({"connect_timeout": -0.5}, "connect_timeout=-0.5: must be"),
        ({"connect_timeout": None}, "connect_timeout=None: must be a number of at least 0"),
        ({"keepalive_time": -1}, "keepalive_time=-1: must be"),
        ({"max_receive": -1}, "max_receive=-1: must be"),
        ({"retry_buffer": -1}, "retry_buffer=-1: must be"),
        ({"resolve_floor": NAN}, "resolve_floor=nan: must be"),
        ({"authority": "a\r\nx: y"}, "authority='a\\r\\nx: y': must be HOST or HOST:PORT"),
        ({"authority": "a b"}, "must be HOST or HOST:PORT"),
        ({"authority": "\udcff"}, "must be HOST or HOST:PORT"),
        ({"balancing": "round_robbin"}, "round_robbin"),
    ],
)
def test_channels(options, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        ChannelOptions(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"compression": "gzp"}, "do you mean 'gzip'?"),
        ({"max_receive": -1}, "max_receive=-1: must be"),
        ({"handshake_timeout": NAN}, "handshake_timeout=nan: must be"),
        ({"max_connections": 0}, "max_connections=0: must be a whole number of at least 1, or None"),
        ({"max_age": -1}, "max_age=-1: must be"),
    ],
)
def test_servers(options, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        ServerOptions(**options)


WRONG_LIMITS = [
    (ServerLimits, {"max_connections": 0}, "max_connections=0: must be a whole number of at least 1, or None"),
    (ServerLimits, {"backlog": 1.5}, "backlog=1.5: must be a whole number of at least 0"),
    (ServerLimits, {"min_rate": NAN}, "min_rate=nan: must be a number of at least 0"),
    (ServerLimits, {"park_after": "2"}, "park_after='2': must be a number of at least 0, or None"),
    (HttpLimits, {"keepalive_time": None}, "keepalive_time=None: must be"),
    (HttpLimits, {"write_limit": -1}, "write_limit=-1: must be"),
    (Limits, {"max_frame": 1000}, "max_frame=1000: must be a whole number from 16384 to 16777215"),
    (Limits, {"connection_window": 0}, "connection_window=0: must be a whole number from 65535 to 2147483647"),
    (Limits, {"stream_window": 1 << 31}, "stream_window=2147483648: must be a whole number from 0 to 2147483647"),
    (Limits, {"glitch_rate": NAN}, "glitch_rate=nan: must be"),
    (PoolLimits, {"max_connections": 0}, "max_connections=0: must be"),
    (PoolLimits, {"keepalive_expiry": NAN}, "keepalive_expiry=nan: must be"),
    (PoolLimits, {"max_shared": None}, "max_shared=None: must be a whole number of at least 1"),
    (WebSocketLimits, {"max_message": -1}, "max_message=-1: must be"),
    (WebSocketLimits, {"ping_interval": -1}, "ping_interval=-1: must be a number of at least 0, or None"),
    (SessionOptions, {"expiry": 0.5}, "expiry=0.5: must be a number from 1 to 4294967295"),
    (SessionOptions, {"buffer": 100}, "buffer=100: must be a whole number from 4096 to"),
    (SessionOptions, {"heartbeat": 0}, "heartbeat=0: must be a number from 0.1 to 3600, or None"),
    (SessionOptions, {"key": b"short"}, "key: a shared key has 16 bytes or more"),
    (SessionOptions, {"close_timeout": NAN}, "close_timeout=nan: must be"),
    (SessionOptions, {"max_sessions": -1}, "max_sessions=-1: must be"),
    (SessionOptions, {"max_of_peer": 2.5}, "max_of_peer=2.5: must be a whole number of at least 0, or None"),
    (SessionLimits, {"remember": -1}, "remember=-1: must be"),
    (OnceLimits, {"running": -1}, "running=-1: must be"),
    (OnceLimits, {"share": 2}, "share=2: must be a number from 0 to 1"),
]


@pytest.mark.parametrize(("kind", "options", "complaint"), WRONG_LIMITS)
def test_limits(kind, options, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        kind(**options)
    assert "\n" not in str(caught.value)
