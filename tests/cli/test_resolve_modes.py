"""catenet resolve: watching, colours, JSON, servers by name, connections that are kept, cookies."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest
from tests import commands
from tests.dns import name_server
from tests.dns.name_server import start

from catenet.cli import main
from catenet.wire.dns import numbers
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.record import make_record

CATENET = [sys.executable, "-m", "catenet", "resolve"]
WWW = name_from_text("www.example.")
KEY = (WWW, numbers.A)


@pytest.fixture
def server():
    """A name server on the loopback."""
    started = start(0, [])
    yield started
    started.close()


def address(*octets):
    return make_record(WWW, numbers.A, 60, bytes(octets))


def interrupted(child):
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=30)
    return child.returncode, rest, errors


def test_watch_shows_what_changes_and_ends_with_ctrl_c(server, monkeypatch):
    words = [*CATENET, "www.example", f"@[::1]:{server.port}", "--watch=50ms", "--no-validate"]
    child = commands.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = [child.stdout.readline() for _ in range(4)]
    assert first[0] == ";; www.example. A: NOERROR (qr rd ra)\n"
    assert first[3].startswith(";; udp://")
    monkeypatch.setitem(name_server.BY_NAME, KEY, [address(192, 0, 2, 7)])
    changed = [child.stdout.readline() for _ in range(3)]
    assert changed[0].endswith(" www.example. A: NOERROR, indeterminate\n")
    assert changed[1:] == ["- www.example. A 192.0.2.1\n", "+ www.example. A 192.0.2.7\n"]
    monkeypatch.delitem(name_server.BY_NAME, KEY)
    gone = [child.stdout.readline() for _ in range(2)]
    assert gone[1] == "- www.example. A 192.0.2.7\n"
    status, rest, errors = interrupted(child)
    assert (status, errors) == (130, "")
    assert rest.endswith(" rounds, 2 changes\n")


def test_watch_in_json_has_a_line_for_each_change(server, monkeypatch):
    words = [*CATENET, "www.example", f"@[::1]:{server.port}", "--watch=50ms", "--json"]
    child = commands.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert json.loads(child.stdout.readline())["answer"][0]["data"] == "192.0.2.1"
    monkeypatch.setitem(name_server.BY_NAME, KEY, [address(192, 0, 2, 7)])
    assert json.loads(child.stdout.readline())["answer"][0]["data"] == "192.0.2.7"
    assert interrupted(child) == (130, "", "")


def test_watch_goes_on_when_a_server_goes(server):
    words = [*CATENET, "www.example", f"@[::1]:{server.port}", "--watch=50ms", "--timeout=100ms", "--attempts=1"]
    child = commands.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    server.silent = 1_000_000
    assert child.stderr.readline().startswith("catenet resolve: www.example. A: no answer from udp://")
    status, rest, errors = interrupted(child)
    assert (status, errors) == (130, "")
    assert "no answer" in rest


def test_watch_waits_for_the_first_ttl():
    from catenet.cli.resolve.watching import patience
    from catenet.wire.dns.message import pack, parse

    def message(*ttls, section="answer"):
        records = [make_record(WWW, numbers.A, ttl, bytes(4)) for ttl in ttls]
        return parse(pack(1, numbers.QR, None, **{section: records}))

    assert patience([message(60, 30), message(300)]) == 30
    assert patience([message(0)]) == 1
    assert patience([message()]) == 10
    assert patience([]) == 10


def on_a_terminal(words, env):
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    child = commands.Popen(words, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    output = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        output += data
    os.close(ours)
    assert child.wait(30) == 0
    return output


def test_colours_are_for_terminals_and_peers_colour_nothing(server, monkeypatch):
    name = name_from_text("\\027[31mred.example.")
    monkeypatch.setitem(name_server.BY_NAME, (name, numbers.A), [make_record(name, numbers.A, 60, bytes(4))])
    words = [*CATENET, "www.example", "\\027[31mred.example", f"@[::1]:{server.port}"]
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")} | {"TERM": "xterm"}
    coloured = on_a_terminal(words, env)
    assert b"\x1b[1m;; answer\x1b[0m" in coloured
    assert b"\x1b[31m" not in coloured
    assert b"\\027[31mred.example." in coloured
    for plain in (on_a_terminal(words, env | {"NO_COLOR": "1"}), on_a_terminal(words, env | {"TERM": "dumb"})):
        assert b"\x1b" not in plain
    piped = commands.run(words, capture_output=True, env=env, timeout=60, check=True).stdout
    assert b"\x1b" not in piped


@pytest.mark.parametrize(("option", "host"), [("-4", "127.0.0.1"), ("-6", "[::1]")])
def test_a_server_by_name_is_reached_over_the_version_that_is_wanted(server, capsys, monkeypatch, option, host):
    both = [(10, 1, 6, "", ("::1", server.port, 0, 0)), (2, 1, 6, "", ("127.0.0.1", server.port))]

    def getaddrinfo(name, port, family=0, *_, **__):
        return [one for one in both if family in (0, one[0])]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    assert main(["resolve", "www.example", f"@ns.example:{server.port}", option, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["server"], answer["server_name"]) == (f"udp://{host}:{server.port}", "ns.example")


def test_a_server_without_an_address_is_one_line(capsys):
    assert main(["resolve", "www.example", "@nothing.invalid"]) == 9
    assert "no address of the server nothing.invalid" in capsys.readouterr().err
    assert main(["resolve", "www.example", "@" + "a" * 70]) == 9
    assert "the server" in capsys.readouterr().err


def test_a_connection_serves_all_questions_of_a_call(capsys, monkeypatch):
    server = start(0, [])
    accepted = []
    finish = type(server.servers[1]).finish_request
    monkeypatch.setattr(
        type(server.servers[1]), "finish_request", lambda self, *rest: (accepted.append(1), finish(self, *rest))[1]
    )
    try:
        words = ["+tcp", "+short", f"@[::1]:{server.port}", "www.example", "A", "AAAA", "alias.example"]
        assert main(["resolve", *words]) == 0
        assert len(accepted) == 1
        assert main(["resolve", *words, "+nokeepopen", "--no-validate"]) == 0
        assert len(accepted) == 4
    finally:
        server.close()
    assert capsys.readouterr().out.split() == ["192.0.2.1", "2001:db8::1", "www.example.", "192.0.2.1"] * 2


def test_the_reason_why_an_answer_is_not_validated_is_said(server, capsys):
    words = ["resolve", "www.example", f"@[::1]:{server.port}", "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["dnssec"], answer["reason"]) == ("indeterminate", "the server has no keys of the root (NXDOMAIN)")
    assert main([*words, "--no-validate"]) == 0
    assert "not checked" in json.loads(capsys.readouterr().out)["reason"]
    assert main([*words, "+noedns"]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "signatures were not asked for"


def test_with_an_anchor_of_the_user_a_server_without_keys_is_bogus(server, capsys, tmp_path):
    anchor = tmp_path / "anchor"
    anchor.write_text(f". IN DS 20326 8 2 {'ab' * 32}\n")
    words = ["resolve", "www.example", f"@[::1]:{server.port}", "--trust-anchor", str(anchor)]
    assert main([*words, "--json"]) == 10
    answer = json.loads(capsys.readouterr().out)
    assert (answer["dnssec"], answer["rcode"]) == ("bogus", "NOERROR")
    assert main([*words, "+short"]) == 10
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("catenet resolve: www.example. A: bogus: ")


@pytest.mark.parametrize(
    ("option", "text", "problem"),
    [
        ("--trust-anchor", ". IN A 1.2.3.4\n", ":1: record type A; a trust anchor is a DS or DNSKEY record"),
        ("--trust-anchor", "", "no DS or DNSKEY record in it"),
        ("--trust-anchor", None, "no such file or directory"),
        ("--root-hints", "", "no NS record of the root"),
        ("--root-hints", ". 60 NS a.\na. 60 A 1.2.3\n", ":2: "),
        ("--root-hints", None, "o such file or directory"),
        ("-k", "nothing", "no key in it"),
        ("-k", None, "no such file or directory"),
        ("--ca", "nothing", "no certificates of authorities"),
    ],
)
def test_files_that_are_wrong_are_one_line(capsys, tmp_path, option, text, problem):
    file = tmp_path / "file"
    if text is not None:
        file.write_text(text)
    more = {"--root-hints": ["--trace"], "--ca": ["--tls"]}.get(option, ["@::1"])
    assert main(["resolve", "a.", *more, option, str(file)]) == 2
    shown = capsys.readouterr()
    assert problem in shown.err
    assert str(file) in shown.err
    assert shown.err.count("\n") == 1


def test_without_cryptography_names_are_asked_for_and_the_rest_says_what_it_needs(server, tmp_path):
    anchor = tmp_path / "anchor"
    anchor.write_text(f". IN DS 20326 8 2 {'ab' * 32}\n")
    calls = [
        ["www.example", f"@[::1]:{server.port}"],
        ["www.example", f"@[::1]:{server.port}", "-y", "key:AAAA", "--timeout=100ms", "--attempts=1"],
        ["www.example", f"@[::1]:{server.port}", "--trust-anchor", str(anchor)],
        ["www.example", "--trace"],
    ]
    text = "import sys, json; sys.modules['cryptography'] = None; from catenet.cli import main\n"
    text += f"print([main(['resolve', *words]) for words in {calls!r}])"
    done = commands.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    assert "not validated: signatures need the package cryptography (catenet[dns])" in done.stdout
    assert done.stdout.splitlines()[-1] == "[0, 2, 2, 2]"
    text = "needs the package cryptography: pip install 'catenet[dns]'"
    assert done.stderr.splitlines() == [f"catenet: {option} {text}" for option in ("-y", "--trust-anchor", "--trace")]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--explain", "--no-validate"], "nothing to explain"),
        (["--ca", "x"], "no server is asked over TLS"),
        (["--tls-host", "x"], "no server is asked over TLS"),
        (["--root-hints", "x"], "only --trace begins at the root"),
        (["-y", "key"], "a key is [ALGORITHM:]NAME:SECRET"),
        (["-y", "hmac-sha255:a:AAAA"], "hmac-sha2"),
        (["-y", "a:AAAA", "-k", "x"], "give one key"),
        (["-y", "a:AAAA", "--trace"], "do not know the key"),
        (["AXFR", "--https"], "no transfers over HTTP"),
        (["AXFR", "--watch"], "--watch: only of plain questions"),
        (["--trace", "--watch"], "--watch: only of plain questions"),
        (["+tls", "+tls-ca=nothing"], "+tls-ca nothing: "),
    ],
)
def test_options_that_do_not_go_together(capsys, words, problem):
    assert main(["resolve", "a.", "@::1", *words]) == 2
    assert problem in capsys.readouterr().err


def test_a_cookie_comes_back_and_one_for_others_is_passed_over(capsys, monkeypatch):
    from catenet.wire.dns.edns import Edns
    from catenet.wire.dns.message import pack, parse

    server = start(0, [])
    asked = []

    def answer(data, limit):
        query = parse(data)
        sent = dict(query.edns.options)[10]
        asked.append(sent)
        flags = numbers.QR | numbers.RA
        if len(sent) == 8:
            code, cookie = numbers.BADCOOKIE, sent + b"from the server!"
            edns = Edns(options=((10, cookie),), extended_rcode=code >> 4)
            return [pack(query.id, flags | code & 15, query.question, edns=edns)]
        wrong = Edns(options=((10, bytes(8) + sent[8:]),))
        right = Edns(options=((10, sent),))
        return [
            pack(query.id, flags, query.question, [address(6, 6, 6, 6)], edns=wrong),
            pack(query.id, flags, query.question, [address(192, 0, 2, 1)], edns=right),
        ]

    monkeypatch.setattr(server, "answer", answer)
    try:
        assert main(["resolve", "+short", "www.example", f"@[::1]:{server.port}", "--no-validate"]) == 0
    finally:
        server.close()
    assert capsys.readouterr().out == "192.0.2.1\n"
    assert asked == [asked[0], asked[0] + b"from the server!"]


def test_a_flood_of_wrong_datagrams_has_a_limit():
    from catenet.dns.client.datagrams import MOST_WAITING, DatagramQuery

    core = DatagramQuery(None, b"query")  # type: ignore[arg-type]
    for number in range(10 * MOST_WAITING):
        core.receive(number.to_bytes(2, "big"), None, 0.0)  # type: ignore[arg-type]
    kept = []
    while (event := core.next_event()) is not None:
        kept.append(event)
    assert len(kept) == MOST_WAITING


def test_questions_are_asked_on_while_a_server_streams_without_end(capsys):
    """A peer that sends messages that nobody asked for: the answer is found, and nothing piles up."""
    import socket

    from catenet.wire.dns.message import pack, parse

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            client, _ = listener.accept()
            with client:
                size = int.from_bytes(client.recv(2), "big")
                query = parse(client.recv(size))
                other = pack(query.id ^ 1, numbers.QR, query.question)
                noise = (len(other).to_bytes(2, "big") + other) * 2000
                right = pack(query.id, numbers.QR, query.question, [address(192, 0, 2, 1)])
                try:
                    client.sendall(noise + len(right).to_bytes(2, "big") + right)
                    while True:
                        client.sendall(noise)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        words = ["+short", "+tcp", "www.example", f"@127.0.0.1:{listener.getsockname()[1]}", "--no-validate"]
        assert main(["resolve", *words]) == 0
        thread.join(30)
    assert capsys.readouterr().out == "192.0.2.1\n"
