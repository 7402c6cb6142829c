"""What time it is by a server, and how far to trust that: SNTP (RFC 4330), the four timestamps of RFC 5905.

    t1 ----> t2    the client sends at t1 by its clock, the server has it at t2 by its own
    t4 <---- t3    the server answers at t3, the client has that at t4

The way there and back takes (t4 - t1) - (t3 - t2). If both ways take as long, the server's clock is ahead by
((t2 - t1) + (t3 - t4)) / 2; at worst one way took all of the time, and that is wrong by half of it. So of several
answers the one that was fastest is believed.
"""

import secrets
import socket
import struct
import sys
import time

EPOCH = 2_208_988_800  # seconds from 1900, where NTP begins, to 1970
CLIENT, SERVER, VERSION = 3, 4, 4
UNSYNCHRONIZED = 3
TIMEOUT = 1.0
PACKET = struct.Struct("!BBbb II4s QQQQ")


def seconds(timestamp):
    return timestamp / 2**32 - EPOCH


def ask(host, port):
    """One exchange: offset and delay. A new port each time, and a random number instead of the time, so that nobody
    who cannot see the request can answer it.
    """
    family, kind, _, _, server = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        sock.connect(server)
        sock.settimeout(TIMEOUT)
        cookie = secrets.randbits(64)
        request = PACKET.pack(VERSION << 3 | CLIENT, 0, 0, 0, 0, 0, bytes(4), 0, 0, 0, cookie)
        t1 = time.time()
        sock.send(request)
        while True:
            answer = sock.recv(1024)
            t4 = time.time()
            if len(answer) < PACKET.size:
                continue
            first, stratum, *_, identity, _, origin, received, sent = PACKET.unpack_from(answer)
            if first & 7 != SERVER or origin != cookie:
                continue  # no answer to this request
            if stratum == 0 or first >> 6 == UNSYNCHRONIZED:
                sys.exit(f"the server does not know the time: {identity.decode('ascii', 'replace')}")
            t2, t3 = seconds(received), seconds(sent)
            return ((t2 - t1) + (t3 - t4)) / 2, (t4 - t1) - (t3 - t2)


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    samples = []
    for number in range(count):
        if number:
            time.sleep(2)
        try:
            offset, delay = ask(host, port)
        except TimeoutError:
            print("no answer")
            continue
        print(f"offset {offset:+.6f} s, delay {delay:.6f} s")
        samples.append((delay, offset))
    if not samples:
        sys.exit(1)
    delay, offset = min(samples)
    print(f"this clock is to be set ahead by {offset:+.6f} s, or {delay / 2:.6f} s more or less")


if __name__ == "__main__":
    main()
