"""A name server as a program, for tests: started, asked, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import commands
from tests.peers import environment

from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import RD, A

__all__ = ["ZONE", "Running", "ask_tcp", "ask_udp", "port_of", "serving"]

ZONE = """\
$ORIGIN example.org.
$TTL 3600
@ SOA ns1 host 1 7200 3600 604800 300
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.3
www AAAA 2001:db8::3
alias CNAME www
* TXT "wild"
$GENERATE 1-40 many A 192.0.2.$
$GENERATE 1-60 large TXT "a text that takes some room, number $"
"""


class Running:
    """The process, and the URLs that it says it serves on."""

    def __init__(self, process: subprocess.Popen[str], urls: list[str]) -> None:
        self.process = process
        self.urls = urls

    @property
    def port(self) -> int:
        """Port of the first URL."""
        return port_of(self.urls[0])


def port_of(url: str) -> int:
    """The port of a URL."""
    return int(url.partition("//")[2].partition("/")[0].rpartition(":")[2])


@contextlib.contextmanager
def serving(
    folder: Path, *arguments: str, expect: int = 0, kind: str = "dns", prefix: Sequence[str] = ()
) -> Iterator[Running]:
    """Run `catenet serve KIND` in `folder`; ended by SIGTERM it must return `expect`."""
    command = [*prefix, sys.executable, "-m", "catenet", "serve", kind, *arguments]
    process = commands.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stderr is not None
        told = []
        while not (line := process.stderr.readline()).startswith(f"serving {kind} on "):
            told.append(line)
            assert line, "".join(told)
        yield Running(process, line.removeprefix(f"serving {kind} on ").strip().split(", "))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == expect, process.stderr.read()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ask_udp(port: int, query: bytes, tries: int = 40) -> bytes:
    """Send a datagram, again each half second as long as there is no answer, and return the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        for _ in range(tries):
            sock.send(query)
            try:
                return sock.recv(65535)
            except TimeoutError:
                continue
    raise AssertionError("no answer")


def ask_tcp(port: int, *queries: bytes, timeout: float = 20.0) -> list[bytes]:
    """Send queries together on one connection, and return the answers as they come."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(b"".join(len(query).to_bytes(2, "big") + query for query in queries))
        with sock.makefile("rb") as answers:
            return [answers.read(int.from_bytes(answers.read(2), "big")) for _ in queries]


def query(name: str = "www.example.org.", kind: int = A, number: int = 4660, edns: Edns | None = None) -> bytes:
    """A query."""
    return pack(number, RD, Question(name_from_text(name), kind), edns=edns)


def run(*words: str, timeout: float = 30) -> str:
    """Run a program that must end well, and return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(port: int) -> None:
    """Wait until somebody accepts connections."""
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)
