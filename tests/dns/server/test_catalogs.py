"""Catalog zones: zones come and go as Knot's catalog, and ours, say."""

import signal
import subprocess
from pathlib import Path

import pytest
from tests.dns.server.running import ask_udp, query, serving
from tests.dns.server.test_zones import free_port, peer, until
from tests.peers import tool

from catenet.dns.server.catalogs import Catalogs, Step
from catenet.dns.server.config import ZoneConfig
from catenet.dns.zone.catalog import Member, catalog_zone
from catenet.wire.dns.message import parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import SOA

LISTEN = ("--listen", "udp+tcp://127.0.0.1:0")
CATALOG = name_from_text("catalog.test.")
OTHER = name_from_text("other.test.")
MEMBER = name_from_text("one.test.")


def zone_text(name: str, serial: int) -> str:
    return f"$ORIGIN {name}.test.\n$TTL 60\n@ SOA ns h {serial} 60 60 6000 60\n@ NS ns\nns A 192.0.2.1\n"


def rcodes(port: int) -> tuple[int, ...]:
    return tuple(parse(ask_udp(port, query(f"{name}.test.", SOA))).rcode for name in ("one", "two", "three"))


def serial_of(port: int, name: str) -> int:
    message = parse(ask_udp(port, query(f"{name}.test.", SOA)))
    return int.from_bytes(message.answer[0].data[-20:-16], "big") if message.answer else 0


def secondary(folder: Path, port: int) -> tuple[str, ...]:
    (folder / "s.toml").write_text(
        f'recursive = false\n[[zone]]\nname = "catalog.test"\nprimaries = ["127.0.0.1:{port}"]\n'
        'file = "catalog.zone"\ncatalog = "members"\n'
    )
    return "--config", "s.toml", *LISTEN


def knot(folder: Path, port: int, names: str) -> None:
    for name in names.split():
        (folder / f"{name}.zone").write_text(zone_text(name, 5))
    members = "".join(
        f'  - domain: {name}.test\n    file: "{folder}/{name}.zone"\n    catalog-role: member\n'
        "    catalog-zone: catalog.test\n    acl: all\n"
        for name in names.split()
    )
    (folder / "knot.conf").write_text(
        f"server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\ndatabase:\n  storage: {folder}\n"
        "acl:\n  - id: all\n    address: 127.0.0.1\n    action: transfer\n"
        f"zone:\n  - domain: catalog.test\n    catalog-role: generate\n    acl: all\n{members}"
    )


@pytest.mark.peer
def test_zones_come_and_go_with_the_catalog_of_knot(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "knot"
    folder.mkdir()
    knot(folder, port, "one two")
    with peer(tool("knotd"), "-c", str(folder / "knot.conf"), port=port, folder=folder) as child:
        with serving(tmp_path, *secondary(tmp_path, port)) as server:
            until(lambda: rcodes(server.port), (0, 0, 5))
            assert (tmp_path / "members/one.test.zone").exists()
            knot(folder, port, "two three")
            child.send_signal(signal.SIGHUP)
            server.process.send_signal(signal.SIGHUP)  # looks at its primary at once

            def after() -> tuple[int, ...]:
                told = ["@127.0.0.1", "-p", str(server.port), "catalog.test", "SOA", "+opcode=notify", "+time=1"]
                subprocess.run([tool("dig"), *told], capture_output=True, timeout=30)
                return rcodes(server.port)

            until(after, (5, 0, 0))
            assert not (tmp_path / "members/one.test.zone").exists()
    with serving(tmp_path, *secondary(tmp_path, free_port())) as server:
        assert rcodes(server.port) == (5, 0, 0), "from copies, without a primary"


def test_a_reload_keeps_members_and_their_changes_come(tmp_path: Path) -> None:
    primary = tmp_path / "p"
    primary.mkdir()
    for name in ("one", "two"):
        (primary / f"{name}.zone").write_text(zone_text(name, 5))
    catalog = (
        "$ORIGIN catalog.test.\n@ 0 SOA invalid. invalid. 1 60 30 6000 0\n@ 0 NS invalid.\nversion 0 TXT 2\n"
        "a.zones 0 PTR one.test.\nb.zones 0 PTR two.test.\n"
    )
    (primary / "catalog.zone").write_text(catalog)
    zones = "".join(f'[[zone]]\nfile = "{name}.zone"\n' for name in ("catalog", "one", "two"))
    (primary / "p.toml").write_text(f'recursive = false\ntransfers = ["127.0.0.1"]\n{zones}')
    with (
        serving(primary, "--config", "p.toml", *LISTEN) as first,
        serving(tmp_path, *secondary(tmp_path, first.port)) as server,
    ):
        until(lambda: rcodes(server.port), (0, 0, 5))
        (primary / "one.zone").write_text(zone_text("one", 6))
        (primary / "catalog.zone").write_text(catalog.replace("1 60 30", "2 60 30").replace("TXT 2", "TXT 3"))
        first.process.send_signal(signal.SIGHUP)
        until(lambda: serial_of(first.port, "one"), 6)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: serial_of(server.port, "one"), 6)
        until(lambda: serial_of(server.port, "catalog"), 2)
        assert rcodes(server.port) == (0, 0, 5), "a catalog of another version changes nothing"


def steps(catalogs: Catalogs, origin: bytes, *members: Member) -> list[tuple[bytes, str]]:
    told = ZoneConfig(name="x", catalog="folder", primaries=(origin.decode("latin-1"),))
    found: list[Step] = list(catalogs.changed(catalog_zone(origin, members, 1), told, {name_from_text("mine.test.")}))
    return [(one.name, "" if one.told is None else one.told.primaries[0]) for one in found]


def test_members_move_between_catalogs() -> None:
    first, second = CATALOG.decode("latin-1"), OTHER.decode("latin-1")
    catalogs = Catalogs()
    assert steps(catalogs, CATALOG, Member(MEMBER, b"a")) == [(MEMBER, first)]
    assert steps(catalogs, OTHER, Member(MEMBER, b"b")) == [], "it is served already"
    assert steps(catalogs, CATALOG, Member(MEMBER, b"a", owner=OTHER)) == [(MEMBER, second)]
    assert steps(catalogs, CATALOG) == [], "it is the other's now"
    assert steps(catalogs, OTHER, Member(MEMBER, b"c")) == [(MEMBER, ""), (MEMBER, second)], "anew"
    assert steps(catalogs, OTHER) == [(MEMBER, "")]
    assert steps(catalogs, OTHER, Member(name_from_text("mine.test."), b"c")) == []


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("one.test.", "one.test.zone"),
        (".", "root.zone"),
        (r"..\047etc.test.", None),
        ("a/../../b.test.", "a%2F\\.\\.%2F\\.\\.%2Fb.test.zone"),
        ("x" * 63 + "." + "y" * 63 + "." + "z" * 63 + "." + "w" * 40 + ".", None),
    ],
)
def test_files_of_members_stay_in_their_folder(name: str, file: str | None) -> None:
    label = name.encode().removesuffix(b".test.") if "/" in name else b""
    folded = (
        bytes((len(label),)) + label + name_from_text("test.") if label else name_from_text(name.lstrip(".") or ".")
    )
    told = ZoneConfig(name="x", catalog="folder", primaries=("192.0.2.1",))
    (step,) = Catalogs().changed(catalog_zone(CATALOG, [Member(folded, b"a")], 1), told, set())
    assert step.told is not None
    path = Path(step.told.file)
    assert path.parent == Path("folder") and len(path.name) < 250 and (file is None or path.name == file)
