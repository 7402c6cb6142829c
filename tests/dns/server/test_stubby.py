"""stubby, a forwarder over TLS, in front of our server and behind it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
import trustme
from tests.dns.server.running import ZONE, ask_tcp, ask_udp, port_of, query, serving, wait_for
from tests.peers import environment, tool

from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import parse
from catenet.wire.dns.numbers import TXT

pytestmark = pytest.mark.peer

CONFIG = """\
resolution_type: GETDNS_RESOLUTION_STUB
dns_transport_list:
  - GETDNS_TRANSPORT_TLS
tls_authentication: GETDNS_AUTHENTICATION_REQUIRED
tls_ca_file: "{ca}"
tls_query_padding_blocksize: 128
listen_addresses:
  - 127.0.0.1@{port}
upstream_recursive_servers:
  - address_data: 127.0.0.1
    tls_port: {upstream}
    tls_auth_name: "localhost"
"""


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        found: int = held.getsockname()[1]
        return found


def test_stubby_asks_us_over_tls_and_answers_us(tmp_path: Path) -> None:
    stubby, port = tool("stubby"), free_port()
    (tmp_path / "a.zone").write_text(ZONE)
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "c.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    words = ("--zone", "a.zone", "--no-recursive", "--listen", "tls://127.0.0.1:0", "--cert", "c.pem")
    with serving(tmp_path, *words) as server:
        text = CONFIG.format(ca=tmp_path / "ca.pem", port=port, upstream=port_of(server.urls[0]))
        (tmp_path / "stubby.yml").write_text(text)
        child = subprocess.Popen(
            [stubby, "-C", str(tmp_path / "stubby.yml")],
            env={**environment(), "HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port)
            forward = ("--forward", f"127.0.0.1:{port}", "--listen", "udp+tcp://127.0.0.1:0")
            with serving(tmp_path, *forward) as front:
                for at in (port, front.port):
                    reply = parse(ask_udp(at, query(edns=Edns())))
                    assert [one.data for one in reply.answer] == [socket.inet_aton("192.0.2.3")]
                    assert parse(ask_udp(at, query("no.example.net."))).rcode
                    assert len(parse(ask_tcp(at, query("large.example.org.", TXT, edns=Edns()))[0]).answer) == 60
        finally:
            child.terminate()
            child.wait(20)
