"""catenet get and put: files that are complete or not there, names, parts, checksums, what is said and shown."""

import hashlib
import http.server
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
from tests.peers import tool

from catenet.cli import main
from catenet.cli.transfer.rate import RateLimit
from catenet.cli.transfer.waterfall import waterfall
from catenet.http.client.timings import Phase

SIZE = 8 << 20
CONTENT = hashlib.shake_256(b"content").digest(SIZE)


class Cutting(http.server.BaseHTTPRequestHandler):
    """A file with ranges; `cuts` says after how many bytes each of the next responses breaks off."""

    protocol_version = "HTTP/1.1"
    tag = '"one"'
    content = CONTENT
    cuts: ClassVar[list[int]] = []
    asked: ClassVar[list[str | None]] = []
    pause = 0.0

    def log_message(self, *args):
        pass

    def do_GET(self):
        wanted, condition = self.headers.get("range"), self.headers.get("if-range")
        type(self).asked.append(wanted)
        start, stop, status = 0, len(self.content), 200
        if wanted and (condition is None or condition == self.tag):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop, status = int(first), min(int(last) + 1, stop) if last else stop, 206
        self.send_response(status if start < stop else 416)
        self.send_header("ETag", self.tag)
        if status == 206:
            said = f"{start}-{stop - 1}" if start < stop else "*"
            self.send_header("Content-Range", f"bytes {said}/{len(self.content)}")
        self.send_header("Content-Length", str(max(0, stop - start)))
        self.end_headers()
        if self.cuts:
            stop = min(stop, start + self.cuts.pop(0))
            self.close_connection = True
        for at in range(start, stop, 1 << 16):
            self.wfile.write(self.content[at : min(at + (1 << 16), stop)])
            if self.pause:
                time.sleep(self.pause)

    def do_PUT(self):
        digest = hashlib.sha256()
        left = int(self.headers["content-length"])
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            digest.update(piece)
            left -= len(piece)
        text = digest.hexdigest().encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture(scope="module")
def running():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cutting)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/file.bin"
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(running):
    Cutting.tag, Cutting.cuts, Cutting.asked, Cutting.pause, Cutting.content = '"one"', [], [], 0.0, CONTENT
    return running


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_cut_short_is_not_under_its_name(url, here, capfd):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url]) == 18
    assert names(here) == ["file.bin.part", "file.bin.part.json"]
    out, err = capfd.readouterr()
    assert not out and err.startswith("catenet: ") and err.count("\n") == 1


def test_it_goes_on_where_it_was(url, here):
    Cutting.cuts = [3 << 20, 2 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    assert main(["get", "-O", url, "-s", "--continue"]) == 18
    assert main(["get", "-O", url, "-s", "-C", "-"]) == 0
    assert Cutting.asked == [None, f"bytes={3 << 20}-", f"bytes={5 << 20}-"]
    assert names(here) == ["file.bin"] and Path("file.bin").read_bytes() == CONTENT
    # There is nothing more to fetch.
    assert main(["get", "-O", url, "-s", "--continue"]) == 0
    assert names(here) == ["file.bin"] and Path("file.bin").read_bytes() == CONTENT


def test_a_file_that_has_changed_is_fetched_anew(url, here, capfd):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    Cutting.tag, Cutting.content = '"two"', CONTENT[::-1]
    assert main(["get", "-O", url, "--continue"]) == 0
    assert Path("file.bin").read_bytes() == CONTENT[::-1] and names(here) == ["file.bin"]
    assert "has changed: beginning anew" in capfd.readouterr().err


def test_a_file_of_curl_is_gone_on_with(url, here):
    Path("file.bin").write_bytes(CONTENT[: 1 << 20])
    assert main(["get", "-o", "file.bin", url, "--continue"]) == 0
    assert Path("file.bin").read_bytes() == CONTENT and names(here) == ["file.bin"]


def test_a_server_without_ranges(nginx, here, capfd):
    Path("hello.txt").write_text("hel")
    assert main(["get", "-O", f"{nginx.url}/plain/hello.txt", "--continue"]) == 33
    assert Path("hello.txt").read_text() == "hel" and names(here) == ["hello.txt"]
    assert "does not go on at 3" in capfd.readouterr().err


def test_retry_goes_on_within_one_call(url, here):
    Cutting.cuts = [3 << 20, 1 << 20]
    assert main(["get", "-O", url, "-s", "--retry", "3"]) == 0
    assert len(Cutting.asked) == 3 and Path("file.bin").read_bytes() == CONTENT


def test_retry_after_a_status(echo, here, capfd):
    assert main(["get", f"{echo.url}/again", "--retry", "3", "-f"]) == 0
    assert "GET /again" in capfd.readouterr().out


def test_in_parts(url, here):
    assert main(["get", "-o", "f", url, "--parallel", "4", "-s", "--checksum", checksum(CONTENT)]) == 0
    assert Path("f").read_bytes() == CONTENT and names(here) == ["f"]
    assert len(Cutting.asked) >= 5 and Cutting.asked[0] == f"bytes=0-{(1 << 20) - 1}"


def test_what_is_shown_of_parts(url, here, capfd):
    assert main(["get", "-o", "f", url, "--parallel", "2", "-v"]) == 0
    err = capfd.readouterr().err
    assert err.count("* part ") >= 5 and "* part 0-1048575: " in err and "* first byte |" in err
    assert "a new connection" in err and "the same connection" in err


def test_parts_that_break_off_are_asked_for_again(url, here):
    Cutting.cuts = [1 << 19, 1 << 18, 1 << 19, 1 << 18]
    assert main(["get", "-o", "f", url, "--parallel", "3", "-s"]) == 0
    assert Path("f").read_bytes() == CONTENT and names(here) == ["f"]


def test_parts_are_gone_on_with(url, here):
    Cutting.cuts = [1 << 19] + [1 << 18] * 11 + [0] * 20
    assert main(["get", "-o", "f", url, "--parallel", "3", "-s"]) == 18
    done = json.loads(Path("f.part.json").read_text())["done"]
    held = sum(stop - start for start, stop in done)
    assert held and not Path("f").exists()
    Cutting.cuts, Cutting.asked = [], []
    assert main(["get", "-o", "f", url, "--parallel", "3", "-s", "--continue", "--checksum", checksum(CONTENT)]) == 0
    assert Path("f").read_bytes() == CONTENT and names(here) == ["f"]


def test_parts_of_a_file_that_changes(url, here):
    def change():
        while len(Cutting.asked) < 3:
            time.sleep(0.001)
        Cutting.tag, Cutting.content = '"two"', CONTENT[::-1]

    Cutting.pause = 0.002
    thread = threading.Thread(target=change)
    thread.start()
    status = main(["get", "-o", "f", url, "--parallel", "2", "-s"])
    thread.join()
    assert (status, names(here)) == (33, []) or Path("f").read_bytes() in (CONTENT, CONTENT[::-1])


def test_parts_of_a_server_without_ranges(nginx, here):
    assert main(["get", "-o", "f", f"{nginx.url}/plain/big.bin", "--parallel", "4", "-s"]) == 0
    assert Path("f").stat().st_size == 3 << 20


def checksum(data: bytes, name: str = "sha256") -> str:
    return f"{name}:{hashlib.new(name, data).hexdigest()}"


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_checksums(nginx, here, name):
    words = ["get", "-s", "-o", "f", f"{nginx.url}/hello.txt", "--checksum"]
    assert main([*words, checksum(b"hello\n", name)]) == 0 and names(here) == ["f"]
    Path("f").unlink()
    assert main([*words, checksum(b"other", name)]) == 1 and names(here) == []


def test_checksum_of_what_was_gone_on_with(url, here):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    assert main(["get", "-O", url, "-s", "--continue", "--checksum", checksum(CONTENT)]) == 0


# Names.


def test_a_server_names_no_file_outside(nginx, here):
    """CVE-2020-8177: nothing is overwritten, either."""
    (here / "in").mkdir()
    os.chdir(here / "in")
    assert main(["get", "-s", "-O", "-J", f"{nginx.url}/evil"]) == 0
    assert names(here) == ["in"] and names(here / "in") == ["evil.txt"]
    assert main(["get", "-s", "-OJ", f"{nginx.url}/named"]) == 0
    assert main(["get", "-s", "-OJ", f"{nginx.url}/named"]) == 23  # it is there already
    assert main(["get", "-s", "-O", f"{nginx.url}/named"]) == 0
    assert names(here / "in") == ["evil.txt", "named", "named.txt"]


@pytest.mark.parametrize("path", ["..%2f..%2fhello", "%2e%2e", "..%5c..%5cx", "a%00b", ".bashrc", "%2Fetc%2Fpasswd"])
def test_a_url_names_no_file_outside(echo, here, path):
    (here / "in").mkdir()
    os.chdir(here / "in")
    status = main(["get", "-s", "-O", f"{echo.url}/x/{path}"])
    assert status in (0, 23) and names(here) == ["in"]
    assert all(not name.startswith(".") for name in names(here / "in"))


def test_a_url_without_a_name(nginx, here, capfd):
    assert main(["get", "-O", f"{nginx.url}/"]) == 23
    assert "names no file; say which with -o" in capfd.readouterr().err and names(here) == []


def test_a_link_is_not_written_through(nginx, here):
    victim = here / "victim"
    victim.write_text("safe")
    Path("hello.txt").symlink_to(victim)
    Path("b.part").symlink_to(victim)
    assert main(["get", "-s", "-O", f"{nginx.url}/hello.txt"]) == 0
    assert victim.read_text() == "safe" and not Path("hello.txt").is_symlink()
    assert main(["get", "-s", "-o", "b", f"{nginx.url}/hello.txt"]) == 23
    assert victim.read_text() == "safe"
    # What the user names is theirs.
    Path("mine").symlink_to(victim)
    assert main(["get", "-s", "-o", "mine", f"{nginx.url}/hello.txt"]) == 0
    assert victim.read_text() == "hello\n" and Path("mine").is_symlink()


def test_two_downloads_of_one_file(url, here):
    Cutting.pause = 0.2
    words = [sys.executable, "-m", "catenet", "get", "-s", "-O", url]
    first = subprocess.Popen(words)
    wait_until(lambda: Path("file.bin.part").exists() and Path("file.bin.part").stat().st_size)
    second = subprocess.run([*words[:4], "-O", url], capture_output=True, text=True)
    assert second.returncode == 23 and "another download is writing" in second.stderr
    first.kill()
    first.wait(30)
    assert names(here) == ["file.bin.part", "file.bin.part.json"]


def wait_until(true, limit=30.0):
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("signo", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
@pytest.mark.parametrize("parallel", ["1", "3"])
def test_kill_and_resume(url, here, signo, status, parallel):
    Cutting.pause = 0.01
    words = [sys.executable, "-m", "catenet", "get", "-s", "-O", url, "--parallel", parallel]
    process = subprocess.Popen(words)
    part = Path("file.bin.part.json")
    wait_until(lambda: part.exists() and len(Cutting.asked) >= 1 and "done" in part.read_text())
    wait_until(lambda: Path("file.bin.part").stat().st_size > 1 << 20 and os.path.getsize("file.bin.part.json"))
    process.send_signal(signo)
    assert process.wait(30) == status
    assert not Path("file.bin").exists() and Path("file.bin.part").exists()
    Cutting.pause = 0.0
    assert main(["get", "-s", "-O", url, "--parallel", parallel, "--continue", "--checksum", checksum(CONTENT)]) == 0
    assert names(here) == ["file.bin"]


def test_disk_full(url, here):
    words = [sys.executable, "-m", "catenet", "get", "-O", url]

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 23 and done.stderr.count("\n") == 1
    assert "cannot write file.bin" in done.stderr and "too large" in done.stderr
    assert not Path("file.bin").exists()
    assert main(["get", "-s", "-O", url, "--continue"]) == 0 and Path("file.bin").read_bytes() == CONTENT


def test_a_full_device(nginx, here, capfd):
    assert main(["get", "-o", "/dev/full", f"{nginx.url}/hello.txt"]) == 23
    assert "no space left on device" in capfd.readouterr().err


def test_nobody_reads(nginx, here):
    words = f"{sys.executable} -m catenet get {nginx.url}/big.bin | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True)
    assert done.returncode == 23 and "nobody reads it" in done.stderr and done.stderr.count("\n") == 1


# What is said and shown.


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["ftp://a/b"], 1, "ftp is not built yet"),
        (["sftp://a/b"], 1, "sftp is not built yet"),
        (["ntp://a"], 1, "ntp is not built yet"),
        (["htps://a/"], 1, "no scheme 'htps' here; do you mean https?"),
        (["http://a:b/"], 3, "'b' is no port"),
        (["http://a\x01b/"], 3, "control character"),
        (["http:///x"], 3, "names no host"),
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


def test_dns(capfd, here, tmp_path):
    from tests.dns.server.running import ZONE, serving

    (tmp_path / "a.zone").write_text(ZONE)
    words = ("--zone", "a.zone", "--no-recursive", "--listen", "udp+tcp://127.0.0.1:0")
    with serving(tmp_path, *words) as server:
        assert main(["get", f"dns://127.0.0.1:{server.port}/www.example.org?type=A"]) == 0
        assert capfd.readouterr().out.startswith("www.example.org. ")
        assert main(["get", f"dns://127.0.0.1:{server.port}/www.example.net"]) == 6
        assert "REFUSED" in capfd.readouterr().err


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
    process = subprocess.Popen([sys.executable, "-m", "catenet", *words], stdout=out, stderr=theirs,
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


def test_a_rate_is_kept_to(nginx, here):
    start = time.monotonic()
    assert main(["get", "-s", "-o", "f", f"{nginx.url}/big.bin", "--limit-rate", "10M"]) == 0
    assert time.monotonic() - start >= 0.2


def test_a_body_on_a_terminal(nginx, breaking, here):
    (nginx.root / "www" / "coloured").write_bytes(b"\x1b[31mred\r\n\tx\x9b \xc3\xbc\n")
    assert on_terminal(["get", f"{nginx.url}/coloured"], both=True) == (0, "\\x1b[31mred\r\n\tx\\x9b ü\r\n")
    assert on_terminal(["get", f"{nginx.url}/coloured", "-o", "-"], both=True)[1].startswith("\x1b[31mred")
    status, shown = on_terminal(["get", f"{nginx.url}/big.bin"], both=True)
    assert status == 23 and "the body is no text" in shown and "\x00" not in shown


def test_a_part_of_another_url_is_not_gone_on_with(url, nginx, here):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-o", "f", url, "-s"]) == 18
    assert main(["get", "-o", "f", f"{nginx.url}/hello.txt", "-s", "--continue"]) == 0
    assert names(here) == ["f"] and Path("f").read_text() == "hello\n"


def test_a_name_is_that_of_the_url_that_was_asked_for(nginx, here):
    assert main(["get", "-s", "-L", "-O", f"{nginx.url}/moved"]) == 0
    assert names(here) == ["moved"]


@pytest.mark.parametrize("words", [["--compressed"], ["-i"], ["-d", "x"], ["-I"]])
def test_what_cannot_be_gone_on_with(here, capfd, words):
    assert main(["get", "http://a/", "-O", "--continue", *words]) == 2
    assert "-C: only for a plain file" in capfd.readouterr().err


def test_every_attempt_to_connect_has_a_line(closed_port, here, capfd, monkeypatch):
    import socket

    def both(host, port, *args, **kwargs):
        found = [(socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.3")]
        return [(family, socket.SOCK_STREAM, 6, "", (address, int(port))) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert main(["get", "-v", f"http://two.example:{closed_port}/"]) == 7
    err = capfd.readouterr().err
    assert "127.0.0.2: Connection refused" in err and "127.0.0.3: Connection refused" in err


def test_cookies_are_kept_as_curl_keeps_them(echo, here):
    """Each reads what the other has written."""
    assert main(["get", "-s", f"{echo.url}/cookies/", "-c", "ours"]) == 0
    subprocess.run([tool("curl"), "-s", f"{echo.url}/cookies/", "-c", "theirs"], check=True)
    ours, theirs = ([line.split("\t") for line in Path(name).read_text().splitlines() if line.count("\t") == 6]
                    for name in ("ours", "theirs"))  # fmt: skip
    assert sorted(line[:4] + line[5:] for line in ours) == sorted(line[:4] + line[5:] for line in theirs)
    assert len(ours) == 2 and Path("ours").stat().st_mode & 0o77 == 0
    for name in ("ours", "theirs"):
        said = subprocess.run([tool("curl"), "-s", f"{echo.url}/echo", "-b", name], check=True, capture_output=True)
        out = subprocess.run(
            [sys.executable, "-m", "catenet", "get", f"{echo.url}/echo", "-b", name], capture_output=True
        )
        assert b"kept=1" in said.stdout and b"hidden=2" in said.stdout
        assert out.stdout == said.stdout


# Sending.


def test_put(url, nginx, here, capfd):
    Path("up.bin").write_bytes(CONTENT)
    assert main(["put", "up.bin", url]) == 0
    assert capfd.readouterr().out == hashlib.sha256(CONTENT).hexdigest()
    assert main(["put", "up.bin", url, "--limit-rate", "50M", "-s"]) == 0
    assert main(["put", "up.bin", f"{nginx.secure}/dav/", "--cacert", nginx.ca, "-s"]) == 0
    assert (nginx.root / "www" / "dav" / "up.bin").read_bytes() == CONTENT


def test_put_standard_input(echo, here):
    words = [sys.executable, "-m", "catenet", "put", "-", f"{echo.url}/x"]
    done = subprocess.run(words, input=b"from a pipe", capture_output=True)
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
