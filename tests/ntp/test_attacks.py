"""What somebody on the path, or beside it, tries with a client and a server of ours, and what comes of it: nothing.

NTS has its own attacks (`nts/test_nts.py`).
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catenet.ntp.association import Association, Rejected
from catenet.ntp.keys import Key
from catenet.ntp.packet import Extension, Mac, Mode, Packet, parse
from catenet.ntp.rates import Rate
from catenet.ntp.reference import Stated
from catenet.ntp.responder import Responder
from catenet.ntp.timestamp import from_unix

START = 1_800_000_000.0
OFFSET = 0.25
KEY = Key(7, "AES128", bytes(range(16)))
CODES = (b"DENY", b"RSTR", b"RATE", b"XYZW", b"NTSN")


class Network:
    """A client, a server whose clock is a quarter of a second ahead, and whatever has been sent between them."""

    def __init__(self, interleaved=False, key=None):
        self.now = START
        rng = random.Random(1)
        keys = {} if key is None else {key.id: key}
        self.server = Responder(Stated(1, b"GPS\0"), self.server_clock, rng, keys=keys, rate=Rate(0))
        self.client = Association(rng, interleaved=interleaved, key=key)
        self.requests = []
        self.answers = []
        self.samples = []

    def server_clock(self):
        return round((self.now + OFFSET) * 1e9)

    def ask(self):
        self.requests.append(self.client.poll(self.now))
        return self.requests[-1]

    def arrive(self, request):
        """A request comes to the server."""
        answer = self.server.answer(request, "192.0.2.9", self.server_clock(), self.now)
        self.now += 0.0001
        self.server.departed(self.server_clock())
        if answer is not None:
            self.answers.append(answer)
        return answer

    def hear(self, answer):
        """Something comes to the client."""
        sample = self.client.receive(answer, self.now)
        if sample is not None:
            self.samples.append(sample)
        return sample

    def exchange(self):
        request = self.ask()
        self.now += 0.01
        answer = self.arrive(request)
        self.now += 0.01
        return self.hear(answer)


steps = st.tuples(
    st.sampled_from(["ask", "arrive", "hear", "hear", "exchange"]), st.integers(0, 7), st.floats(0, 5) | st.just(64.0)
)


@settings(max_examples=60)
@given(st.booleans(), st.booleans(), st.lists(steps, max_size=30))
@example(
    True, False, [("exchange", 0, 64.0)] * 3 + [("arrive", 0, 1.0), ("hear", 0, 1.0)] + [("exchange", 0, 64.0)] * 2
)
def test_who_loses_repeats_delays_and_reorders_gains_no_more_than_the_delay(interleaved, keyed, plan):
    """Of true packets a sample is never wrong by more than half of the delay that it admits."""
    network = Network(interleaved, KEY if keyed else None)
    for what, which, wait in plan:
        if what == "ask":
            network.ask()
        elif what == "arrive" and network.requests:
            network.arrive(network.requests[-1 - which % len(network.requests)])
        elif what == "hear" and network.answers:
            network.hear(network.answers[-1 - which % len(network.answers)])
        elif what == "exchange":
            network.exchange()
        network.now += wait
    for sample in network.samples:
        assert abs(sample.offset - OFFSET) <= sample.delay / 2 + sample.dispersion + 2e-6


@pytest.mark.parametrize("interleaved", [False, True])
def test_who_does_not_see_requests_achieves_nothing(interleaved):
    """Answers and kisses with origins that are zero, guessed, or the time of day; an answer that was seen long ago."""
    network = Network(interleaved)
    network.exchange()
    before = network.client.poll_exponent, network.client.next_poll
    network.now += 64
    old = list(network.answers)
    network.ask()
    before = network.client.poll_exponent, network.client.next_poll
    rng = random.Random(5)
    true = Packet(mode=Mode.SERVER, stratum=1, precision=-20, receive=from_unix(START), transmit=from_unix(START))
    for origin in (0, 1, from_unix(network.now), *(rng.getrandbits(64) for _ in range(300))):
        assert network.hear(replace(true, origin=origin).build()) is None
        for code in CODES:
            kiss = replace(true, origin=origin, stratum=0, leap=3, reference_id=code)
            assert network.hear(kiss.build()) is None
    assert all(network.hear(one) is None for one in old)
    assert before == (network.client.poll_exponent, network.client.next_poll)
    assert not network.client.stopped and network.client.kiss == ""
    assert set(network.client.rejected) == {Rejected.BOGUS, Rejected.ZERO}
    network.now += 0.01
    assert network.hear(network.arrive(network.requests[-1])) is not None


def test_who_sees_requests_achieves_nothing_without_the_key():
    """Time, kisses, a crypto-NAK: unauthenticated, or by a key of his own, or by an answer of before."""
    network = Network(key=KEY)
    network.exchange()
    network.now += 64
    asked = parse(network.ask())
    mine = Key(7, "AES128", bytes(16))
    lies = replace(
        asked,
        mode=Mode.SERVER,
        stratum=1,
        mac=None,
        precision=-20,
        origin=asked.transmit,
        receive=5 << 32,
        transmit=5 << 32,
    )
    for packet in (lies, *(replace(lies, stratum=0, reference_id=code) for code in CODES)):
        data = packet.build()
        for forged in (data, mine.seal(data), data + bytes(4), data + network.answers[0][48:]):
            assert network.hear(forged) is None
    assert network.client.rejected == {Rejected.UNAUTHENTICATED: 24}
    assert not network.client.stopped
    assert network.hear(network.arrive(network.requests[-1])) is not None


@given(st.integers(0, 67), st.binary(min_size=1, max_size=40))
def test_an_authentic_answer_cannot_be_cut_or_grown(cut, tail):
    """No field can be put in front of a MAC, behind it or in its place; nor can a MAC become a field."""
    network = Network(key=KEY)
    answer = network.arrive(network.ask())
    field = Extension(0x7777, tail).build(28)
    mac = answer[48:]
    for forged in (answer[:cut], answer + tail, answer[:48] + field + mac, answer[:48] + field, answer + field):
        if forged != answer:
            assert network.hear(forged) is None
    assert network.hear(answer) is not None


@given(st.integers(0, 0xFFFF), st.binary(max_size=80), st.sampled_from([b"", b"m" * 16, b"s" * 20, None]))
def test_a_mac_and_a_field_are_never_taken_for_each_other(kind, body, digest):
    mac = None if digest is None else Mac(0x01040020, digest)  # a key identifier that looks like a field's head
    data = Packet(extensions=(Extension(kind, body),), mac=mac).build()
    found = parse(data)
    assert found.mac == mac
    assert [one.type for one in found.extensions] == [kind]


def test_servers_cannot_be_set_upon_each_other():
    """Whatever one says, the other does not answer, and a crypto-NAK ends it."""
    network = Network(key=KEY)
    for mode in range(8):
        for data in (
            Packet(mode=mode, transmit=1).build(),
            replace(KEY, id=9).seal(Packet(mode=mode, transmit=1).build()),
        ):
            answer = network.arrive(data)
            assert answer is None or (len(answer) <= len(data) and network.arrive(answer) is None)


def test_a_request_repeated_by_others_does_not_end_interleaved_mode():
    """Each copy gets an answer of its own, which nobody asked for any more."""
    network = Network(interleaved=True)
    for _ in range(6):
        network.exchange()
        for request in network.requests:
            network.hear(network.arrive(request))
        network.now += 64
    assert network.client.in_interleaved_mode
    assert all(abs(one.offset - OFFSET) < 0.01 for one in network.samples)
    assert len(network.samples) == 6
