"""Options of channels and servers that cannot be: refused where they are made, with field and nearest choice."""

import re

import pytest

from catenet.rpc import ChannelOptions, ServerOptions

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
        ({"max_connections": 0}, "max_connections=0: must be a number of at least 1, or None"),
        ({"max_age": -1}, "max_age=-1: must be"),
    ],
)
def test_servers(options, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        ServerOptions(**options)
