"""Datagrams that come close together: what is handed over at once, and when the next is looked for."""

import asyncio
import contextlib
import itertools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.net.bursts import BUFFER, LOOKS, MAX_DATAGRAM, TRUNCATED, Bursts, Glance
from catenet.net.core import PlainDatagramCore
from catenet.net.datagram import DatagramEndpoint, DatagramPeer

A, B = ("10.0.0.1", 1), ("10.0.0.2", 2)
GRO = 104


class Socket:
    """Gives what it is told to: bytes of an address, an error, None for nothing."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.calls = 0

    def recvmsg_into(self, buffers, control_size):
        self.calls += 1
        step = self.steps.pop(0) if self.steps else None
        if step is None:
            raise BlockingIOError
        if isinstance(step, OSError):
            raise step
        data, address, joined = step[0], step[1], step[2] if len(step) > 2 else 0
        if joined == "truncated":
            return 0, [], TRUNCATED, address
        buffers[0][: len(data)] = data
        control = [(socket.IPPROTO_UDP, GRO, struct.pack("=i", joined))] if joined else []
        return len(data), control, 0, address


class Taker:
    """Notes what it gets."""

    def __init__(self):
        self.got = []

    def peer_of(self, address, index, control):
        return address

    def take(self, data, size, peer):
        self.got.append((data, size, peer))

    def take_error(self, error):
        self.got.append(error)

    @property
    def each(self):
        """Datagrams one by one."""
        return [
            (data[start : start + size] if size else b"", peer)
            for data, size, peer in self.got
            for start in range(0, max(1, len(data)), size or 1)
        ]


def read(*steps, most=64, looks=0):
    taker, sock = Taker(), Socket(*steps)
    return Bursts(taker, 100).read(sock, 0, most, looks), taker.got, sock


@pytest.mark.parametrize(
    ("steps", "handed"),
    [
        ([(b"aaaa", A), (b"bbbb", A), (b"cc", A)], [(b"aaaabbbbcc", 4, A)]),
        ([(b"aaaa", A), (b"cc", A), (b"dd", A)], [(b"aaaacc", 4, A), (b"dd", 2, A)]),
        ([(b"aa", A), (b"bbbb", A)], [(b"aa", 2, A), (b"bbbb", 4, A)]),
        ([(b"aaaa", A), (b"bbbb", B), (b"cccc", A)], [(b"aaaa", 4, A), (b"bbbb", 4, B), (b"cccc", 4, A)]),
        ([(b"", A), (b"", A), (b"aa", A), (b"", A)], [(b"", 0, A), (b"", 0, A), (b"aa", 2, A), (b"", 0, A)]),
        ([(b"aabbc", A, 2), (b"dd", A)], [(b"aabbc", 2, A), (b"dd", 2, A)]),
        ([(b"aabb", A, 2), (b"cc", A), (b"ddee", A, 2), (b"f", A)], [(b"aabbccddeef", 2, A)]),
        ([(b"aa", A), (b"bb", A, "truncated"), (b"cc", A)], [(b"aacc", 2, A)]),
    ],
    ids=["one-size", "a-short-one-ends", "larger", "peers", "empty", "joined-short", "joined", "truncated"],
)
def test_what_is_handed_over(steps, handed):
    found, got, _ = read(*steps)
    assert got == handed
    assert found == sum(-(-len(step[0]) // step[2]) if step[2:] and step[2] != "truncated" else 1 for step in steps)


@given(st.lists(st.tuples(st.binary(max_size=6), st.sampled_from([A, B]), st.sampled_from([0, 0, 2, 3]))))
def test_each_arrives_by_itself_and_in_order(steps):
    taker = Taker()
    Bursts(taker, 100).read(Socket(*steps), 0, 1 << 20, 0)
    wanted = [
        (data[start : start + size], peer)
        for data, peer, joined in steps
        for size in [joined if 0 < joined < len(data) else len(data) or 1]
        for start in range(0, max(1, len(data)), size)
    ]
    assert taker.each == wanted


def test_no_more_than_was_asked_for():
    assert read((b"aa", A), (b"bb", A), (b"cc", A), most=2)[:2] == (2, [(b"aabb", 2, A)])


def test_the_buffer_has_room_for_the_next_datagram_at_any_time():
    taker, sock = Taker(), Socket(*[(bytes(MAX_DATAGRAM), A)] * 9)
    bursts = Bursts(taker, 100)
    counts = [bursts.read(sock, 0, 64, 0) for _ in range(4)]
    assert sum(counts) == 9 and max(counts) * MAX_DATAGRAM <= BUFFER
    assert sum(len(data) for data, _, _ in taker.got) == 9 * MAX_DATAGRAM


def test_errors_are_told_and_counted():
    error = OSError("refused")
    found, got, sock = read(error, (b"aa", A), *[error] * 100, most=10)
    assert (found, sock.calls) == (10, 10)
    assert got.count(error) == 9


def test_looks_again_until_the_first_has_come():
    assert read(None, None, (b"aa", A), None, (b"bb", A), looks=5)[:2] == (1, [(b"aa", 2, A)])
    found, _, sock = read(looks=5)
    assert (found, sock.calls) == (0, 6)


def test_who_looks_in_vain_looks_less_and_less():
    glance = Glance()
    glance.begin()
    assert glance.looks() == 0, "others may have something to do"
    glance.begin()
    looked = []
    for turn in range(2000):
        if glance.looks():
            looked.append(turn)
            glance.missed()
    assert len(looked) < 20
    glance.found()
    assert [glance.looks() for _ in range(300)].count(LOOKS) > 40


def test_two_that_take_turns_leave_it_to_the_event_loop():
    first, second = Glance(), Glance()
    for _ in range(5):
        for one in (first, second):
            one.begin()
            assert one.looks() == 0


class Counting(PlainDatagramCore):
    """Answers each number by the next, up to a limit."""

    def __init__(self, limit, awaited):
        self.limit, self.last, self.out = limit, 0, []
        if awaited:
            self.awaited = awaited

    def receive(self, data, peer, now):
        self.last = int(data)
        if self.last < self.limit:
            self.out.append((b"%d" % (self.last + 1), peer))

    def transmit(self, now):
        out, self.out = self.out, []
        return out

    def next_event(self):
        return None


@pytest.mark.parametrize("awaited", list(itertools.product([0, 1], [0, 1])))
def test_two_ends_that_answer_each_other(awaited):
    async def main():
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            ends = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
            for sock in ends:
                sock.bind(("127.0.0.1", 0))
            cores = [Counting(500, one) for one in awaited]
            cores[0].out.append((b"1", DatagramPeer(ends[1].getsockname())))
            endpoints = [
                DatagramEndpoint(loop, core, [sock], [], False, many=True)
                for core, sock in zip(cores, ends, strict=True)
            ]
            async with asyncio.timeout(60):
                while max(core.last for core in cores) < 500:
                    await asyncio.sleep(0.001)
            for endpoint in endpoints:
                endpoint.close()

    asyncio.run(main())
