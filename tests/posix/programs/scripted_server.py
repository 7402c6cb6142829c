"""A name server that answers as a script says: `scripted_server.py SCRIPT.json LOG ADDRESS...`, on port 53 of each.

The script maps `"NAME TYPE"`, also `"NAME TYPE @LAST"` (the last number of the server's address), `"NAME TYPE tcp"`
and both, to what is answered: a word of `WORDS`, or records as `www A 192.0.2.1; @ CNAME www`, `@` being the name that
is asked for. Names are absolute, without the last dot. What is asked is logged, a line a query.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from pathlib import Path
from typing import Any

from catenet.wire.address import parse_address
from catenet.wire.dns.message import pack, parse
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.numbers import AA, QR, RA, RD, TC, TYPES
from catenet.wire.dns.record import Record, make_record

WORDS = {"NODATA": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
CODES = {name: number for number, name in TYPES.items()}


class Script:
    def __init__(self, rules: dict[str, str], log: Path) -> None:
        self.rules = {key.lower(): value for key, value in rules.items()}
        self.log = log.open("a", buffering=1)

    def answer(self, data: bytes, server: str, proto: str) -> bytes | None:
        query = parse(data)
        question = query.question
        assert question is not None
        name, kind = name_to_text(question.name).rstrip(".") or ".", TYPES[question.type]
        last = server.rpartition(":" if ":" in server else ".")[2]
        self.log.write(f"{last} {proto} {name.lower()} {kind}\n")
        said = self.rule(name.lower(), kind.lower(), last, proto)
        if said == "SILENT":
            return None
        flags = QR | RA | AA | query.flags & RD
        if said == "LAME":
            return pack(query.id, QR | query.flags & RD, question)
        if said == "TC":
            return pack(query.id, flags | TC, question)
        if said in WORDS:
            return pack(query.id, flags | WORDS[said], question)
        code = 0
        if said.startswith("NXDOMAIN "):
            code, said = 3, said.removeprefix("NXDOMAIN ")
        return pack(query.id, flags | code, question, [record(text, question.name) for text in said.split(";")])

    def rule(self, name: str, kind: str, last: str, proto: str) -> str:
        for extra in (f" @{last} {proto}", f" @{last}", f" {proto}", ""):
            for which in (kind, "*"):
                if f"{name} {which}{extra}" in self.rules:
                    return self.rules[f"{name} {which}{extra}"]
        return "NXDOMAIN"


def record(text: str, asked: bytes) -> Record:
    owner, kind, data = text.split()
    name = asked if owner == "@" else name_from_text(owner)
    value = parse_address(data) if kind in ("A", "AAAA") else name_from_text(data)
    return make_record(name, CODES[kind], 60, value)


def serve_connection(script: Script, connection: socket.socket, server: str) -> None:
    with connection, connection.makefile("rb") as stream:
        while len(size := stream.read(2)) == 2:
            answer = script.answer(stream.read(int.from_bytes(size, "big")), server, "tcp")
            if answer is None:
                return
            connection.sendall(len(answer).to_bytes(2, "big") + answer)


def main() -> None:
    script = Script(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
    selector = selectors.DefaultSelector()
    for server in sys.argv[3:]:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = socket.socket(family, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((server, 53))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            selector.register(sock, selectors.EVENT_READ, server)
    print("serving", flush=True)
    while True:
        for key, _ in selector.select():
            serve_ready(script, key.fileobj, key.data)


def serve_ready(script: Script, sock: Any, server: str) -> None:
    if sock.type == socket.SOCK_STREAM:
        serve_connection(script, sock.accept()[0], server)
        return
    data, client = sock.recvfrom(4096)
    answer = script.answer(data, server, "udp")
    if answer is not None:
        sock.sendto(answer, client)


if __name__ == "__main__":
    main()
