"""Small programs whose results must be the same on the kernel and on a simulated host: each returns what it saw."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

SCENARIOS: dict[str, Callable[[int], Any]] = {}


def scenario(function: Callable[[int], Any]) -> Callable[[int], Any]:
    SCENARIOS[function.__name__] = function
    return function


def family_of(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def loopback(version: int) -> str:
    return "127.0.0.1" if version == 4 else "::1"


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """Result, or the kind of exception and errno."""
    try:
        return call(*args)
    except OSError as error:
        return type(error).__name__, error.errno
    except (ValueError, TypeError, OverflowError) as error:
        return type(error).__name__


def listener(version: int) -> socket.socket:
    sock = socket.socket(family_of(version))
    sock.bind((loopback(version), 0))
    sock.listen()
    return sock


def connection(version: int) -> tuple[socket.socket, socket.socket]:
    with listener(version) as server:
        client = socket.create_connection(server.getsockname()[:2])
        return client, server.accept()[0]


def bits(sock: Any, events: int = 0x3FFF) -> int:
    """What poll shows at once, without the bits that only some kernels have."""
    poll = select.poll()
    poll.register(sock, events & (select.POLLIN | select.POLLOUT | select.POLLRDHUP | select.POLLPRI))
    found = poll.poll(0)
    return found[0][1] if found else 0


def settled(sock: Any, wanted: int) -> int:
    """Bits once at least one of `wanted` shows."""
    poll = select.poll()
    poll.register(sock, wanted)
    poll.poll(5000)
    return bits(sock)


@scenario
def identity(version: int) -> Any:
    seen: list[Any] = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        sock = socket.socket(family_of(version), kind)
        seen.append((sock.family, sock.type, sock.proto, sock.gettimeout(), sock.getblocking(), sock.fileno() >= 0))
        seen.append([sock.getsockopt(socket.SOL_SOCKET, option) for option in (3, 4, 30, 38, 39)])
        seen.append(sock.getsockname()[:2])
        seen.append(outcome(sock.getpeername))
        sock.close()
        seen.append((sock.fileno(), sock.family, sock.type, outcome(sock.getsockname), outcome(sock.recv, 1)))
    seen.append(socket.socket(family_of(version), socket.SOCK_STREAM | socket.SOCK_NONBLOCK).gettimeout())
    seen.append(socket.socket(family_of(version), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC).type)
    return seen


@scenario
def wrong_calls(version: int) -> Any:
    family, host = family_of(version), loopback(version)
    tcp, udp = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
    other = "::1" if version == 4 else "127.0.0.1"
    return [
        outcome(socket.socket, 999),
        outcome(socket.socket, family, 77),
        outcome(socket.socket, family, socket.SOCK_STREAM, socket.IPPROTO_UDP),
        outcome(tcp.bind, host),
        outcome(tcp.bind, (host,)),
        outcome(tcp.bind, (host, 70_000)),
        outcome(tcp.bind, (host, "80")),
        outcome(tcp.bind, (3, 80)),
        outcome(tcp.bind, (other, 0))[0],
        outcome(tcp.bind, ("192.0.2.1" if version == 4 else "2001:db8::1", 0)),
        outcome(tcp.accept),
        outcome(tcp.recv, 10),
        outcome(tcp.recv, -1),
        outcome(tcp.send, b"x"),
        outcome(tcp.shutdown, socket.SHUT_RDWR),
        outcome(tcp.getpeername),
        outcome(tcp.setsockopt, 1, 9999, 1),
        outcome(tcp.setsockopt, 777, 1, 1),
        outcome(tcp.getsockopt, socket.IPPROTO_TCP, 9999),
        outcome(tcp.setsockopt, socket.SOL_SOCKET, socket.SO_TYPE, 1),
        outcome(tcp.settimeout, -1),
        outcome(udp.listen),
        outcome(udp.accept),
        outcome(udp.send, b"x"),
        outcome(socket.socket(family, socket.SOCK_DGRAM).shutdown, socket.SHUT_RDWR),
        outcome(udp.sendto, b"x"),
        outcome(udp.sendto, b"x" * 70_000, (host, 9)),
        outcome(udp.sendto, b"x", (host, 0)),
        outcome(udp.sendto, b"x", 0, 0, (host, 9)),
        outcome(tcp.connect, (host, 1)),
        outcome(socket.socket(family).connect_ex, (host, 1)),
        outcome(socket.socket, -1, -1, -1, 1 << 30),
    ]


@scenario
def binding(version: int) -> Any:
    family, host = family_of(version), loopback(version)
    seen = []
    first = socket.socket(family)
    first.bind((host, 0))
    port = first.getsockname()[1]
    seen += [outcome(first.bind, (host, 0)), outcome(socket.socket(family).bind, (host, port))]
    for reuse in (False, True):
        second = socket.socket(family)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        seen.append(
            (bool(second.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)), outcome(second.bind, (host, port)))
        )
    one, other = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    for sock in (one, other):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((host, 0))
    seen.append(outcome(other.bind, one.getsockname()[:2]))
    seen.append(outcome(socket.socket(family, socket.SOCK_DGRAM).bind, one.getsockname()[:2]))
    return seen


@scenario
def non_blocking_connect(version: int) -> Any:
    with listener(version) as server:
        sock = socket.socket(family_of(version))
        seen = [bits(sock), bits(server)]
        sock.setblocking(False)
        seen.append(sock.connect_ex(server.getsockname()[:2]) in (errno.EINPROGRESS, 0))
        seen.append(settled(sock, select.POLLOUT))
        seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        seen.append(outcome(sock.recv, 1))
        seen.append(settled(server, select.POLLIN))
        server.setblocking(False)
        server.accept()
        seen.append(outcome(server.accept))
        refused = socket.socket(family_of(version))
        refused.setblocking(False)
        seen.append(refused.connect_ex((loopback(version), 1)) in (errno.EINPROGRESS, errno.ECONNREFUSED))
        seen.append(settled(refused, select.POLLOUT) & ~select.POLLRDHUP & ~select.POLLIN)
        refused.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        seen.append(outcome(refused.send, b"x"))
        return seen


@scenario
def end_of_stream(version: int) -> Any:
    one, other = connection(version)
    seen: list[Any] = [bits(one), bits(other)]
    one.send(b"last words")
    one.shutdown(socket.SHUT_WR)
    seen += [outcome(one.send, b"more"), bits(one)]
    seen.append(settled(other, select.POLLRDHUP))
    seen += [other.recv(4, socket.MSG_PEEK), other.recv(100), other.recv(100), other.recv(100)]
    seen.append(other.send(b"still"))
    seen += [one.recv(3), one.recv(100)]
    other.close()
    seen += [one.recv(100), settled(one, select.POLLRDHUP)]
    seen.append(outcome(one.getpeername)[0] if isinstance(outcome(one.getpeername), tuple) else "")
    one.close()
    return seen


@scenario
def reset(version: int) -> Any:
    one, other = connection(version)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    seen: list[Any] = [struct.unpack("ii", one.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))]
    one.close()
    seen.append(settled(other, select.POLLIN))
    seen += [outcome(other.recv, 10), outcome(other.recv, 10), outcome(other.send, b"x")]
    one, other = connection(version)
    other.send(b"unread")
    settled(one, select.POLLIN)
    one.close()
    settled(other, select.POLLRDHUP)
    seen += [outcome(other.recv, 10)]
    return seen


@scenario
def flags(version: int) -> Any:
    one, other = connection(version)
    one.sendall(b"abcdefgh")
    settled(other, select.POLLIN)
    seen = [
        other.recv(3, socket.MSG_PEEK),
        other.recv(3),
        other.recv(2, socket.MSG_DONTWAIT),
        struct.unpack("i", fcntl.ioctl(other, termios.FIONREAD, bytes(4)))[0],
        other.recv(3, socket.MSG_WAITALL),
        outcome(other.recv, 1, socket.MSG_DONTWAIT),
        other.recv(0, socket.MSG_DONTWAIT) if version == 0 else b"",
        outcome(other.recv, 1, socket.MSG_OOB),
        one.send(b"!", socket.MSG_OOB),
    ]
    seen.append(settled(other, select.POLLPRI) & select.POLLPRI)
    seen += [other.recv(1, socket.MSG_OOB), outcome(other.recv, 1, socket.MSG_OOB)]
    return seen


@scenario
def urgent_inline(version: int) -> Any:
    one, other = connection(version)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    one.send(b"ab")
    one.send(b"c", socket.MSG_OOB)
    one.send(b"d")
    settled(other, select.POLLPRI)
    data = b""
    while len(data) < 4:
        data += other.recv(10)
    return data, outcome(other.recv, 1, socket.MSG_OOB)


@scenario
def messages(version: int) -> Any:
    one, other = connection(version)
    sent = one.sendmsg([b"ab", bytearray(b"cd"), memoryview(b"ef")])
    first, second = bytearray(2), bytearray(10)
    settled(other, select.POLLIN)
    count, control, shown, address = other.recvmsg_into([first, second])
    buffer = bytearray(b"......")
    one.send(b"xyz")
    into = other.recv_into(memoryview(buffer)[1:], 2)
    rest = other.recvfrom(10)
    return sent, count, bytes(first), bytes(second[:4]), control, shown, address, into, bytes(buffer), rest


@scenario
def datagrams(version: int) -> Any:
    family, host = family_of(version), loopback(version)
    one, other = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    seen: list[Any] = [bits(one)]
    other.bind((host, 0))
    name = other.getsockname()[:2]
    seen.append(one.sendto(b"0123456789", name))
    seen.append(settled(other, select.POLLIN))
    seen += [other.recvfrom(4, socket.MSG_PEEK)[0], other.recvmsg(4)[0]]
    one.sendto(b"0123456789", name)
    settled(other, select.POLLIN)
    data, _, shown, _ = other.recvmsg(4)
    seen.append((data, bool(shown & socket.MSG_TRUNC)))
    one.sendto(b"", name)
    settled(other, select.POLLIN)
    seen.append((other.recvfrom(10)[0], outcome(other.recv, 1, socket.MSG_DONTWAIT)))
    one.connect(name)
    seen += [one.getpeername()[:2] == name, one.send(b"connected"), one.sendto(b"elsewhere", name)]
    other.close()
    one.send(b"nobody")
    seen.append(settled(one, select.POLLIN))
    seen.append(outcome(one.recv, 10))
    seen.append(outcome(one.recv, 10, socket.MSG_DONTWAIT))
    return seen


@scenario
def packet_information(version: int) -> Any:
    family, host = family_of(version), loopback(version)
    one, other = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    other.bind(("", 0))
    level, options = (
        (socket.IPPROTO_IP, (8, socket.IP_RECVTTL if hasattr(socket, "IP_RECVTTL") else 12, socket.IP_RECVTOS))
        if version == 4
        else (socket.IPPROTO_IPV6, (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS))
    )
    for option in options:
        other.setsockopt(level, option, 1)
    one.setsockopt(level, socket.IP_TTL if version == 4 else socket.IPV6_UNICAST_HOPS, 33)
    one.setsockopt(level, socket.IP_TOS if version == 4 else socket.IPV6_TCLASS, 0x10)
    one.sendto(b"x", (host, other.getsockname()[1]))
    _, control, shown, _ = other.recvmsg(10, 200)
    one.sendto(b"y", (host, other.getsockname()[1]))
    short = other.recvmsg(10, 24)
    return sorted(control), shown, len(short[1]), bool(short[2] & socket.MSG_CTRUNC)


@scenario
def transmit_timestamps(version: int) -> Any:
    """Kinds, numbers and plausible times of SO_TIMESTAMPING, with SOF_TIMESTAMPING_OPT_TSONLY."""
    seen: list[Any] = []
    client, server = connection(version)
    option = 37
    wanted = 0x100 | 0x2 | 0x200 | 0x10 | 0x80 | 0x800
    fresh = socket.socket(family_of(version))
    seen.append(outcome(fresh.setsockopt, socket.SOL_SOCKET, option, 0x80))
    fresh.close()
    client.setsockopt(socket.SOL_SOCKET, option, wanted)
    seen.append(client.getsockopt(socket.SOL_SOCKET, option))
    began = time.time()
    for size in (1, 40, 300):
        client.sendall(bytes(size))
        server.recv(size, socket.MSG_WAITALL)
        settled(client, select.POLLERR)
        seen.append(sorted(_stamps(client, began)))
    with (
        socket.socket(family_of(version), socket.SOCK_DGRAM) as sock,
        socket.socket(family_of(version), socket.SOCK_DGRAM) as peer,
    ):
        peer.bind((loopback(version), 0))
        sock.connect(peer.getsockname()[:2])
        sock.setsockopt(socket.SOL_SOCKET, option, wanted)
        for _ in range(3):
            sock.send(b"x")
            settled(sock, select.POLLERR)
            seen.append(sorted(_stamps(sock, began)))
    client.close()
    server.close()
    return seen


def _stamps(sock: socket.socket, began: float) -> list[tuple[int, int, bool, int]]:
    """(kind, number, whether the time is right, flags) of all notifications that can be read soon."""
    found: list[Any] = []
    for _ in range(100):
        try:
            data, control, flags, _ = sock.recvmsg(0, 512, 0x2000)
        except BlockingIOError:
            if len(found) >= (3 if sock.type == socket.SOCK_STREAM else 2):
                break
            time.sleep(0.001)
            continue
        (_, kind, times), (_, _, extended) = control
        seconds, nanoseconds = struct.unpack_from("=qq", times)
        number, origin, _, _, _, info, value = struct.unpack_from("=IBBBBII", extended)
        right = (data, kind, number, origin) == (b"", 37, errno.ENOMSG, 4)
        right = right and began - 0.1 <= seconds + nanoseconds / 1e9 <= time.time() + 0.1
        found.append((info, value, right, int(flags)))
    return found


@scenario
def error_queue(version: int) -> Any:
    sock = socket.socket(family_of(version), socket.SOCK_DGRAM)
    level, option = (socket.IPPROTO_IP, 11) if version == 4 else (socket.IPPROTO_IPV6, 25)
    sock.setsockopt(level, option, 1)
    closed = socket.socket(family_of(version), socket.SOCK_DGRAM)
    closed.bind((loopback(version), 0))
    name = closed.getsockname()[:2]
    closed.close()
    seen: list[Any] = [outcome(sock.recvmsg, 10, 100, 0x2000 | socket.MSG_DONTWAIT)]
    sock.sendto(b"nobody is there", name)
    seen.append(settled(sock, select.POLLIN))
    data, control, shown, address = sock.recvmsg(100, 200, 0x2000)
    seen += [data, [(one, other, raw[:16]) for one, other, raw in control]]
    seen += [shown & ~socket.MSG_TRUNC, address[:2] == name]
    seen += [bits(sock), outcome(sock.recv, 1, socket.MSG_DONTWAIT)]
    return seen


@scenario
def interface_requests(version: int) -> Any:
    sock = socket.socket(family_of(version), socket.SOCK_DGRAM)

    def ask(request: int, name: bytes = b"lo") -> Any:
        return outcome(lambda: fcntl.ioctl(sock, request, name.ljust(40, b"\0"))[16:24])

    address, netmask, mtu, index, hardware = 0x8915, 0x891B, 0x8921, 0x8933, 0x8927
    seen = [ask(address), ask(netmask), ask(index), ask(hardware), ask(index, b"nonsense0")]
    seen.append(len(ask(mtu)))
    seen.append((1, "lo") in socket.if_nameindex())
    return seen


@scenario
def option_values(version: int) -> Any:
    tcp, udp = socket.socket(family_of(version)), socket.socket(family_of(version), socket.SOCK_DGRAM)
    seen: list[Any] = []
    for sock, level, option, values in (
        (tcp, socket.SOL_SOCKET, socket.SO_KEEPALIVE, (0, 1)),
        (tcp, socket.SOL_SOCKET, socket.SO_REUSEADDR, (0, 5)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_NODELAY, (0, 1, 7)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, (10, 0, 40_000)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, (5,)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_KEEPCNT, (3, 200)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_SYNCNT, (2, 0)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (5000,)),
        (tcp, socket.IPPROTO_TCP, socket.TCP_CORK, (1, 0)),
        (udp, socket.SOL_SOCKET, socket.SO_BROADCAST, (0, 1)),
        (udp, socket.SOL_SOCKET, socket.SO_RCVBUF, (1, 10_000)),
        (udp, socket.SOL_SOCKET, socket.SO_SNDBUF, (1, 10_000)),
        (udp, socket.SOL_SOCKET, socket.SO_PRIORITY, (3,)),
    ):
        seen.append((option, outcome(sock.getsockopt, level, option) if option not in (7, 8) else None))
        for value in values:
            result = outcome(sock.setsockopt, level, option, value)
            seen += [(option, value, result), sock.getsockopt(level, option)]
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 1, 500_000))
    seen.append(struct.unpack("qq", tcp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)))
    seen.append(tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 2))
    seen.append(outcome(tcp.setsockopt, socket.SOL_SOCKET, socket.SO_LINGER, 1))
    if version == 6:
        seen.append(outcome(tcp.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1))
        seen.append(tcp.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        seen.append(outcome(tcp.connect, ("::ffff:127.0.0.1", 1)))
    return seen


@scenario
def receive_timeout_of_the_kernel(version: int) -> Any:
    one, _ = connection(version)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 20_000))
    return outcome(one.recv, 1), one.gettimeout()


@scenario
def tcp_info(version: int) -> Any:
    one, _ = connection(version)
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return len(info), info[0], info[1], info[2]


@scenario
def duplicates(version: int) -> Any:
    one, other = connection(version)
    copy = one.dup()
    one.close()
    seen: list[Any] = [copy.send(b"from the copy"), other.recv(100), outcome(other.recv, 1, socket.MSG_DONTWAIT)]
    number = copy.detach()
    again = socket.socket(fileno=number)
    seen += [
        copy.fileno(),
        again.family,
        again.type,
        outcome(copy.send, b"x"),
        again.send(b"detached"),
        other.recv(100),
    ]
    again.setblocking(False)
    seen.append((os.get_blocking(number), outcome(os.read, number, 10)))
    os.set_blocking(number, True)
    os.write(number, b"by descriptor")
    seen += [other.recv(100), other.send(b"back"), os.read(number, 100)]
    third = os.dup(number)
    again.close()
    seen.append((outcome(os.write, number, b"x"), os.write(third, b"y"), other.recv(10)))
    os.close(third)
    seen += [other.recv(10), outcome(os.close, third)]
    return seen


@scenario
def files(version: int) -> Any:
    one, other = connection(version)
    with one.makefile("rw", newline="\n") as text, other.makefile("rwb") as raw:
        text.write("line one\nline two\n")
        text.flush()
        seen: list[Any] = [raw.readline(), raw.readline()]
        raw.write(b"answer\n")
        raw.flush()
        seen.append(text.readline())
        one.close()
        seen.append(one.fileno() >= 0)
    seen.append((one.fileno() >= 0, other.recv(10)))
    return seen


@scenario
def sendfile(version: int) -> Any:
    one, other = connection(version)
    with open(__file__, "rb") as file:
        content = file.read()
        count = one.sendfile(file, 100, 2000)
    received = b""
    while len(received) < 2000:
        received += other.recv(4096)
    return count, received == content[100:2100]


# Local sockets and pipes (the version does not matter).


@scenario
def names(version: int) -> Any:
    family, host = family_of(version), loopback(version)

    def resolve(*args: Any) -> Any:
        try:
            return [(answer[0], answer[1], answer[2], answer[4]) for answer in socket.getaddrinfo(*args)]
        except socket.gaierror as error:
            return error.errno
        except OSError as error:
            return type(error).__name__

    numeric, passive = socket.AI_NUMERICHOST, socket.AI_PASSIVE
    return [
        resolve(host, 80, 0, socket.SOCK_STREAM),
        resolve(host, "80", family),
        resolve(host, "http", family, socket.SOCK_STREAM),
        resolve(host, None, family, socket.SOCK_DGRAM),
        resolve(None, 80, family, socket.SOCK_STREAM),
        resolve(None, 80, family, socket.SOCK_STREAM, 0, passive),
        resolve(host, 80, socket.AF_INET6 if version == 4 else socket.AF_INET),
        resolve("name.invalid", 80, 0, 0, 0, numeric),
        resolve(host, "nonsense-service", family, socket.SOCK_STREAM),
        resolve(host, 80, 999),
        resolve(None, None),
        resolve("127.1", 80, socket.AF_INET, socket.SOCK_STREAM),
        socket.getnameinfo((host, 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
        socket.getservbyname("https", "tcp"),
        socket.getservbyport(80, "tcp"),
        outcome(socket.getservbyname, "nonsense-service")[0],
        socket.getprotobyname("udp"),
        socket.inet_pton(family, host),
        socket.if_nametoindex("lo"),
        socket.if_indextoname(1),
        outcome(socket.if_nametoindex, "nonsense0")[0],
    ]
