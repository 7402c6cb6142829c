"""A reliable protocol on top of UDP: fetch a file by TFTP (RFC 1350), a block at a time, each acknowledged.

UDP loses, repeats and reorders datagrams. Three things make a file of them: numbers, so that a block is written once,
in its place; acknowledgements, so that the server sends the next; a time-out, after which the last word is said again.
"""

import socket
import sys

BLOCK = 512
READ, DATA, ACK, ERROR = 1, 3, 4, 5
TIMEOUT, TRIES = 1.0, 20


def fetch(host, port, name):
    family, kind, _, _, server = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        sock.settimeout(TIMEOUT)
        said = READ.to_bytes(2, "big") + name.encode() + b"\0octet\0"
        peer, expected, tries, again = None, 1, 0, 0
        sock.sendto(said, server)
        while True:
            try:
                packet, sender = sock.recvfrom(4 + BLOCK)
            except TimeoutError:
                tries, again = tries + 1, again + 1
                if tries == TRIES:
                    sys.exit("no answer")
                sock.sendto(said, peer or server)
                continue
            if sender[0] != server[0] or (peer is not None and sender != peer):
                continue  # of a stranger
            opcode, number = int.from_bytes(packet[:2], "big"), int.from_bytes(packet[2:4], "big")
            if opcode == ERROR:
                sys.exit(packet[4:].rstrip(b"\0").decode())
            if opcode != DATA:
                continue
            if peer is None:
                peer = sender  # the server answers from a port of its own, which stands for this transfer
            if number != expected:
                continue  # a block that has come before: its acknowledgement is repeated by time-out alone
            tries = 0
            said = ACK.to_bytes(2, "big") + number.to_bytes(2, "big")
            sock.sendto(said, peer)
            yield packet[4:], again
            expected, again = (expected + 1) % 65536, 0
            if len(packet) < 4 + BLOCK:
                return


def main():
    host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    size = repeated = blocks = 0
    with open(sys.argv[4], "wb") as file:
        for data, again in fetch(host, port, name):
            file.write(data)
            size, repeated, blocks = size + len(data), repeated + again, blocks + 1
    print(f"{size} bytes in {blocks} blocks, {repeated} times said again")


if __name__ == "__main__":
    main()
