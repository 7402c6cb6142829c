"""catenet get and put: what is said and shown, mistakes in one line, sending."""

import hashlib
import json
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests import commands
from tests.cli.relaying import serving_once
from tests.cli.transfer.cutting import CONTENT
from tests.peers import tool

from catenet.cli import main
from catenet.cli.transfer.rate import RateLimit
from catenet.cli.transfer.waterfall import waterfall
from catenet.http.client.timings import Phase
from catenet.printable import printable


def checksum(data: bytes, name: str = "sha256") -> str:
    return f"{name}:{hashlib.new(name, data).hexdigest()}"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["ftp://a/b"], 1, "ftp is not built yet"),
        (["sftp://a/b"], 1, "sftp is not built yet"),
        (["htps://a/"], 1, "no scheme 'htps' here; do you mean https?"),
        (["http://a:b/"], 3, "'b' is no port"),
        (["http://a\x01b/"], 3, "control character"),
        (["http:///x"], 3, "names no host"),
        ([""], 3, "URL '' names no host"),
        (["/x"], 3, "URL '/x' names no host"),
        (["http://a/", "--parallel", "0"], 2, "--parallel 0: from 1 to 64"),
        (["http://a/", "--parallel", "2"], 1, "--parallel needs a file"),
        (["http://a/", "-d", "x", "-F", "a=b"], 2, "one body at a time"),
        (["http://a/", "-H", "nonsense"], 2, "write it as 'Name: value'"),
        (["http://a/", "-H", "a b: c"], 2, "no header of HTTP"),
        (["http://a/", "-H", "a: b\rc"], 2, "no header of HTTP"),
        (["http://a/", "-o", "x", "-o", "y"], 2, "2 files for 1 URLs"),
        (["http://a/", "-C", "x"], 2, "a number of bytes, or - for what is there"),
        (["http://a/", "--continue"], 2, "with -o or -O"),
        (["http://a/", "--limit-rate", "x"], 2, "write it as 500k or 2M"),
        (["http://a/", "--checksum", "sha256:00"], 2, "sha256 has 64 hexadecimal digits"),
        (["http://a/", "--checksum", "crc:00"], 2, "no algorithm 'crc'"),
        (["http://a/", "-F", "x"], 2, "write it as NAME=VALUE"),
        (["http://a/", "-r", "x"], 2, "write it as 0-99"),
        (["http://a/", "-m", "0"], 2, "must be more than 0"),
        (["https://127.0.0.1:1/", "--cacert", "/no/such"], 2, "/no/such"),
        (["http://a/", "-x", "ftp://p"], 2, "no scheme 'ftp' here"),
        (["http://a/", "-d", "@/no/such"], 26, "cannot read /no/such: no such file or directory"),
        (["http://a/", "-T", "/no/such"], 26, "cannot read /no/such: no such file or directory"),
        (["http://a/", "--digest"], 2, "needs -u"),
        (["http://a/", "--oauth2-bearer", "a b"], 2, "bearer token"),
        (["http://a/", "-b", "/"], 2, "-b /: is a directory"),
        (["http://a/", "-b", "/etc/passwd"], 2, "line 1 is no cookie"),
        (["http://127.0.0.1:1/", "-c", "/no/such"], 23, "cannot write /no/such"),
        (["http://a/", "--unknown"], 2, "unrecognized arguments"),
        (["data:x"], 3, "no comma"),
        (["data:;base64,%%"], 3, "no base64"),
        (["dns:"], 3, "write it as dns://SERVER/NAME"),
        (["dns://127.0.0.1/a?type=NOSUCH"], 3, "NOSUCH"),
        ([], 2, "required: URL"),
    ],
)
def test_a_mistake_is_one_line(here, capfd, words, status, text):
    assert main(["get", *words]) == status
    out, err = capfd.readouterr()
    assert not out and text in err and err.startswith("catenet: ") and err.count("\n") == 1


def test_data(capfd, here):
    assert main(["get", "data:,A%20brief%20note", "data:text/plain;base64,aGVsbG8="]) == 0
    assert capfd.readouterr().out == "A brief notehello"


@pytest.mark.parametrize("words", [["-sSLo", "x"], ["-sSLox"], ["-fsS", "-o", "x"], ["-fsSL", "-ox"]])
def test_letters_in_one_word(capfd, here, words):
    assert main(["get", *words, "data:,hello"]) == 0
    assert capfd.readouterr() == ("", "")
    assert (here / "x").read_text() == "hello"


def test_dns(capfd, here, tmp_path):
    from tests.dns.server.running import ZONE, serving

    (tmp_path / "a.zone").write_text(ZONE)
    words = ("--zone", "a.zone", "--no-recursive", "--listen", "udp+tcp://127.0.0.1:0")
    with serving(tmp_path, *words) as server:
        assert main(["get", f"dns://127.0.0.1:{server.port}/www.example.org?type=A"]) == 0
        assert capfd.readouterr().out.startswith("www.example.org. ")
        assert main(["get", f"dns://127.0.0.1:{server.port}/www.example.net"]) == 6
        assert "REFUSED" in capfd.readouterr().err


@pytest.mark.peer
def test_json(nginx, here, capfd):
    assert main(["get", "--json", f"{nginx.url}/hello.txt", "-o", "f", "--checksum", checksum(b"hello\n")]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["status"], found["size"], found["version"]) == (200, 6, "HTTP/1.1")
    assert found["file"].endswith("/f") and found["checksum"] == checksum(b"hello\n") and "body" not in found
    assert [phase["name"] for phase in found["phases"]] == ["resolve", "connect", "request", "first byte", "body"]
    assert main(["get", "--json", f"{nginx.secure}/moved", "--cacert", nginx.ca, "-L"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["body"] == "hello\n" and found["tls"]["alpn"] == "h2" and found["version"] == "HTTP/2"
    assert [one["status"] for one in found["redirects"]] == [301] and found["url"].endswith("/hello.txt")
    assert main(["get", "--json", f"{nginx.url}/big.bin"]) == 0
    assert "body_base64" in json.loads(capfd.readouterr().out)


def test_json_of_a_failure(closed_port, here, capfd):
    assert main(["get", "--json", f"http://127.0.0.1:{closed_port}/"]) == 7
    found = json.loads(capfd.readouterr().out)
    assert found["error"]["status"] == 7 and "refused" in found["error"]["message"].lower()
    assert [phase["name"] for phase in found["phases"]] == ["resolve", "connect"]


@pytest.mark.peer
def test_the_waterfall(nginx, here, capfd):
    assert main(["get", "-v", f"{nginx.secure}/moved", "-L", "--cacert", nginx.ca, "-u", "me:secret"]) == 0
    out, err = capfd.readouterr()
    assert out == "hello\n" and "secret" not in err and "bWU6c2VjcmV0" not in err
    assert "> GET /moved HTTP/2" in err and "< HTTP/2 301 Moved Permanently" in err and "< HTTP/2 200 OK" in err
    assert "> Authorization: Basic ***" in err
    assert [line.split()[1] for line in err.splitlines() if line.startswith("* ") and "|" in line][-3:] == [
        "request", "first", "body",
    ]  # fmt: skip
    assert main(["get", "-v", f"{nginx.secure}/hello.txt", "--cacert", nginx.ca]) == 0
    err = capfd.readouterr().err
    assert "* TLS " in err and "TLSv1." in err and ", h2" in err and "* resolve " in err and "127.0.0.1" in err


def test_the_waterfall_of_a_failure(closed_port, here, capfd):
    assert main(["get", "-v", f"http://localhost:{closed_port}/"]) == 7
    assert "* connect " in capfd.readouterr().err


def test_bars_of_the_waterfall():
    phases = [Phase("a", 0.0, 0.5), Phase("longer", 0.5, 1.0, "x\x1b"), Phase("c", 1.0, None)]
    lines = waterfall(phases)
    assert lines[0].startswith("a      |" + "█" * 16 + " " * 16 + "|")
    assert lines[1].startswith("longer |" + " " * 16 + "█" * 16 + "|") and lines[1].endswith("x\\x1b")
    assert "not ended" in lines[2] and waterfall([]) == []


def test_a_servers_text_is_escaped(breaking, here, capfd):
    main(["get", "-v", f"{breaking.url}/escape"])
    assert "\x9b" not in capfd.readouterr().err


def on_terminal(words: list[str], both: bool = False) -> tuple[int, str]:
    """Run a command with standard error on a terminal, or `both`; return its status and what it showed."""
    ours, theirs = pty.openpty()
    out = theirs if both else subprocess.PIPE
    process = commands.Popen([sys.executable, "-m", "catenet", *words], stdout=out, stderr=theirs,
                               env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    process.communicate()
    return process.returncode, shown.decode(errors="replace")


def test_a_bar_on_a_terminal(url, here):
    status, shown = on_terminal(["get", "-O", url])
    assert status == 0 and "file.bin" in shown and "8.0 MiB" in shown
    assert on_terminal(["get", "-O", url, "-s"]) == (0, "")
    status, shown = on_terminal(["put", "file.bin", url])
    assert status == 0 and "file.bin" in shown


def test_no_bar_elsewhere(url, here, capfd):
    assert main(["get", "-O", url]) == 0
    assert capfd.readouterr() == ("", "")


def test_rates():
    limit = RateLimit(1000, 10.0)
    assert limit.delay(100, 10.0) == pytest.approx(0.1)
    assert limit.delay(100, 10.1) == pytest.approx(0.1)
    assert limit.delay(100, 20.0) == 0  # what was not used is not owed, but for a quarter of a second
    assert limit.delay(1000, 20.0) == pytest.approx(0.85)
    assert limit.piece == 125


@pytest.mark.peer
def test_a_rate_is_kept_to(nginx, here):
    start = time.monotonic()
    assert main(["get", "-s", "-o", "f", f"{nginx.url}/big.bin", "--limit-rate", "10M"]) == 0
    assert time.monotonic() - start >= 0.2


@pytest.mark.peer
def test_a_body_on_a_terminal(nginx, breaking, here):
    (nginx.root / "www" / "coloured").write_bytes(b"\x1b[31mred\r\n\tx\x9b \xc3\xbc\n")
    assert on_terminal(["get", f"{nginx.url}/coloured"], both=True) == (0, "\\x1b[31mred\r\n\tx\\x9b ü\r\n")
    assert on_terminal(["get", f"{nginx.url}/coloured", "-o", "-"], both=True)[1].startswith("\x1b[31mred")
    status, shown = on_terminal(["get", f"{nginx.url}/big.bin"], both=True)
    assert status == 23 and "the body is no text" in shown and "\x00" not in shown


def test_every_attempt_to_connect_has_a_line(closed_port, here, capfd, monkeypatch):
    import socket

    def both(host, port, *args, **kwargs):
        found = [(socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.3")]
        return [(family, socket.SOCK_STREAM, 6, "", (address, int(port))) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert main(["get", "-v", f"http://two.example:{closed_port}/"]) == 7
    err = capfd.readouterr().err
    assert "127.0.0.2: Connection refused" in err and "127.0.0.3: Connection refused" in err


@pytest.mark.peer
def test_cookies_are_kept_as_curl_keeps_them(echo, here):
    """Each reads what the other has written."""
    assert main(["get", "-s", f"{echo.url}/cookies/", "-c", "ours"]) == 0
    commands.run([tool("curl"), "-s", f"{echo.url}/cookies/", "-c", "theirs"], check=True)
    ours, theirs = ([line.split("\t") for line in Path(name).read_text().splitlines() if line.count("\t") == 6]
                    for name in ("ours", "theirs"))  # fmt: skip
    assert sorted(line[:4] + line[5:] for line in ours) == sorted(line[:4] + line[5:] for line in theirs)
    assert len(ours) == 2 and Path("ours").stat().st_mode & 0o77 == 0
    for name in ("ours", "theirs"):
        said = commands.run([tool("curl"), "-s", f"{echo.url}/echo", "-b", name], check=True, capture_output=True)
        out = commands.run(
            [sys.executable, "-m", "catenet", "get", f"{echo.url}/echo", "-b", name], capture_output=True
        )
        assert b"kept=1" in said.stdout and b"hidden=2" in said.stdout
        assert out.stdout == said.stdout


@pytest.mark.peer
def test_urls_of_one_server_share_a_connection(nginx, here, capfd):
    urls = [f"{nginx.secure}/hello.txt"] * 3
    assert main(["get", "--json", "--cacert", nginx.ca, *urls]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert ["TLS" in [phase["name"] for phase in one["phases"]] for one in found] == [True, False, False]


# Sending.


@pytest.mark.peer
def test_put(url, nginx, here, capfd):
    Path("up.bin").write_bytes(CONTENT)
    assert main(["put", "up.bin", url]) == 0
    assert capfd.readouterr().out == hashlib.sha256(CONTENT).hexdigest()
    assert main(["put", "up.bin", url, "--limit-rate", "50M", "-s"]) == 0
    assert main(["put", "up.bin", f"{nginx.secure}/dav/", "--cacert", nginx.ca, "-s"]) == 0
    assert (nginx.root / "www" / "dav" / "up.bin").read_bytes() == CONTENT


def test_put_standard_input(echo, here):
    words = [sys.executable, "-m", "catenet", "put", "-", f"{echo.url}/x"]
    done = commands.run(words, input=b"from a pipe", capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"PUT /x\n") and done.stdout.endswith(b"\n\nfrom a pipe")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["no", "http://a/"], 26, "cannot read no: no such file or directory"),
        (["-", "http://a/"], 2, "names no file to write standard input to"),
        (["x", "data:,x"], 1, "data has nothing to put"),
        (["x", "ftp://a/"], 1, "ftp is not built yet"),
        (["x"], 2, "required: URL"),
    ],
)
def test_mistakes_of_put(here, capfd, words, status, text):
    assert main(["put", *words]) == status
    out, err = capfd.readouterr()
    assert not out and text in err and err.count("\n") == 1


REFUSALS = [
    "409 Conflict",
    "507 Insufficient Storage",
    "500 Internal Server Error",
    "307 Temporary Redirect\r\nLocation: /y\x85",
    "301 Moved Permanently\r\nLocation: /y",
    "304 Not Modified",
]


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("words", [["put", "x"], ["put", "x", "-f"], ["get", "-T", "x"]])
def test_an_upload_that_is_refused(here, capfd, status, words):
    """It is a failure of `put`, whatever the server says about it; `get -T` does as curl."""
    (here / "x").write_bytes(b"1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def answer():
            with listener.accept()[0] as sock, sock.makefile("rb") as file:
                while file.readline() != b"\r\n":
                    pass
                file.read(1)
                sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nwhy\n".encode("latin-1"))

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        ended = main([*words, url])
        thread.join()
    out, err = capfd.readouterr()
    assert ended == (0 if words[0] == "get" else 22)
    moved, unread = "Location" in status, "-f" in words and int(status[:3]) >= 400
    assert out == ("" if unread or status.startswith("304") else "why\n")
    said = status.partition("\r")[0] + (f", to {printable(status.rpartition(' ')[2])}; -L follows" if moved else "")
    assert err == ("" if words[0] == "get" else f"catenet: {url}: the server says {said}\n")


UNWRITTEN = "catenet: cannot write the output: bad file descriptor\n"


@pytest.mark.parametrize(
    ("words", "closed", "expected"),
    [
        ("get data:,hello", ">&-", (23, "", UNWRITTEN)),
        ("get --json data:,hello", ">&-", (23, "", UNWRITTEN)),
        ("get data:,hello -o f -w x", ">&-", (23, "", UNWRITTEN)),
        ("get --help", ">&-", (1, "", UNWRITTEN)),
        ("addrs", ">&-", (1, "", UNWRITTEN)),
        ("settings tcp_rmem", ">&-", (1, "", UNWRITTEN)),
        ("run world.toml", ">&-", (1, "", UNWRITTEN)),
        ("get data:,hello", "<&- 2>&-", (0, "hello", "")),
        ("get -v {url}", "2>&-", (7, "", "")),
        ("settings nothing", "2>&-", (2, "", "")),
        ("put - {url}", "<&- >&- 2>&-", (7, "", "")),
        ("get {url} -d @-", "<&-", (26, "", "catenet: cannot read -: bad file descriptor\n")),
        ("resolve -f -", "<&-", (2, "", "catenet: -f -: bad file descriptor\n")),
    ],
)
def test_standard_streams_that_are_closed(words, closed, expected, here, closed_port):
    Path("world.toml").write_text("[hosts.a]\nrun = 'hello.py'\n")
    Path("hello.py").write_text("print('hello')\n")
    command = f"{sys.executable} -m catenet {words.format(url=f'http://127.0.0.1:{closed_port}/f')} {closed}"
    done = commands.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_what_is_sent_from_a_closed_standard_input_is_one_line(here):
    with serving_once(lambda sock: sock.recv(4096)) as address:
        command = f"{sys.executable} -m catenet put - http://127.0.0.1:{address[1]}/f <&-"
        done = commands.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (26, "catenet: cannot read -: bad file descriptor\n")


def test_a_length_that_is_too_large(here, capfd):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 23 + b"\r\n\r\n"
    with serving_once(lambda sock: (sock.recv(4096), sock.sendall(head))) as address:
        assert main(["get", f"http://127.0.0.1:{address[1]}/"]) == 56
    assert "Content-Length is too large" in capfd.readouterr().err


@pytest.mark.parametrize(("words", "status"), [("get --json data:,hello", 23), ("get --help", 1), ("--version", 1)])
def test_a_full_device_for_what_is_printed(words, status):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "catenet", *words.split()]
        done = commands.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == status
    assert done.stderr == "catenet: cannot write the output: no space left on device\n"
