"""A client and a server of NTS without a network: keys are established, then time is asked for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import trustme

from catenet.ntp.association import Association
from catenet.ntp.clock_filter import Sample
from catenet.ntp.nts.cookies import CookieKeys
from catenet.ntp.nts.establish import ClientCore, Failed, Issuer, ServerCore
from catenet.ntp.nts.sealer import NtsSealer
from catenet.ntp.nts.session import Keys, Session
from catenet.ntp.nts.tls import client_context, server_context
from catenet.ntp.rates import Rate
from catenet.ntp.reference import Stated
from catenet.ntp.responder import Responder

__all__ = ["SECRET", "START", "Files", "Pair", "Time", "establish"]

START = 1_800_000_000.0
SECRET = bytes(range(32))


class Files:
    """A throwaway authority, and a certificate of it."""

    def __init__(self, folder: Path, *names: str) -> None:
        authority = trustme.CA()
        self.ca, self.cert = str(folder / "ca.pem"), str(folder / "cert.pem")
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert(
            *(names or ("time.example", "localhost", "127.0.0.1", "::1"))
        ).private_key_and_cert_chain_pem.write_to_path(self.cert)


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def nanoseconds(self) -> int:
        """As the responder reads it."""
        return round(self.now * 1e9)


def establish(client: ClientCore, server: ServerCore, sizes: Sequence[int] = (65_536,)) -> Keys | Failed | None:
    """Let both say what they have to say, in pieces of these sizes; return what comes of it for the client."""
    turn = 0
    for _ in range(20_000):
        there, back = client.transmit(0.0), server.transmit(0.0)
        if not there and not back:
            break
        for data, receiver in ((there, server), (back, client)):
            at = 0
            while at < len(data):
                size = sizes[turn % len(sizes)]
                turn += 1
                receiver.receive(data[at : at + size], 0.0)
                at += size
    return client.next_event()


class Pair:
    """A client that has keys, and its server."""

    def __init__(self, files: Files, seed: int = 1, rate: Rate = Rate(0)) -> None:
        self.time = Time()
        rng = random.Random(seed)
        self.keys = CookieKeys(SECRET, START, rng)
        self.issuer = Issuer(server_context(files.cert), self.keys, self.time)
        self.context = client_context(files.ca)
        sealer = NtsSealer(self.keys, self.time, rng)
        self.responder = Responder(Stated(1, b"GPS\0"), self.time.nanoseconds, rng, sealer=sealer, rate=rate)
        self.session = Session(rng)
        self.association = Association(rng, protection=self.session)
        self.renew()

    def renew(self) -> None:
        """Establish keys."""
        keys = establish(ClientCore(self.context, "time.example"), ServerCore(self.issuer))
        assert isinstance(keys, Keys), keys
        self.session.use(keys)

    def ask(self) -> bytes:
        """The next request."""
        return self.association.poll(self.time.now)

    def answer(self, request: bytes) -> bytes | None:
        """What the server says to it."""
        self.time.now += 0.01
        return self.responder.answer(request, "192.0.2.9", self.time.nanoseconds(), self.time.now)

    def exchange(self) -> Sample | None:
        """Ask, be answered, and return the sample."""
        answer = self.answer(self.ask())
        self.time.now += 0.01
        sample = None if answer is None else self.association.receive(answer, self.time.now)
        self.time.now += 64
        return sample
