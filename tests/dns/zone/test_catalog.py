"""Catalog zones: ours served to BIND, Knot's read by us."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.dns.zone.authorities import serving
from tests.dns.zone.edge import Edge, fetch

from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.dns.zone.catalog import Catalog, Member, catalog_zone, compare_catalogs, read_catalog
from catenet.dns.zone.transfer_in import TransferError, TransferIn
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import SOA

ORIGIN = name_from_text("catalog.test.")
ONE, TWO, THREE = (name_from_text(f"{name}.test.") for name in ("one", "two", "three"))

TEXT = """
$ORIGIN catalog.test.
$TTL 0
@ SOA invalid. invalid. 1 60 30 2419200 0
@ NS invalid.
version TXT "2"
a.zones PTR ONE.test.
group.a.zones TXT "signed" "ignored"
group.a.zones TXT "fast"
b.zones PTR two.test.
coo.b.zones PTR other.test.
unknown.b.zones TXT "x"
something.else TXT "x"
"""


def test_a_catalog_is_read() -> None:
    assert read_catalog(read_zone(TEXT)).members == {
        ONE: Member(ONE, b"a", ("fast", "signed")),
        TWO: Member(TWO, b"b", (), name_from_text("other.test.")),
    }


def test_a_catalog_that_is_written_is_read_again() -> None:
    members = [Member(ONE, b"x", ("a", "b")), Member(TWO, b"y", (), ORIGIN)]
    assert list(read_catalog(catalog_zone(ORIGIN, members, 7)).members.values()) == members


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace('version TXT "2"', ""), "no catalog of version 2"),
        (TEXT.replace('version TXT "2"', 'version TXT "1"'), "no catalog of version 2"),
        (TEXT + "a.zones PTR three.test.\n", "a.zones.catalog.test. has several PTR records"),
        (TEXT + "c.zones PTR one.test.\n", "one.test. is in the catalog twice"),
    ],
)
def test_a_broken_catalog_is_not_acted_upon(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_catalog(read_zone(text))


def test_what_differs_between_two_versions() -> None:
    before = Catalog(ORIGIN, {ONE: Member(ONE, b"a"), TWO: Member(TWO, b"b"), ORIGIN: Member(ORIGIN, b"c")})
    after = Catalog(ORIGIN, {ONE: Member(ONE, b"z"), THREE: Member(THREE, b"d"), ORIGIN: Member(ORIGIN, b"c", ("g",))})
    change = compare_catalogs(before, after)
    assert [[one.name for one in each] for each in change] == [[THREE], [TWO], [ONE], [ORIGIN]]


def member_zone(name: str) -> Zone:
    return read_zone(f"$ORIGIN {name}\n$TTL 60\n@ SOA ns h 5 60 60 60 60\n@ NS ns\nns A 192.0.2.1\n")


@pytest.mark.peer
def test_bind_serves_the_members_of_our_catalog(tmp_path: Path) -> None:
    zones = ZoneSet([catalog_zone(ORIGIN, [Member(ONE, b""), Member(TWO, b"")], 1)])
    for name in ("one.test.", "two.test."):
        zones.put(member_zone(name))
    with Edge(zones) as edge:
        at = f"primaries {{ 127.0.0.1 port {edge.port}; }};"
        conf = (
            f'zone "catalog.test" {{ type secondary; file "copy"; {at} }};\n'
            f'options {{ catalog-zones {{ zone "catalog.test" default-{at} }}; }};'
        )
        with serving("named", tmp_path / "named", {}, conf) as server:
            for name in (ONE, TWO):
                server.wait_for(Question(name, SOA))
            assert server.ask(Question(THREE, SOA)).rcode


@pytest.mark.peer
def test_we_read_the_catalog_that_knot_makes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = f"$ORIGIN {name}.test.\n$TTL 60\n@ SOA ns h 5 60 60 60 60\n@ NS ns\nns A 192.0.2.1\n"
        (tmp_path / name).write_text(text)
    conf = (
        "acl:\n  - id: all\n    address: 127.0.0.1\n    action: transfer\n"
        "zone:\n  - domain: catalog.test\n    catalog-role: generate\n    acl: all\n"
        + "".join(
            f'  - domain: {name}.test\n    file: "{tmp_path}/{name}"\n    catalog-role: member\n'
            f"    catalog-zone: catalog.test\n    catalog-group: g-{name}\n"
            for name in ("one", "two")
        )
    )
    with serving("knotd", tmp_path / "knotd", {}, conf) as server:
        for _ in range(200):
            try:
                found = read_catalog(fetch(server.port, TransferIn(ORIGIN, 3)))
            except TransferError:
                found = Catalog(ORIGIN)
            if len(found.members) == 2:
                break
            time.sleep(0.05)
        assert {name: member.groups for name, member in found.members.items()} == {ONE: ("g-one",), TWO: ("g-two",)}
