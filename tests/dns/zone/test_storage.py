"""Zones as text and on disk: written and read again, by ourselves and by others; after crashes too."""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dns.zone import zones as bodies
from tests.dns.zone.test_reader import EXAMPLE, OF_BIND, TRICKY, records
from tests.peers import tool

from catenet.dns.dnssec.files import write_atomically
from catenet.dns.master.reader import read_records
from catenet.dns.master.writer import lines_of
from catenet.dns.rrset import RRset
from catenet.dns.zone import Zone, read_zone
from catenet.dns.zone.difference import Difference, apply, difference
from catenet.dns.zone.storage import JournalFile, load_zone, save_zone
from catenet.wire.dns.name import join, name_from_text
from catenet.wire.dns.numbers import LOC, TXT


def version(serial: int) -> Zone:
    return read_zone(f"$ORIGIN example.\n$TTL 60\n@ SOA ns h {serial} 60 60 60 60\n@ NS ns\nns A 192.0.2.{serial}\n")


def is_same(first: Zone, second: Zone) -> bool:
    change = difference(first, second)
    return set(change.removed) == set(change.added)


def test_a_zone_that_is_saved_is_read_again_as_it_was(tmp_path: Path) -> None:
    zone = read_zone(TRICKY + OF_BIND, EXAMPLE)
    save_zone(zone, tmp_path / "zone")
    assert is_same(zone, read_zone(tmp_path / "zone"))
    assert [path.name for path in tmp_path.iterdir()] == ["zone"]


@pytest.mark.peer
def test_others_read_what_we_write(tmp_path: Path) -> None:
    zone = read_zone(TRICKY + OF_BIND, EXAMPLE)
    file, out = tmp_path / "zone", tmp_path / "out"
    save_zone(zone, file)
    words = [tool("named-checkzone"), "-k", "ignore", "-i", "none", "-D", "-o", str(out), "example.", str(file)]
    subprocess.run(words, check=True, capture_output=True)
    assert records(read_zone(out, EXAMPLE)) == records(zone)
    listed = subprocess.run([tool("ldns-read-zone"), str(file)], check=True, capture_output=True, text=True)
    assert records(read_zone(listed.stdout, EXAMPLE)) == records(zone)


@pytest.mark.peer
def test_a_signed_zone_survives(tmp_path: Path) -> None:
    signed = bodies.sign(bodies.write(tmp_path, "nsec3.test."), "nsec3.test.", "-3", "aabb", "-H", "3")
    zone = read_zone(signed, name_from_text("nsec3.test."))
    save_zone(zone, tmp_path / "again")
    assert is_same(zone, read_zone(tmp_path / "again"))


labels = st.lists(st.binary(min_size=1, max_size=12), min_size=0, max_size=5)


@given(labels, st.lists(st.binary(max_size=255), min_size=1, max_size=3), st.integers(0, 0x7FFF_FFFF))
def test_any_name_and_any_string_survive(parts: list[bytes], strings: list[bytes], ttl: int) -> None:
    one = RRset(join(parts), TXT, ttl, (b"".join(bytes((len(text),)) + text for text in strings),))
    assert list(read_records("".join(lines_of([one])))) == [one]


@given(st.integers(256, 65_279), st.binary(max_size=50))
def test_data_of_any_type_survive(kind: int, data: bytes) -> None:
    one = RRset(b"\1x\0", kind, 5, (data,))
    try:
        again = list(read_records("".join(lines_of([one]))))
    except ValueError:
        # Bytes that are no data of a type that is known go out as they are, and do not come in.
        assert kind < 300
        return
    assert again == [one]


def test_data_that_are_not_their_types_are_written_as_bytes() -> None:
    assert list(lines_of([RRset(b"\0", 1, 5, (b"abc",))])) == [". 5 IN A \\# 3 616263\n"]
    assert list(lines_of([RRset(b"\0", LOC, 5, (b"abc",))])) == [". 5 IN LOC \\# 3 616263\n"]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zone"
    save_zone(version(1), path)
    monkeypatch.setattr(os, "replace", lambda old, new: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        save_zone(version(2), path)
    assert read_zone(path).serial == 1 and [each.name for each in tmp_path.iterdir()] == ["zone"]


def changes(last: int) -> list[Difference]:
    return [difference(first, second) for first, second in pairwise(map(version, range(1, last + 1)))]


def written(path: Path, *, most_bytes: int = 8 << 20, last: int = 5) -> JournalFile:
    file = JournalFile(path, most_bytes)
    for change in changes(last):
        file.append(change, lambda: None)
    return file


def read(path: Path) -> JournalFile:
    file = JournalFile(path)
    file.load()
    return file


def test_a_journal_brings_a_zone_forward(tmp_path: Path) -> None:
    save_zone(version(2), tmp_path / "zone")
    written(tmp_path / "journal")
    journal = read(tmp_path / "journal")
    zone = load_zone(tmp_path / "zone", journal)
    assert is_same(zone, version(5))
    assert len(journal.journal.since(1) or ()) == 4


def test_a_journal_that_was_cut_anywhere_counts_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path)
    data = path.read_bytes()
    counts = []
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        counts.append(len(read(path).journal))
    assert counts == sorted(counts) and set(counts) == {0, 1, 2, 3}
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes((data[at] ^ 0x40,)) + data[at + 1 :])
        assert len(read(path).journal) < 4


def test_a_journal_on_disk_has_a_bound(tmp_path: Path) -> None:
    size = changes(2)[0].size
    written(tmp_path / "journal", most_bytes=3 * size, last=40)
    assert (tmp_path / "journal").stat().st_size < 6 * size
    assert [change.after for change in read(tmp_path / "journal").journal] == [38, 39, 40]


def test_no_change_is_lost_when_the_oldest_go(tmp_path: Path) -> None:
    path, now = tmp_path / "zone", version(1)
    save_zone(now, path)
    file = JournalFile(tmp_path / "zone.jnl", 300)
    saved = []

    def save() -> None:
        saved.append(now.serial)
        save_zone(now, path)

    for change in changes(40):
        apply(now, change)
        file.append(change, save)
        assert is_same(load_zone(path, read(tmp_path / "zone.jnl")), now)
    assert 1 < len(saved) < 40


def test_a_journal_of_another_file_is_cleared(tmp_path: Path) -> None:
    save_zone(version(9), tmp_path / "zone")
    written(tmp_path / "journal")
    journal = read(tmp_path / "journal")
    assert load_zone(tmp_path / "zone", journal).serial == 9 and not len(journal.journal)


def test_a_journal_without_file_is_empty(tmp_path: Path) -> None:
    assert not len(read(tmp_path / "none").journal)
    (tmp_path / "none").write_bytes(b"something else")
    assert not len(read(tmp_path / "none").journal)


def test_modes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    write_atomically(path, [b"x"])
    path.chmod(0o600)
    write_atomically(path, [b"y"])
    assert path.read_bytes() == b"y" and path.stat().st_mode & 0o777 == 0o600


def test_a_difference_is_applied_whole_or_not_at_all() -> None:
    zone = version(1)
    bad = changes(2)[0]
    bad = Difference(bad.removed, (*bad.added, bad.added[0]._replace(name=b"\5other\0", type=1)))
    with pytest.raises(ValueError, match="not in the zone"):
        apply(zone, bad)
    assert is_same(zone, version(1)) and zone.serial == 1
