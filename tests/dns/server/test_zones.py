"""Whole zones: transfers to and from BIND, NSD and Knot, NOTIFY, signed updates; what nobody may have is refused."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import time

import pytest
from tests.dns.server.running import ZONE, ask_tcp, ask_udp, query, run, serving, wait_for
from tests.peers import environment, tool

from catenet.dns.rrset import rrsets_from_records
from catenet.dns.server.config import ServerConfig, ZoneConfig
from catenet.dns.server.counters import Counters
from catenet.dns.server.parts import Part, read_files
from catenet.dns.server.request import UDP
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AXFR, IXFR, NOTIFY, SOA, A
from catenet.wire.dns.record import make_record

SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="
KEY = f'[[key]]\nname = "shared"\nsecret = "{SECRET}"\n'
NAMED_KEY = f'key shared {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
NEWER = ZONE.replace("host 1 7200", "host 2 7200").replace("192.0.2.3", "192.0.2.99")


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextlib.contextmanager
def peer(*words, port, folder):
    child = subprocess.Popen(words, env=environment(), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield child
    finally:
        child.terminate()
        child.wait(30)


def named(folder, port, zone):
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; '
        "recursion no; pid-file none; session-keyfile none; notify explicit; dnssec-validation no; "
        f"allow-new-zones no; }};\ncontrols {{}};\n{NAMED_KEY}{zone}"
    )
    return peer(tool("named"), "-g", "-n", "1", "-c", str(folder / "named.conf"), port=port, folder=folder)


def address_of(port, name="www.example.org."):
    message = parse(ask_udp(port, query(name)))
    return message.answer[0].data[-1] if message.answer else None


def until(what, wanted):
    end = time.monotonic() + 60
    while (found := what()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.1)


def primary_config(folder, *, notify="", extra=""):
    (folder / "a.zone").write_text(ZONE)
    (folder / "p.toml").write_text(f'recursive = false\n{KEY}[[zone]]\nfile = "a.zone"\n{notify}{extra}')
    return "--config", "p.toml", "--listen", "udp+tcp://127.0.0.1:0"


def secondary_config(folder, port, *, extra=""):
    (folder / "s.toml").write_text(
        f'recursive = false\n{KEY}[[zone]]\nname = "example.org"\nfile = "copy.zone"\n'
        f'primaries = ["127.0.0.1:{port}"]\n{extra}'
    )
    return "--config", "s.toml", "--listen", "udp+tcp://127.0.0.1:0"


def test_nobody_gets_a_zone_who_may_not(tmp_path):
    (tmp_path / "a.zone").write_text(ZONE)
    words = ("--zone", "a.zone", "--no-recursive", "--listen", "udp+tcp://127.0.0.1:0")
    with serving(tmp_path, *words) as server:
        assert parse(ask_tcp(server.port, query("example.org.", AXFR))[0]).rcode == 5
        assert parse(ask_tcp(server.port, query("example.com.", AXFR))[0]).rcode == 9
        assert parse(ask_udp(server.port, query("example.org.", AXFR))).rcode == 5
        told = pack(7, NOTIFY << 11, Question(name_from_text("example.org."), SOA))
        assert parse(ask_udp(server.port, told)).rcode == 9
        update = pack(7, 5 << 11, Question(name_from_text("example.org."), SOA))
        assert parse(ask_udp(server.port, update)).rcode == 5


@pytest.mark.peer
@pytest.mark.parametrize("key", ["", f"hmac-sha256:shared:{SECRET}"])
def test_dig_and_kdig_transfer_from_us(tmp_path, key):
    extra = 'key = "shared"\n' if key else 'transfers = ["127.0.0.1"]\n'
    with serving(tmp_path, *primary_config(tmp_path, extra=extra)) as server:
        at = ("@127.0.0.1", "-p", str(server.port), "example.org", "AXFR", *(("-y", key) if key else ()))
        for name in ("dig", "kdig"):
            shown = run(tool(name), *at)
            assert shown.count("\tIN\t") >= 108 and "large.example.org." in shown
            assert "failed" not in shown.lower() and "warning" not in shown.lower()
        if key:
            assert "Transfer failed" in run(tool("dig"), *at[:-2])
            assert parse(ask_tcp(server.port, query("example.org.", AXFR))[0]).rcode == 5
            shown = run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "www.example.org", "-y", key)
            assert "NOERROR" in shown and "TSIG" in shown and "Couldn't verify" not in shown
            bad = key.replace("c2Vj", "c2Vk")
            assert "NOTAUTH" in run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "www.example.org", "-y", bad)


@pytest.mark.peer
def test_bind_is_our_secondary_and_is_told_of_changes(tmp_path):
    port, folder = free_port(), tmp_path / "bind"
    folder.mkdir()
    tool("named")
    notify = f'notify = ["127.0.0.1:{port}"]\nkey = "shared"\n'
    with serving(tmp_path, *primary_config(tmp_path, notify=notify)) as server:
        zone = (
            f"server 127.0.0.1 {{ keys {{ shared; }}; }};\n"
            f'zone "example.org" {{ type secondary; primaries {{ 127.0.0.1 port {server.port}; }}; '
            'file "copy"; masterfile-format text; };\n'
        )
        with named(folder, port, zone):
            until(lambda: address_of(port), 3)
            (tmp_path / "a.zone").write_text(NEWER)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: address_of(port), 99)


@pytest.mark.peer
def test_we_are_the_secondary_of_bind(tmp_path):
    port, folder = free_port(), tmp_path / "bind"
    folder.mkdir()
    (folder / "a.zone").write_text(ZONE)
    zone = (
        'zone "example.org" { type primary; file "a.zone"; allow-transfer { key shared; }; allow-update { any; }; };\n'
    )
    with named(folder, port, zone):
        with serving(tmp_path, *secondary_config(tmp_path, port, extra='key = "shared"\n')) as server:
            until(lambda: address_of(server.port), 3)
            assert len(parse(ask_tcp(server.port, query("large.example.org.", 16))[0]).answer) == 60
            text = f"server 127.0.0.1 {port}\nupdate add new.example.org 60 A 192.0.2.77\nsend\n"
            subprocess.run([tool("nsupdate")], input=text, text=True, check=True, timeout=30, env=environment())
            # The primary tells those that its NS records name; we are told by hand.
            told = pack(7, NOTIFY << 11, Question(name_from_text("example.org."), SOA))
            run(tool("dig"), "@127.0.0.1", "-p", str(port), "example.org", "SOA")
            key = f"hmac-sha256:shared:{SECRET}"
            shown = run(
                tool("dig"), "@127.0.0.1", "-p", str(server.port), "example.org", "SOA", "+opcode=notify", "-y", key
            )
            assert "NOERROR" in shown
            assert parse(ask_udp(server.port, told)).rcode == 9, "unsigned"
            until(lambda: address_of(server.port, "new.example.org."), 77)
            shown = run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "example.org", "IXFR=1", "-y", key)
            assert shown.count("\tSOA\t") == 4 and "large" not in shown, "differences are passed on"
        assert (tmp_path / "copy.zone.jnl").exists()
        with serving(tmp_path, *secondary_config(tmp_path, free_port())) as server:
            assert address_of(server.port, "new.example.org.") == 77, "from its copy, without a primary"


def test_a_zone_that_never_came_is_a_failure(tmp_path):
    with serving(tmp_path, *secondary_config(tmp_path, free_port())) as server:
        assert parse(ask_udp(server.port, query())).rcode == 2
        assert parse(ask_udp(server.port, query("elsewhere.net."))).rcode == 5


@pytest.mark.peer
def test_nsd_and_knot_are_our_secondaries(tmp_path):
    nsd, knotd = tool("nsd"), tool("knotd")
    with serving(tmp_path, *primary_config(tmp_path, extra='transfers = ["127.0.0.1"]\n')) as server:
        for name in ("nsd", "knot"):
            folder, port = tmp_path / name, free_port()
            folder.mkdir()
            if name == "nsd":
                (folder / "nsd.conf").write_text(
                    f'server:\n ip-address: 127.0.0.1@{port}\n zonesdir: "{folder}"\n database: ""\n pidfile: ""\n'
                    f' username: ""\n xfrdfile: "{folder}/xfrd"\n zonelistfile: "{folder}/list"\n xfrdir: "{folder}"\n'
                    " server-count: 1\nremote-control:\n control-enable: no\n"
                    'zone:\n name: "example.org"\n zonefile: "copy"\n'
                    f" request-xfr: AXFR 127.0.0.1@{server.port} NOKEY\n"
                )
                words = (str(nsd), "-d", "-c", str(folder / "nsd.conf"))
            else:
                (folder / "knot.conf").write_text(
                    f"server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n"
                    f"database:\n  storage: {folder}\nremote:\n  - id: us\n    address: 127.0.0.1@{server.port}\n"
                    f"zone:\n  - domain: example.org\n    master: us\n    storage: {folder}\n"
                )
                words = (str(knotd), "-c", str(folder / "knot.conf"))
            with peer(*words, port=port, folder=folder):
                until(lambda port=port: address_of(port), 3)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["nsupdate", "knsupdate"])
def test_signed_updates_last(tmp_path, name):
    words = primary_config(tmp_path, extra='key = "shared"\n')
    key = f"hmac-sha256:shared:{SECRET}"
    with serving(tmp_path, *words) as server:
        text = (
            f"server 127.0.0.1 {server.port}\nzone example.org.\nupdate add new.example.org. 60 A 192.0.2.77\n"
            "update delete www.example.org. AAAA\nsend\n"
        )
        assert address_of(server.port, "new.example.org.") is None
        assert subprocess.run([tool(name)], input=text, text=True, capture_output=True, timeout=30).returncode
        done = subprocess.run(
            [tool(name), "-y", key], input=text, text=True, capture_output=True, timeout=30, env=environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert address_of(server.port, "new.example.org.") == 77
        assert not parse(ask_udp(server.port, query(kind=28))).answer
        soa = parse(ask_udp(server.port, query("example.org.", SOA)))
        assert rrsets_from_records(soa.answer)[0].data[0][-20:-16] == (2).to_bytes(4, "big")
        shown = run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "example.org", "IXFR=1", "-y", key)
        assert shown.count("SOA") >= 4 and "new.example.org." in shown and "large" not in shown
    with serving(tmp_path, *words) as server:
        assert address_of(server.port, "new.example.org.") == 77, "from the journal"


@pytest.mark.peer
def test_changes_are_answered_at_once(tmp_path):
    words = primary_config(tmp_path, extra='updates = ["127.0.0.1"]\n')
    with serving(tmp_path, *words) as server:
        for number in range(1, 20):
            text = (
                f"server 127.0.0.1 {server.port}\nzone example.org.\nupdate delete www.example.org. A\n"
                f"update add www.example.org. 60 A 192.0.2.{number}\nsend\n"
            )
            subprocess.run([tool("nsupdate")], input=text, text=True, check=True, timeout=30, env=environment())
            assert address_of(server.port) == number
            assert parse(ask_tcp(server.port, query(kind=A))[0]).answer[0].data[-1] == number


def update(name, serial_of_message=7):
    """An update that adds an address."""
    record = make_record(name_from_text(name), A, 60, b"\xc0\0\2\x4d")
    question = Question(name_from_text("example.org."), SOA)
    return pack(serial_of_message, 5 << 11, question, (), (record,))


def increments(port, serial=1):
    """How many records an IXFR from a serial has."""
    data = b"\0\0" + serial.to_bytes(4, "big") + bytes(16)
    known = make_record(name_from_text("example.org."), SOA, 0, data)
    asked = pack(7, 0, Question(name_from_text("example.org."), IXFR), (), (known,))
    return len(parse(ask_tcp(port, asked)[0]).answer)


def test_a_secondary_keeps_differences_over_a_restart(tmp_path):
    port = free_port()
    more = f'notify = ["127.0.0.1:{port}"]\ntransfers = ["127.0.0.1"]\nupdates = ["127.0.0.1"]\n'
    listen = ("--listen", f"udp+tcp://127.0.0.1:{port}")
    with serving(tmp_path, *primary_config(tmp_path, extra=more)) as server:
        words = secondary_config(tmp_path, server.port, extra='transfers = ["127.0.0.1"]\n')[:2] + listen
        with serving(tmp_path, *words):
            until(lambda: address_of(port), 3)
            for number in range(3):
                assert parse(ask_udp(server.port, update(f"new{number}.example.org."))).rcode == 0
            until(lambda: address_of(port, "new2.example.org."), 77)
            assert increments(port) > 4
    assert (tmp_path / "copy.zone.jnl").exists() and "new2" not in (tmp_path / "copy.zone").read_text()
    with serving(tmp_path, *words):
        assert address_of(port, "new2.example.org.") == 77, "the primary is gone"
        assert 4 < increments(port) < 20, "and what led here is known still"


def test_an_update_during_a_reload_is_not_lost(tmp_path):
    (tmp_path / "a.zone").write_text(ZONE)
    zone = ZoneConfig(file=str(tmp_path / "a.zone"), updates=("127.0.0.1",))
    config = ServerConfig(zones=(zone,), recursive=False)

    async def run():
        part = Part(Counters())
        chain = part.use(read_files(config))
        files = read_files(config)  # as the thread of a reload does
        for number in range(2):
            reply = chain.receive(update(f"late{number}.example.org."), UDP, "127.0.0.1", 5, lambda _: None)
            assert parse(reply).rcode == 0
        chain = part.use(files)
        for name in ("late0.example.org.", "late1.example.org."):
            assert parse(chain.receive(query(name), UDP, "127.0.0.1", 5, lambda _: None)).answer[0].data[-1] == 77
        assert parse(chain.receive(update("more.example.org."), UDP, "127.0.0.1", 5, lambda _: None)).rcode == 0
        part.close()

    asyncio.run(run())
    with serving(tmp_path, *primary_config(tmp_path, extra='updates = ["127.0.0.1"]\n')) as server:
        assert address_of(server.port, "late1.example.org.") == address_of(server.port, "more.example.org.") == 77
