"""Name servers to be measured, ours and their peers: started on one processor, with what they are told in a folder."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.harness import Unavailable
from benchmarks.serving import SERVER_CPU, Running, compiled_command, find, running

__all__ = ["Site", "answers", "free_port", "start"]

ZONE = "bench.lab"
READY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\2ns\5bench\3lab\0\0\1\0\1"


@dataclass(frozen=True)
class Site:
    """What all servers of a table are told: `forward` is the port of the server that they ask, 0 for authorities."""

    folder: Path
    forward: int = 0

    @property
    def zone(self) -> Path:
        return self.folder / "bench.zone"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def start(kind: str, site: Site, cpu: int = SERVER_CPU) -> Iterator[Running]:
    """Run a server until it answers; `kind` is one of the functions below."""
    ports = {"udp": free_port(), "dot": free_port(), "doh": free_port()}
    words = _KINDS[kind](site, ports)
    ready = partial(answers, ("127.0.0.1", ports["udp"]))
    with running(words, ports, ready, log=site.folder / f"{kind}.log", cwd=site.folder, cpu=cpu) as server:
        yield server


def answers(address: tuple[str, int], query: bytes = READY) -> bool:
    """Whether a server answers, without an error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.settimeout(0.2)
        sock.send(query)
        return sock.recv(4096)[3] & 15 == 0


def _ours(site: Site, ports: dict[str, int], command: Sequence[str]) -> list[str]:
    listen = [f"udp+tcp://127.0.0.1:{ports['udp']}", f"tls://127.0.0.1:{ports['dot']}"]
    listen.append(f"https://127.0.0.1:{ports['doh']}")
    what = ["--forward", f"127.0.0.1:{site.forward}"] if site.forward else ["--no-recursive", "--zone", str(site.zone)]
    urls = [word for url in listen for word in ("--listen", url)]
    return [*command, "serve", "dns", *what, *urls, "--cert", str(site.certificate)]


def _catenet(site: Site, ports: dict[str, int]) -> list[str]:
    return _ours(site, ports, [sys.executable, "-m", "catenet"])


def _compiled(site: Site, ports: dict[str, int]) -> list[str]:
    return _ours(site, ports, compiled_command())


def _bind(site: Site, ports: dict[str, int]) -> list[str]:
    udp, dot, doh = ports["udp"], ports["dot"], ports["doh"]
    what = (
        f"recursion yes; forward only; forwarders {{ 127.0.0.1 port {site.forward}; }}; max-cache-size 256M;"
        if site.forward
        else "recursion no; minimal-responses yes;"
    )
    zone = "" if site.forward else f'zone "{ZONE}" {{ type primary; file "{site.zone}"; }};'
    pem = site.certificate
    (site.folder / "named.conf").write_text(
        f'tls local {{ cert-file "{pem}"; key-file "{pem}"; }};\nhttp local {{ endpoints {{ "/dns-query"; }}; }};\n'
        f'options {{ directory "{site.folder}"; pid-file none; session-keyfile none; dnssec-validation no; {what}\n'
        f"listen-on port {udp} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n"
        f"listen-on port {dot} tls local {{ 127.0.0.1; }};\n"
        f"listen-on port {doh} tls local http local {{ 127.0.0.1; }}; }};\ncontrols {{}};\n{zone}\n"
    )
    return [find("named"), "-g", "-n", "1", "-c", str(site.folder / "named.conf")]


def _unbound(site: Site, ports: dict[str, int]) -> list[str]:
    if not site.forward:
        raise Unavailable("it is no authority")
    interfaces = "".join(f" interface: 127.0.0.1@{port}\n" for port in ports.values())
    (site.folder / "unbound.conf").write_text(
        f"server:\n{interfaces} tls-port: {ports['dot']}\n https-port: {ports['doh']}\n num-threads: 1\n"
        f' tls-service-key: "{site.certificate}"\n tls-service-pem: "{site.certificate}"\n chroot: ""\n'
        f' username: ""\n pidfile: ""\n directory: "{site.folder}"\n use-syslog: no\n do-not-query-localhost: no\n'
        ' module-config: "iterator"\n msg-cache-size: 128m\n rrset-cache-size: 128m\n do-daemonize: no\n'
        f'forward-zone:\n name: "."\n forward-addr: 127.0.0.1@{site.forward}\n'
    )
    return [find("unbound"), "-d", "-c", str(site.folder / "unbound.conf")]


def _nsd(site: Site, ports: dict[str, int]) -> list[str]:
    name = site.folder / f"nsd{ports['udp']}"
    name.mkdir()
    (name / "nsd.conf").write_text(
        f"server:\n ip-address: 127.0.0.1@{ports['udp']}\n ip-address: 127.0.0.1@{ports['dot']}\n"
        f' tls-port: {ports["dot"]}\n tls-service-key: "{site.certificate}"\n tls-service-pem: "{site.certificate}"\n'
        f' zonesdir: "{site.folder}"\n database: ""\n pidfile: ""\n username: ""\n xfrdfile: "{name}/xfrd"\n'
        f' zonelistfile: "{name}/list"\n xfrdir: "{name}"\n server-count: 1\n rrl-ratelimit: 0\n'
        f'remote-control:\n control-enable: no\nzone:\n name: "{ZONE}"\n zonefile: "{site.zone}"\n'
    )
    return [find("nsd"), "-d", "-c", str(name / "nsd.conf")]


def _knot(site: Site, ports: dict[str, int]) -> list[str]:
    folder = site.folder / "knot"
    folder.mkdir()
    (folder / "knot.conf").write_text(
        f"server:\n  listen: 127.0.0.1@{ports['udp']}\n  rundir: {folder}\n  udp-workers: 1\n  tcp-workers: 1\n"
        f"  background-workers: 1\ndatabase:\n  storage: {folder}\nzone:\n  - domain: {ZONE}\n"
        f"    storage: {site.folder}\n    file: {site.zone}\n    zonefile-sync: -1\n    journal-content: none\n"
    )
    return [find("knotd"), "-c", str(folder / "knot.conf")]


_KINDS = {
    "catenet": _catenet,
    "compiled": _compiled,
    "BIND": _bind,
    "Unbound": _unbound,
    "NSD": _nsd,
    "Knot": _knot,
}
