"""A client of sessions that was written from `docs/session.md` alone, with sockets, and knows nothing of the package.

It has one connection at a time, no TLS and no messages; it says all that it has to say, and hears the peer's stream.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import select
import socket
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

__all__ = ["Client"]

NEW, ACCEPT, CONFIRM, RESUME, RESUMED, REFUSED = range(1, 7)
DATA, ACK, FIN, RESET, PING, PONG, BYE, STOP = range(0x10, 0x18)
WINDOW = 100_000
EARLY = 64 << 10


class Broken(Exception):
    """The connection is of no more use; the session may be."""


def full(low: int, near: int) -> int:
    """The offset with these 32 low bits that is nearest."""
    return min(((near >> 32) + turn << 32 | low for turn in (-1, 0, 1)), key=lambda offset: abs(offset - near))


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def parts(*each: bytes) -> bytes:
    return b"".join(struct.pack("!I", len(one)) + one for one in each)


class Client:
    """`run` says all of `text`, and returns what the server has said, over as many connections as it takes."""

    def __init__(self, address: tuple[str, int], text: bytes, shared_key: bytes = b"") -> None:
        self.address, self.text, self.shared_key = address, text, shared_key
        self.connections = self.epoch = self.acknowledged = self.received = self.limit = 0
        self.start = int.from_bytes(os.urandom(4), "big")
        self.peer_start = self.sent = 0
        self.token = self.client_key = self.server_key = b""
        self.heard = bytearray()
        self.confirmed = self.peer_ended = self.over = False

    def run(self) -> bytes:
        while not self.over:
            try:
                with socket.create_connection(self.address) as self.sock:
                    self.connections += 1
                    self.rest = b""
                    self.converse()
            except (Broken, OSError):
                if self.connections > 1000:
                    raise
        return bytes(self.heard)

    # Frames.

    def say(self, kind: int, payload: bytes = b"") -> None:
        self.sock.sendall(struct.pack("!I", kind << 24 | len(payload)) + payload)

    def frame(self, wait: float | None = None) -> tuple[int, bytes] | None:
        """The next frame; None: none within the time."""
        while len(self.rest) < 4 or len(self.rest) < 4 + int.from_bytes(self.rest[1:4], "big"):
            if not select.select([self.sock], [], [], wait)[0]:
                return None
            data = self.sock.recv(65536)
            if not data:
                raise Broken
            self.rest += data
        size = 4 + int.from_bytes(self.rest[1:4], "big")
        kind, payload, self.rest = self.rest[0], self.rest[4:size], self.rest[size:]
        return kind, payload

    # The beginning of connections.

    def begin(self) -> None:
        private, nonce = X25519PrivateKey.generate(), os.urandom(32)
        public = private.public_key().public_bytes_raw()
        new = struct.pack("!8sBBHIII32s32s", b"CSESSION", 1, 0, 15, 3600, WINDOW, self.start, nonce, public)
        self.say(NEW, new)
        kind, accept = self.frame() or (0, b"")
        assert kind == ACCEPT, kind
        _, window, self.peer_start, peer_nonce, peer_public = struct.unpack_from("!III32s32s", accept)
        said, proof = accept[:-32], accept[-32:]
        prk = mac(
            nonce + peer_nonce, private.exchange(X25519PublicKey.from_public_bytes(peer_public)) + self.shared_key
        )
        label = b"catenet session 1" + hashlib.sha256(new + said).digest()
        client_key, server_key = mac(prk, label + b"client\x01"), mac(prk, label + b"server\x01")
        assert hmac.compare_digest(proof, mac(server_key, parts(b"accept")))
        self.token, self.client_key, self.server_key = said[77:], client_key, server_key
        self.received, self.limit = self.peer_start, self.start + window
        self.acknowledged = self.sent = self.start
        self.confirm()

    def confirm(self) -> None:
        self.say(CONFIRM, mac(self.client_key, parts(b"confirm", b"")))

    def resume(self) -> None:
        self.epoch += 1
        mine = self.received + WINDOW
        head = struct.pack("!8sBBHQQQ", b"CSESSION", 1, 0, 15, self.epoch, self.received, mine) + os.urandom(32)
        head += bytes([len(self.token)]) + self.token
        proof = mac(self.client_key, parts(b"resume", head, b""))
        self.say(RESUME, head + proof)
        if not self.confirmed:
            self.confirm()
        self.sent = self.acknowledged
        self.say_more(self.sent + EARLY)
        kind, answer = self.frame() or (0, b"")
        if kind == REFUSED and self.peer_ended and self.acknowledged == self.start + len(self.text) + 1:
            self.over = True  # as good as BYE
            raise Broken
        assert kind == RESUMED, (kind, answer)
        said = answer[:-32]
        assert hmac.compare_digest(answer[-32:], mac(self.server_key, parts(b"resumed", proof, said, b"")))
        epoch, received, limit = struct.unpack("!QQQ", said)
        assert epoch == self.epoch
        self.take_ack(received, limit)

    # The streams.

    def say_more(self, most: int) -> None:
        """What may be said, up to an offset; then the end."""
        end = self.start + len(self.text)
        upto = min(self.sent + 10_000, self.limit, most, end)
        if self.sent < upto:
            piece = self.text[self.sent - self.start : upto - self.start]
            self.say(DATA, struct.pack("!I", self.sent & 0xFFFFFFFF) + piece)
            self.sent = upto
        elif self.sent == end:
            self.say(FIN, struct.pack("!I", end & 0xFFFFFFFF))
            self.sent = end + 1

    def take_ack(self, received: int, limit: int) -> None:
        self.acknowledged, self.limit = max(self.acknowledged, received), max(self.limit, limit)
        self.sent = max(self.sent, self.acknowledged)

    def converse(self) -> None:
        if self.token:
            self.resume()
        else:
            self.begin()
        said = 0
        while not self.over:
            before = self.sent
            self.say_more(1 << 70)
            found = self.frame(0.02 if self.sent == before else 0)
            if found is not None:
                self.take(*found)
            elif self.received != said:
                said = self.received
                limit = self.received + WINDOW
                self.say(ACK, struct.pack("!II", said & 0xFFFFFFFF, limit & 0xFFFFFFFF))

    def take(self, kind: int, payload: bytes) -> None:
        self.confirmed |= kind in (DATA, ACK, FIN)
        if kind == DATA:
            offset, piece = full(int.from_bytes(payload[:4], "big"), self.received), payload[4:]
            assert offset <= self.received
            self.heard += piece[self.received - offset :]
            self.received = max(self.received, offset + len(piece))
        elif kind == ACK:
            received, limit = struct.unpack("!II", payload)
            self.take_ack(full(received, self.acknowledged), full(limit, self.limit))
        elif kind == FIN:
            assert full(int.from_bytes(payload, "big"), self.received) == self.received - self.peer_ended
            self.received += not self.peer_ended
            self.peer_ended = True
        elif kind == PING:
            self.say(PONG, payload)
        elif kind == BYE:
            self.over = True
        else:
            assert kind in (PONG, STOP) or kind >= 0x80, kind
