"""catenet resolve: against dnsmasq, its options, its two outputs, mistakes and exit statuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import commands
from tests.dns.name_server import start

from catenet.cli import main

if TYPE_CHECKING:
    from tests.conftest import Namespace

CATENET = [sys.executable, "-m", "catenet"]


@pytest.fixture
def server():
    """A name server on the loopback."""
    started = start(0, [])
    yield f"@[::1]:{started.port}"
    started.close()


def output(capsys, *words):
    status = main(["resolve", *words])
    return status, capsys.readouterr()


def test_records_and_what_is_known_of_the_answer_are_shown(server, capsys):
    status, shown = output(capsys, "alias.example", "A", server)
    assert status == 0
    head, section, first, second, last = shown.out.splitlines()
    assert head == ";; alias.example. A: NOERROR (qr rd ra)"
    assert section == ";; answer"
    assert first.split() == ["alias.example.", "60", "IN", "CNAME", "www.example."]
    assert second.split() == ["www.example.", "60", "IN", "A", "192.0.2.1"]
    assert first.index("CNAME") == second.index("A ")
    assert last.startswith(f";; udp://{server[1:]}, ")


def test_several_questions_in_one_call(server, capsys):
    status, shown = output(capsys, "+short", "www.example", "A", "AAAA", "alias.example", server, "-x", "192.0.2.1")
    assert status == 0
    assert shown.out.split() == ["192.0.2.1", "2001:db8::1", "www.example.", "192.0.2.1", "www.example."]


def test_a_type_before_the_name_counts_for_it(server, capsys):
    assert output(capsys, "+short", "AAAA", "www.example", server)[1].out == "2001:db8::1\n"


def test_json_is_one_object(server, capsys):
    status, shown = output(capsys, "--json", "www.example", server)
    assert status == 0
    got = json.loads(shown.out)
    assert got["question"] == {"name": "www.example.", "type": "A"}
    assert got["rcode"] == "NOERROR"
    assert got["flags"] == ["qr", "rd", "ra"]
    assert got["answer"] == [{"name": "www.example.", "type": "A", "ttl": 60, "data": "192.0.2.1"}]
    assert got["authority"] == got["additional"] == got["ede"] == []
    assert got["server"] == f"udp://{server[1:]}"
    assert got["protocol"] == "udp"
    assert got["ms"] > 0
    assert got["dnssec"] == "indeterminate"
    status, shown = output(capsys, "--json", "www.example", "A", "AAAA", server)
    assert [one["question"]["type"] for one in json.loads(shown.out)["results"]] == ["A", "AAAA"]


def test_tcp_alone(server, capsys):
    assert json.loads(output(capsys, "--json", "+tcp", "www.example", server)[1].out)["protocol"] == "tcp"


def test_a_name_that_does_not_exist_is_an_answer_and_a_refusal_is_not(server, capsys):
    status, shown = output(capsys, "none.example", server)
    assert status == 0
    assert "NXDOMAIN" in shown.out
    refusing = start(0, ["refuse"])
    try:
        status, shown = output(capsys, "www.example", f"@[::1]:{refusing.port}")
        assert status == 1
        assert "REFUSED" in shown.out
        assert ";; prohibited: not for you" in shown.out
        _, shown = output(capsys, "--json", "www.example", f"@[::1]:{refusing.port}")
        assert json.loads(shown.out)["ede"] == [{"code": 18, "text": "not for you"}]
    finally:
        refusing.close()


def test_no_answer_is_status_9(capsys):
    silent = start(0, ["silent=99"])
    try:
        words = ["www.example", f"@[::1]:{silent.port}", "--timeout", "50ms", "--attempts", "2"]
        status, shown = output(capsys, *words)
        assert status == 9
        reason = f"no answer from udp://[::1]:{silent.port} in 2 x 0.05 s"
        assert shown.err == f"catenet resolve: www.example. A: {reason}\n"
        status, shown = output(capsys, "--json", *words)
        assert status == 9
        assert json.loads(shown.out) == {"question": {"name": "www.example.", "type": "A"}, "error": reason}
        status, shown = output(capsys, "--json", *words, "A", "AAAA")
        assert [one["error"] for one in json.loads(shown.out)["results"]] == [reason, reason]
    finally:
        silent.close()


def test_a_server_that_refuses_the_connection_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    status, shown = output(capsys, "a.example", f"@127.0.0.1:{port}")
    assert status == 9
    assert shown.err == f"catenet resolve: a.example. A: udp://127.0.0.1:{port}: Connection refused\n"


def test_words_and_options_stand_in_any_order(server, capsys):
    for words in (
        ["www.example", "--timeout", "1s", server, "+short"],
        [server, "--attempts", "2", "+short", "--timeout", "1s", "www.example"],
        ["+short", "www.example", "-6", server, "--timeout=1s", "A"],
        ["--timeout", "1s", "--", "www.example", server, "+short"],
    ):
        assert output(capsys, *words)[1].out == "192.0.2.1\n"
    shown = output(capsys, server, "www.example", "-x", "192.0.2.1", "+short")[1]
    assert shown.out == "192.0.2.1\nwww.example.\n"


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_is_no_traceback(server, closed):
    silent = start(0, ["silent=99"])
    try:
        words = ["resolve", "www.example", server if closed == "stdout" else f"@[::1]:{silent.port}", "--json"]
        command = [*CATENET, *words, "--timeout", "0.1", "--attempts", "1"]
        shell = ["sh", "-c", f'exec "$@" {">&-" if closed == "stdout" else "2>&-"}', "sh", *command]
        done = commands.run(shell, capture_output=True, text=True, timeout=60, check=False)
        unwritten = "catenet: cannot write the output: bad file descriptor\n"
        assert done.stderr == (unwritten if closed == "stdout" else "")
        assert done.returncode == (1 if closed == "stdout" else 9)
        if closed == "stderr":
            assert json.loads(done.stdout)["error"]
    finally:
        silent.close()


@pytest.mark.parametrize("unbuffered", ["", "1"])  # buffered, the interpreter tries again at its end
def test_a_full_disk_is_one_line(server, tmp_path, unbuffered):
    command = [*CATENET, "resolve", "www.example", server]
    shell = ["sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@" > "$0"', str(tmp_path / "out"), *command]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = commands.run(shell, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr == "catenet: cannot write the output: file too large\n"


@pytest.mark.parametrize("words", [[], ["resolve", "--help"], ["--version"], ["addrs"]])
def test_a_reader_that_has_gone_is_no_error(words):
    read, written = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = commands.run([*CATENET, *words], stdout=written, stderr=subprocess.PIPE, env=environment, timeout=60)
    os.close(written)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_next_server_is_asked_when_one_does_not_answer(server, capsys):
    silent = start(0, ["silent=99"])
    try:
        words = ["+short", "www.example", f"@[::1]:{silent.port}", server, "--timeout", "50ms", "--attempts", "1"]
        assert output(capsys, *words)[1].out == "192.0.2.1\n"
    finally:
        silent.close()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no name to ask for"),
        (["+shrot", "a."], "no switch +shrot; did you mean +short?"),
        (["a..b"], "'a..b' has an empty label"),
        (["a.", "@host:port"], "'port' is no port"),
        (["a.", "@htpp://x"], "no scheme 'htpp'"),
        (["-x", "1.2.3"], "-x:"),
        (["a.", "--timeout", "soon"], "--timeout"),
        (["a.", "--attempts", "0"], "--attempts: 0"),
        (["bücher.example"], "xn--"),
        ([""], "empty name"),
        (["a.", "TYPE65536"], "'TYPE65536' is not a record type"),
        (["a.", "--timeout", "0"], "--timeout: must be more than 0"),
        (["a.", "@udp://[::1]", "--tls"], "one says udp, the other TLS"),
        (["a.", "@::1", "--tls", "+tcp"], "give one of them"),
    ],
)
def test_mistakes_are_one_line(words, problem, capsys):
    status, shown = output(capsys, *words)
    assert status == 2
    assert shown.err.startswith("catenet: ")
    assert problem in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_what_a_server_says_does_not_reach_a_terminal_raw(server, capsys, monkeypatch):
    from tests.dns import name_server

    from catenet.wire.dns import numbers
    from catenet.wire.dns.name import name_from_text
    from catenet.wire.dns.record import make_record

    name = name_from_text("evil.example.")
    evil = make_record(name, numbers.TXT, 1, b"\x06\x1b[31m\x9b")
    monkeypatch.setitem(name_server.BY_NAME, (name, numbers.TXT), [evil])
    assert output(capsys, "+short", "evil.example", "TXT", server)[1].out == '"\\027[31m\\155"\n'


@pytest.mark.root
@pytest.mark.peer("dnsmasq")
def test_dnsmasq_is_asked_by_udp_and_tcp(namespace: Namespace) -> None:
    namespace.start(
        "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=53", "--user=root",
        "--listen-address=127.0.0.1", "--bind-interfaces", "--local-ttl=77",
        "--address=/www.example/192.0.2.1", "--address=/www.example/2001:db8::1",
        "--txt-record=text.example,first,second", "--mx-host=example,mail.example,5",
        "--srv-host=_sip._tcp.example,sip.example,5060,1,2", "--ptr-record=1.2.0.192.in-addr.arpa,www.example",
        *[f"--txt-record=long.example,{'x' * 200}{number}" for number in range(20)],
    )  # fmt: skip

    def resolve(*lines: str) -> list[dict[str, Any]]:
        calls = json.dumps([["--json", "@127.0.0.1", *line.split()] for line in lines])
        done = namespace.run(sys.executable, str(Path(__file__).parent / "resolve_many.py"), input=calls)
        return [json.loads(shown or "{}") for _, shown, _ in json.loads(done.stdout)]

    for _ in range(50):
        (first,) = resolve("www.example --timeout 1s")
        if first.get("rcode") == "NOERROR":
            break
        time.sleep(0.1)
    assert first["answer"] == [{"name": "www.example.", "type": "A", "ttl": 77, "data": "192.0.2.1"}]
    *short, long = resolve(
        "www.example AAAA +tcp", "text.example TXT", "example MX", "_sip._tcp.example SRV", "-x 192.0.2.1",
        "long.example TXT",
    )  # fmt: skip
    assert [[record["data"] for record in one["answer"]] for one in short] == [
        ["2001:db8::1"], ['"first" "second"'], ["5 mail.example."], ["1 2 5060 sip.example."], ["www.example."],
    ]  # fmt: skip
    assert (len(long["answer"]), long["protocol"]) == (20, "tcp")


@pytest.mark.parametrize("words", [("+tcp",), ()])
def test_the_source_address_is_that_of_the_call(capsys, words):
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        found = []

        def hear():
            found.append(tcp.accept()[1][0] if words else udp.recvfrom(100)[1][0])

        hearing = threading.Thread(target=hear)
        hearing.start()
        asked = ("www.example", f"@127.0.0.1:{port}", "-b", "127.0.0.77", "--timeout", "100ms", "--attempts", "1")
        assert output(capsys, *asked, *words)[0] == 9
        hearing.join(20)
        assert found == ["127.0.0.77"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-b", "127.0.0.1", "@::1"), "@::1 and -b 127.0.0.1: the address is of IPv6"),
        (("-b", "::1", "-4"), "-b ::1 and -4: the address is of IPv6"),
        (("-b", "here"), "argument -b: 'here' is not an IPv4 or IPv6 address"),
        (("-b", "::1#70000"), "argument -b: '70000' is no port"),
        (("--quic", "--tls", "@::1"), "--quic and --tls: give one of them"),
        (("--quic", "+keepalive", "@::1"), "@::1 and +keepalive: QUIC has a timeout of its own"),
        (("--mdns", "@::1"), "--mdns: there are no servers to be named, nor a root to begin at"),
        (("--mdns", "AXFR"), "www.example. AXFR: no transfers by multicast DNS"),
    ],
)
def test_mistakes_of_sources_and_transports(capsys, words, complaint):
    status, shown = output(capsys, "www.example", *words)
    assert status == 2 and complaint in shown.err


LAN = """
[hosts.printer]
run = "{offer} Printer printer 8"

[hosts.user]
run = "-m catenet resolve PRINTER.local AAAA PRINTER.local A _http._tcp.local PTR +short"
start = "3s"

[hosts.other]
run = "-m catenet resolve nobody.local printer.local TXT --timeout 2s"
start = "3s"
"""


def test_names_of_the_local_network_are_asked_for_by_multicast_dns(tmp_path):
    offer = Path(__file__).parents[1] / "dns" / "multicast" / "offer.py"
    (tmp_path / "lan.toml").write_text(LAN.format(offer=offer))
    words = [*CATENET, "run", "lan.toml"]
    done = commands.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    lines = [line.split("| ", 1)[1] for line in done.stdout.splitlines() if line.startswith("user")]
    assert lines[-2:] == ["10.0.0.1", "Printer._http._tcp.local."]
    assert "nobody.local. A: no answer by multicast DNS in 2 s" in done.stderr
    assert "printer.local. TXT: NOERROR (qr aa)" in done.stdout
