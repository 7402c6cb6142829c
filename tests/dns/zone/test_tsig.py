"""TSIG, against dnspython in both directions."""

from __future__ import annotations

import time

import dns.exception
import dns.message
import dns.name
import dns.tsig
import pytest

from catenet.dns.zone.tsig import BADKEY, BADSIG, BADTIME, BADTRUNC, TsigContext, TsigFailure, TsigKey, signed_request
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import NOTAUTH
from catenet.wire.errors import Malformed

SECRET = "c2VjcmV0IG9mIGEgdGVzdCwgc2hhcmVkIGJ5IHR3bw=="
ALGORITHMS = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
QUESTION = Question(name_from_text("example."), 6)


def key(algorithm: str = "hmac-sha256") -> TsigKey:
    return TsigKey.from_text(f"{algorithm}:Key.example.:{SECRET}")


def keyring(algorithm: str) -> dict[dns.name.Name, dns.tsig.Key]:
    wire = key(algorithm).algorithm
    return {dns.name.from_text("key.example."): dns.tsig.Key("key.example.", SECRET, dns.name.from_wire(wire, 0)[0])}


def query() -> bytes:
    return pack(77, 0x0100, QUESTION)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspython_takes_our_request_and_we_take_its_answer(algorithm: str) -> None:
    context = TsigContext(key(algorithm))
    asked = dns.message.from_wire(context.sign(query(), time.time()), keyring=keyring(algorithm))
    assert asked.had_tsig
    answer = dns.message.make_response(asked)
    context.verify(parse(answer.to_wire()), time.time())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_we_take_dnspythons_request_and_it_takes_our_answer(algorithm: str) -> None:
    asked = dns.message.make_query("example.", "SOA")
    asked.use_tsig(keyring(algorithm), "key.example.")
    data = asked.to_wire()
    request = parse(data)
    signed = signed_request(request, {key().name: key(algorithm)}, time.time())
    assert signed is not None and not signed.error and signed.key == key(algorithm)
    answers = [signed.sign(pack(request.id, 0x8000, QUESTION), time.time()) for _ in range(3)]
    context = None
    for number, each in enumerate(answers):
        found = dns.message.from_wire(
            each, keyring=keyring(algorithm), request_mac=asked.mac, multi=True, tsig_ctx=context
        )
        context = found.tsig_ctx
        assert found.had_tsig, number


def test_messages_between_may_lack_a_signature_but_not_the_last() -> None:
    context = TsigContext(key())
    signed = signed_request(parse(context.sign(query(), 1000)), {key().name: key()}, 1000)
    assert signed is not None
    first = signed.sign(pack(77, 0x8000, QUESTION), 1000)
    context.verify(parse(first), 1000)
    for _ in range(2):
        context.verify(parse(pack(77, 0x8000, None)), 1000)
    assert not context.is_complete
    # The next signature covers those between: the one who signed knows nothing of them here.
    with pytest.raises(TsigFailure, match="BADSIG"):
        context.verify(parse(signed.sign(pack(77, 0x8000, None), 1000)), 1000)


def test_more_than_99_messages_without_signature_are_too_many() -> None:
    context = TsigContext(key())
    signed = signed_request(parse(context.sign(query(), 1000)), {key().name: key()}, 1000)
    assert signed is not None
    context.verify(parse(signed.sign(pack(77, 0x8000, QUESTION), 1000)), 1000)
    for _ in range(99):
        context.verify(parse(pack(77, 0x8000, None)), 1000)
    with pytest.raises(TsigFailure, match="no signature"):
        context.verify(parse(pack(77, 0x8000, None)), 1000)


def test_the_first_answer_needs_a_signature() -> None:
    context = TsigContext(key())
    context.sign(query(), 1000)
    with pytest.raises(TsigFailure, match="no signature"):
        context.verify(parse(pack(77, 0x8000, QUESTION)), 1000)


@pytest.mark.parametrize(
    ("change", "wall", "error"),
    [
        (lambda data: data, 1000, 0),
        (lambda data: data, 1301, BADTIME),
        (lambda data: data, 699, BADTIME),
        (lambda data: data, 1300, 0),
        (lambda data: data[:3] + bytes((data[3] ^ 1,)) + data[4:], 1000, BADSIG),
        (lambda data: data.replace(b"\x03key", b"\x03kex"), 1000, BADKEY),
        (lambda data: data.replace(b"hmac-sha256", b"hmac-sha512"), 1000, BADKEY),
    ],
)
def test_what_is_wrong_is_told(change, wall: int, error: int) -> None:  # type: ignore[no-untyped-def]
    context = TsigContext(key())
    data = change(context.sign(query(), 1000))
    signed = signed_request(parse(data), {key().name: key()}, wall)
    assert signed is not None
    assert signed.error == error
    assert signed.rcode == (NOTAUTH if error else 0)
    answer = parse(signed.sign(pack(77, 0x8000 | signed.rcode, QUESTION), wall))
    if not error:
        context.verify(answer, wall)
        return
    with pytest.raises(TsigFailure) as found:
        context.verify(answer, 1000)
    assert found.value.error == error


def test_short_macs_are_taken_from_who_agreed_to_them() -> None:
    short = TsigKey.from_text(f"hmac-sha256-128:key.example.:{SECRET}")
    assert short.mac_size == 16
    data = TsigContext(short).sign(query(), 1000)
    ours = signed_request(parse(data), {short.name: short}, 1000)
    assert ours is not None and not ours.error
    strict = signed_request(parse(data), {short.name: key()}, 1000)
    assert strict is not None and strict.error == BADTRUNC
    full = signed_request(parse(TsigContext(key()).sign(query(), 1000)), {short.name: short}, 1000)
    assert full is not None and not full.error


def test_impossible_records_are_malformed() -> None:
    data = TsigContext(TsigKey(key().name, key().algorithm, key().secret, 9)).sign(query(), 1000)
    with pytest.raises(Malformed, match="wrong length"):
        signed_request(parse(data), {key().name: key()}, 1000)
    twice = TsigContext(key()).sign(TsigContext(key()).sign(query(), 1000), 1000)
    with pytest.raises(Malformed, match="not the last"):
        signed_request(parse(twice), {key().name: key()}, 1000)
    for cut in range(12, len(data)):
        try:
            signed_request(parse(data[:cut]), {key().name: key()}, 1000)
        except Malformed:
            pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key", "NAME:SECRET"),
        ("hmac-sha257:key:c2VjcmV0", "HMAC-SHA256"),
        ("hmac-sha256-64:key:c2VjcmV0", "128 to 256"),
        ("key:???", "base64"),
    ],
)
def test_wrong_keys_are_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TsigKey.from_text(text)
