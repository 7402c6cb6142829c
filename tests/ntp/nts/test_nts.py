"""NTS without a network: establishing keys, protected packets, cookies, and what attackers try."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ntp.nts.conversation import SECRET, START, Files, Pair, establish

from catenet.ntp.association import Rejected
from catenet.ntp.errors import Malformed
from catenet.ntp.nts.cookies import CookieKeys, SessionKeys
from catenet.ntp.nts.establish import ClientCore, Failed, Issuer, ServerCore
from catenet.ntp.nts.fields import (
    AUTHENTICATOR,
    COOKIE,
    PLACEHOLDER,
    UNIQUE_ID,
    aead_open,
    aead_seal,
    protect,
    read,
    read_fields,
)
from catenet.ntp.nts.records import (
    ErrorCode,
    Kind,
    Reader,
    Record,
    Refused,
    Request,
    Response,
    build_request,
    read_request,
    read_response,
)
from catenet.ntp.nts.session import Keys
from catenet.ntp.nts.tls import TlsMachine, client_context, server_context
from catenet.ntp.packet import Extension, Packet, parse
from catenet.ntp.rates import Rate


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("nts"))


@pytest.fixture
def pair(files):
    return Pair(files)


# Records.


def read_all(data, size=65_536):
    reader = Reader()
    for at in range(0, len(data), size):
        reader.receive(data[at : at + size])
    return reader


@settings(max_examples=50)
@given(
    st.builds(
        Response,
        st.just(0),
        st.sampled_from([15, None]),
        st.lists(st.binary(min_size=1, max_size=200), max_size=8).map(tuple),
        st.text("abc.-0", max_size=60),
        st.none() | st.integers(0, 65535),
    ),
    st.integers(1, 40),
)
def test_what_is_built_is_read(response, size):
    assert read_response(read_all(response.build(), size).records, Request()) == response


@given(st.binary(max_size=200), st.booleans())
def test_nothing_that_comes_raises_anything_but_malformed(data, ends):
    try:
        records = read_all(data + (b"\x80\0\0\0" if ends else b"")).records
        read_response(records, Request())
    except Malformed:
        pass
    try:
        read_request(read_all(data).records)
    except Malformed:
        pass


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], ErrorCode.BAD_REQUEST),
        ([Record(Kind.NEXT_PROTOCOL, b"\0\0", True)], ErrorCode.BAD_REQUEST),
        ([Record(Kind.NEXT_PROTOCOL, b"\0", True)], ErrorCode.BAD_REQUEST),
        ([Record(Kind.NEXT_PROTOCOL, b"\0\0", True)] * 2, ErrorCode.BAD_REQUEST),
        ([Record(Kind.COOKIE, b"x")], ErrorCode.BAD_REQUEST),
        ([Record(77, b"", True)], ErrorCode.UNRECOGNIZED_CRITICAL),
    ],
)
def test_requests_that_are_refused(records, code):
    with pytest.raises(Refused) as refused:
        read_request(records)
    assert refused.value.code == code


def test_records_that_need_not_be_known_are_passed_over():
    records = [
        Record(1, b"\0\1\0\0", True),
        Record(4, b"\0\x0f"),
        Record(77, b"x"),
        Record(6, b"a"),
        Record(7, b"\0\1"),
    ]
    assert read_request(records) == Request((1, 0), (15,))


@pytest.mark.parametrize(
    "records",
    [
        [],
        [Record(1, b"\0\1", True), Record(4, b"\0\x0f")],
        [Record(1, b"\0\0", True), Record(4, b"\0\x11")],
        [Record(1, b"\0\0", True), Record(4, b"\0\x0f\0\x10")],
        [Record(1, b"\0\0", True), Record(4, b"\0\x0f"), Record(7, b"\0")],
        [Record(1, b"\0\0", True), Record(4, b"\0\x0f"), Record(6, b"a b")],
        [Record(1, b"\0\0", True), Record(4, b"\0\x0f"), Record(6, b"\xff")],
        [Record(1, b"\0\0", True), Record(1, b"\0\0", True)],
        [Record(1, b"\0\0", True), Record(99, b"", True)],
        [Record(1, b"\0\0", True), Record(4, b"\0\x0f"), Record(5, bytes(2000))],
    ],
)
def test_responses_that_are_none(records):
    with pytest.raises(Malformed):
        read_response(records, Request())


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (Response(error=1), "the server says: bad request"),
        (Response(error=77), "the server says: error 77"),
        (Response(protocol=None), "the server does not offer NTPv4"),
        (Response(), "the server has no algorithm in common with us"),
        (Response(0, 15), "the server gave no cookies"),
    ],
)
def test_why_there_are_no_keys(response, problem):
    assert read_response(read_all(response.build()).records, Request()).problem == problem


def test_a_message_has_a_limit():
    reader = Reader()
    with pytest.raises(Malformed, match="too long"):
        reader.receive(struct.pack(">HH", 77, 60_000))
    with pytest.raises(Malformed, match="too long"):
        read_all(Record(77, bytes(3000)).build() * 6)


# Establishing keys.


@pytest.mark.parametrize("sizes", [(65_536,), (1,), (7, 100)])
def test_both_ends_have_the_same_keys(pair, sizes):
    keys = establish(ClientCore(pair.context, "time.example"), ServerCore(pair.issuer), sizes)
    assert isinstance(keys, Keys)
    assert (keys.algorithm, len(keys.cookies), keys.server, keys.port) == (15, 8, "", None)
    assert len(set(keys.cookies)) == 8
    for cookie in keys.cookies:
        assert pair.keys.open(cookie, START) == SessionKeys(15, keys.to_server, keys.to_client)
    assert keys.to_server != keys.to_client


def test_a_server_names_another_place(pair):
    issuer = Issuer(pair.issuer.context, pair.keys, pair.time, "ntp.example", 1123)
    keys = establish(ClientCore(pair.context, "time.example"), ServerCore(issuer))
    assert (keys.server, keys.port) == ("ntp.example", 1123)


@pytest.mark.parametrize(
    ("host", "why"),
    [("other.example", "it is not for other.example"), ("192.0.2.1", "it is not for 192.0.2.1")],
)
def test_a_certificate_for_others_is_refused(pair, host, why):
    found = establish(ClientCore(pair.context, host), ServerCore(pair.issuer))
    assert isinstance(found, Failed) and why in found.why


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_addresses_are_names_too(pair, host):
    assert isinstance(establish(ClientCore(pair.context, host), ServerCore(pair.issuer)), Keys)


def test_an_authority_that_is_not_trusted(pair, tmp_path):
    other = Files(tmp_path)
    server = ServerCore(pair.issuer)
    found = establish(ClientCore(client_context(other.ca), "time.example"), server)
    assert found == Failed("the server's certificate is not accepted")
    assert server.closed


def test_who_speaks_something_else_inside_of_tls(pair):
    """A client without ALPN gets nothing, whatever it asks for; a server without it is left."""
    context = client_context()
    context.set_verify(0)
    context.set_alpn_protos([b"http/1.1"])
    server = ServerCore(pair.issuer)
    assert isinstance(establish(ClientCore(context, "time.example"), server), Failed)
    assert server.closed


@settings(max_examples=20)
@given(st.binary(max_size=300))
def test_junk_instead_of_tls_ends_a_connection(files, data):
    pair_context = server_context(files.cert)
    server = ServerCore(Issuer(pair_context, CookieKeys(SECRET, START, random.Random(1)), lambda: START))
    server.receive(data, 0.0)
    server.transmit(0.0)
    server.receive(b"", 0.0)
    server.transmit(0.0)
    client = ClientCore(client_context(files.ca), "time.example")
    client.transmit(0.0)
    client.receive(data, 0.0)
    client.receive(b"", 0.0)
    assert client.closed and isinstance(client.next_event(), Failed)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (b"\x80\x01\0\x02\0\x01\x80\0\0\0", "the server does not offer NTPv4"),
        (b"\x80\x01\0\x02\0\0\x80\x04\0\x02\0\x63\x80\0\0\0", "the server has no algorithm in common with us"),
        (b"\x80\x4d\0\0\x80\0\0\0", "the server says: it does not know a critical record"),
        (b"\x80\0\0\x01x", "the server says: bad request"),
    ],
)
def test_what_a_server_says_to_other_requests(pair, asked, problem):
    server, client = ServerCore(pair.issuer), TlsMachine(pair.context, "time.example")
    reader, sent = Reader(), False
    while not server.closed:
        server.receive(client.transmit(), 0.0)
        reader.receive(client.receive(server.transmit(0.0)))
        if client.ready and not sent:
            sent = True
            client.send(asked)
    reader.receive(client.receive(server.transmit(0.0)))
    assert read_response(reader.records, Request()).problem == problem


def test_a_request_offers_what_all_must_have():
    assert read_request(read_all(build_request(Request())).records) == Request((0,), (15,))


# Packets.

KEPT: dict[str, Pair] = {}


def kept(files):
    """One pair for all examples of a property."""
    if files.cert not in KEPT:
        KEPT[files.cert] = Pair(files)
    pair = KEPT[files.cert]
    if pair.session.needs_keys:
        pair.renew()
    return pair


def test_the_algorithm_is_that_of_rfc_5297():
    """Its vector with a nonce (appendix A.2), of which NTS has one piece of associated data less."""
    key = bytes.fromhex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
    nonce = bytes.fromhex("09f911029d74e35bd84156c5635688c0")
    plain = b"this is some plaintext to encrypt using SIV-AES"
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    header = bytes.fromhex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100")
    sealed = AESSIV(key).encrypt(plain, [header, bytes.fromhex("102030405060708090a0"), nonce])
    assert sealed.hex().startswith("7bdb6e3b432667eb06f4d14bff2fbd0f")
    assert aead_open(key, nonce, header, aead_seal(key, nonce, header, plain)) == plain
    assert aead_open(key, nonce, header, aead_seal(key, nonce, header, b"")) == b""
    assert aead_open(key, nonce, header + b"x", aead_seal(key, nonce, header, plain)) is None


def test_time_is_told_and_cookies_come_back(pair):
    used = set()
    for _ in range(20):
        request = pair.ask()
        answer = pair.answer(request)
        assert len(answer) <= len(request)
        used.add(read(request, parse(request)).cookies[0])
        pair.time.now += 0.01
        assert pair.association.receive(answer, pair.time.now) is not None
        pair.time.now += 64
    assert len(used) == 20, "no cookie is used twice"
    assert pair.session.cookies == 8
    assert pair.responder.counters.authenticated == 20


def test_cookies_that_were_lost_are_asked_for_again(pair):
    for _ in range(5):
        pair.ask()
        pair.time.now += 64
    assert pair.session.cookies == 3
    request = pair.ask()
    fields = [one.type for one in parse(request).extensions]
    assert fields == [UNIQUE_ID, COOKIE, *[PLACEHOLDER] * 5, AUTHENTICATOR]
    answer = pair.answer(request)
    assert len(answer) == len(request)
    assert pair.association.receive(answer, pair.time.now) is not None
    assert pair.session.cookies == 8


def test_without_cookies_keys_are_needed(pair):
    for _ in range(8):
        pair.ask()
    assert pair.session.needs_keys
    pair.renew()
    assert not pair.session.needs_keys
    assert pair.exchange() is not None


def test_a_server_that_has_lost_its_keys_says_so(files, pair):
    other = Pair(files, seed=2)
    other.keys._keys = {0: bytes(32)}
    answer = other.answer(pair.ask())
    found = parse(answer)
    assert (found.kiss_code, [one.type for one in found.extensions]) == ("NTSN", [UNIQUE_ID])
    assert pair.association.receive(answer, pair.time.now) is None
    assert pair.association.rejected == {Rejected.KISS: 1}
    assert pair.session.needs_keys
    pair.renew()
    assert pair.exchange() is not None and not pair.session.refused


def test_who_forges_ntsn_does_not_keep_the_true_answer_out(pair):
    request = pair.ask()
    answer = pair.answer(request)
    identifier = parse(request).extensions[0]
    asked = parse(request)
    forged = Packet(mode=4, leap=3, reference_id=b"NTSN", origin=asked.transmit, extensions=(identifier,)).build()
    assert pair.association.receive(forged, pair.time.now) is None
    assert pair.session.needs_keys
    assert pair.association.receive(answer, pair.time.now) is not None
    assert not pair.session.needs_keys


def test_other_kisses_must_be_authentic(pair):
    request = pair.ask()
    asked = parse(request)
    for code in (b"RATE", b"DENY"):
        for extensions in ((), (asked.extensions[0],)):
            forged = Packet(mode=4, leap=3, reference_id=code, origin=asked.transmit, extensions=extensions).build()
            assert pair.association.receive(forged, pair.time.now) is None
    assert pair.association.rejected == {Rejected.UNAUTHENTICATED: 4}
    assert not pair.association.stopped


def test_a_rate_that_is_authentic_is_obeyed(files):
    pair = Pair(files, rate=Rate(0.0001, 1))
    for _ in range(30):
        pair.exchange()
        if pair.session.needs_keys:
            pair.renew()
    assert pair.association.kiss == "RATE" or pair.association.poll_exponent > 6


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_bit_of_what_counts_can_be_changed(files, at, change):
    """In requests and answers: either it is refused, or it is behind what is authenticated (there is nothing here)."""
    pair = kept(files)
    request = bytearray(pair.ask())
    good = bytes(request)
    request[at % len(request)] ^= change
    refused = pair.answer(bytes(request))
    if refused is not None:
        found = parse(refused)
        assert found.kiss_code or found.mac is not None or not found.extensions
    answer = bytearray(pair.answer(good))
    true = bytes(answer)
    answer[at % len(answer)] ^= change
    assert pair.association.receive(bytes(answer), pair.time.now) is None
    assert pair.association.receive(true, pair.time.now) is not None
    pair.time.now += 1


def test_answers_of_others_and_of_before_are_refused(files, pair):
    first = pair.answer(pair.ask())
    assert pair.association.receive(first, pair.time.now) is not None
    pair.ask()
    assert pair.association.receive(first, pair.time.now) is None, "an answer of before"
    plain = Packet(mode=4, stratum=1, origin=1, receive=1, transmit=1).build()
    assert pair.association.receive(plain, pair.time.now) is None


def test_an_answer_in_the_clear_is_not_enough(pair):
    """A server without NTS, or somebody who can only see the request."""
    request = pair.ask()
    pair.responder._sealer = None
    answer = pair.answer(request)
    assert answer is not None and pair.association.receive(answer, pair.time.now) is None
    assert pair.association.rejected == {Rejected.UNAUTHENTICATED: 1}


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from([UNIQUE_ID, COOKIE, PLACEHOLDER, AUTHENTICATOR, 7]), st.binary(max_size=120)))
)
def test_fields_in_any_order_are_survived(files, fields):
    """A server answers at most as much as it was asked; a client takes none of it."""
    pair = kept(files)
    extensions = tuple(Extension(kind, body) for kind, body in fields)
    request = Packet(transmit=1, extensions=extensions).build()
    answer = pair.answer(request)
    assert answer is None or len(answer) <= len(request)
    pair.ask()
    assert pair.association.receive(Packet(mode=4, stratum=1, extensions=extensions).build(), pair.time.now) is None


@given(st.binary(max_size=100))
def test_encrypted_fields_are_read_or_malformed(data):
    try:
        found = read_fields(data)
    except Malformed:
        return
    assert b"".join(struct.pack(">HH", one.type, len(one.body) + 4) + one.body for one in found) == data


def test_placeholders_that_are_too_small_get_no_cookie(pair):
    request = pair.ask()
    header, fields = request[:48], parse(request).extensions
    keys = pair.session._keys
    small = [fields[0], fields[1], *[Extension(PLACEHOLDER, bytes(12))] * 10]
    request = protect(header, small, keys.to_server, bytes(16))
    answer = pair.answer(request)
    assert len(answer) <= len(request)
    assert pair.association.receive(answer, pair.time.now) is not None
    assert pair.session.cookies == 8


# Cookies.


def test_cookies_of_yesterday_are_taken_and_then_no_more():
    keys = CookieKeys(SECRET, START, random.Random(1), rotation=100.0)
    session = SessionKeys(15, bytes(32), bytes(range(32)))
    cookie = keys.seal(session, START)
    assert keys.open(cookie, START + 250) == session
    assert keys.open(cookie, START + 350) is None
    assert len(keys._keys) == 3, "keys of before are forgotten"
    assert keys.open(keys.seal(session, START), START) == session, "a clock that goes back"


def test_processes_with_one_secret_know_each_others_cookies():
    one, other = (CookieKeys(SECRET, START, random.Random(seed), rotation=100.0) for seed in (1, 2))
    session = SessionKeys(15, bytes(32), bytes(range(32)))
    assert other.open(one.seal(session, START + 210), START + 105) is None
    assert other.open(one.seal(session, START + 210), START + 300) == session
    assert one.seal(session, START + 210) != one.seal(session, START + 210)
    with pytest.raises(ValueError, match="a secret of 3 octets"):
        CookieKeys(b"abc", START, random.Random(1))


@given(st.binary(max_size=150))
def test_cookies_of_others_are_none(data):
    keys = CookieKeys(SECRET, START, random.Random(1))
    assert keys.open(data, START) is None
    good = keys.seal(SessionKeys(15, bytes(32), bytes(32)), START)
    assert len(good) % 4 == 0
    assert keys.open(good[: len(data)], START) is None or len(data) >= len(good)
