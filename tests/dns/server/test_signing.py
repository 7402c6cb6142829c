"""Zones that the server signs: what BIND's and ldns's verifiers and delv make of what is served, all the time."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest
from tests import commands
from tests.dns.server.running import ZONE, ask_tcp, ask_udp, query, run, serving
from tests.dns.server.test_zones import address_of, free_port, until
from tests.peers import environment, tool

from catenet.cli import main
from catenet.dns.dnssec import KeyTimes, generate_key
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import CDNSKEY, CDS, DNSKEY, NSEC3PARAM, RRSIG, SOA

pytestmark = pytest.mark.slow(20)

BODY = ZONE + "sub NS ns.sub\nns.sub A 192.0.2.9\n"
OPEN = 'transfers = ["127.0.0.1"]\nupdates = ["127.0.0.1"]\n'
LISTEN = ("--listen", "udp+tcp://127.0.0.1:0")


def config(folder: Path, sign: str, extra: str = OPEN, file: str = "a.zone") -> tuple[str, ...]:
    if not (folder / file).exists():
        (folder / file).write_text(BODY)
    (folder / "s.toml").write_text(f'recursive = false\n[[zone]]\nfile = "{file}"\n{extra}sign = {sign}\n')
    return "--config", "s.toml", *LISTEN


def transferred(port: int, folder: Path) -> str:
    """The zone as a transfer has it."""
    shown = run(tool("dig"), "@127.0.0.1", "-p", str(port), "example.org", "AXFR", "+onesoa", "+nocomments", "+nocmd")
    (folder / "got").write_text(shown)
    return shown


def verify(port: int, folder: Path) -> str:
    """Two verifiers accept the zone as a transfer has it."""
    shown = transferred(port, folder)
    one_for_all = ("-z",) if len(answers(port, DNSKEY)) == 1 else ()
    run(tool("dnssec-verify"), *one_for_all, "-o", "example.org", str(folder / "got"))
    run(tool("ldns-verify-zone"), str(folder / "got"))
    return shown


def serial_at(port: int) -> int:
    data = parse(ask_udp(port, query("example.org.", SOA))).answer[0].data
    return int.from_bytes(data[-20:-16], "big")


def update(port: int, *lines: str) -> None:
    text = "".join(f"{line}\n" for line in (f"server 127.0.0.1 {port}", "zone example.org.", *lines, "send"))
    run_with(text, tool("nsupdate"))


def run_with(text: str, *words: str) -> None:
    done = commands.run(words, input=text, text=True, capture_output=True, timeout=30, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


def answers(port: int, kind: int) -> list[bytes]:
    return [one.data for one in parse(ask_tcp(port, query("example.org.", kind))[0]).answer]


PLANS = {
    "defaults": "true",
    "rsa": '{ algorithm = "RSASHA256", separate-keys = true }',
    "ed25519, NSEC3": "{ algorithm = 15, nsec3 = true, zonemd = true }",
    "opt-out": "{ opt-out = true, separate-keys = true }",
}


@pytest.mark.peer
@pytest.mark.parametrize("plan", PLANS)
def test_what_is_served_is_valid_before_and_after_updates(tmp_path: Path, plan: str) -> None:
    words = config(tmp_path, PLANS[plan])
    with serving(tmp_path, *words) as server:
        shown = verify(server.port, tmp_path)
        assert "opt-out" not in plan or "NSEC3 1 1 0 -" in shown.replace("\t", " ")
        assert serial_at(server.port) == 2
        update(server.port, "update add new.example.org. 60 A 192.0.2.77", "update delete www.example.org. AAAA")
        shown = verify(server.port, tmp_path)
        assert "new.example.org." in shown and "2001:db8::3" not in shown and serial_at(server.port) == 3
        before = set(re.findall(r"RRSIG\t.*", shown))
        signed = parse(ask_udp(server.port, query("new.example.org.", edns=Edns(flags=DNSSEC_OK))))
        assert [one.type for one in signed.answer] == [1, RRSIG]
        server.process.send_signal(signal.SIGHUP)
        shown = run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "example.org", "IXFR=2")
        assert shown.count("\tSOA\t") >= 4 and "large" not in shown
    with serving(tmp_path, *words) as server:
        shown = verify(server.port, tmp_path)
        assert set(re.findall(r"RRSIG\t.*", shown)) == before, "as they were"
        assert serial_at(server.port) == 3
    assert (tmp_path / "a.zone").read_text() == BODY
    for private in (tmp_path / "keys").glob("*.private"):
        assert private.stat().st_mode & 0o777 == 0o600


@pytest.mark.peer
def test_the_parents_record_leads_delv_to_secure_answers(tmp_path: Path) -> None:
    words = config(tmp_path, '{ nsec3 = true, separate-keys = true, keys = "here" }')
    done = commands.run(
        [sys.executable, "-m", "catenet", "serve", "dns", *words, "--print-ds"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"example\.org\. IN DS (\d+) 13 2 ([0-9A-F]{64})\n", done.stdout)
    assert found is not None, done.stdout
    with serving(tmp_path, *words) as server:
        anchor = f'trust-anchors {{ example.org. static-ds {found[1]} 13 2 "{found[2]}"; }};\n'
        (tmp_path / "anchor").write_text(anchor)
        at = ("@127.0.0.1", "-p", str(server.port), "-a", str(tmp_path / "anchor"), "+root=example.org")
        for name, kind in (("www", "A"), ("deep.wild", "TXT"), ("www", "MX"), ("sub", "DS")):
            shown = run(tool("delv"), *at, f"{name}.example.org", kind)
            assert "fully validated" in shown.splitlines()[0], shown
        assert len(answers(server.port, CDS)) == len(answers(server.port, CDNSKEY)) == 1
        assert answers(server.port, CDS)[0][4:].hex().upper() == found[2]
        assert len(answers(server.port, DNSKEY)) == 2


@pytest.mark.peer
def test_a_reload_keeps_signatures_and_a_changed_file_counts(tmp_path: Path) -> None:
    with serving(tmp_path, *config(tmp_path, "true")) as server:
        first = verify(server.port, tmp_path)
        update(server.port, "update add new.example.org. 60 A 192.0.2.77")
        (tmp_path / "a.zone").write_text(BODY.replace("192.0.2.3", "192.0.2.99"))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: address_of(server.port), 99)
        shown = verify(server.port, tmp_path)
        assert serial_at(server.port) == 4 and "new.example.org." not in shown, "the file's serial is 1 as before"
        kept = set(re.findall(r"RRSIG\t.*", shown)) & set(re.findall(r"RRSIG\t.*", first))
        assert len(kept) > 12
        shown = run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "example.org", "IXFR=2")
        assert shown.count("\tSOA\t") == 6, "two versions since"
        config(tmp_path, "{ nsec3 = true }")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(answers(server.port, NSEC3PARAM)), 1)
        assert "NSEC\t" not in verify(server.port, tmp_path)
        assert serial_at(server.port) == 5


@pytest.mark.peer
def test_signatures_are_made_anew_in_time(tmp_path: Path) -> None:
    with serving(tmp_path, *config(tmp_path, "{ lifetime = 8, refresh = 4 }")) as server:
        first = transferred(server.port, tmp_path)
        end = time.monotonic() + 60
        while set(re.findall(r"RRSIG\t.*", transferred(server.port, tmp_path))) & set(re.findall(r"RRSIG\t.*", first)):
            assert time.monotonic() < end
            time.sleep(0.3)
        verify(server.port, tmp_path)
        assert serial_at(server.port) > 2


@pytest.mark.peer
def test_keys_do_what_their_times_say(tmp_path: Path) -> None:
    """A successor is there before it signs; the one before goes in its time."""
    now, zone = int(time.time()), name_from_text("example.org.")
    folder = tmp_path / "keys"
    folder.mkdir()
    entry = generate_key(zone, 13, is_entry_point=True)
    old = generate_key(
        zone, 13, is_entry_point=False, times=KeyTimes(publish=now, activate=now, inactive=now + 8, delete=now + 10)
    )
    new = generate_key(zone, 13, is_entry_point=False, times=KeyTimes(publish=now, activate=now + 8))
    for key in (entry, old, new):
        key.write(folder)
    with serving(tmp_path, *config(tmp_path, "true")) as server:
        assert len(answers(server.port, DNSKEY)) == 3

        def signer() -> int:
            asked = query("www.example.org.", edns=Edns(flags=DNSSEC_OK))
            data = next(one.data for one in parse(ask_udp(server.port, asked)).answer if one.type == RRSIG)
            return data[16] << 8 | data[17]

        assert signer() == old.key.tag
        verify(server.port, tmp_path)
        until(signer, new.key.tag)
        until(lambda: len(answers(server.port, DNSKEY)), 2)
        verify(server.port, tmp_path)


@pytest.mark.peer
def test_a_secondary_signs_what_it_gets(tmp_path: Path) -> None:
    """A primary that cannot sign, and a server in front that does."""
    (tmp_path / "a.zone").write_text(BODY)
    (tmp_path / "p.toml").write_text(f'recursive = false\n[[zone]]\nfile = "a.zone"\n{OPEN}')
    with serving(tmp_path, "--config", "p.toml", *LISTEN) as primary:
        folder = tmp_path / "s"
        folder.mkdir()
        (folder / "s.toml").write_text(
            f'recursive = false\n[[zone]]\nname = "example.org"\nprimaries = ["127.0.0.1:{primary.port}"]\n'
            'file = "copy.zone"\ntransfers = ["127.0.0.1"]\nsign = true\n'
        )
        with serving(folder, "--config", "s.toml", *LISTEN) as server:
            until(lambda: address_of(server.port), 3)
            verify(server.port, tmp_path)
            update(primary.port, "update add new.example.org. 60 A 192.0.2.77")
            run(tool("dig"), "@127.0.0.1", "-p", str(server.port), "example.org", "SOA", "+opcode=notify")
            until(lambda: address_of(server.port, "new.example.org."), 77)
            shown = verify(server.port, tmp_path)
            assert serial_at(server.port) == 3
            server.process.send_signal(signal.SIGHUP)
            assert address_of(server.port, "new.example.org.") == 77
        assert "RRSIG" not in (folder / "copy.zone").read_text()
        (folder / "s.toml").write_text((folder / "s.toml").read_text().replace(str(primary.port), str(free_port())))
        with serving(folder, "--config", "s.toml", *LISTEN) as server:
            again = verify(server.port, tmp_path)
            assert set(re.findall(r"RRSIG\t.*", shown)) == set(re.findall(r"RRSIG\t.*", again))


MISTAKES = {
    "{ algorithm = 12 }": r"s\.toml: zone\[0\]\.sign\.algorithm is to be an algorithm .*, not 12; one of 8 \(RSASHA256",
    '{ algorithm = "ECDSAP256SHA" }': "do you mean 'ECDSAP256SHA256'",
    "{ nsec4 = true }": r"zone\[0\]\.sign\.nsec4 is no setting; do you mean 'nsec3'",
    "{ lifetime = 10, refresh = 10 }": r"zone\[0\]\.sign\.refresh is to be less than the lifetime, 10",
    "3": r"zone\[0\]\.sign is to be a table",
    '{ keys = "Kexample.org.+013+00001.key" }': r"s\.toml: zone\[0\]\.sign\.keys: .*00001\.key: no such file",
    '{ keys = ["bad"] }': r"zone\[0\]\.sign\.keys: .*bad/Kexample\.org\.\+013\+00002\.private: no field",
    '{ keys = "other/Kexample.com.+015+00003.private" }': "no such file; do you mean 'Kexample.com.+015+",
    '{ keys = "past" }': "no key signs at this time",
    '{ keys = "a.zone/x" }': "not a directory",
}


@pytest.mark.parametrize("sign", MISTAKES)
def test_mistakes_are_named(
    tmp_path: Path, sign: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = config(tmp_path, sign)
    for folder in ("bad", "other", "past"):
        (tmp_path / folder).mkdir()
    stem = tmp_path / "bad" / "Kexample.org.+013+00002"
    generate = generate_key(name_from_text("example.org."), 13, is_entry_point=True)
    Path(f"{stem}.key").write_text(generate.to_public_text())
    Path(f"{stem}.private").write_text("Private-key-format: v1.3\n")
    generate_key(name_from_text("example.com."), 15, is_entry_point=True, entropy=lambda size: b"x" * size).write(
        tmp_path / "other"
    )
    generate_key(name_from_text("example.org."), 13, is_entry_point=True, times=KeyTimes(publish=1, delete=2)).write(
        tmp_path / "past"
    )
    monkeypatch.chdir(tmp_path)
    status = main(["serve", "dns", *words])
    said = capsys.readouterr().err
    assert status == 2 and said.count("\n") <= 2, said
    wanted = MISTAKES[sign]
    assert re.search(wanted if "\\" in wanted else re.escape(wanted), said), said
