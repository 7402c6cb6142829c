"""Both ends over a network that loses, repeats and reorders: what was sent arrives, and nobody waits for ever."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tftp.pipe import Address, Fate, Pipe

from catenet.net.segments import Segments
from catenet.tftp import ErrorCode, NoAnswerError, TftpError, Transfer, Wishes
from catenet.tftp.options import Granted
from catenet.tftp.packets import build_ack, build_error, build_oack, opcode_of, parse_error
from catenet.tftp.receiver import Receiver
from catenet.tftp.timing import Timer

HARD = Fate(loss=0.1, twice=0.1, overtaken=0.2)


def block(number, payload):
    return b"\0\3" + number.to_bytes(2, "big") + payload


def drained(transfer, now=0.0):
    """What it sends, datagram by datagram, with the names of those it is for."""
    found = []
    while packets := transfer.transmit(now):
        for packet, peer in packets:
            found += [(one, peer.name) for one in (packet if isinstance(packet, Segments) else [packet])]
    return found


WISHES = st.builds(
    Wishes,
    st.sampled_from([8, 9, 512, 1428, 65_464]),
    st.sampled_from([1, 2, 5, 16, 64, 1000]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([None, 0, 1]),
)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(
    st.integers(0, 1 << 32),
    st.integers(0, 3000),
    WISHES,
    st.builds(
        Fate, st.sampled_from([0, 0.02, 0.2]), st.sampled_from([0, 0.2]), st.sampled_from([0, 0.5]), st.just(0.01)
    ),
    st.booleans(),
)
def test_whatever_the_network_does_the_file_is_the_same(seed, size, wishes, fate, writes):
    data = random.Random(seed).randbytes(size)
    pipe = Pipe(seed, data, wishes, fate, writes)
    pipe.run()
    # The last ACK may never arrive; then the sender does not know, and the file is there all the same.
    assert bytes(pipe.got) == data
    receiver = "server" if writes else "client"
    assert pipe.ended[receiver] is None


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 16 * 512, 16 * 512 - 1])
@pytest.mark.parametrize("window", [1, 16])
def test_the_last_block_is_shorter_even_if_it_is_empty(size, window, writes):
    pipe = Pipe(1, bytes(size), Wishes(512, window), writes=writes)
    pipe.run()
    assert bytes(pipe.got) == bytes(size) and pipe.ended == {"client": None, "server": None}


@pytest.mark.parametrize(("window", "rollover"), [(64, None), (64, 0), (64, 1), (1, None)])
def test_block_numbers_wrap(window, rollover):
    """More than 65,536 blocks, as of a file over 32 MB."""
    fate = Fate(loss=0.002 if window > 1 else 0.0)
    data = random.Random(1).randbytes(8 * 66_000 + 5)
    pipe = Pipe(1, data, Wishes(8, window, rollover=rollover), fate)
    pipe.run()
    assert bytes(pipe.got) == data and pipe.ended == {"client": None, "server": None}
    assert pipe.sent < 66_000 * 3


def test_a_source_that_is_slow_changes_nothing():
    """Blocks are made a window ahead; what is fed late, and an ACK in the middle, must not meet buffers of before."""
    for seed in range(40):
        rng = random.Random(seed)
        data = rng.randbytes(rng.randrange(2000))
        server = Transfer.answer(Address("c:1"), Granted(8, 4), {"windowsize": "4"}, 0.0, writes=True)
        server.receive(build_ack(0), Address("c:1"), 0.0)
        client = Receiver(Granted(8, 4), Timer(0.0), 0.0)
        fed, got, now = 0, b"", 0.0
        while not server.over:
            if fed < len(data) and rng.random() < 0.7:
                size = rng.choice((1, 8, 13, 64))
                server.sender.feed(data[fed : fed + size])
                fed += size
            elif fed >= len(data):
                server.sender.end()
            blocks = [one for one, _ in drained(server, now) if opcode_of(one) == 3]
            for one in blocks[: rng.choice((1, 4, 4, 4))]:
                client.receive(one, now)
            got += b"".join(client.take())
            if client.ended:
                client.release()
            now += 0.1
            for end in (client, server):
                if (due := end.next_deadline()) is not None and due <= now:
                    end.handle_timeout(now)
            if (ack := client.transmit(now)) is not None:
                server.receive(ack, Address("c:1"), now)
        assert got == data, seed


def test_a_sender_that_wraps_to_one_unasked_is_understood():
    data = random.Random(1).randbytes(8 * 65_540)
    pipe = Pipe(1, data, Wishes(8, 1), most=Wishes(8, 1, rollover=1))
    pipe.run()
    assert bytes(pipe.got) == data


def test_duplicates_of_acks_do_not_double_every_block():
    """Sorcerer's Apprentice Syndrome (RFC 1123 section 4.2.3.1)."""
    for window in (1, 8):
        data = bytes(512 * 400)
        pipe = Pipe(1, data, Wishes(512, window), Fate(twice=1.0))
        pipe.run()
        blocks = len(data) // 512 + 1
        assert bytes(pipe.got) == data
        assert pipe.sent <= blocks + blocks // window + 8, window


def test_a_loss_in_a_window_costs_no_time_out():
    data = bytes(1428 * 64 * 40)
    pipe = Pipe(1, data, Wishes(1428, 64), Fate(loss=0.01))
    pipe.run()
    assert bytes(pipe.got) == data
    windows = len(data) // 1428 // 64
    assert pipe.now < windows * 0.15, "a lost block costs a round trip or two, not the second of a time-out"


def test_strangers_are_answered_and_change_nothing():
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0)
    drained(client)
    client.receive(block(1, b"of another host"), Address("x:5"), 0.0)
    assert client.granted is None
    ((answer, to),) = drained(client)
    assert (parse_error(answer)[0], to) == (ErrorCode.UNKNOWN_ID, "x:5")
    client.receive(block(1, bytes(512)), Address("s:5"), 0.0)
    assert drained(client) == [(build_ack(1), "s:5")]
    client.receive(block(2, b"forged"), Address("s:6"), 0.0)
    client.receive(build_error(0, "forged"), Address("s:6"), 0.0)
    ((answer, to),) = drained(client)
    assert (parse_error(answer)[0], to) == (ErrorCode.UNKNOWN_ID, "s:6")
    assert client.error is None and b"".join(client.receiver.take()) == bytes(512)


def test_answers_to_strangers_are_bounded():
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0)
    drained(client)
    for number in range(1000):
        client.receive(block(1, b""), Address(f"x:{number}"), 0.0)
    assert len(drained(client)) == 16


def test_nobody_answers():
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0, patience=20.0)
    times = []
    while not client.over:
        now = client.next_deadline() or 0.0
        client.handle_timeout(now)
        times += [now] if drained(client, now) else []
    assert isinstance(client.error, NoAnswerError) and not client.error.begun
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    assert gaps == [1.0, 2.0, 4.0, 8.0]


def test_a_server_sends_its_first_answer_four_times_to_who_never_speaks():
    server = Transfer.answer(Address("c:1"), Granted(), {}, 0.0, writes=True)
    server.sender.feed(bytes(5000))
    server.sender.end()
    sent = len(drained(server))
    while not server.over:
        now = server.next_deadline()
        server.handle_timeout(now)
        sent += len([one for one, _ in drained(server, now) if opcode_of(one) == 3])
    assert sent == 4


def test_a_negotiated_time_out_is_kept():
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(timeout=3), 0.0)
    drained(client)
    client.receive(build_oack({"timeout": "3"}), Address("s:5"), 1.0)
    drained(client, 1.0)
    assert client.next_deadline() == 4.0


@pytest.mark.parametrize(
    "said",
    [
        {"blksize": "1429"},
        {"blksize": "7"},
        {"windowsize": "17"},
        {"windowsize": "0"},
        {"multicast": ""},
        {"timeout": "2"},
    ],
)
def test_options_that_nobody_asked_for_end_it_with_error_8(said):
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0)
    drained(client)
    client.receive(build_oack(said), Address("s:5"), 0.0)
    assert isinstance(client.error, TftpError) and client.error.code == ErrorCode.OPTIONS
    ((answer, to),) = drained(client)
    assert (parse_error(answer)[0], to) == (ErrorCode.OPTIONS, "s:5")


def test_a_server_that_refuses_options_is_asked_without():
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0)
    drained(client)
    client.receive(build_error(8, "no"), Address("s:5"), 0.0)
    assert drained(client) == [(b"\0\1f\0octet\0", "s:69")]
    client.receive(block(1, b"x"), Address("s:6"), 0.0)
    assert client.granted == Granted() and client.receiver.ended


def test_a_server_that_knows_no_options_sends_the_file():
    for writes in (False, True):
        client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0, writes=writes, size=3)
        drained(client)
        client.receive(build_ack(0) if writes else block(1, b"abc"), Address("s:5"), 0.0)
        assert client.granted == Granted()


def test_a_block_that_is_too_large_ends_it():
    client = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0)
    drained(client)
    client.receive(block(1, bytes(513)), Address("s:5"), 0.0)
    assert client.error is not None and client.error.code == ErrorCode.ILLEGAL


def test_the_last_ack_waits_until_the_file_is_stored_and_is_repeated_after():
    server = Transfer.answer(Address("c:1"), Granted(), {}, 0.0, writes=False)
    assert drained(server) == [(build_ack(0), "c:1")]
    server.receive(block(1, b"all"), Address("c:1"), 1.0)
    assert drained(server, 1.0) == [] and not server.over
    server.receiver.release()
    assert drained(server, 1.0) == [(build_ack(1), "c:1")] and server.over and not server.closed
    server.receive(block(1, b"all"), Address("c:1"), 2.0)
    assert drained(server, 2.0) == [(build_ack(1), "c:1")]
    server.handle_timeout(server.next_deadline())
    assert server.closed


def test_who_reads_slowly_is_waited_for():
    server = Transfer.answer(Address("c:1"), Granted(), {}, 0.0, writes=False)
    drained(server)
    server.receiver.hold = True
    server.receive(block(1, bytes(512)), Address("c:1"), 1.0)
    assert drained(server, 1.0) == [] and server.next_deadline() is None
    server.handle_timeout(1000.0)
    server.receiver.hold = False
    assert not server.over and drained(server, 1000.0) == [(build_ack(1), "c:1")]
