"""Response policy zones beside BIND and Unbound, policies that come by transfer, and views."""

import contextlib
import signal
import socket

import pytest
from tests.dns.server.running import ask_tcp, ask_udp, query, serving
from tests.dns.server.test_zones import free_port, peer, until
from tests.peers import tool

from catenet.cli import main
from catenet.dns.text import data_to_text
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import parse
from catenet.wire.dns.numbers import TC, type_from_text

ZONE = """\
$ORIGIN example.org.
$TTL 3600
@ SOA ns1 host 1 7200 3600 604800 300
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.3
www AAAA 2001:db8::3
eight A 192.0.2.8
eight TXT "eight"
forty A 192.0.2.40
both A 192.0.2.40
both A 192.0.2.3
six AAAA 2001:db8:6::6
alias CNAME forty
to.nx CNAME www
* TXT "wild"
a.gardens A 192.0.2.3
x.garden A 192.0.2.77
a.gardens.example.org.garden A 192.0.2.78
"""
RULES = """\
$TTL 60
@ SOA localhost. host.localhost. 1 3600 600 86400 60
@ NS localhost.
nx.example.org CNAME .
*.nx.example.org CNAME .
nodata.example.org CNAME *.
*.wild.example.org CNAME .
pass.wild.example.org CNAME rpz-passthru.
drop.example.org CNAME rpz-drop.
tcp.example.org CNAME rpz-tcp-only.
data.example.org A 192.0.2.200
data.example.org TXT "here"
walled.example.org CNAME www.example.org.
*.gardens.example.org CNAME *.garden.example.org.
alias2.example.org CNAME nx.example.org.
32.40.2.0.192.rpz-ip CNAME .
30.8.2.0.192.rpz-ip A 192.0.2.111
48.zz.6.db8.2001.rpz-ip CNAME *.
32.3.0.0.127.rpz-client-ip CNAME .
"""
ASKED = """\
www A; www AAAA; nx A; nx TXT; a.nx A; a.b.nx A; to.nx A; nodata A; a.wild A; pass.wild TXT; data A; data TXT; data AAAA
walled A; walled TXT; a.gardens A; eight A; eight TXT; forty A; both A; six AAAA; alias A; alias CNAME; other TXT; b A
"""
QUESTIONS = [tuple(one.split()) for one in ASKED.replace("\n", ";").split(";") if one.strip()]


def shown(data, kind):
    """Response code, whether it is cut, and the records of the type, in any order."""
    message = parse(data)
    records = sorted(data_to_text(one) for one in message.answer if one.type == type_from_text(kind))
    return message.rcode, bool(message.flags & TC), records


def asked(port, name, kind="A", source="127.0.0.1", tcp=False):
    data = query(f"{name}.example.org.", type_from_text(kind))
    if tcp:
        return shown(ask_tcp(port, data)[0], kind)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        sock.settimeout(1)
        for _ in range(20):
            sock.send(data)
            with contextlib.suppress(TimeoutError):
                return shown(sock.recv(4096), kind)
    raise AssertionError("no answer")


def is_silent(port, name):
    """Whether nothing comes before the answer to the next question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(20)
        sock.send(query(f"{name}.example.org.", number=1))
        for _ in range(3):
            sock.send(query("www.example.org.", number=2))
            if sock.recv(4096)[:2] != b"\0\2":
                return False
    return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authority")
    (folder / "a.zone").write_text(ZONE)
    with serving(folder, "--zone", "a.zone", "--no-recursive", "--listen", "udp+tcp://127.0.0.1:0") as server:
        yield server.port


def config(folder, authority, policy='[[policy]]\nzone = "rpz.test"\nlog = true\n', more="", rules=RULES):
    (folder / "rpz.zone").write_text(rules)
    (folder / "c.toml").write_text(
        f'forward = "127.0.0.1:{authority}"\nvalidate = false\nlocal = ["here.example.org. 60 A 10.0.0.1"]\n'
        f'{more}[[zone]]\nname = "rpz.test"\nfile = "rpz.zone"\ntransfers = ["127.0.0.1"]\n{policy}'
        "[access]\nrecursion = ['127.0.0.0/8']\n[resolver]\ndo-not-query = []\n"
    )
    return "--config", "c.toml", "--listen", "udp+tcp://127.0.0.1:0"


@pytest.fixture(scope="module")
def ours(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours")
    with serving(folder, *config(folder, authority)) as server:
        yield server.port


@pytest.fixture(scope="module")
def bind(authority, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("bind"), free_port()
    (folder / "rpz.zone").write_text(RULES)
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; '
        f"pid-file none; session-keyfile none; dnssec-validation no; forward only; minimal-responses yes; "
        f"forwarders {{ 127.0.0.1 port {authority}; }}; allow-query {{ any; }}; allow-recursion {{ any; }}; "
        'response-policy { zone "rpz.test"; }; };\ncontrols {};\n'
        'zone "rpz.test" { type primary; file "rpz.zone"; };\n'
    )
    with peer(tool("named"), "-g", "-n", "1", "-c", str(folder / "named.conf"), port=port, folder=folder):
        yield port


@pytest.fixture(scope="module")
def unbound(authority, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("unbound"), free_port()
    (folder / "rpz.zone").write_text(RULES)
    (folder / "unbound.conf").write_text(
        f'server:\n interface: 127.0.0.1\n port: {port}\n chroot: ""\n username: ""\n pidfile: ""\n'
        f' directory: "{folder}"\n use-syslog: no\n do-not-query-localhost: no\n module-config: "respip iterator"\n'
        f'rpz:\n name: rpz.test\n zonefile: "{folder}/rpz.zone"\n'
        f'forward-zone:\n name: "."\n forward-addr: 127.0.0.1@{authority}\n'
    )
    with peer(tool("unbound"), "-d", "-c", str(folder / "unbound.conf"), port=port, folder=folder):
        yield port


DIFFERENT = {}
"""What a peer says otherwise."""


@pytest.mark.peer
@pytest.mark.parametrize("name", ["bind", "unbound"])
def test_rules_say_what_they_say_elsewhere(ours, name, request):
    other = request.getfixturevalue(name)
    differ = {
        question: (asked(ours, *question), found)
        for question in QUESTIONS
        if (found := asked(other, *question)) != asked(ours, *question)
    }
    assert differ == DIFFERENT.get(name, {})
    assert asked(ours, "tcp") == asked(other, "tcp") == (0, True, [])
    assert asked(ours, "tcp", tcp=True) == asked(other, "tcp", tcp=True)
    assert asked(ours, "tcp") == (0, True, []), "what went out by TCP was not kept for UDP"
    assert is_silent(ours, "drop") and is_silent(other, "drop")
    assert asked(ours, "www", source="127.0.0.3")[0] == asked(other, "www", source="127.0.0.3")[0] == 3
    assert asked(ours, "www")[0] == 0, "a rule about one client is for no other"


def test_a_policy_comes_by_transfer_and_changes_at_once(authority, tmp_path):
    primary, secondary = tmp_path / "primary", tmp_path / "secondary"
    primary.mkdir(), secondary.mkdir()
    port = free_port()
    with serving(primary, *config(primary, authority, policy=f'notify = ["127.0.0.1:{port}"]\n')) as first:
        (secondary / "c.toml").write_text(
            f'forward = "127.0.0.1:{authority}"\nvalidate = false\n'
            f'[[zone]]\nname = "rpz.test"\nfile = "copy"\nprimaries = ["127.0.0.1:{first.port}"]\n'
            '[[policy]]\nzone = "rpz.test"\nlog = true\n[resolver]\ndo-not-query = []\n'
        )
        with serving(secondary, "--config", "c.toml", "--listen", f"udp+tcp://127.0.0.1:{port}", "-v") as second:
            until(lambda: asked(port, "nx")[0], 3)
            assert asked(port, "www") == (0, False, ["192.0.2.3"])
            assert asked(port, "www") == (0, False, ["192.0.2.3"]), "now kept as wire bytes"
            newer = RULES.replace("host.localhost. 1", "host.localhost. 2") + "www.example.org A 192.0.2.99\n"
            (primary / "rpz.zone").write_text(newer)
            first.process.send_signal(signal.SIGHUP)
            until(lambda: asked(port, "www"), (0, False, ["192.0.2.99"]))
            assert parse(ask_udp(port, query("nx.example.org.rpz.test."))).rcode != 0, "nobody is told the rules"
            second.process.send_signal(signal.SIGTERM)
            assert second.process.wait(30) == 0
            told = second.process.stderr.read()
            assert (
                "policy rpz.test.: 127.0.0.1 asks for nx.example.org.: nx.example.org.rpz.test. says nxdomain" in told
            )
            assert "www.example.org.rpz.test. says data" in told


def test_settings_of_a_policy_count_instead_of_its_rules(authority, tmp_path):
    words = config(tmp_path, authority)
    file = tmp_path / "c.toml"
    text = file.read_text()
    with serving(tmp_path, *words, "-v") as server:
        assert asked(server.port, "nx")[0] == 3
        extended = parse(ask_udp(server.port, query("nx.example.org.", edns=Edns())))
        assert extended.edns.options[-1] == (15, b"\0\x11"), "filtered (RFC 8914)"
        for setting, wanted in (
            ('action = "disabled"', (0, False, [])),
            ('action = "nodata"', (0, False, [])),
            ('action = "tcp-only"', (0, True, [])),
            ('action = "cname"\ncname = "www.example.org"', (0, False, ["192.0.2.3"])),
            ('action = "nxdomain"', (3, False, [])),
        ):
            file.write_text(text.replace("log = true", f"log = true\n{setting}"))
            server.process.send_signal(signal.SIGHUP)
            until(lambda wanted=wanted: asked(server.port, "data"), wanted)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert "data.example.org.rpz.test. says disabled" in server.process.stderr.read()


def test_views_choose_zones_and_resolver_by_the_clients_address(authority, tmp_path):
    (tmp_path / "inner.zone").write_text(ZONE.replace("192.0.2.3", "10.0.0.3"))
    (tmp_path / "all.zone").write_text("$ORIGIN all.test.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.9\n")
    views = (
        '[views.staff]\nclients = ["127.0.0.2", "127.1.0.0/16"]\npolicy = []\n'
        'local = ["here.example.org. 60 A 10.0.0.2"]\n'
        '[[views.staff.zone]]\nfile = "inner.zone"\nname = "example.org"\ntransfers = ["127.0.0.2"]\n'
        '[views.guests]\nclients = ["127.2.0.0/16"]\nrecursive = false\npolicy = []\n'
    )
    words = config(tmp_path, authority, more='[[zone]]\nfile = "all.zone"\n')
    with (tmp_path / "c.toml").open("a") as file:
        file.write(views)
    with serving(tmp_path, *words, "--listen", "tcp://127.0.0.1:0") as server:
        port = server.port
        for _ in range(3):  # the second time kept answers count
            assert asked(port, "www", source="127.0.0.2")[2] == ["10.0.0.3"]
            assert asked(port, "www", source="127.1.2.3")[2] == ["10.0.0.3"]
            assert asked(port, "www")[2] == ["192.0.2.3"]
            assert asked(port, "nx")[0] == 3 and asked(port, "nx", source="127.0.0.2")[0] == 0
            assert asked(port, "here")[2] == ["10.0.0.1"]
            assert asked(port, "here", source="127.0.0.2")[2] == ["10.0.0.2"]
            assert asked(port, "www", source="127.2.0.1")[0] == 5, "guests get no recursion"
            for source in ("127.0.0.1", "127.0.0.2", "127.2.0.1"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind((source, 0))
                    sock.settimeout(20)
                    sock.sendto(query("ns.all.test."), ("127.0.0.1", port))
                    assert parse(sock.recv(512)).answer, "zones of all are everybody's"
        (tmp_path / "inner.zone").write_text(ZONE.replace("192.0.2.3", "10.0.0.4"))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: asked(port, "www", source="127.0.0.2")[2], ["10.0.0.4"])
        assert asked(port, "www")[2] == ["192.0.2.3"]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ('[[policy]]\nzone = "rpz.tset"\n', "policy[0].zone: no [[zone]] is called 'rpz.tset'; do you mean 'rpz"),
        ('[[policy]]\nzone = "rpz.test"\naction = "nx"', "policy[0].action cannot be 'nx'; "),
        ('[[policy]]\nzone = "rpz.test"\naction = "cname"', "policy[0] needs both"),
        ('[[policy]]\naction = "drop"', "policy[0] needs a zone"),
        ("[views]\nx = 3", "views.x is to be a table"),
        ("[views.x]\nlocal = []", "views.x needs clients, a list of networks"),
        ('[views.x]\nclients = "10.0.0.1/8"', "views.x.clients[0] '10.0.0.1/8' has bits behind its prefix"),
        ('[views.x]\nclients = "::1"\n[views.y]\nclients = "::1"', "views.y.clients has ::1, as views.x has"),
        ('[views.x]\nclients = "::1"\nlisten = "udp://:1"', "views.x.listen is no setting"),
        ('[views.x]\nclients = "::1"\n[views.x.resolver]\nprefech = true', "views.x.resolver.prefech is no setting"),
        ('[views.x]\nclients = "::1"\nforward = "y"', "views.x.forward: 'y' is no address"),
        ("[resolver]\nprefech = true", "resolver.prefech is no setting; do you mean 'prefetch'?"),
        ('[[key]]\nname = "k"\nsecret = "!"', "key 'k': "),
        ('local = ["a. A 1"]', "local: "),
    ],
)  # fmt: skip
def test_a_mistake_names_file_and_setting(text, wanted, tmp_path, capsys):
    (tmp_path / "rpz.zone").write_text(RULES)
    zone = '[[zone]]\nfile = "rpz.zone"\nname = "rpz.test"\n'
    (tmp_path / "c.toml").write_text(text + "\n" + zone)
    status = main(["serve", "dns", "--config", str(tmp_path / "c.toml"), "--listen", "udp://127.0.0.1:0"])
    told = capsys.readouterr().err
    assert status == 2 and told.count("\n") == 1
    assert f"{tmp_path}/c.toml: {wanted}" in told
