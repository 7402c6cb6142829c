"""Mistakes in master files: one line with the place and what may be meant; what BIND refuses we refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.peers import tool

from catenet.dns.master.tokens import ZoneError
from catenet.dns.zone import read_zone
from catenet.wire.dns.name import name_from_text

EXAMPLE = name_from_text("example.")
HEAD = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"

MISTAKES = [
    ("x AAA 1.2.3.4", "5: unknown record type 'AAA'; did you mean AAAA?"),
    ("x A 1.2.3", "5: '1.2.3' is no IPv4 address"),
    ("x A 01.1.1.1", "5: '01.1.1.1' is no IPv4 address"),
    ("x A 1.2.3.4 5", "5: A takes 'IPv4-address', not 2 words"),
    ("x A", "5: A takes 'IPv4-address', not 0 words"),
    ("x", "5: the name 'x' without type and data"),
    ("x IN 60", "5: a record without type and data"),
    ("x IN IN A 1.2.3.4", "5: a second class, IN, where the type belongs"),
    ("x CH A 1.2.3.4", "5: class CH; zones are of class IN"),
    ("x 60 60 A 1.2.3.4", "5: unknown record type '60'"),
    ("$ORGIN foo.", "5: unknown directive $ORGIN; did you mean $ORIGIN?"),
    ("$FOO bar", "5: unknown directive $FOO; there are $ORIGIN, $TTL, $INCLUDE, $GENERATE"),
    ("$TTL", "5: $TTL takes 'TIME'"),
    ("$TTL 1x", "5: '1x' is no time; write seconds, or units as in 1h30m"),
    ("x 1H30 A 1.1.1.1", "5: '1H30' is no time; write seconds, or units as in 1h30m"),
    ("$ORIGIN a b", "5: $ORIGIN takes 'a name'"),
    ("x MX 10", "5: MX takes 'preference exchange', not 1 words"),
    ("x MX 70000 m", "5: preference '70000' is no number from 0 to 65535"),
    ('x MX 10 "m"', "5: 'm' is quoted, where a name belongs"),
    ('x TXT "abc', '5: a quote without its end on the line; strings go as "..." "..."'),
    ("x TXT a\\", "5: a backslash at the end of the line"),
    ("x TXT " + "a" * 256, "5: a string of 256 bytes; one has at most 255, so split it into several"),
    ("y TXT a\nx TXT (a\nb", "6: '(' without ')'"),
    ("x TXT (\na ))", "6: ')' without '('"),
    ("a..b A 1.1.1.1", "5: 'a..b' has an empty label"),
    ("x\\300 A 1.1.1.1", "5: 'x\\\\300' has an escape that is no number from 000 to 255"),
    ("a" * 64 + " A 1.1.1.1", f"5: '{'a' * 64}': a label has 1 to 63 bytes"),
    ("x TYPE1 \\# 4 0102", "5: \\# says 4 bytes, and 2 follow"),
    ("x TYPE1 \\# 3 010203", "5: these bytes are no A data: record data is cut off"),
    ("x DNSKEY 257 3 RSASHA 00", "5: 'RSASHA' is no algorithm; did you mean RSASHA1?"),
    ("x CNAME y\n\nx A 1.1.1.1\ny A 1.1.1.1", "7: x.example. has CNAME and A; beside CNAME there is no other data"),
    ("x A 1.1.1.1\nx CNAME y", "6: x.example. has CNAME and A; beside CNAME there is no other data"),
    ("x CNAME y\nx CNAME z", "5: x.example. has several CNAME records; there can be only one"),
    ("@ SOA ns h 2 2 3 4 5", "5: example. has several SOA records; there can be only one"),
    ("y SOA ns h 2 2 3 4 5", "5: SOA record of y.example. in the zone example."),
    ("x 4294967296 A 1.1.1.1", "5: '4294967296' is more than 4294967295 seconds"),
    ("$GENERATE 1-3 a$ A", "5: $GENERATE takes 'RANGE NAME [TTL] [CLASS] TYPE DATA'"),
    ("$GENERATE 1-4000000000 a$ A 1.1.1.1", "5: '1-4000000000' goes beyond 2147483647"),
    ("$GENERATE 3-1 a$ A 1.1.1.$", "5: '3-1' is no range: it goes from a number up to a larger one"),
    ("$GENERATE 1-3 a${1,2,q} A 1.1.1.$", "5: '${1,2,q}' is no modifier; write ${OFFSET,WIDTH,BASE}"),
    ("$GENERATE 1-300 a$ A 1.1.1.$", "5: '1.1.1.256' is no IPv4 address"),
    ("x SVCB 1 . alpn", "5: SVCB data: value cannot be empty"),
    ("x ANY 1", "5: ANY is no type of data in a zone"),
    ("x NSEC y A FOO", "5: 'FOO' is no record type"),
    ("x TYPE70000 \\# 0", "5: unknown record type 'TYPE70000'"),
    ("x TLSA 1 1 1 xy", "5: hexadecimal digits in pairs are expected"),
    ("x DS 1 8 2 0", "5: hexadecimal digits in pairs are expected"),
]
OURS = [
    ("x 2147483648 A 1.1.1.1", "5: TTL 2147483648 is more than 2147483647 seconds (RFC 2181 8)"),
    ("é A 1.1.1.1", "5: 'é' has a letter outside of ASCII; write it in its xn-- form"),
    ('"x" A 1.1.1.1', "5: 'x' is quoted, where a name belongs"),
]
"""BIND takes them: a TTL as 0, any byte in a name."""


@pytest.mark.parametrize(("text", "said"), MISTAKES + OURS)
def test_a_mistake_is_one_line_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_text(f"{HEAD}{text}\n")
    with pytest.raises(ZoneError) as found:
        read_zone(file, EXAMPLE)
    assert str(found.value).startswith(f"{file}:{said}")
    assert "\n" not in str(found.value)


@pytest.mark.peer
@pytest.mark.parametrize("text", [text for text, _ in MISTAKES])
def test_bind_refuses_it_too(text: str, tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_text(f"{HEAD}{text}\n")
    words = [tool("named-checkzone"), "-k", "ignore", "-i", "none", "example.", str(file)]
    assert subprocess.run(words, capture_output=True).returncode


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no SOA record of example."),
        ("@ NS ns\n", "1: no TTL: write it into the record, or $TTL before it"),
        (" 60 NS ns\n", "1: the first record has no owner; begin the line with a name, or @"),
        ("other. 60 SOA ns h 1 2 3 4 5\n", "no SOA record of example."),
    ],
)
def test_a_file_that_is_no_zone(text: str, said: str) -> None:
    with pytest.raises(ZoneError) as found:
        read_zone(text, EXAMPLE)
    assert said in str(found.value)


def test_one_line_does_not_make_records_without_end() -> None:
    """BIND does as it is told."""
    with pytest.raises(ZoneError, match="'1-2000000000' makes 2000000000 records; at most 1048576 are made"):
        read_zone(f"{HEAD}$GENERATE 1-2000000000 a$ A 1.1.1.1\n", EXAMPLE)


def test_without_a_name_the_soa_record_and_the_files_name_say_it(tmp_path: Path) -> None:
    for name in ("example.zone", "db.example", "example", "example.zone.signed"):
        (tmp_path / name).write_text(HEAD)
        assert read_zone(tmp_path / name).apex == EXAMPLE
    assert read_zone("example. 60 SOA ns h 1 2 3 4 5\nwww 60 A 192.0.2.1\n").get(b"\3www\7example\0", 1)
    with pytest.raises(ZoneError, match=r"1: '@' is relative to no origin; begin with \$ORIGIN"):
        read_zone(HEAD.split("\n", 1)[1])


def test_files_include_others_beside_them(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "zone").write_text(HEAD + "$INCLUDE parts/a sub\nz A 192.0.2.9\n  TXT last\n")
    (tmp_path / "parts" / "a").write_text('x A 192.0.2.2\n$INCLUDE "b"\n$ORIGIN elsewhere.\n')
    (tmp_path / "parts" / "b").write_text("y A 192.0.2.3\n")
    zone = read_zone(tmp_path / "zone", EXAMPLE)
    for name in ("x.sub", "y.sub", "z"):
        assert zone.get(name_from_text(f"{name}.example."), 1)
    assert zone.get(name_from_text("z.example."), 16)
    (tmp_path / "parts" / "b").write_text("y A 192.0.2.3\n\ny B 1\n")
    with pytest.raises(ZoneError, match=r"parts/b:3: unknown record type 'B'"):
        read_zone(tmp_path / "zone", EXAMPLE)
    (tmp_path / "parts" / "b").write_text("$INCLUDE b\n")
    with pytest.raises(ZoneError, match=r"b:1: more than 20 files within files; does one include itself\?"):
        read_zone(tmp_path / "zone", EXAMPLE)
    (tmp_path / "parts" / "b").unlink()
    with pytest.raises(ZoneError, match=r"parts/a:2: \$INCLUDE of '.*b': No such file or directory"):
        read_zone(tmp_path / "zone", EXAMPLE)
    with pytest.raises(ZoneError, match="in a text that is no file"):
        read_zone(HEAD + "$INCLUDE x\n", EXAMPLE)


def test_oddities_are_told_and_left_out() -> None:
    said: list[str] = []
    zone = read_zone(
        f"{HEAD}www.other. A 192.0.2.1\nx 5 TXT a\nx 6 TXT b\nx 7 RRSIG A 8 2 60 2 1 4 example. AA==\n",
        EXAMPLE,
        warn=lambda one: said.append(str(one)),
    )
    assert len(zone) == 4
    assert sorted(said) == [
        "<text>: www.other. A is outside of the zone, and is left out",
        "<text>:7: TTL 6 of a record of x.example. TXT, whose set has 5; it gets that",
        "<text>:8: signature over x.example. A, which is not there; it is left out",
    ]


PIECES = r"""x @ ( ) " ; \ \# 4 60 1h IN A SOA TXT NS MX $TTL $ORIGIN $GENERATE 1-3 ${0,1,x} $ 192.0.2.1 example.
HTTPS alpn= RRSIG TYPE7 """
WORDS = st.sampled_from([*PIECES.split(), " ", "\n", "\t", "\xe9", "\0"])


@given(st.lists(WORDS, max_size=40).map(" ".join))
@example('x HTTPS 1 . alpn="')
@example('x TXT a="b"')
def test_whatever_is_in_a_file_only_a_zone_error_comes_of_it(text: str) -> None:
    for whole in (text, HEAD + text, HEAD + text.replace(" ", "")):
        try:
            read_zone(whole, EXAMPLE)
        except ZoneError as error:
            assert "\n" not in str(error)
