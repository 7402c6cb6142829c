"""The server's core: who is answered, how, how often, and what it never does."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.ntp.association import Association
from catenet.ntp.keys import Key
from catenet.ntp.packet import HEADER_LENGTH, MAX_PACKET, Extension, Mac, Mode, Packet, parse
from catenet.ntp.rates import Access, ClientRates, Rate
from catenet.ntp.reference import State, Stated, reference_id
from catenet.ntp.responder import Responder
from catenet.ntp.timestamp import from_unix_ns

START = 1_800_000_000 * 10**9
HOST = "192.0.2.9"
KEYS = {
    1: Key(1, "AES128", bytes(range(16))),
    2: Key(2, "SHA1", b"a secret of twenty!!"),
}


class Clock:
    """A clock of which each reading takes a microsecond."""

    def __init__(self):
        self.now = START

    def __call__(self):
        self.now += 1000
        return self.now


@dataclass
class Desk:
    """A responder and its clock."""

    clock: Clock
    responder: Responder

    def ask(self, data, host=HOST, now=0.0):
        """One request that came a millisecond before it is answered."""
        received = self.clock.now
        self.clock.now += 1_000_000
        answer = self.responder.answer(data, host, received, now)
        if answer is not None:
            self.clock.now += 50_000
            self.responder.departed(self.clock.now)
        return answer


def desk(reference=Stated(1, b"GPS\0"), **options):
    clock = Clock()
    return Desk(clock, Responder(reference, clock, random.Random(1), **options))


def request(**words):
    return Packet(**{"transmit": 0x1234, "poll": 6, **words}).build()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
@pytest.mark.parametrize(("mode", "answered"), [(3, Mode.SERVER), (1, Mode.SYMMETRIC_PASSIVE)])
def test_an_answer_has_the_version_of_its_request(version, mode, answered):
    found = parse(desk().ask(request(version=version, mode=mode, poll=7)))
    assert (found.version, found.mode, found.poll, found.stratum, found.leap) == (version, answered, 7, 1, 0)
    assert (found.origin, found.reference_id) == (0x1234, b"GPS\0")
    assert found.receive == from_unix_ns(START)
    assert found.receive < found.transmit < from_unix_ns(START + 2_000_000)


def test_version_1_had_no_modes():
    assert desk().ask(request(version=1, mode=0))[0] & 0x3F == 1 << 3 | Mode.SERVER


@pytest.mark.parametrize("mode", [0, 2, 4, 5, 6, 7])
def test_what_is_no_request_gets_no_answer(mode):
    one = desk()
    assert one.ask(request(mode=mode)) is None
    assert one.responder.counters.malformed == 1


@given(st.binary(max_size=MAX_PACKET + 40), st.booleans())
def test_whatever_comes_gets_at_most_one_answer_that_is_no_longer(data, as_request):
    """Also none that this server itself would answer."""
    if as_request and data:
        data = bytes((data[0] & 0xF8 | 3,)) + data[1:]
    one = desk(keys=KEYS)
    answer = one.ask(data)
    if answer is not None:
        assert HEADER_LENGTH <= len(answer) <= len(data)
        assert one.ask(answer) is None


def test_what_the_clock_is_worth_is_said():
    state = State(1, 3, b"\xc0\0\2\1", 0.25, 0.5, START / 1e9 - 100)

    class Reference:
        def state(self, now):
            return state

    found = parse(desk(Reference()).ask(request()))
    assert (found.leap, found.stratum, found.root_delay) == (1, 3, 1 << 14)
    assert found.root_dispersion == pytest.approx((0.5 + 100 * 15e-6) * 65536, abs=1)


def test_a_clock_that_is_not_synchronized_says_so():
    class Reference:
        def state(self, now):
            return State(3, 0, b"INIT")

    one = desk(Reference())
    found = parse(one.ask(request()))
    assert (found.leap, found.stratum, found.kiss_code, found.reference) == (3, 0, "INIT", 0)


# Interleaved mode (RFC 9769).


def test_an_interleaved_answer_tells_when_the_one_before_left():
    one = desk()
    first = parse(one.ask(request(receive=5, transmit=6)))
    left = one.clock.now
    second = parse(one.ask(request(origin=first.receive, receive=7, transmit=8)))
    assert (second.origin, second.transmit) == (7, from_unix_ns(left))
    third = parse(one.ask(request(origin=second.receive, receive=9, transmit=10), host="192.0.2.77"))
    assert third.origin == 9, "a client behind another address or port goes on"
    assert one.responder.counters.interleaved == 2


@pytest.mark.parametrize(
    "words",
    [
        {"origin": 0, "receive": 7, "transmit": 8},
        {"origin": 99, "receive": 7, "transmit": 8},
        {"receive": 8, "transmit": 8},
    ],
)
def test_a_request_in_basic_mode_gets_one(words):
    """Nothing is known of the answer that it names, or it cannot tell the modes apart."""
    one = desk()
    first = parse(one.ask(request(receive=5, transmit=6)))
    found = parse(one.ask(request(**{"origin": first.receive, **words})))
    assert found.origin == 8
    assert found.transmit > found.receive > first.transmit


def test_an_answer_that_never_left_is_not_told_of():
    one = desk()
    first = parse(one.responder.answer(request(receive=5, transmit=6), HOST, START, 0.0))
    assert one.responder.remembered == 0
    assert parse(one.ask(request(origin=first.receive, receive=7, transmit=8))).origin == 8


def test_two_requests_at_once_have_two_receive_timestamps():
    one = desk()
    times = set()
    for _ in range(5):
        times.add(parse(one.responder.answer(request(), HOST, START, 0.0)).receive)
        one.responder.departed(START + 1)
    assert len(times) == 5


def test_what_is_remembered_has_a_limit():
    one = desk(most_remembered=100, rate=Rate(0))
    for number in range(1000):
        one.ask(request(transmit=number + 1))
    assert 50 <= one.responder.remembered <= 100
    assert parse(desk(most_remembered=0).ask(request(receive=7))).origin == 0x1234


def test_our_client_and_our_server_speak_it():
    one = desk(keys=KEYS)
    client = Association(random.Random(2), interleaved=True, key=KEYS[1])
    for number in range(4):
        asked = client.poll(one.clock.now / 1e9)
        one.clock.now += 5_000_000
        answer = one.ask(asked, now=one.clock.now / 1e9)
        one.clock.now += 5_000_000
        assert client.receive(answer, one.clock.now / 1e9) is not None
        assert client.in_interleaved_mode is (number > 0)
        one.clock.now += 64 * 10**9
    assert one.responder.counters.authenticated == 4
    assert abs(client.current.offset) < 0.002


# Keys.


@pytest.mark.parametrize("number", KEYS)
def test_a_request_with_a_mac_gets_one(number):
    key = KEYS[number]
    answer = desk(keys=KEYS).ask(key.seal(request()))
    assert key.verifies(answer, parse(answer).mac)
    assert parse(answer).stratum == 1


@pytest.mark.parametrize(
    "data",
    [
        replace(KEYS[1], id=9).seal(request()),
        KEYS[1].seal(request())[:-1] + b"\xff",
        Key(1, "MD5", b"guess").seal(request()),
    ],
    ids=["unknown", "changed", "guessed"],
)
def test_a_mac_that_is_wrong_gets_a_crypto_nak(data):
    """RFC 5905 section 9.2. It says nothing of the time, and gets no answer itself."""
    one = desk(keys=KEYS)
    answer = one.ask(data)
    found = parse(answer)
    assert (found.mac, found.leap, found.origin) == (Mac(0), 3, 0x1234)
    assert found.receive == found.transmit == found.origin
    assert one.ask(bytes((0x23,)) + answer[1:]) is None


def test_extension_fields_that_nobody_knows_are_not_returned():
    asked = Packet(transmit=5, extensions=(Extension(0x7777, bytes(600)),)).build()
    assert len(desk().ask(asked)) == HEADER_LENGTH
    sealed = desk(keys=KEYS).ask(KEYS[1].seal(asked))
    assert len(sealed) == HEADER_LENGTH + 20
    assert KEYS[1].verifies(sealed, parse(sealed).mac)


# Control messages (RFC 9327).


def control(data=b"", operation=2, first=0x16, **words):
    fields = {"status": 0, "association": 0, "offset": 0, **words}
    head = struct.pack(">BBHHHHH", first, operation, 7, *fields.values(), len(data))
    return head + data + bytes(-len(data) % 4)


def test_variables_are_read_on_this_host_only():
    one = desk(control=True)
    answer = one.ask(control(), host="127.0.0.1")
    first, second, sequence, status, _, _, count = struct.unpack_from(">BBHHHHH", answer)
    assert (first, second, sequence, status) == (0x16, 0x82, 7, 0x0600)
    assert b"stratum=1" in answer[12 : 12 + count] and b"refid=GPS" in answer
    assert one.ask(control(b"stratum"), host="::1")[12:] == b"stratum=1\0\0\0"
    assert one.ask(control(operation=1), host="::1")[12:] == b""
    for host in (HOST, "2001:db8::1", "::ffff:127.0.0.1"):
        assert one.ask(control(), host=host) is None
    assert desk().ask(control(), host="127.0.0.1") is None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (control(operation=3), 3),
        (control(association=1), 4),
        (control(b"nothing"), 5),
        (control(offset=4), 2),
        (control(b"stratum")[:14], 2),
    ],
)
def test_control_messages_that_are_refused(data, error):
    answer = desk(control=True).ask(data, host="127.0.0.1")
    assert answer[1] & 0xC0 == 0xC0 and answer[4] == error and len(answer) == 12


@given(st.binary(max_size=60))
def test_no_control_message_raises_or_is_answered_for_ever(data):
    one = desk(control=True)
    answer = one.ask(b"\x16" + data, host="127.0.0.1")
    assert answer is None or one.ask(answer, host="127.0.0.1") is None


# Who is answered, and how often.


def test_a_client_beyond_its_rate_is_told_so_and_never_shut_out():
    one = desk(rate=Rate(1, 4))
    found = [one.ask(request(), now=1.0) for _ in range(404)]
    assert all(answer is not None for answer in found[:4])
    kisses = [parse(answer).kiss_code for answer in found[4:] if answer is not None]
    assert 60 < kisses.count("RATE") < 140
    assert 60 < kisses.count("") < 140
    assert one.ask(request(), host="192.0.2.10", now=1.0) is not None
    assert parse(one.ask(request(), now=30.0)).kiss_code == "", "later it has its rate again"
    assert one.responder.counters.dropped > 100


def test_a_kiss_says_nothing_of_the_time_and_is_authentic():
    one = desk(rate=Rate(0.001, 1), keys=KEYS)
    while True:
        answer = one.ask(KEYS[1].seal(request()))
        if answer is not None and parse(answer).kiss_code:
            break
    found = parse(answer)
    assert KEYS[1].verifies(answer, found.mac)
    assert found.receive == found.transmit == found.origin == 0x1234
    assert (found.leap, found.stratum, found.mode) == (3, 0, Mode.SERVER)


def test_who_is_denied_hears_it_within_its_rate():
    one = desk(access=Access(denied=["192.0.2.0/24"]), rate=Rate(1, 2))
    found = [one.ask(request()) for _ in range(50)]
    assert [parse(answer).kiss_code for answer in found if answer is not None] == ["DENY"] * 2
    assert parse(one.ask(request(), host="198.51.100.1")).stratum == 1


def test_the_smallest_network_decides():
    access = Access(["10.0.0.0/8", "2001:db8::/32"], ["10.1.0.0/16"])
    hosts = ["10.2.0.1", "10.1.2.3", "192.0.2.1", "2001:db8::5", "fe80::1%eth0"]
    assert [access.admits(host) for host in hosts] == [True, False, False, True, False]
    assert [access.admits(host) for host in hosts] == [True, False, False, True, False]
    assert Access().admits("::1")
    with pytest.raises(ValueError, match="is no network; write "):
        Access(["10.0"])


def test_rates_have_a_limit_of_clients_and_a_client_of_ipv6_is_a_64():
    rates = ClientRates(Rate(1, 1), most=100)
    for number in range(5000):
        rates.allow(f"10.0.{number >> 8}.{number & 255}", 1.0)
    assert len(rates) <= 100
    assert rates.allow("2001:db8::1", 1.0)
    assert not rates.allow("2001:db8::ffff:2", 1.0)
    assert rates.allow("2001:db8:0:1::1", 1.0)
    assert all(rates.allow(host, 1.0) for host in ("127.0.0.1", "::1") for _ in range(50))


def test_reference_ids():
    assert [reference_id(text) for text in ("GPS", "192.0.2.1", "PPS1")] == [b"GPS\0", b"\xc0\0\2\1", b"PPS1"]
    for text in ("", "GPSDO", "é", "2001:db8::1", "a\n"):
        with pytest.raises(ValueError, match="is neither an IPv4 address nor one to four characters"):
            reference_id(text)
