"""Real servers and validators over a tree of zones: named serves it, delv, Unbound and we validate what it answers."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import peers
from tests.dns.dnssec.tree import ServedZone, Tree, run

from catenet.dns.dnssec.context import ValidationContext
from catenet.dns.dnssec.validate import Verdict
from catenet.dns.response import Response, response_from_message
from catenet.dns.rrset import RRset
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import CD, CNAME, RD, RRSIG, type_to_text

SECURE, INSECURE, BOGUS = "secure", "insecure", "bogus"


def free_port() -> int:
    """A port that is free for UDP and TCP on the loopback."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def zone_to_text(zone: ServedZone) -> str:
    """A master file; data in the form for unknown types (RFC 3597 5), so that nothing is judged or changed."""
    lines = []
    for rrset in sorted(zone.sets, key=lambda one: one.type != 6):
        owner = name_to_text(rrset.name)
        lines += [_line(owner, rrset, rrset.type, data) for data in rrset.data]
        lines += [_line(owner, rrset, RRSIG, data) for data in rrset.signatures]
    return "".join(lines)


def _line(owner: str, rrset: RRset, kind: int, data: bytes) -> str:
    return f"{owner} {rrset.ttl} IN TYPE{kind} \\# {len(data)} {data.hex()}\n"


def wait_for(port: int, child: subprocess.Popen[str]) -> None:
    """Wait until a server answers on TCP."""
    for _ in range(400):
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended: {child.communicate()[0]}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")


@contextmanager
def started(words: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """A server that runs, until the end."""
    child = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=peers.environment()
    )
    try:
        wait_for(port, child)
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=20)


def named_command(folder: Path, tree: Tree, port: int) -> list[str]:
    """BIND as the authority for all zones of a tree."""
    zones = []
    for number, zone in enumerate(tree.zones.values()):
        path = folder / f"zone{number}"
        path.write_text(zone_to_text(zone))
        zones.append(
            f'zone "{name_to_text(zone.origin)}" {{ type primary; file "{path}"; check-names ignore; '
            "check-integrity no; check-dup-records ignore; };"
        )
    config = folder / "named.conf"
    config.write_text(
        f"""options {{
            directory "{folder}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};
            listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; minimal-responses yes;
            max-records 0; allow-query {{ any; }}; }};
        controls {{ }};
        """
        + "\n".join(zones)
    )
    return [str(peers.program("named")), "-g", "-n", "1", "-c", str(config)]


def unbound_command(folder: Path, tree: Tree, port: int, authority: int, settings: str = "") -> list[str]:
    """Unbound, which validates what it is told by the authority as by a resolver."""
    anchor = folder / "anchor"
    anchor.write_text(anchor_text(tree))
    config = folder / "unbound.conf"
    config.write_text(
        f"""server:
            interface: 127.0.0.1@{port}
            access-control: 127.0.0.0/8 allow
            do-daemonize: no
            username: ""
            chroot: ""
            directory: "{folder}"
            pidfile: ""
            use-syslog: no
            do-not-query-localhost: no
            trust-anchor-file: "{anchor}"
            module-config: "validator iterator"
            val-sig-skew-min: 0
            val-sig-skew-max: 0
            num-threads: 1
            ede: yes
            aggressive-nsec: no
            trust-anchor-signaling: no
            {settings}
        remote-control:
            control-enable: no
        forward-zone:
            name: "."
            forward-addr: 127.0.0.1@{authority}
        """
    )
    return [str(peers.program("unbound")), "-d", "-c", str(config)]


def anchor_text(tree: Tree) -> str:
    """The root's key as a trust anchor in master format."""
    key = tree.zones[b"\0"].keys[0].key
    return f". 86400 IN DNSKEY {key.to_text()}\n"


class Asker:
    """Questions to a server, over one connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)

    def ask(self, question: Question, flags: int = RD) -> Response:
        """The answer to a question with DO set."""
        query = pack(1, flags, question, edns=Edns(flags=DNSSEC_OK))
        self._socket.sendall(struct.pack("!H", len(query)) + query)
        (size,) = struct.unpack("!H", self._read(2))
        return response_from_message(parse(self._read(size)))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return data

    def resolve(self, question: Question) -> Response:
        """The answer with its aliases followed, as a resolver gathers it."""
        whole, owner = Response(), question.name
        for _ in range(8):
            response = self.ask(question._replace(name=owner))
            seen = [one for one in response.answer if one not in whole.answer]
            whole.answer += seen
            whole.authority += [one for one in response.authority if one not in whole.authority]
            whole.rcode = response.rcode
            last = seen[-1] if seen else None
            if last is None or last.type != CNAME or question.type == CNAME:
                break
            owner = last.data[0]
        return whole

    def close(self) -> None:
        self._socket.close()


def our_verdict(asker: Asker, question: Question, context: ValidationContext) -> Verdict:
    """What we say of the server's answer."""
    return run(question, asker.resolve(question), context, lambda wanted: asker.ask(wanted))


def unbound_verdict(asker: Asker, question: Question) -> str:
    """What Unbound says."""
    response = asker.ask(question, RD)
    if response.rcode == 2:
        return BOGUS
    return SECURE if response.raw_flags & 0x20 else INSECURE


def delv_verdict(folder: Path, tree: Tree, port: int, question: Question) -> str:
    """What delv says of the same server's answer."""
    anchor = folder / "delv.anchor"
    if not anchor.exists():
        key = tree.zones[b"\0"].keys[0].key
        fields = key.to_text().split(None, 3)
        anchor.write_text(f'trust-anchors {{ "." static-key {" ".join(fields[:3])} "{fields[3]}"; }};\n')
    output = subprocess.run(
        [
            *(str(peers.program("delv")), "@127.0.0.1", "-p", str(port), "-a", str(anchor), "+root=."),
            *(name_to_text(question.name), type_to_text(question.type)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env=peers.environment(),
    )
    words = output.stdout + output.stderr
    if "resolution failed" in words and "resolution failed: ncache" not in words:
        return BOGUS
    if "fully validated" in words and "unsigned answer" not in words:
        return SECURE
    if "unsigned answer" in words or "negative response, unsigned" in words:
        return INSECURE
    return BOGUS


__all__ = [
    "BOGUS",
    "CD",
    "INSECURE",
    "SECURE",
    "Asker",
    "anchor_text",
    "delv_verdict",
    "free_port",
    "named_command",
    "our_verdict",
    "started",
    "unbound_command",
    "unbound_verdict",
    "zone_to_text",
]
