"""Real authoritative servers with the same zones as ours, on free ports of the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.peers import environment, tool

from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message, Question, pack, parse

__all__ = ["SERVERS", "Authority", "free_port", "serving", "tool"]


def free_port() -> int:
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, contextlib.suppress(OSError):
                datagram.bind(("127.0.0.1", port))
                return port


class Authority:
    """A running server."""

    def __init__(self, port: int, child: subprocess.Popen[bytes], folder: Path) -> None:
        self.port = port
        self.child = child
        self.folder = folder
        self._stream: socket.socket | None = None

    def wait(self) -> None:
        """Until it takes connections."""
        for _ in range(400):
            if self.child.poll() is not None:
                raise RuntimeError(f"ended with {self.child.returncode}: {self.log()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.025)
        raise RuntimeError(f"does not answer: {self.log()}")

    def wait_for(self, question: Question) -> None:
        """Until it has the zone in which this name is."""
        for _ in range(400):
            if self.ask(question).rcode == 0:
                return
            time.sleep(0.025)
        raise RuntimeError(f"does not serve: {self.log()}")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def ask(self, question: Question, dnssec_ok: bool = False, flags: int = 0) -> Message:
        """One question by TCP."""
        edns = Edns(flags=DNSSEC_OK) if dnssec_ok else None
        return parse(self.exchange(pack(7, flags, question, edns=edns)))

    def exchange(self, query: bytes) -> bytes:
        """A message and its answer by TCP."""
        if self._stream is None:
            self._stream = socket.create_connection(("127.0.0.1", self.port), 10)
        try:
            self._stream.sendall(struct.pack("!H", len(query)) + query)
            return self.receive()
        except (OSError, EOFError):
            self._stream.close()
            self._stream = socket.create_connection(("127.0.0.1", self.port), 10)
            self._stream.sendall(struct.pack("!H", len(query)) + query)
            return self.receive()

    def receive(self) -> bytes:
        """The next message of the connection."""
        return self._read(int.from_bytes(self._read(2), "big"))

    def _read(self, size: int) -> bytes:
        assert self._stream is not None
        data = b""
        while len(data) < size:
            more = self._stream.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def stop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def _named(folder: Path, port: int, zones: Mapping[str, Path], more: str) -> list[str]:
    blocks = "".join(f'zone "{name}" {{ type primary; file "{path}"; }};\n' for name, path in zones.items())
    head, _, rest = more.partition("options {")
    options, _, after = rest.rpartition("};") if rest else ("", "", "")
    more = head + after
    (folder / "conf").write_text(
        f"""options {{ directory "{folder}"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }};
        listen-on port {port} {{ 127.0.0.1; }}; recursion no; dnssec-validation no; minimal-responses no-auth;
        notify no; allow-transfer {{ any; }};{options} rrset-order {{ order none; }}; check-integrity no;
        check-names primary ignore; check-names secondary ignore; zero-no-soa-ttl no;
        empty-zones-enable no; }};
        controls {{ }};\n{more if "zone " in more else blocks + more}"""
    )
    return [tool("named"), "-g", "-n", "1", "-c", str(folder / "conf")]


def _nsd(folder: Path, port: int, zones: Mapping[str, Path], more: str) -> list[str]:
    blocks = "".join(f'zone:\n  name: "{name}"\n  zonefile: "{path}"\n' for name, path in zones.items())
    (folder / "conf").write_text(
        f"""server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  pidfile: ""
  database: ""
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  server-count: 1
  round-robin: no
  minimal-responses: yes
  xfrd-reload-timeout: 0
remote-control:
  control-enable: no
{blocks}{more}"""
    )
    return [tool("nsd"), "-d", "-c", str(folder / "conf")]


def _knotd(folder: Path, port: int, zones: Mapping[str, Path], more: str) -> list[str]:
    blocks = "".join(f'  - domain: "{name}"\n    file: "{path}"\n' for name, path in zones.items())
    (folder / "conf").write_text(
        f"""server:
  rundir: "{folder}"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  automatic-acl: on
control:
  listen: "{folder}/control.sock"
database:
  storage: "{folder}"
log:
  - target: stderr
    any: info
{more if "zone:" in more else more + "zone:" + chr(10) + blocks}"""
    )
    return [tool("knotd"), "-c", str(folder / "conf")]


def _unbound(folder: Path, port: int, zones: Mapping[str, Path], more: str) -> list[str]:
    (folder / "conf").write_text(
        f"""server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  do-not-query-localhost: no
  local-zone: "test." transparent
  module-config: "validator iterator"
{more}
remote-control:
  control-enable: no
"""
    )
    return [tool("unbound"), "-d", "-c", str(folder / "conf")]


SERVERS = {"named": _named, "nsd": _nsd, "knotd": _knotd}
"""Authorities: how each is configured and started, with zones in files."""
_STARTS = {**SERVERS, "unbound": _unbound}


@contextlib.contextmanager
def serving(
    kind: str, folder: Path, zones: Mapping[str, Path], more: str = "", port: int | None = None
) -> Iterator[Authority]:
    """A server of this kind while the block runs; `more` is put behind its configuration."""
    tool(kind)
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = _STARTS[kind](folder, port, zones, more)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env={**environment(), "TZ": "UTC"}, cwd=folder)
    server = Authority(port, child, folder)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
