"""The server as a program: transports, recursion over a private tree, reload, log, figures, floods, workers, worlds."""

import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest
import trustme
from tests.dns.server.running import ZONE, ask_tcp, ask_udp, port_of, query, run, serving, wait_for
from tests.peers import environment, tool

from catenet.cli import main
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import parse
from catenet.wire.dns.numbers import TC, TXT

pytestmark = pytest.mark.slow(30)

WWW = "192.0.2.3"
ROOT = """\
$TTL 3600
. SOA ns.root. h. 1 2 3 4 5
. NS ns.root.
ns.root. A 127.0.0.1
lab. NS ns.root.
"""
LAB = """\
$TTL 3600
lab. SOA ns.root. h. 1 2 3 4 5
lab. NS ns.root.
example.lab. NS ns1.example.lab.
ns1.example.lab. A 127.0.0.1
"""
HINTS = ". 3600 NS ns.root.\nns.root. 3600 A 127.0.0.1\n"


@pytest.fixture
def zone(tmp_path):
    (tmp_path / "a.zone").write_text(ZONE)
    return "--zone", "a.zone", "--no-recursive"


@pytest.fixture
def certificate(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "s.pem")
    return "--cert", str(tmp_path / "s.pem")


# Peers.


@pytest.mark.peer
def test_dig_over_udp_tcp_and_http(tmp_path, zone):
    dig = tool("dig")
    urls = ("--listen", "udp+tcp://127.0.0.1:0", "--listen", "http://127.0.0.1:0")
    with serving(tmp_path, *zone, *urls) as server:
        at = ("@127.0.0.1", "-p", str(server.port))
        assert run(dig, *at, "wWw.example.org", "+short") == f"{WWW}\n"
        assert run(dig, *at, "wWw.example.org", "+noall", "+answer").startswith("wWw.example.org.")
        assert "(good)" in run(dig, *at, "www.example.org")
        assert run(dig, *at, "www.example.org", "+short", "+tcp", "+keepalive") == f"{WWW}\n"
        assert len(run(dig, *at, "large.example.org", "TXT", "+short").splitlines()) == 60, "asked again by TCP"
        assert "status: BADVERS" in run(dig, *at, "www.example.org", "+edns=1", "+noednsneg")
        assert "status: NXDOMAIN" not in run(dig, *at, "x.y.example.org")
        http = ("@127.0.0.1", "-p", str(port_of(server.urls[1])), "+short", "www.example.org")
        for option in ("+http-plain", "+http-plain-get"):
            assert run(dig, *http, option) == f"{WWW}\n"


@pytest.mark.peer
def test_kdig_over_tls_and_https(tmp_path, zone, certificate):
    kdig = tool("kdig")
    urls = ("--listen", "tls://127.0.0.1:0", "--listen", "https://127.0.0.1:0")
    with serving(tmp_path, *zone, *urls, *certificate) as server:
        ca, name = f"+tls-ca={tmp_path}/ca.pem", "+tls-hostname=localhost"
        tls, https = map(port_of, server.urls)
        shown = run(kdig, "@127.0.0.1", "-p", str(tls), "www.example.org", ca, name, "+padding", "+keepopen", "AAAA")
        assert "2001:db8::3" in shown and "TLS" in shown and "PADDING" in shown.upper()
        for option in ("+https", "+https-get"):
            shown = run(kdig, "@127.0.0.1", "-p", str(https), "www.example.org", option, ca, name)
            assert WWW in shown and "HTTP" in shown


@pytest.mark.peer
def test_dnsperf_loses_nothing(tmp_path, zone, certificate):
    dnsperf = tool("dnsperf")
    (tmp_path / "q").write_text("".join(f"many.example.org A\nx{n}.example.org TXT\n" for n in range(200)))
    urls = [f"{scheme}://127.0.0.1:0" for scheme in ("udp", "tcp", "tls", "https")]
    words = [word for url in urls for word in ("--listen", url)]
    with serving(tmp_path, *zone, *words, *certificate) as server:
        at = ("-s", "127.0.0.1", "-d", str(tmp_path / "q"), "-n", "5", "-q", "50")
        for mode, url in zip(("udp", "tcp", "dot", "doh"), server.urls, strict=True):
            shown = run(dnsperf, *at, "-m", mode, "-p", str(port_of(url)))
            assert "Queries completed:    2000 (100.00%)" in shown and "NOERROR 2000" in shown


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["forward-zone", "stub-zone"])
def test_unbound_asks_us(tmp_path, zone, kind):
    unbound, dig = tool("unbound"), tool("dig")
    with serving(tmp_path, *zone, "--listen", "udp+tcp://127.0.0.1:0") as server, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        held.close()
        address = "forward-addr" if kind == "forward-zone" else "stub-addr"
        (tmp_path / "unbound.conf").write_text(
            f'server:\n interface: 127.0.0.1\n port: {port}\n chroot: ""\n username: ""\n pidfile: ""\n'
            f' directory: "{tmp_path}"\n use-syslog: no\n do-not-query-localhost: no\n module-config: "iterator"\n'
            " use-caps-for-id: yes\n"
            f"{kind}:\n name: example.org\n {address}: 127.0.0.1@{server.port}\n"
        )
        words = [unbound, "-d", "-c", str(tmp_path / "unbound.conf")]
        child = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            at = ("@127.0.0.1", "-p", str(port), "+short")
            assert run(dig, *at, "www.example.org") == f"{WWW}\n"
            assert len(run(dig, *at, "+tcp", "large.example.org", "TXT").splitlines()) == 60
            assert run(dig, *at, "alias.example.org").splitlines()[-1] == WWW
        finally:
            child.terminate()
            child.wait(20)


# Recursion.


def tree(folder):
    (folder / "root.zone").write_text(ROOT)
    (folder / "lab.zone").write_text(LAB)
    (folder / "example.zone").write_text(ZONE.replace("example.org", "example.lab"))
    (folder / "hints").write_text(HINTS)
    return "--zone", "root.zone", "lab.zone", "example.zone", "--no-recursive", "--listen", "udp+tcp://127.0.0.1:0"


def test_recursion_from_a_root_of_our_own(tmp_path):
    with serving(tmp_path, *tree(tmp_path)) as authority:
        (tmp_path / "c.toml").write_text(
            f'root-hints = "hints"\nvalidate = false\n[resolver]\nupstream-port = {authority.port}\ndo-not-query = []\n'
        )
        with serving(tmp_path, "--config", "c.toml", "--listen", "udp+tcp://127.0.0.1:0") as server:
            for _ in range(2):
                reply = parse(ask_udp(server.port, query("alias.example.lab.")))
                assert reply.answer[-1].data == socket.inet_aton(WWW) and reply.flags == 0x8180
            assert parse(ask_udp(server.port, query("nothing.lab."))).rcode == 3
            large = query("large.example.lab.", TXT, edns=Edns())
            assert parse(ask_udp(server.port, large)).flags & TC
            assert len(parse(ask_tcp(server.port, large)[0]).answer) == 60


@pytest.mark.parametrize("validate", ["true", "false"])
def test_forwarding(tmp_path, validate):
    with serving(tmp_path, *tree(tmp_path)) as authority:
        (tmp_path / "c.toml").write_text(
            f'forward = "127.0.0.1:{authority.port}"\nvalidate = {validate}\n[resolver]\nspecial-names = false\n'
            "do-not-query = []\n"
        )
        (tmp_path / "anchor").write_text("other. 3600 DS 1 13 2 " + "00" * 32 + "\n")
        words = ("--config", "c.toml", "--trust-anchor", "anchor", "--listen", "udp+tcp://127.0.0.1:0")
        with serving(tmp_path, *words) as server:
            for number in range(3):
                reply = parse(ask_udp(server.port, query("www.example.lab.", number=number)))
                assert (reply.id, reply.answer[0].data) == (number, socket.inet_aton(WWW))
            large = ask_tcp(server.port, query("large.example.lab.", TXT), query("www.example.lab."))
            assert sorted(len(parse(one).answer) for one in large) == [1, 60]


# While it runs.


def test_reload_without_losing_a_query(tmp_path, zone):
    with serving(tmp_path, *zone, "--listen", "udp+tcp://127.0.0.1:0", "-v") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.connect(("127.0.0.1", server.port))
            seen = set()
            for number in range(3000):
                if number == 500:
                    (tmp_path / "a.zone").write_text(ZONE.replace(WWW, "192.0.2.99"))
                if number in (500, 1500, 1501):
                    server.process.send_signal(signal.SIGHUP)
                sock.send(query(number=number))
                reply = parse(sock.recv(4096))
                assert reply.id == number
                seen.add(reply.answer[0].data[-1])
                if number > 1600 and 99 in seen:
                    break
            assert seen == {3, 99}
            (tmp_path / "a.zone").write_text("@ SOB\n")
            server.process.send_signal(signal.SIGHUP)
            while "not reloaded: " not in (line := server.process.stderr.readline()):
                assert line
            assert "a.zone:1: " in line
            sock.send(query())
            assert parse(sock.recv(4096)).answer[0].data[-1] == 99


def test_files_that_change_are_read_again(tmp_path, zone):
    with serving(tmp_path, *zone, "--listen", "udp+tcp://127.0.0.1:0", "--reload") as server:
        assert parse(ask_udp(server.port, query())).answer[0].data[-1] == 3
        (tmp_path / "a.zone").write_text(ZONE.replace(WWW, "192.0.2.99"))
        until = time.monotonic() + 60
        while parse(ask_udp(server.port, query())).answer[0].data[-1] != 99:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_query_log_and_figures(tmp_path, zone):
    words = ("--query-log", "log.jsonl", "--metrics", "http://127.0.0.1:0", "-v")
    with serving(tmp_path, *zone, *words, "--listen", "udp+tcp://127.0.0.1:0", "--workers", "2") as server:
        for number in range(20):
            ask_udp(server.port, query(number=number))
        ask_tcp(server.port, query(kind=TXT), query("no.such.name."))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 22
    assert {(one["transport"], one["name"], one["type"], one["rcode"]) for one in lines} == {
        ("udp", "www.example.org.", "A", "NOERROR"),
        ("tcp", "www.example.org.", "TXT", "NOERROR"),
        ("tcp", "no.such.name.", "A", "REFUSED"),
    }


def test_figures_of_all_workers(tmp_path, zone):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    words = ("--metrics", f"http://127.0.0.1:{port}", "--workers", "2", "--listen", "udp+tcp://127.0.0.1:0")
    with serving(tmp_path, *zone, *words) as server:
        for number in range(40):
            ask_udp(server.port, query(number=number))
        until = time.monotonic() + 60
        while True:
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
            queries = re.search(r'catenet_dns_queries_total{transport="udp"} (\d+)', page)
            answers = re.search(r'catenet_dns_answers_total{rcode="NOERROR"} (\d+)', page)
            if int(queries[1]) >= 40 and queries[1] == answers[1]:
                break
            assert time.monotonic() < until, page
        assert all(line.startswith(("#", "catenet_dns_")) for line in page.splitlines())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_goes_on_at_any_worker(tmp_path, zone, certificate, version):
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.minimum_version = context.maximum_version = version
    session = None
    with serving(tmp_path, *zone, *certificate, "--workers", "2", "--listen", "tls://127.0.0.1:0") as server:
        for number in range(16):
            plain = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
                data = query(number=number)
                sock.sendall(len(data).to_bytes(2, "big") + data)
                assert sock.recv(4)[2:] == data[:2]
                assert sock.session_reused == (number > 0), "the kernel draws a worker for each connection"
                session = session or sock.session


# What strangers do.


def resident(process):
    """Bytes of memory of a process."""
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_of_rubbish_changes_nothing(tmp_path, zone):
    draw = random.Random(5)
    base = query(edns=Edns(options=((10, bytes(8)),)))
    with serving(tmp_path, *zone, "--listen", "udp+tcp://127.0.0.1:0") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", server.port))
            sock.setblocking(False)
            before = 0
            for number in range(40_000):
                data = bytearray(base if number % 3 else draw.randbytes(draw.randrange(200)))
                for _ in range(3):
                    if data:
                        data[draw.randrange(len(data))] = draw.randrange(256)
                try:
                    sock.send(data)
                    sock.recv(4096)
                except BlockingIOError:
                    pass
                if number == 10_000:
                    before = resident(server.process)
        assert parse(ask_udp(server.port, query())).answer
        assert resident(server.process) < before + (64 << 20)
        for rubbish in (b"", b"\0", b"\0\0", b"\xff\xff" + bytes(100), b"\0\5hello", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.sendall(rubbish)
        assert parse(ask_tcp(server.port, query())[0]).answer
        assert server.process.poll() is None


def test_a_client_that_does_not_read_is_not_read(tmp_path, zone):
    one = query("large.example.org.", TXT)
    frame = len(one).to_bytes(2, "big") + one
    with serving(tmp_path, *zone, "--listen", "udp+tcp://127.0.0.1:0") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.setblocking(False)
            before, sent = resident(server.process), 0
            until = time.monotonic() + 3
            while time.monotonic() < until and sent < 40_000_000:
                try:
                    sent += sock.send(frame * 1000)
                except BlockingIOError:
                    time.sleep(0.01)
            assert parse(ask_udp(server.port, query())).answer
            assert sent < 40_000_000
            assert resident(server.process) < before + (64 << 20)


def test_many_connections_and_pipelined_queries(tmp_path, zone):
    with serving(tmp_path, *zone, "--listen", "tcp://127.0.0.1:0") as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        numbers = list(range(300))
        replies = ask_tcp(server.port, *(query(number=number) for number in numbers))
        assert sorted(parse(reply).id for reply in replies) == numbers
        for sock in held:
            sock.close()


def test_answers_of_one_connection_come_as_they_are_ready(tmp_path):
    """A question whose server is silent does not hold up the next one."""
    (tmp_path / "a.zone").write_text(ZONE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        forward = f"127.0.0.1:{silent.getsockname()[1]}"
        words = ("--zone", "a.zone", "--forward", forward, "--listen", "tcp://127.0.0.1:0", "--grace", "0.1")
        with serving(tmp_path, *words) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
                for number, name in ((1, "www.elsewhere.net."), (2, "www.example.org.")):
                    data = query(name, number=number)
                    sock.sendall(len(data).to_bytes(2, "big") + data)
                with sock.makefile("rb") as answers:
                    numbers = [answers.read(int.from_bytes(answers.read(2), "big"))[1] for _ in range(2)]
        assert numbers == [2, 1]


def test_settings_with_mistakes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for text, complaint in (
        ("versoin = 'x'\n", "c.toml: versoin is no setting; do you mean 'version'?"),
        ("[access]\ndrop = ['10.0.0.1/8']\n", "'10.0.0.1/8' has bits behind its prefix; do you mean 10.0.0.0/8?"),
        ("[cookies]\npolicy = 'requierd'\n", "do you mean 'required'?"),
        ("[cookies]\nsecrets = ['ab']\n", "cookies.secrets[0] is to be 32 hexadecimal digits"),
        ("[[zone]]\nname = 'x'\n", "zone[0] needs a file, or a name and primaries"),
        ("[rate-limit]\nslip = -1\n", "rate-limit.slip is to be a whole number from 0 on, not -1"),
        ("[resolver]\nmax-sendz = 1\n", "resolver.max-sendz is no setting; do you mean 'max-sends'?"),
        ("[resolver]\nprime = 1\n", "resolver.prime is to be true or false, not 1"),
        (
            "[resolver]\ndns64-prefix = '::1'\n",
            "resolver.dns64-prefix: '::1': an IPv6 prefix of 32, 40, 48, 56, 64, 96 bits",
        ),
        ("[resolver]\ndns64-prefix = '10.0.0.0/8'\n", "resolver.dns64-prefix: '10.0.0.0/8': an IPv6 prefix"),
        ("[resolver]\nfailure-ttl = nan\n", "resolver.failure-ttl is to be a number from 0 on, not nan"),
        ("forward = ['localhost']\n", "forward: 'localhost' is no address"),
        ("local = ['a. AA 1.2.3.4']\n", "local: "),
        ("listen = 1\n", "listen is to be a list of texts, not 1"),
        ("x = \n", "c.toml: Invalid value (at line 1, column 5)"),
        ("user = 'no-such-user'\n", "user: there is no user 'no-such-user'"),
    ):
        (tmp_path / "c.toml").write_text(text)
        status = main(["serve", "dns", "--config", "c.toml", "--listen", "udp+tcp://127.0.0.1:0"])
        said = capsys.readouterr().err
        assert status == 2 and complaint in said and said.count("\n") == 1, (text, said)
