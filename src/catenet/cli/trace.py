"""catenet trace: the routers on the way to an address, and with --mtu what passes on it."""

from __future__ import annotations

import argparse
import errno
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from catenet.cli import UsageError
from catenet.cli.arguments import duration
from catenet.cli.reach.arguments import add_target
from catenet.cli.reach.echo import DO, HEADER, PROBE, Echo
from catenet.cli.reach.errors import ProbeError, next_error
from catenet.cli.reach.target import Target, path_mtu, resolve
from catenet.printable import complain, printable, say

__all__ = ["Answer", "EchoProbes", "Hop", "Probes", "UdpProbes", "register", "run"]

EPILOG: Final = """
examples:
  catenet trace example.net
  catenet trace --icmp -q 1 -n 10.0.0.1
  catenet trace --mtu example.net                       the path MTU, and which router has told of it

Probes are UDP datagrams to ports that nobody serves, for which no privilege is needed; --icmp sends echo requests, as
catenet ping. Status: 1 when the address was not reached.
"""
FIRST_PORT: Final = 33_434
"""traceroute's; one port for each probe."""
MOST_PROBES: Final = 10
UDP_HEADER: Final = 8
DATA: Final = 32


@dataclass(slots=True)
class Answer:
    """What came of one probe; without a source nothing did."""

    source: str | None = None
    seconds: float = 0.0
    reached: bool = False
    problem: str = ""
    """What else the answer says, of one that is neither a hop nor the end."""
    mtu: int = 0


@dataclass(slots=True)
class Hop:
    """The answers to the probes of one hop limit."""

    limit: int
    answers: list[Answer] = field(default_factory=list)

    @property
    def is_last(self) -> bool:
        """Whether there is nothing behind it."""
        return any(answer.reached or (answer.problem and not answer.mtu) for answer in self.answers)


class Probes:
    """Sends probes of one kind and says what comes of them."""

    def __init__(self, target: Target, size: int | None) -> None:
        self.target = target
        self.size = size
        """Bytes of whole packets, that may not be cut; None for short ones."""

    def limit(self, hops: int) -> None:
        """Set the hop limit."""
        raise NotImplementedError

    def send(self, number: int) -> None:
        """Send a probe; OSError."""
        raise NotImplementedError

    def receive(self, until: float) -> tuple[int, Answer] | None:
        """The next answer and the number of its probe, its time yet to be taken; None when there is none by then."""
        raise NotImplementedError

    def data(self, header: int) -> bytes:
        """What a probe carries."""
        room = DATA if self.size is None else self.size - self.target.kind.header - header
        return bytes(max(0, room))


class UdpProbes(Probes):
    """Datagrams to ports that nobody serves; errors come by the socket's error queue."""

    def __init__(self, target: Target, size: int | None, stack: ExitStack) -> None:
        super().__init__(target, size)
        kind = target.kind
        self._sock = sock = stack.enter_context(socket.socket(kind.family, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.setsockopt(kind.level, kind.receive_errors, 1)
        sock.setsockopt(kind.level, kind.mtu_discovery, DO if size is not None else PROBE)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def limit(self, hops: int) -> None:
        """See `Probes`."""
        self._sock.setsockopt(self.target.kind.level, self.target.kind.hop_limit, hops)

    def send(self, number: int) -> None:
        """See `Probes`."""
        packet, where = self.data(UDP_HEADER), self.target.at(FIRST_PORT + number)
        try:
            self._sock.sendto(packet, where)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise
            self._sock.sendto(packet, where)  # the error was that of an earlier probe, which is in the queue too

    def receive(self, until: float) -> tuple[int, Answer] | None:
        """See `Probes`."""
        while True:
            error = next_error(self._sock, self.target.kind)
            if error is not None:
                return error.port - FIRST_PORT, _of_error(error, self.target)
            try:
                self._sock.recv(1)  # somebody serves the port after all
            except OSError:
                pass
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._poll.poll(max(1, round(left * 1000)))


class EchoProbes(Probes):
    """Echo requests."""

    def __init__(self, target: Target, size: int | None, stack: ExitStack) -> None:
        super().__init__(target, size)
        self._echo = stack.enter_context(Echo(target, dont_fragment=size is not None))

    def limit(self, hops: int) -> None:
        """See `Probes`."""
        self._echo.limit(hops)

    def send(self, number: int) -> None:
        """See `Probes`."""
        self._echo.send(number, self.data(HEADER))

    def receive(self, until: float) -> tuple[int, Answer] | None:
        """See `Probes`."""
        reply = self._echo.receive(until)
        if reply is None:
            return None
        answer = Answer(reply.source, reached=True) if reply.error is None else _of_error(reply.error, self.target)
        return reply.number, answer


def _of_error(error: ProbeError, target: Target) -> Answer:
    reached = error.source == target.host and not error.is_hop and not error.mtu
    problem = "" if error.is_hop or reached else error.text
    return Answer(error.source, 0.0, reached, problem, error.mtu)


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; letters are those of `traceroute`."""
    add_target(parser, EPILOG)
    parser.add_argument("-I", "--icmp", action="store_true", help="by echo requests instead of UDP")
    parser.add_argument("-f", "--first", type=int, default=1, metavar="N", help="hop to begin with (1)")
    parser.add_argument("-m", "--max", type=int, default=30, metavar="N", help="hops at most (30)")
    parser.add_argument("-q", "--probes", type=int, default=3, metavar="N", help=f"of each hop: 1 to {MOST_PROBES} (3)")
    parser.add_argument("-w", "--timeout", type=duration, default=1.0, metavar="TIME", help="for each hop (1s)")
    parser.add_argument("-n", "--numeric", action="store_true", help="addresses without names")
    parser.add_argument("--mtu", action="store_true", help="packets as large as the path takes, in one piece")
    parser.add_argument("--json", action="store_true", help="print JSON, at the end")


def run(args: argparse.Namespace) -> int:
    """Follow the path, print its hops, and return 0 when the address was reached, else 1."""
    if not 1 <= args.first <= args.max <= 255:
        raise UsageError("--first and --max: 1 to 255, the first not behind the last")
    if not 1 <= args.probes <= MOST_PROBES:
        raise UsageError(f"--probes: 1 to {MOST_PROBES}")
    if args.timeout <= 0:
        raise UsageError("--timeout: more than 0 s")
    hops: list[Hop] = []
    try:
        target = resolve(args.host, args.family or socket.AF_UNSPEC)
        size = path_mtu(target) if args.mtu else None
        if not args.json:
            say(f"trace to {target}, {args.max} hops at most{f', packets of {size} bytes' if size else ''}")
        with ExitStack() as stack:
            probes = (EchoProbes if args.icmp else UdpProbes)(target, size, stack)
            for hop in _follow(probes, args):
                hops.append(hop)
                if not args.json:
                    _print(hop, args)
    except OSError as error:
        complain(f"catenet: {args.host}: {error.strerror or error}")
        return 1
    reached = bool(hops) and any(answer.reached for answer in hops[-1].answers)
    if args.json:
        facts = {"target": target.name, "address": target.host, "reached": reached, "mtu": probes.size}
        print(json.dumps({**facts, "hops": [_facts(hop, args) for hop in hops]}))
    elif args.mtu:
        say(f"path MTU {probes.size}")
    return 0 if reached else 1


def _follow(probes: Probes, args: argparse.Namespace) -> Iterator[Hop]:
    """Each hop in order, up to the last; one that tells of a smaller MTU is asked again with packets that fit."""
    number = 0
    limit = args.first
    while limit <= args.max:
        hop = Hop(limit)
        probes.limit(limit)
        numbers = range(number, number + args.probes)
        number += args.probes
        hop.answers = _ask(probes, numbers, args.timeout)
        yield hop
        smaller = min((answer.mtu for answer in hop.answers if answer.mtu), default=0)
        if probes.size is not None and 0 < smaller < probes.size:
            probes.size = smaller
            continue
        if hop.is_last:
            return
        limit += 1


def _ask(probes: Probes, numbers: range, timeout: float) -> list[Answer]:
    """Send probes, and wait until all are answered or the time is over."""
    sent: dict[int, float] = {}
    answers: dict[int, Answer] = {}
    for number in numbers:
        sent[number] = time.monotonic()
        try:
            probes.send(number)
        except OSError as error:
            if error.errno != errno.EMSGSIZE or probes.size is None:
                raise
            answers[number] = Answer(problem="message too long", mtu=path_mtu(probes.target))
    until = time.monotonic() + timeout
    while len(answers) < len(sent):
        found = probes.receive(until)
        if found is None:
            break
        number, answer = found
        if number in sent and number not in answers:
            answer.seconds = time.monotonic() - sent[number]
            answers[number] = answer
    return [answers.get(number, Answer()) for number in numbers]


def _name(address: str, args: argparse.Namespace) -> str | None:
    """The name of an address, None without one or when nobody wants it."""
    if args.numeric:
        return None
    try:
        name = socket.getnameinfo((address, 0), 0)[0]
    except OSError:
        return None
    return None if name == address else name


def _print(hop: Hop, args: argparse.Namespace) -> None:
    """A line as traceroute's: who, then the round trips, `*` for what was not answered."""
    words = [f"{hop.limit:2}"]
    before: str | None = None
    for answer in hop.answers:
        if answer.source is None:
            words.append(f"{answer.problem} (path MTU {answer.mtu})" if answer.mtu else "*")
            continue
        if answer.source != before:
            name = _name(answer.source, args)
            words.append(answer.source if name is None else f"{printable(name)} ({answer.source})")
            before = answer.source
        words.append(f"{answer.seconds * 1e3:.3f} ms")
        if answer.problem:
            words.append(f"{answer.problem} (path MTU {answer.mtu})" if answer.mtu else answer.problem)
    say("  ".join(words))


def _facts(hop: Hop, args: argparse.Namespace) -> dict[str, Any]:
    """What programs read; null for probes that nobody answered."""
    return {"hop": hop.limit, "probes": [_probe(answer, args) for answer in hop.answers]}


def _probe(answer: Answer, args: argparse.Namespace) -> dict[str, Any] | None:
    if answer.source is None and not answer.mtu:
        return None
    found: dict[str, Any] = {"address": answer.source, "name": answer.source and _name(answer.source, args)}
    found["ms"] = round(answer.seconds * 1e3, 3)
    found["reached"] = answer.reached
    found["problem"] = answer.problem or None
    return {**found, "mtu": answer.mtu} if answer.mtu else found
