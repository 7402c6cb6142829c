"""A name server for tests, on plain sockets: UDP and TCP, with the habits that its arguments name.

`python name_server.py [PORT] [HABIT...]`: `cut` answers by UDP that the answer was cut, `silent=N` says nothing to the
first N queries, `refuse` refuses, `forge` sends wrong answers before the right one, `malformed` one that is cut off.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Sequence

from catenet.wire.dns import numbers
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.record import make_record

RECORDS = {
    ("www.example.", numbers.A): [make_record(name_from_text("www.example."), numbers.A, 60, bytes((192, 0, 2, 1)))],
    ("www.example.", numbers.AAAA): [
        make_record(name_from_text("www.example."), numbers.AAAA, 60, bytes.fromhex("20010db8" + "0" * 23 + "1"))
    ],
    ("alias.example.", numbers.A): [
        make_record(name_from_text("alias.example."), numbers.CNAME, 60, name_from_text("www.example.")),
        make_record(name_from_text("www.example."), numbers.A, 60, bytes((192, 0, 2, 1))),
    ],
    ("long.example.", numbers.TXT): [
        make_record(name_from_text("long.example."), numbers.TXT, 60, b"\xff" + bytes([65]) * 255) for _ in range(20)
    ],
    ("1.2.0.192.in-addr.arpa.", numbers.PTR): [
        make_record(name_from_text("1.2.0.192.in-addr.arpa."), numbers.PTR, 60, name_from_text("www.example."))
    ],
}
BY_NAME = {(name_from_text(name), kind): found for (name, kind), found in RECORDS.items()}


class Server:
    def __init__(self, habits: Sequence[str]) -> None:
        self.habits = dict(habit.partition("=")[::2] for habit in habits)
        self.silent = int(self.habits.get("silent", 0))
        self.queries: list[tuple[int, bool]] = []
        self.servers: list[socketserver.BaseServer] = []
        self.port = 0

    def close(self) -> None:
        for one in self.servers:
            one.shutdown()

    def answer(self, data: bytes, limit: int) -> list[bytes]:
        query = parse(data)
        assert query.question is not None
        self.queries.append((query.question.type, limit < 65535))
        if self.silent:
            self.silent -= 1
            return []
        flags = numbers.QR | numbers.RA | query.flags & numbers.RD
        if "refuse" in self.habits:
            denied = Edns(options=((15, b"\0\x12not for you"),))
            return [pack(query.id, flags | numbers.REFUSED, query.question, edns=denied)]
        if "cut" in self.habits and limit < 65535:
            return [pack(query.id, flags | numbers.TC, query.question)]
        if "cut within" in self.habits and limit < 65535:
            return [pack(query.id, flags | numbers.TC, query.question, RECORDS["www.example.", numbers.A])[:-3]]
        name, kind, _ = query.question
        records = BY_NAME.get((name.lower(), kind), ())
        known = any(name.lower() == other for other, _ in BY_NAME)
        code = 0 if known else numbers.NXDOMAIN
        right = pack(query.id, flags | code, query.question, records, edns=Edns() if query.edns else None, limit=limit)
        if "malformed" in self.habits:
            return [right[:-1]]
        if "forge" not in self.habits:
            return [right]
        other = Question(name_from_text("forged.example."), kind)
        return [b"", data, pack(query.id ^ 1, flags, query.question), pack(query.id, flags, other), right]


def start(port: int, habits: Sequence[str]) -> Server:
    """Serve both IP versions from threads; return the server."""
    server = Server(habits)

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            edns = parse(data).edns
            for answer in server.answer(data, 512 if edns is None else edns.payload):
                sock.sendto(answer, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while size := self.rfile.read(2):
                for answer in server.answer(self.rfile.read(int.from_bytes(size, "big")), 65535):
                    self.wfile.write(len(answer).to_bytes(2, "big") + answer)

    class UdpServer(socketserver.ThreadingUDPServer):
        address_family = socket.AF_INET6
        daemon_threads = True

    class TcpServer(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6
        allow_reuse_address = daemon_threads = True

    while True:
        tcp = TcpServer(("::", port), Tcp)
        server.port = tcp.server_address[1]
        try:
            server.servers = [UdpServer(("::", server.port), Udp), tcp]
            break
        except OSError:  # somebody else has this port for UDP
            tcp.server_close()
            if port:
                raise
    for one in server.servers:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    start(int(sys.argv[1]), sys.argv[2:])
    print("serving", flush=True)
    threading.Event().wait()
