"""What a socket is charged for datagrams that its host's own device has not sent yet; prints what it saw as JSON.

`send_buffer.py ADDRESS [exact]`: the way there is slow (200 kbit/s), and its queue long.
"""

from __future__ import annotations

import errno
import fcntl
import json
import select
import socket
import struct
import sys
import termios


def charged(sock: socket.socket) -> int:
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def writable(sock: socket.socket, milliseconds: int = 0) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(milliseconds))


def fill(family: int, address: str, size: int, connected: bool, buffer: int | None = None) -> list[object]:
    """Send until the socket takes no more: (datagrams, charge of one, all, when POLLOUT went, why it ended)."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        if connected:
            sock.connect((address, 9))
        count, one, gone = 0, 0, None
        try:
            while count < 5000:
                if connected:
                    sock.send(bytes(size))
                else:
                    sock.sendto(bytes(size), (address, 9))
                count += 1
                if count == 1:
                    one = charged(sock)
                if gone is None and not writable(sock):
                    gone = count
        except OSError as error:
            why = errno.errorcode[error.errno or 0]
        else:
            why = "never"
        return [size, count, one, charged(sock), gone, why, sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)]


def wake(family: int, address: str) -> list[object]:
    """What a full socket is charged, and whether it is writable again when less than half is taken, whoever is late."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
        sock.setblocking(False)
        try:
            while True:
                sock.sendto(bytes(1000), (address, 9))
        except BlockingIOError:
            full = charged(sock)
        found = writable(sock, 60_000)
        half = charged(sock)
        sock.setblocking(True)
        counts = []
        for _ in range(10):
            sock.sendto(bytes(1000), (address, 9))
            counts.append(charged(sock))
        return [full, found, 2 * half < 20_000, max(counts) <= full, *([half, counts] if "exact" in sys.argv else [])]


def keep_busy(family: int, address: str) -> list[socket.socket]:
    """Fill the queue for the better part of a minute, so that nothing of what is sent then leaves."""
    busy = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(10)]
    for sock in busy:
        sock.setblocking(False)
        try:
            while True:
                sock.sendto(bytes(1400), (address, 9))
        except BlockingIOError:
            pass
    return busy


def main() -> None:
    address = sys.argv[1]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for _ in range(3):  # what the device takes at once
            sock.sendto(bytes(1400), (address, 9))
    print(json.dumps(wake(family, address)), flush=True)
    busy = keep_busy(family, address)
    for size in (0, 1, 64, 150, 250, 500, 650, 1000, 1400, 3000, 9000, 20_000):
        print(json.dumps(fill(family, address, size, size % 4 == 0)), flush=True)
    for size, buffer in ((0, 1), (1000, 1), (9000, 1), (9000, 5000), (9000, 50_000), (1000, 100_000)):
        print(json.dumps(fill(family, address, size, False, buffer)), flush=True)
    for sock in busy:
        sock.close()


main()
