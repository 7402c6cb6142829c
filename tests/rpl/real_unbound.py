"""Plays scenarios against the real Unbound: a second opinion on what ours expect.

Runs in a network namespace as root: `python -m tests.rpl.real_unbound UNBOUND FILE…`. Each server of a scenario gets
its address on the loopback interface. Time cannot be made to pass, so scenarios in which it does are left out.
"""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from catenet.testing.rpl.runner import run_file
from catenet.testing.rpl.subject import Client
from catenet.testing.rpl.syntax import Scenario, Setting, Unsupported
from catenet.wire.dns.message import Message, pack, parse
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import AA, NS, QR
from catenet.wire.dns.record import make_record
from catenet.wire.dns.stub import Server

PORT = 5353
PATIENCE = 3.0
"""Seconds without anything from Unbound before it is taken for done."""
QUOTED = ("trust-anchor", "local-data", "name", "zonefile", "module-config", "target-fetch-policy")
HEAD = """\
server:
\tinterface: 127.0.0.1@5353
\tdo-daemonize: no
\tuse-syslog: no
\tchroot: ""
\tusername: ""
\tpidfile: ""
\tdirectory: "{folder}"
\ttrust-anchor-signaling: no
\troot-key-sentinel: no
\tdo-not-query-localhost: no
\toutgoing-range: 64
\tnum-threads: 1
\taccess-control: 0.0.0.0/0 allow
\trrset-roundrobin: no
remote-control:
\tcontrol-enable: no
"""


@dataclass
class Arrived:
    token: int
    server: Server
    transport: str
    data: bytes


class RealUnbound:
    """Implements `Subject` by a process and sockets."""

    def __init__(self, program: str, scenario: Scenario) -> None:
        if any(step.kind == "TIME_PASSES" for step in scenario.steps):
            raise Unsupported(0, "time passes")
        self.folder = Path(tempfile.mkdtemp(prefix="rpl-"))
        self.count = 0
        self.quiet_since = time.monotonic()
        self.arrived: list[Arrived] = []
        self.ways: dict[int, tuple[socket.socket, tuple[str, int] | None]] = {}
        self.clients: dict[socket.socket, tuple[Client, bytes]] = {}
        self.answered: list[tuple[Client, bytes]] = []
        self.sockets: dict[socket.socket, tuple[bytes, str]] = {}
        for one in {address for found in scenario.ranges for address in found.addresses}:
            self._listen(one)
        (self.folder / "unbound.conf").write_text(self._configuration(scenario))
        words = [program, "-c", str(self.folder / "unbound.conf"), "-d", "-v"]
        self.log = (self.folder / "log").open("w")
        self.process = subprocess.Popen(words, stdout=self.log, stderr=subprocess.STDOUT)
        self._await_start()

    def _configuration(self, scenario: Scenario) -> str:
        lines = [HEAD.format(folder=self.folder)]
        clause = -1
        for setting in scenario.head.settings:
            if setting.clause != clause:
                lines.append(f"{setting.section}:")
                clause = setting.clause
            lines.append(f"\t{setting.key}: {_quoted(setting)}")
        for name, content in scenario.head.files.items():
            (self.folder / name).write_text("\n".join(content) + "\n")
        for name, content in scenario.head.anchors.items():
            (self.folder / name).write_text("\n".join(content) + "\n")
        return "\n".join(lines) + "\n"

    def _listen(self, one: bytes) -> None:
        text = str(ipaddress.ip_address(one))
        if text == "0.0.0.0":
            return
        if not text.startswith("127.") and text not in ("0.0.0.0", "::"):
            bits = 32 if len(one) == 4 else 128
            words = ["ip", "addr", "replace", f"{text}/{bits}", "dev", "lo", *(["nodad"] if len(one) == 16 else [])]
            subprocess.run(words, check=True)
        family = socket.AF_INET if len(one) == 4 else socket.AF_INET6
        for kind, transport in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "listen")):
            sock = socket.socket(family, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((text, 53))
            if transport == "listen":
                sock.listen()
            self.sockets[sock] = one, transport

    def _await_start(self) -> None:
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            if "start of service" in (self.folder / "log").read_text():
                return
            time.sleep(0.02)
        raise RuntimeError("Unbound does not start")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()
        for sock in (*self.sockets, *self.clients):
            sock.close()

    # The verbs of a subject.

    def ask(self, client: Client, data: bytes, now: float) -> None:
        kind = socket.SOCK_STREAM if client.transport == "tcp" else socket.SOCK_DGRAM
        sock = socket.socket(socket.AF_INET, kind)
        sock.connect(("127.0.0.1", PORT))
        number = os.urandom(2)
        framed = number + data[2:]
        sock.sendall(len(framed).to_bytes(2, "big") + framed if client.transport == "tcp" else framed)
        self.clients[sock] = client, data[:2]
        self.quiet_since = time.monotonic()

    def replies(self, now: float) -> Iterable[tuple[Client, bytes]]:
        answered, self.answered = self.answered, []
        return answered

    def notes(self) -> Iterable[str]:
        return ()

    def transmit(self, now: float) -> Sequence[Arrived]:
        self._poll(0)
        arrived, self.arrived = self.arrived, []
        return arrived

    def finished(self) -> Iterable[int]:
        return ()

    def receive(self, token: int, data: bytes, now: float) -> None:
        sock, to = self.ways[token]
        if to is None:
            sock.sendall(len(data).to_bytes(2, "big") + data)
        else:
            sock.sendto(data, to)
        self.quiet_since = time.monotonic()
        self._poll(0.05)

    def fail(self, token: int, now: float) -> None:
        raise Unsupported(0, "a server that cannot be reached")

    def next_deadline(self) -> float | None:
        return 0.0 if time.monotonic() - self.quiet_since < PATIENCE else None

    def handle_timeout(self, now: float) -> None:
        self._poll(0.1)

    def anchor_file(self, name: str) -> str:
        return (self.folder / name).read_text()

    zone_file = anchor_file

    def _poll(self, seconds: float) -> None:
        readable, _, _ = select.select([*self.sockets, *self.clients], [], [], seconds)
        for sock in readable:
            self.quiet_since = time.monotonic()
            if sock in self.clients:
                self._client(sock)
            else:
                self._server(sock)

    def _prime(self, address: bytes, query: Message) -> None:
        """The root's servers, which Unbound asks for even where a stub zone says them: the one that was asked."""
        name = name_from_text("ns.root-servers.net.")
        servers, glue = (
            make_record(ROOT, NS, 3600, name),
            make_record(name, 1 if len(address) == 4 else 28, 3600, address),
        )
        data = pack(query.id, QR | AA, query.question, [servers], (), [glue])
        self.receive(self.count, data, 0)

    def _client(self, sock: socket.socket) -> None:
        client, number = self.clients.pop(sock)
        data = sock.recv(65_535)
        if client.transport == "tcp":
            data = data[2:]
        sock.close()
        if data:
            self.answered.append((client, number + data[2:]))

    def _server(self, sock: socket.socket) -> None:
        address, transport = self.sockets[sock]
        if transport == "listen":
            self.sockets[sock.accept()[0]] = address, "tcp"
            return
        data, to = sock.recvfrom(65_535)
        if transport == "tcp":
            to, data = None, data[2:]
            if not data:
                del self.sockets[sock]
                sock.close()
                return
        self.count += 1
        self.ways[self.count] = sock, to
        question = parse(data).question
        if question is not None and question[:2] == (ROOT, NS):
            self._prime(address, parse(data))
            return
        self.arrived.append(Arrived(self.count, Server(address), transport, data))


def _quoted(setting: Setting) -> str:
    if setting.key not in QUOTED:
        return setting.value
    return f"'{setting.value}'" if '"' in setting.value else f'"{setting.value}"'


def main(program: str, files: Sequence[str]) -> int:
    """Play all; prints as the runner does."""
    failed = 0
    for file in files:
        made: list[RealUnbound] = []

        def make(scenario: Scenario, made: list[RealUnbound] = made) -> RealUnbound:
            made.append(RealUnbound(program, scenario))
            return made[-1]

        result = run_file(Path(file), make)
        for one in made:
            one.close()
        failed += result.verdict == "fail"
        step = "" if result.step is None else f": step {result.step}"
        print(f"{result.verdict} {file}{step}{': ' * bool(result.message)}{result.message}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
