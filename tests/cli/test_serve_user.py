"""`--user`: servers of every kind bind as root, and serve as somebody who may do little."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from catenet.cli import main

NAMES = ("Uid", "Gid", "Groups", "CapEff", "NoNewPrivs")


def status_of(pid):
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return [" ".join(lines[name].split()) for name in NAMES]


NOBODY = ["4242 4242 4242 4242", "4243 4243 4243 4243", "4243", "0" * 16, "1"]


class Serving:
    def __init__(self, folder, *words):
        command = [sys.executable, "-m", "catenet", *words, "--user", "4242:4243", "--json"]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.urls = json.loads(line)["urls"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err


@pytest.fixture
def folder():
    """A folder that others may enter, which those of pytest are not; a file for root alone, and one for everybody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        (folder / "open.txt").write_text("for all")
        (folder / "secret.txt").write_text("for root")
        os.chmod(folder / "open.txt", 0o644)
        os.chmod(folder / "secret.txt", 0o600)
        yield folder


@pytest.mark.root
def test_http(folder):
    with Serving(folder, "serve", "http", ".", "--listen", "http://127.0.0.1:0") as server:
        assert status_of(server.process.pid) == NOBODY
        assert urllib.request.urlopen(server.urls[0] + "/open.txt").read() == b"for all"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(server.urls[0] + "/secret.txt")
        assert refused.value.code in (403, 404)


@pytest.mark.root
def test_tftp(folder, capsys):
    with Serving(folder, "serve", "tftp", ".", "--listen", "tftp://127.0.0.1:0") as server:
        assert status_of(server.process.pid) == NOBODY
        assert main(["get", server.urls[0] + "/open.txt", "-o", str(folder / "got")]) == 0
        assert (folder / "got").read_text() == "for all"
        assert main(["get", server.urls[0] + "/secret.txt", "-o", str(folder / "no")]) != 0


@pytest.mark.root
def test_dns(folder):
    (folder / "zone").write_text("$ORIGIN example.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\na A 192.0.2.7\n")
    with Serving(folder, "serve", "dns", "--zone", "zone", "--listen", "udp+tcp://127.0.0.1:0") as server:
        assert status_of(server.process.pid) == NOBODY
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.connect(("127.0.0.1", int(server.urls[0].rpartition(":")[2])))
            sock.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\7example\0\0\1\0\1")
            assert socket.inet_aton("192.0.2.7") in sock.recv(512)


@pytest.mark.root
def test_ntp(folder):
    with Serving(folder, "serve", "ntp", "--listen", "ntp://127.0.0.1:0") as server:
        assert status_of(server.process.pid) == NOBODY
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.connect(("127.0.0.1", int(server.urls[0].rpartition(":")[2])))
            sock.send(b"\x23" + bytes(47))
            assert sock.recv(512)[0] & 7 == 4, "the mode of a server"


@pytest.mark.root
def test_rpc_in_workers_on_a_unix_socket(folder):
    (folder / "whoami.py").write_text(
        "import os\nfrom catenet.rpc import service\n\n@service('who.v1')\nclass Who:\n"
        "    async def ask(self) -> str:\n        return str(os.getresuid())\n"
    )
    with Serving(folder, "rpc", "serve", "whoami:Who", "--listen", "unix:w.sock", "--workers", "2") as server:
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert [status_of(child) for child in children] == [NOBODY] * 2
        assert status_of(pid)[0] == "0 0 0 0", "the supervisor starts others again, on ports that only root may bind"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(folder / "w.sock"))
            sock.send(
                b"POST /who.v1.Who/Ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: 2\r\n\r\n{}"
            )
            answer = b""
            while b"}" not in answer:
                answer += sock.recv(4096)
            assert b"(4242, 4242, 4242)" in answer
        os.kill(int(children[0]), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:  # another is started, as root, and gives that up too
            now = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if len(now) == 2 and children[0] not in now and all(status_of(child) == NOBODY for child in now):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("user", "complaint"),
    [
        ("nobdy", "--user nobdy: there is no user 'nobdy'; do you mean nobody?"),
        ("root", "root would keep all its rights"),
    ],
)
@pytest.mark.parametrize("words", [["http", "."], ["tftp", "."], ["dns"]])
def test_mistakes(capsys, words, user, complaint):
    assert main(["serve", *words, "--user", user]) == 2
    assert complaint in capsys.readouterr().err
