"""What TCP's options do, as a program can observe it: as `scenarios`."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import termios
import time
from typing import Any

from tests.posix.scenarios import connection, family_of, listener, loopback, outcome, scenario, settled

TCP = socket.IPPROTO_TCP
TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT = 1, 2, 3, 4, 5, 6, 7
TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_INFO, TCP_QUICKACK, TCP_CONGESTION, TCP_USER_TIMEOUT = 8, 9, 11, 12, 13, 18
TCP_NOTSENT_LOWAT = 25
SIOCATMARK, SIOCOUTQ, SIOCOUTQNSD = 0x8905, 0x5411, 0x894B


def info(sock: socket.socket, size: int = 104) -> bytes:
    return sock.getsockopt(TCP, TCP_INFO, size)


def number(sock: socket.socket, request: int) -> int:
    word = fcntl.ioctl(sock, request, struct.pack("i", -1))
    return int(struct.unpack("i", word)[0])


@scenario
def tcp_option_ranges(version: int) -> Any:
    """What each option takes, and what it then says."""
    seen = []
    for option in (
        *(TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2),
        *(TCP_DEFER_ACCEPT, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT),
    ):
        for value in (-1, 0, 1, 5, 127, 128, 32767, 32768, 70000, 1 << 30):
            with socket.socket(family_of(version)) as sock:
                result = outcome(sock.setsockopt, TCP, option, value)
                seen.append((option, value, result, outcome(sock.getsockopt, TCP, option)))
    return seen


@scenario
def tcp_options_of_a_connection(version: int) -> Any:
    """Set before, read after; and children get them from their listener."""
    with listener(version) as server:
        server.setsockopt(TCP, TCP_KEEPIDLE, 11)
        server.setsockopt(TCP, TCP_USER_TIMEOUT, 12345)
        server.setsockopt(TCP, TCP_NODELAY, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        client = socket.create_connection(server.getsockname()[:2])
        child, _ = server.accept()
        with client, child:
            options = (TCP_KEEPIDLE, TCP_USER_TIMEOUT, TCP_NODELAY, TCP_CORK, TCP_DEFER_ACCEPT)
            return [
                [child.getsockopt(TCP, option) for option in options],
                child.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                child.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8),
                [client.getsockopt(TCP, option) for option in options],
            ]


@scenario
def tcp_maxseg(version: int) -> Any:
    """A smaller segment size, asked for by either side, holds for both directions."""
    seen = []
    for side in ("client", "server"):
        with listener(version) as server, socket.socket(family_of(version)) as client:
            (client if side == "client" else server).setsockopt(TCP, TCP_MAXSEG, 600)
            client.connect(server.getsockname()[:2])
            child, _ = server.accept()
            with child:
                child.sendall(bytes(10_000))
                got = client.recv(10_000, socket.MSG_WAITALL)
                # 12 bytes of timestamps are off; and what the peer asked for is not exceeded
                seen.append(
                    (len(got), client.getsockopt(TCP, TCP_MAXSEG) <= 600, child.getsockopt(TCP, TCP_MAXSEG) <= 600)
                )
    return seen


@scenario
def tcp_maxseg_in_every_state(version: int) -> Any:
    """What is read, and what setting changes, before a connection, in it and after it, also one that failed."""

    def size(sock: socket.socket) -> int:
        return sock.getsockopt(TCP, TCP_MAXSEG)

    seen: list[Any] = []
    for user in (0, 600, 20_000):

        def made(user: int = user) -> socket.socket:
            sock = socket.socket(family_of(version))
            sock.setsockopt(TCP, TCP_MAXSEG, user)
            return sock

        with listener(version) as server, made() as client:
            seen.append((user, size(server), size(client)))
            client.connect(server.getsockname()[:2])
            child, _ = server.accept()
            with child:
                seen.append((size(client), size(child), size(server)))
                client.setsockopt(TCP, TCP_MAXSEG, 500)
                seen.append(size(client))
                client.shutdown(socket.SHUT_WR)
                seen.append((size(client), size(child)))
                child.shutdown(socket.SHUT_WR)
                settled(client, select.POLLHUP)
                settled(child, select.POLLHUP)
                seen.append(size(client))
                seen.append((outcome(client.setsockopt, TCP, TCP_MAXSEG, 700), size(client)))
                seen.append((outcome(client.setsockopt, TCP, TCP_MAXSEG, 0), size(client) > 536))
        with listener(version) as server, made() as client:
            client.connect(server.getsockname()[:2])
            child, _ = server.accept()
            child.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            child.close()
            settled(client, select.POLLHUP)
            seen.append((size(client), client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), size(client)))
        with made() as client:
            seen.append((client.connect_ex((loopback(version), 1)), size(client)))
        with made() as client:
            client.setblocking(False)
            client.connect_ex((loopback(version), 1))
            settled(client, select.POLLHUP)
            seen.append(size(client))
        with made() as server:
            server.bind((loopback(version), 0))
            server.listen()
            with socket.create_connection(server.getsockname()[:2]) as client:
                child, _ = server.accept()
                seen.append((size(server), size(client), size(child)))
                child.close()
    return seen


@scenario
def tcp_cork(version: int) -> Any:
    """Corked small writes stay until the cork is drawn, or 200 ms."""
    client, child = connection(version)
    with client, child:
        child.settimeout(5)
        client.setsockopt(TCP, TCP_CORK, 1)
        client.send(b"one")
        client.send(b"two")
        early = bool(select.select([child], [], [], 0.05)[0])
        client.setsockopt(TCP, TCP_CORK, 0)
        drawn = child.recv(100)
        client.setsockopt(TCP, TCP_CORK, 1)
        client.send(b"left alone")
        began = time.monotonic()
        late = child.recv(100)
        waited = time.monotonic() - began
        client.send(b"with MSG_MORE off", 0)
        client.setsockopt(TCP, TCP_NODELAY, 1)
        return early, drawn, late, 0.1 < waited < 1.0


@scenario
def tcp_msg_more(version: int) -> Any:
    client, child = connection(version)
    with client, child:
        child.settimeout(5)
        client.send(b"head", socket.MSG_MORE)
        early = bool(select.select([child], [], [], 0.05)[0])
        client.send(b"tail")
        return early, child.recv(100)


@scenario
def tcp_notsent_lowat(version: int) -> Any:
    """Writable only while little is unsent, though the buffer has room."""
    client, child = connection(version)
    with client, child:
        client.setblocking(False)
        client.setsockopt(TCP, TCP_NOTSENT_LOWAT, 1)
        total = 0
        while select.select([], [client], [], 0.05)[1]:
            total += client.send(bytes(65536))
        held = total
        while not select.select([], [client], [], 0.05)[1]:
            child.recv(1 << 20)
        return held > 0, number(client, SIOCOUTQNSD) <= number(client, SIOCOUTQ)


@scenario
def tcp_defer_accept(version: int) -> Any:
    """A connection without data does not wake the server; data do, and are there at once."""
    with listener(version) as server:
        server.setsockopt(TCP, TCP_DEFER_ACCEPT, 10)
        with socket.create_connection(server.getsockname()[:2]) as client:
            quiet = select.select([server], [], [], 0.1)[0]
            client.sendall(b"request")
            select.select([server], [], [], 5)
            child, _ = server.accept()
            with child:
                child.setblocking(False)
                return quiet, outcome(child.recv, 100), server.getsockopt(TCP, TCP_DEFER_ACCEPT)


@scenario
def tcp_linger(version: int) -> Any:
    """Zero resets; a time waits for the peer's acknowledgment; what is unread resets too."""
    seen: list[Any] = []
    for linger in (struct.pack("ii", 1, 0), struct.pack("ii", 1, 5), struct.pack("ii", 0, 0)):
        client, child = connection(version)
        with child:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.send(b"last words")
            select.select([child], [], [], 5)
            began = time.monotonic()
            client.close()
            seen.append((outcome(child.recv, 100), outcome(child.recv, 100), time.monotonic() - began < 2))
    client, child = connection(version)
    with client:
        client.send(b"never read")
        select.select([child], [], [], 5)
        child.close()
        settled(client, select.POLLIN | select.POLLHUP)
        seen.append((outcome(client.recv, 100), outcome(client.send, b"x")))
    return seen


@scenario
def tcp_linger_waits_in_vain(version: int) -> Any:
    """A blocking close with a peer that does not read, whose window is closed."""
    client, child = connection(version)
    with child:
        client.setblocking(False)
        try:
            while True:
                client.send(bytes(1 << 20))
        except BlockingIOError:
            pass
        client.setblocking(True)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        began = time.monotonic()
        client.close()
        return 0.8 < time.monotonic() - began < 3


@scenario
def tcp_half_close(version: int) -> Any:
    """One direction ends, the other goes on; both ways of shutting down."""
    client, child = connection(version)
    with client, child:
        client.shutdown(socket.SHUT_WR)
        seen = [child.recv(10), outcome(client.send, b"x")]
        child.sendall(b"still here")
        seen.append(client.recv(100))
        child.shutdown(socket.SHUT_RD)
        seen.append(outcome(client.shutdown, socket.SHUT_RD))
        seen.append(outcome(client.recv, 10))
        seen.append(outcome(child.send, b"more"))
        time.sleep(0.05)  # RFC 1122 4.2.2.13: nobody can read that, so it is reset
        seen.append(outcome(client.shutdown, socket.SHUT_RDWR))
        seen.append(outcome(child.shutdown, socket.SHUT_WR) is not None)
    return seen


@scenario
def tcp_urgent(version: int) -> Any:
    """Out of line: the mark stops a read, the byte comes by MSG_OOB, once; a second mark replaces the first."""
    client, child = connection(version)
    with client, child:
        seen: list[Any] = [outcome(child.recv, 1, socket.MSG_OOB), number(child, SIOCATMARK)]
        client.send(b"before")
        client.send(b"!", socket.MSG_OOB)
        client.send(b"after")
        settled(child, select.POLLPRI)
        while number(child, termios.FIONREAD) < 6:
            time.sleep(0.01)
        time.sleep(0.1)
        seen.append((child.recv(100), number(child, SIOCATMARK)))
        seen.append((child.recv(1, socket.MSG_OOB), outcome(child.recv, 1, socket.MSG_OOB)))
        seen.append((child.recv(100), number(child, SIOCATMARK)))
        client.send(b"ab", socket.MSG_OOB)  # the last byte is the urgent one
        client.send(b"c", socket.MSG_OOB)  # and makes the one before an ordinary one
        time.sleep(0.1)
        seen.append(child.recv(1, socket.MSG_OOB))
        seen.append((child.recv(100), number(child, SIOCATMARK)))
    return seen


@scenario
def tcp_urgent_peeked_and_inline(version: int) -> Any:
    client, child = connection(version)
    with client, child:
        seen: list[Any] = []
        client.send(b"x!", socket.MSG_OOB)
        settled(child, select.POLLPRI)
        time.sleep(0.05)
        seen.append((child.recv(1, socket.MSG_OOB | socket.MSG_PEEK), child.recv(1, socket.MSG_OOB)))
        seen.append(child.recv(10))
        child.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        client.send(b"y!z", socket.MSG_OOB)
        settled(child, select.POLLPRI)
        time.sleep(0.05)
        seen.append(outcome(child.recv, 1, socket.MSG_OOB))
        seen.append((child.recv(10), number(child, SIOCATMARK), child.recv(10), number(child, SIOCATMARK)))
    return seen


@scenario
def tcp_quickack_and_congestion(version: int) -> Any:
    client, child = connection(version)
    with client, child:
        seen: list[Any] = [client.getsockopt(TCP, TCP_QUICKACK)]
        client.setsockopt(TCP, TCP_QUICKACK, 0)
        seen.append(client.getsockopt(TCP, TCP_QUICKACK))
        client.setsockopt(TCP, TCP_QUICKACK, 1)
        seen.append(client.getsockopt(TCP, TCP_QUICKACK))
        for name in (b"reno", b"cubic", b"no such", b""):
            seen.append(outcome(client.setsockopt, TCP, TCP_CONGESTION, name))
            seen.append(client.getsockopt(TCP, TCP_CONGESTION, 16).rstrip(b"\0"))
    return seen


@scenario
def tcp_info_layout(version: int) -> Any:
    """Fields of struct tcp_info whose values do not depend on speed, by offset (linux/tcp.h)."""
    client, child = connection(version)
    with client, child:
        for _ in range(3):
            client.sendall(bytes(1000))
            child.recv(1000, socket.MSG_WAITALL)
        time.sleep(0.3)
        data = info(client, 232)
        state, ca_state, retransmits, probes, backoff, options = data[:6]
        words = struct.unpack_from("24I", data, 8)
        names = ("rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets")
        table = dict(zip(names, words, strict=False))
        bytes_acked, bytes_received = struct.unpack_from("QQ", data, 120)
        segments_out, segments_in = struct.unpack_from("II", data, 136)
        data_in, data_out = struct.unpack_from("II", data, 152)
        return (
            (state, ca_state, retransmits, probes, backoff, options & 7),
            [table[name] for name in ("unacked", "sacked", "lost", "retrans", "fackets")],
            200_000 <= table["rto"] < 1_000_000,
            words[18] > 1,  # snd_cwnd
            (bytes_acked, bytes_received, data_in, data_out),
            (segments_out >= 4, segments_in >= 3),
            [len(info(client, size)) for size in (1, 8, 104, 192)],
            outcome(client.setsockopt, TCP, TCP_INFO, bytes(104)),
        )


@scenario
def tcp_keepalive_options(version: int) -> Any:
    with socket.socket(family_of(version)) as sock:
        seen = [sock.getsockopt(TCP, option) for option in (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT)]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 7)
        seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    return seen


@scenario
def tcp_keepalive_of_a_living_peer(version: int) -> Any:
    """Probes that are answered end nothing."""
    client, child = connection(version)
    with client, child:
        for option in (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT):
            client.setsockopt(TCP, option, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        time.sleep(3.5)
        child.send(b"alive")
        return client.recv(10)


@scenario
def reuse_of_addresses(version: int) -> Any:
    """SO_REUSEADDR lets a server come back; two listeners need SO_REUSEPORT, both of them."""
    seen = []
    for first, second in (("", ""), ("a", "a"), ("p", "p"), ("p", ""), ("ap", "p")):
        socks = []
        port = 0
        for letters in (first, second):
            sock = socket.socket(family_of(version))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, "a" in letters)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, "p" in letters)
            socks.append(sock)
            seen.append(outcome(sock.bind, (loopback(version), port)))
            port = socks[0].getsockname()[1]
            seen.append(outcome(sock.listen))
        for sock in socks:
            sock.close()
    server = listener(version)
    client = socket.create_connection(server.getsockname()[:2])
    child, _ = server.accept()
    name = server.getsockname()[:2]
    server.close()
    child.close()  # TIME-WAIT is on the server's side
    client.close()
    for reuse in (0, 1):
        with socket.socket(family_of(version)) as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            seen.append(outcome(again.bind, name))
    return seen


@scenario
def reuseport_balances(version: int) -> Any:
    """Connections to one port are spread over its listeners, none is lost, and the same flow goes the same way."""
    servers = []
    port = 0
    for _ in range(4):
        server = socket.socket(family_of(version))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((loopback(version), port))
        port = server.getsockname()[1]
        server.listen(200)
        server.setblocking(False)
        servers.append(server)
    clients = [socket.create_connection((loopback(version), port)) for _ in range(120)]
    time.sleep(0.2)
    counts = []
    for server in servers:
        count = 0
        while not isinstance(accepted := outcome(server.accept), tuple) or not isinstance(accepted[0], str):
            accepted[0].close()
            count += 1
        counts.append(count)
        server.close()
    for client in clients:
        client.close()
    return sum(counts), all(10 <= count <= 60 for count in counts)


@scenario
def refused_and_shut(version: int) -> Any:
    """Errors of connecting to nobody, of listening twice, of accepting where nothing listens."""
    with listener(version) as server:
        name = server.getsockname()[:2]
    seen: list[Any] = []
    with socket.socket(family_of(version)) as sock:
        seen.append(outcome(sock.connect, name))
        seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        seen.append(outcome(sock.accept))
        seen.append(outcome(sock.shutdown, socket.SHUT_RD))
        seen.append(outcome(sock.send, b"x"))
        seen.append(outcome(sock.recv, 1))
    client, child = connection(version)
    with client, child:
        seen.append(outcome(client.connect, name))
        seen.append(outcome(client.listen))
        seen.append(errno.errorcode[errno.EISCONN])
    return seen
