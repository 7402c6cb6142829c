"""A small blocking edge around the cores of `dns/zone/`: a server for one zone set, and transfers by TCP."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator

from tests.dns.zone.authorities import free_port

from catenet.dns.response import pack_response
from catenet.dns.zone import ZoneSet
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.notify import answer_notify
from catenet.dns.zone.transfer_in import TransferIn
from catenet.dns.zone.transfer_out import transfer_out
from catenet.dns.zone.tsig import TsigKey, signed_request
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.message import Message, parse
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AXFR, IXFR, NOTIFY, UPDATE
from catenet.wire.errors import Malformed

__all__ = ["Edge", "exchange", "fetch"]

Updater = Callable[[Zone, Message, TsigKey | None], bytes]


class Edge:
    """Serves zones on one port of the loopback interface, by UDP and TCP, in threads of its own."""

    def __init__(self, zones: ZoneSet, keys: tuple[TsigKey, ...] = (), update: Updater | None = None) -> None:
        self.zones = zones
        self.keys = {key.name: key for key in keys}
        self.journals: dict[bytes, Journal] = {}
        self.notified: list[tuple[bytes, int | None]] = []
        self.asked: list[int] = []
        """Types of all questions."""
        self.transfers: list[tuple[int, int]] = []
        """Type of each transfer, and its bytes."""
        self.port = free_port()
        self._update = update
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Edge:
        edge = self

        class ByUdp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sender = self.request
                for answer in edge.answers(data, 1232):
                    sender.sendto(answer, self.client_address)

        class ByTcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while head := self.rfile.read(2):
                    for answer in edge.answers(self.rfile.read(int.from_bytes(head, "big")), None):
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        class TcpServer(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        for server in (
            socketserver.ThreadingUDPServer(("127.0.0.1", self.port), ByUdp),
            TcpServer(("127.0.0.1", self.port), ByTcp),
        ):
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            self._stack.callback(thread.join)
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answers(self, data: bytes, udp_limit: int | None) -> Iterator[bytes]:
        """What is said to one message."""
        try:
            query = parse(data)
            question = query.question
            signed = signed_request(query, self.keys, time.time())
        except Malformed:
            return
        if question is None:
            return
        self.asked.append(question.type)
        if query.opcode == NOTIFY:
            told = answer_notify(query, self.zones.get(question.name) is not None, signed, time.time())
            if told.origin is not None:
                self.notified.append((told.origin, told.serial))
            yield told.reply
        elif query.opcode == UPDATE and self._update is not None:
            zone = self.zones.get(question.name)
            assert zone is not None
            answer = self._update(zone, query, signed.key if signed else None)
            yield signed.sign(answer, time.time()) if signed else answer
        elif question.type in (AXFR, IXFR):
            size = 0
            zone = self.zones.get(question.name)
            journal = self.journals.get(fold(question.name))
            for each in transfer_out(
                zone, query, journal=journal, signed=signed, wall=time.time(), udp_limit=udp_limit
            ):
                size += len(each)
                yield each
            self.transfers.append((question.type, size))
        else:
            edns = query.edns
            response = self.zones.answer(question, bool(edns and edns.flags & 0x8000))
            answer = pack_response(response, query, edns, udp_limit or 65_535)
            yield signed.sign(answer, time.time()) if signed else answer


def exchange(stream: socket.socket, message: bytes) -> Iterator[bytes]:
    """Send a message by TCP; the messages that come back, for as long as they are asked for."""
    stream.sendall(struct.pack("!H", len(message)) + message)
    with stream.makefile("rb") as file:
        while head := file.read(2):
            yield file.read(int.from_bytes(head, "big"))


def fetch(port: int, transfer: TransferIn) -> Zone:
    """Run a transfer against a server; the zone that comes of it."""
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        for data in exchange(stream, transfer.query(time.time())):
            if transfer.receive(data, time.time()):
                break
    return transfer.commit()
