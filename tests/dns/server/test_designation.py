"""Discovery of designated resolvers (RFC 9462): what is said and believed; dnspython and Unbound as peers."""

import os
import subprocess
import sys

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from tests.dns.server.running import ZONE, port_of, run, serving
from tests.dns.server.test_zones import free_port, peer
from tests.peers import tool

from catenet.cli import main
from catenet.dns.designation import DESIGNATION, designation_set, read_designations
from catenet.dns.rrset import RRset, records_of
from catenet.dns.text import data_to_text
from catenet.wire.dns.message import pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import QR
from catenet.wire.errors import Malformed

NAME = name_from_text("dns.example.net.")
BY_DNSPYTHON = """
import sys, dns.resolver
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], int(sys.argv[1])
resolver.try_ddr(20)
print(*(str(one) for one in resolver.nameservers))
print(*resolver.resolve("www.example.org", "A"))
"""


def answer(*data):
    records = records_of([RRset(DESIGNATION.name, DESIGNATION.type, 60, data)])
    return parse(pack(1, QR, DESIGNATION, records))


def test_what_a_server_says_is_what_a_client_reads():
    urls = ["udp+tcp://127.0.0.1:53", "https://[2001:db8::1]:8443/query", "tls://192.0.2.1:853", "http://[::]:80/"]
    urls.append("quic://192.0.2.1:8853")
    made = designation_set(NAME, urls)
    assert [data_to_text(one) for one in records_of([made])] == [
        '1 dns.example.net. alpn="h2,http/1.1" port="8443" ipv6hint="2001:db8::1" dohpath="/query{?dns}"',
        '2 dns.example.net. alpn="dot" ipv4hint="192.0.2.1"',
        '3 dns.example.net. alpn="doq" port="8853" ipv4hint="192.0.2.1"',
    ]
    https, tls, quic = read_designations(answer(*made.data))
    assert (https.url("192.0.2.7"), https.hints) == ("https://192.0.2.7:8443/query", ("2001:db8::1",))
    assert (tls.url("::1"), tls.hints) == ("tls://[::1]:853", ("192.0.2.1",))
    assert quic.url("192.0.2.1") == "quic://192.0.2.1:8853"
    assert designation_set(NAME, ["udp://127.0.0.1:53"]) is None


def param(key, value):
    return key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0" + NAME,  # an alias
        b"\0\1\0" + param(1, b"\3dot"),  # no name, which is forbidden here
        b"\0\1" + NAME,  # nothing that we speak
        b"\0\1" + NAME + param(1, b"\2h3"),
        b"\0\1" + NAME + param(0, b"\0\x63") + param(1, b"\3dot") + param(99, b""),  # mandatory, and not known
        b"\0\1" + NAME + param(1, b"\2h2"),  # without a path
        b"\0\1" + NAME + param(1, b"\2h2") + param(7, b"/x{?dns}#y"),
        b"\0\1" + NAME + param(1, b"\2h2") + param(7, b"http://x/{?dns}"),
        b"\0\1" + NAME + param(1, b"\2h2") + param(7, b"/a b{?dns}"),
        b"\0\1" + NAME + param(1, b"\3dot") + param(3, b"\0\0"),
    ],
)
def test_what_cannot_be_asked_is_left_out(data):
    assert read_designations(answer(data)) == []


@given(st.binary(max_size=60))
def test_no_record_does_harm(data):
    try:
        found = read_designations(answer(b"\0\1" + NAME + data))
    except Malformed:
        return
    assert all(one.url("192.0.2.1") for one in found)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    made.issue_cert("dns.example.net", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "good.pem")
    made.issue_cert("dns.example.net", "192.0.2.1").private_key_and_cert_chain_pem.write_to_path(folder / "other.pem")
    return folder


def listening(folder, certificate, *more, schemes=("udp+tcp", "tls", "https")):
    (folder / "a.zone").write_text(ZONE)
    urls = [word for scheme in schemes for word in ("--listen", f"{scheme}://127.0.0.1:0")]
    return serving(folder, "--zone", "a.zone", *urls, "--cert", str(certificate), *more)


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    with listening(tmp_path_factory.mktemp("good"), authority / "good.pem", "--no-recursive") as running:
        yield running


@pytest.mark.peer
def test_dig_and_dnspython_find_our_listeners(server, authority):
    told = run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "_dns.resolver.arpa", "TYPE64", "+short")
    assert len(told.splitlines()) == 2
    words = [sys.executable, "-c", BY_DNSPYTHON, str(server.port)]
    env = {**os.environ, "SSL_CERT_FILE": str(authority / "ca.pem")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    servers, addresses = done.stdout.splitlines()
    assert f"DoT:127.0.0.1@{port_of(server.urls[1])}" in servers or "https://" in servers
    assert addresses == "192.0.2.3"


def resolve(server, authority, capsys, *words):
    at = f"@127.0.0.1:{server.port}"
    status = main(["resolve", "www.example.org", at, "--ddr", "--ca", str(authority / "ca.pem"), *words])
    return status, *capsys.readouterr()


def test_our_client_asks_the_designated_resolver(server, authority, capsys):
    status, out, _ = resolve(server, authority, capsys, "--no-validate")
    assert status == 0 and "192.0.2.3" in out
    url = server.urls[1]
    assert f";; udp://127.0.0.1:{server.port} designates dns.example.net. {url} (verified)" in out
    assert f";; {url}" in out, "and says whom it has asked"


def test_a_designated_resolver_is_asked_over_quic(authority, tmp_path, capsys):
    pytest.importorskip("aioquic")
    with listening(tmp_path, authority / "good.pem", "--no-recursive", schemes=("udp+tcp", "quic")) as running:
        status, out, _ = resolve(running, authority, capsys, "--no-validate")
        assert status == 0 and "192.0.2.3" in out and f"dns.example.net. {running.urls[1]} (verified)" in out
        assert running.urls[1].startswith("quic://")


def test_another_certificate_is_opportunistic_at_a_local_address(authority, tmp_path, capsys):
    with listening(tmp_path, authority / "other.pem", "--no-recursive") as running:
        status, out, _ = resolve(running, authority, capsys, "--no-validate")
        assert status == 0 and "192.0.2.3" in out
        assert "(opportunistic: its certificate is not)" in out and "(verified)" not in out


def test_who_designates_nobody_is_not_asked_in_the_clear(tmp_path, authority, capsys):
    (tmp_path / "a.zone").write_text(ZONE)
    words = ("--zone", "a.zone", "--no-recursive", "--listen", "udp://127.0.0.1:0")
    with serving(tmp_path, *words) as running:
        status, out, told = resolve(running, authority, capsys)
        assert status == 9 and "192.0.2.3" not in out and "designates no encrypted resolver" in told


@pytest.mark.peer
def test_a_forwarder_answers_for_itself(server, authority, tmp_path):
    more = ("--forward", f"127.0.0.1:{server.port}")
    with listening(tmp_path, authority / "good.pem", *more) as running:
        for name in ("_dns.resolver.arpa", "_DNS.resolver.ARPA"):
            told = run(tool("dig"), "@127.0.0.1", "-p", str(running.port), name, "SVCB", "+noall", "+answer")
            assert str(port_of(running.urls[1])) in told


@pytest.mark.peer
def test_unbound_designates_itself_to_us(authority, tmp_path, capsys):
    plain, tls = free_port(), free_port()
    (tmp_path / "unbound.conf").write_text(
        f'server:\n interface: 127.0.0.1@{plain}\n interface: 127.0.0.1@{tls}\n tls-port: {tls}\n chroot: ""\n'
        f' username: ""\n pidfile: ""\n directory: "{tmp_path}"\n use-syslog: no\n'
        f' tls-service-key: "{authority}/good.pem"\n tls-service-pem: "{authority}/good.pem"\n'
        ' local-zone: "resolver.arpa" static\n local-data: "www.example.org A 192.0.2.3"\n'
        f' local-data: "_dns.resolver.arpa 60 SVCB 1 dns.example.net alpn=dot port={tls} ipv4hint=127.0.0.1"\n'
    )

    class Server:
        port = plain

    with peer(tool("unbound"), "-d", "-c", str(tmp_path / "unbound.conf"), port=plain, folder=tmp_path):
        status, out, _ = resolve(Server, authority, capsys, "--no-validate")
        assert status == 0 and "192.0.2.3" in out and f"tls://127.0.0.1:{tls} (verified)" in out


@pytest.mark.parametrize("word, wanted", [("--tls", "with encryption anyway"), ("--trace", "authorities")])
def test_what_designation_does_not_go_with(word, wanted, capsys):
    assert main(["resolve", "a.example", "@192.0.2.1", "--ddr", word]) == 2
    assert wanted in capsys.readouterr().err
