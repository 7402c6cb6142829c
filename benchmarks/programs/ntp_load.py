"""Asks a server of the time as fast as it answers: `ntp_load.py HOST SECONDS WINDOW plain|key|nts [FILE]`.

Prints answers and seconds as JSON. `key`: the file has the symmetric key 2; `nts`: it has the authority that vouches
for the server, which gives keys first. One request is sent again and again, `WINDOW` at a time.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time

from catenet.ntp.keys import read_keys
from catenet.ntp.packet import Packet

PATIENCE = 0.2


def request(kind: str, host: str, file: str) -> tuple[bytes, int]:
    """What is sent, and to which port."""
    plain = Packet(transmit=0x0123456789ABCDEF, poll=6).build()
    if kind == "plain":
        return plain, 123
    if kind == "key":
        return read_keys(file)[2].seal(plain), 123
    from catenet.ntp.nts.client import establish
    from catenet.ntp.nts.session import Session
    from catenet.ntp.nts.tls import client_context

    keys = asyncio.run(establish(host, 4460, client_context(file)))
    session = Session(random.Random(1))
    session.use(keys)
    return session.seal(plain), keys.port or 123


def load(host: str, port: int, data: bytes, seconds: float, window: int) -> int:
    """How many answers came."""
    count = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        sock.settimeout(PATIENCE)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                for _ in range(window):
                    sock.send(data)
                for _ in range(window):
                    sock.recv(2048)
                    count += 1
            except TimeoutError:
                continue
    return count


def main(words: list[str]) -> None:
    """See above."""
    host, seconds, window, kind, *rest = words
    data, port = request(kind, host, rest[0] if rest else "")
    begun = time.monotonic()
    count = load(host, port, data, float(seconds), int(window))
    print(json.dumps({"answers": count, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main(sys.argv[1:])
