"""Whatever a zone holds and whatever is asked or sent: an answer, and nothing raised."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dns.zone import zones as bodies

from catenet.dns.dnssec import check_zonemd
from catenet.dns.response import pack_response
from catenet.dns.rrset import RRset
from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.dns.zone.catalog import read_catalog
from catenet.dns.zone.check import check_zone
from catenet.dns.zone.difference import difference
from catenet.dns.zone.transfer_in import TransferError, TransferIn
from catenet.dns.zone.transfer_out import transfer_out
from catenet.dns.zone.update import Grant, update_zone
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import ROOT, join, name_from_text
from catenet.wire.dns.numbers import ANY, AXFR, NSEC, NSEC3, NSEC3PARAM, RRSIG, SOA, TC, TXT
from catenet.wire.errors import Malformed

LABELS = [b"a", b"*", b"x", b"\0", b"\1", b"A" * 63, b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", b"zones", b"version"]
names = st.lists(st.sampled_from(LABELS), max_size=4).map(
    lambda found: join(found) if len(join_size(found)) < 255 else ROOT
)
types = st.sampled_from([1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, NSEC, NSEC3, NSEC3PARAM, 63, 64, 65, 99, ANY])


def join_size(found: list[bytes]) -> bytes:
    return b"".join(b"." + label for label in found) + b"."


def soa(serial: int) -> bytes:
    return ROOT + ROOT + struct.pack("!5I", serial, 1, 1, 1, 1)


def data_of(kind: int, value: bytes, target: bytes) -> bytes:
    """Data as they come through a message: those with names in them are right, others may be anything."""
    heads = {2: b"", 5: b"", 12: b"", 15: b"\0\1", 33: bytes(6), 39: b""}
    if kind == SOA:
        return soa(1)
    if kind == RRSIG:
        return b"\0\1" + bytes(16) + target
    return heads[kind] + target if kind in heads else target + value if kind == NSEC else value


@st.composite
def zones_of_anything(draw: st.DrawFn) -> Zone:
    zone = Zone(ROOT, [RRset(ROOT, SOA, 5, (soa(1),))])
    for name, kind, value, target, signed in draw(
        st.lists(
            st.tuples(
                names, types.filter(lambda kind: kind not in (ANY, SOA)), st.binary(max_size=30), names, st.booleans()
            )
        )
    ):
        signatures = (data_of(RRSIG, b"", target),) if signed and kind != RRSIG else ()
        zone.put(RRset(name, kind, 7, (data_of(kind, value, target),), signatures))
    return zone


@given(zones_of_anything(), names, types, st.booleans(), st.booleans())
def test_any_question_to_any_zone_has_an_answer(zone: Zone, name: bytes, kind: int, dnssec: bool, every: bool) -> None:
    question = Question(name, kind)
    response = ZoneSet([zone]).answer(question, dnssec, every_type=every)
    assert response.rcode in (0, 3, 6)
    query = parse(pack(1, 0, question))
    edns = Edns(flags=DNSSEC_OK) if dnssec else None
    for limit in (512, 65_535):
        try:
            assert len(pack_response(response, query, edns, limit)) <= limit
        except Malformed:
            pass


@given(zones_of_anything())
def test_any_zone_is_checked_digested_and_sent(zone: Zone) -> None:
    check_zone(zone)
    check_zonemd(zone, ROOT)
    try:
        read_catalog(zone)
    except ValueError:
        pass
    assert {one.key for one in zone} == {one.key for one in zone.sets()}
    names = set(zone.names())
    for one in list(zone.sets()):
        if one.type != SOA:
            zone.discard(one.name, one.type)
    assert len(zone) == 1 and set(zone.names()) == {ROOT} and len(names) >= 1


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_any_bytes_as_an_answer_end_a_transfer(junk: bytes, at: int) -> None:
    zone = read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")
    transfer = TransferIn(zone.origin, 5, current=zone)
    (data,) = transfer_out(zone, parse(pack(5, 0, Question(zone.origin, AXFR))))
    at = at % len(data)
    try:
        if transfer.receive(data[:at] + junk + data[at + len(junk) :], 0):
            transfer.commit()
    except TransferError:
        pass


@pytest.mark.parametrize("seed", range(200))
def test_any_bytes_as_an_update_change_a_zone_or_do_not(seed: int) -> None:
    rng = random.Random(seed)
    zone = read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")
    before = zone.copy()
    records = bytearray()
    for _ in range(6):
        owner = rng.choice([b"\xc0\x0c", b"\4many\xc0\x0c", b"\1x\xc0\x0c", b"\3www\xc0\x0c", b"\1*\3cut\xc0\x0c"])
        kind, rclass = rng.choice([1, 2, 5, 6, 15, 16, 28, 39, 46, 255, 65, 64]), rng.choice([1, 254, 255, 255])
        value = rng.choice([b"", bytes(4), b"\0\1\xc0\x0c", b"\xc0\x0c", rng.randbytes(rng.randrange(40))])
        ttl = 0 if rclass != 1 else rng.choice([0, 60])
        records += owner + struct.pack("!HHIH", kind, rclass, ttl, len(value)) + value
    head = struct.pack("!6H", 1, 5 << 11, 1, 0, 6, 0) + name_from_text("plain.test.") + b"\0\6\0\1"
    done = update_zone(zone, parse(head + bytes(records)), None, [Grant(None), Grant(None, types=frozenset((2, 6)))])
    assert done.rcode in (0, 1, 5)
    assert (done.change is None) == (set(difference(before, zone).removed) == set(difference(before, zone).added))
    assert set(zone.names()) == set(Zone(zone.origin, zone).names())


def test_glue_that_does_not_fit_cuts_the_message() -> None:
    glue = "".join(f"ns{number}.cut AAAA 2001:db8::{number:x}\ncut NS ns{number}.cut\n" for number in range(1, 14))
    zone = read_zone(f"$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 1 1 1 1\n@ NS ns.other.\n{glue}")
    query = parse(pack(1, 0, Question(name_from_text("x.cut.example."), 1)))
    assert query.question is not None
    response = zone.answer(query.question)
    assert response.glue == 13
    short, whole = (parse(pack_response(response, query, None, limit)) for limit in (512, 4096))
    assert short.flags & TC and not whole.flags & TC and len(whole.additional) == 13


def test_a_set_of_many_records_is_read_and_updated_in_time_that_grows_with_it() -> None:
    text = "".join(f"many TXT t{number}\nother TXT t{number}\n" for number in range(30_000))
    zone = read_zone(f"$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 1 1 1 1\n@ NS ns.other.\n{text}")
    found = zone.get(name_from_text("many.example."), TXT)
    assert found is not None and len(found.data) == 30_000
