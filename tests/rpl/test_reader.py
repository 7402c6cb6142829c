"""The language: both heads, entries, steps, and mistakes with their lines."""

from __future__ import annotations

import pytest

from catenet.testing.rpl.reader import read_scenario
from catenet.testing.rpl.syntax import Dialect, ScenarioError, Unsupported
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AA, AD, CH, NXDOMAIN, QR, RD, type_from_text

UNBOUND = """\
; a comment
server: qname-minimisation: no  # another
\ttarget-fetch-policy: "0 0 0"
\tlocal-data: "a. IN TXT 'x # y; z'"
stub-zone: name: "." stub-addr: 192.0.2.1
stub-zone:
\tname: example
\tstub-addr: 2001:db8::1
auth-zone:
\tname: "zone."
\tzonefile:
TEMPFILE_NAME zone.file
TEMPFILE_CONTENTS zone.file
zone. SOA . . 1 2 3 4 5
  indented
TEMPFILE_END
AUTOTRUST_FILE example
example. DNSKEY …
AUTOTRUST_END
CONFIG_END
SCENARIO_BEGIN A title ; and a comment
SCENARIO_END
"""

DECKARD = """\
do-ip6: no
; config options
\tstub-addr: 193.0.14.129 \t# K.ROOT-SERVERS.NET.
\ttrust-anchor: ". 3600 IN DS 1 13 2 ABCD"
\tfeatures: min_ttl = 3; max_ttl = 5
CONFIG_END
SCENARIO_BEGIN Title
SCENARIO_END
"""

BODY = """\
CONFIG_END
SCENARIO_BEGIN t
RANGE_BEGIN 0 10
  ADDRESS 192.0.2.1
  ADDRESS 2001:db8::1
ENTRY_BEGIN
MATCH opcode qtype subdomain TCP serial=17 ede=any
ADJUST copy_id copy_query sleep=2
REPLY QR AA NXDOMAIN DO
SECTION QUESTION
Example. IN A
SECTION ANSWER
$ORIGIN example.
$TTL 60
www A 192.0.2.7
www 1h IN TXT "a;b" "c" ; no more
SECTION AUTHORITY
@ SOA ns hostmaster ( 1 2 3 4 5 )
EXTRA_PACKET
REPLY QR
HEX_EDNSDATA_BEGIN
00 03 ; NSID
00 01 41
HEX_EDNSDATA_END
ENTRY_END
ENTRY_BEGIN
MANDATORY
MATCH all
HEX_ANSWER_BEGIN
0102
HEX_ANSWER_END
ENTRY_END
RANGE_END
STEP 1 QUERY ADDRESS 10.0.0.1
ENTRY_BEGIN
REPLY RD AD
SECTION QUESTION
version.bind. CH TXT
ENTRY_END
STEP 2 CHECK_OUT_QUERY
STEP 3 TIME_PASSES ELAPSE 1.5
STEP 4 TIME_PASSES EVAL ${$t + 1}
STEP 5 ASSIGN t = ${time}
STEP 6 CHECK_AUTOTRUST example
FILE_BEGIN
; as it stands
FILE_END
STEP 7 CHECK_ANSWER
ENTRY_BEGIN
MATCH rcode
SECTION QUESTION
a. ANY ANY
ENTRY_END
SCENARIO_END
"""


def test_settings_of_unbound() -> None:
    scenario = read_scenario(UNBOUND)
    assert (scenario.title, scenario.dialect) == ("A title", Dialect.UNBOUND)
    assert [(one.section, one.key, one.value, one.line) for one in scenario.head.settings] == [
        ("server", "qname-minimisation", "no", 2),
        ("server", "target-fetch-policy", "0 0 0", 3),
        ("server", "local-data", "a. IN TXT 'x # y; z'", 4),
        ("stub-zone", "name", ".", 5),
        ("stub-zone", "stub-addr", "192.0.2.1", 5),
        ("stub-zone", "name", "example", 7),
        ("stub-zone", "stub-addr", "2001:db8::1", 8),
        ("auth-zone", "name", "zone.", 10),
        ("auth-zone", "zonefile", "zone.file", 11),
        ("server", "auto-trust-anchor-file", "example", 19),
    ]
    clauses = [one.clause for one in scenario.head.settings]
    assert clauses == sorted(clauses) and len(set(clauses)) == 5
    assert scenario.head.files == {"zone.file": ["zone. SOA . . 1 2 3 4 5", "  indented"]}
    assert scenario.head.anchors == {"example": ["example. DNSKEY …"]}


def test_settings_of_deckard() -> None:
    scenario = read_scenario(DECKARD)
    assert scenario.dialect is Dialect.DECKARD
    assert [(one.key, one.value, one.line) for one in scenario.head.settings] == [
        ("do-ip6", "no", 1),
        ("stub-addr", "193.0.14.129", 3),
        ("trust-anchor", ". 3600 IN DS 1 13 2 ABCD", 4),
        ("features", "min_ttl = 3; max_ttl = 5", 5),
    ]


def test_ranges_and_entries() -> None:
    [found] = read_scenario(BODY).ranges
    assert (found.first, found.last, found.addresses) == (
        0,
        10,
        {bytes((192, 0, 2, 1)), b" \1\r\xb8" + bytes(11) + b"\1"},
    )
    first, second = found.entries
    assert first.match == {"opcode", "qtype", "subdomain", "tcp"} and (first.serial, first.error) == (17, -1)
    assert first.adjust == {"copy_id", "copy_query"}
    packet, extra = first.packets
    assert packet.flags == QR | AA | NXDOMAIN and packet.dnssec_ok and packet.delay == 2
    assert packet.question is not None and packet.question.name == b"\7Example\0"
    assert [(one.name, one.type, one.ttl) for one in packet.answer] == [
        (name_from_text("www.example."), type_from_text("A"), 60),
        (name_from_text("www.example."), type_from_text("TXT"), 3600),
    ]
    assert packet.answer[1].data == b"\3a;b\1c"
    assert packet.authority[0].name == name_from_text("example.")
    assert packet.authority[0].data.startswith(name_from_text("ns.example."))
    assert extra.edns_data == bytes.fromhex("0003000141")
    assert second.mandatory and second.packets[0].raw == b"\1\2"


def test_steps() -> None:
    query, out, elapse, evaluated, assign, file, check = read_scenario(BODY).steps
    assert query.address == b"\n\0\0\1" and query.entry is not None
    assert query.entry.packets[0].flags == RD | AD
    assert query.entry.packets[0].question == (name_from_text("version.bind."), 16, CH)
    assert out.entry is None and elapse.seconds == 1.5
    assert evaluated.expression == "${$t + 1}" and (assign.variable, assign.expression) == ("t", "${time}")
    assert (file.name, file.content) == ("example", ["; as it stands"])
    assert check.entry is not None and check.entry.packets[0].question == (b"\1a\0", 255, 255)


def body(steps: str) -> str:
    return f"CONFIG_END\nSCENARIO_BEGIN t\n{steps}\nSCENARIO_END\n"


ENTRY = "STEP 1 QUERY\nENTRY_BEGIN\n{}\nENTRY_END"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("server:\n", 2, "the file ends without CONFIG_END"),
        ("SCENARIO_BEGIN x\n", 1, "CONFIG_END expected before SCENARIO_BEGIN"),
        ("nonsense\nserver:\nCONFIG_END\n", 1, "a setting expected, not 'nonsense'"),
        ("stub-addr 1.2.3.4\nCONFIG_END\n", 1, "a setting is KEY: VALUE, not 'stub-addr 1.2.3.4'"),
        ("TEMPFILE_CONTENTS a\nCONFIG_END\n", 1, "no TEMPFILE_END for what begins here"),
        ("CONFIG_END\nSTEP 1 QUERY\n", 2, "SCENARIO_BEGIN expected, not 'STEP'"),
        ("CONFIG_END\nSCENARIO_BEGIN a\n", 3, "the file ends without SCENARIO_END"),
        ("CONFIG_END\nSCENARIO_BEGIN a\nSCENARIO_BEGIN b\n", 3, "a second SCENARIO_BEGIN"),
        (body("STEPP 1 QUERY"), 3, "unknown word between ranges and steps 'STEPP'; did you mean STEP?"),
        (body("STEP 1"), 3, "STEP needs a number and a kind"),
        (body("STEP one QUERY"), 3, "a step is a number, not 'one'"),
        (body("STEP 1 CHECK_ANSER"), 3, "unknown kind of step 'CHECK_ANSER'; did you mean CHECK_ANSWER?"),
        (body("STEP 2 NOTHING\nSTEP 2 NOTHING"), 4, "step 2 follows step 2: steps go up"),
        (body("STEP 2 QUERY"), 3, "QUERY needs an entry"),
        (body("STEP 2 ASSIGN x"), 3, "ASSIGN needs NAME = EXPRESSION"),
        (body("STEP 2 TIME_PASSES ELAPSE soon"), 3, "seconds are a number, not 'soon'"),
        (body("STEP 2 TIME_PASSES ELAPS 3"), 3, "unknown word of a step 'ELAPS'; did you mean ELAPSE?"),
        (body("STEP 2 QUERY ADDRESS 1.2.3"), 3, "'1.2.3' is no address"),
        (body("STEP 2 CHECK_TEMPFILE a\nx"), 4, "FILE_BEGIN expected"),
        (body("RANGE_BEGIN 1"), 3, "RANGE_BEGIN needs the first and the last step"),
        (body("RANGE_BEGIN 1 2\nADRESS 1.2.3.4"), 4, "unknown word in a range 'ADRESS'; did you mean ADDRESS?"),
        (body("RANGE_BEGIN 1 2\nENTRY_BEGIN"), 4, "no ENTRY_END for the entry that begins here"),
        (body(ENTRY.format("MATCH al")), 5, "unknown word of MATCH 'al'; did you mean all?"),
        (body(ENTRY.format("MATCH serial=x")), 5, "a serial number is a number, not 'x'"),
        (body(ENTRY.format("ADJUST copyid")), 5, "unknown word of ADJUST 'copyid'; did you mean copy_id?"),
        (body(ENTRY.format("REPLY NXDOMAIN QRR")), 5, "unknown word of REPLY 'QRR'; did you mean QR?"),
        (body(ENTRY.format("SECTION ANSWERS")), 5, "unknown section 'ANSWERS'; did you mean ANSWER?"),
        (body(ENTRY.format("RAW\nxyz")), 6, "what follows is not hexadecimal"),
        (body(ENTRY.format("a..b. IN A")), 5, "'a..b.' has an empty label"),
        (body(ENTRY.format("a. IN")), 5, "the question 'a. IN' has no type"),
        (body(ENTRY.format("SECTION ANSWER\na. IN AX 1.2.3.4")), 6, "'AX' is not a record type"),
    ],
)
def test_mistakes_have_a_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(text)
    assert (caught.value.line, str(caught.value)) == (line, message)


def test_bad_data_is_a_mistake() -> None:
    with pytest.raises(ScenarioError, match=r"'1\.2\.3' is no IPv4 address") as caught:
        read_scenario(body(ENTRY.format("SECTION ANSWER\na. IN A 1.2.3")))
    assert caught.value.line == 6


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("COMMANDLINE -v\nCONFIG_END\n", 1),
        (body(ENTRY.format("TSIG key AAAA")), 5),
        (body(ENTRY.format("ADJUST increment_ecs_scope")), 5),
        (body(ENTRY.format("a. IN A\nb. IN A")), 6),
    ],
)
def test_what_there_is_not(text: str, line: int) -> None:
    with pytest.raises(Unsupported) as caught:
        read_scenario(text)
    assert caught.value.line == line


def test_broken_data_is_kept() -> None:
    """Data that breaks its type's rules, and signatures that are empty or too long, are there to be refused."""
    text = body(
        ENTRY.format(
            "SECTION ANSWER\n"
            "a. IN A \\# 3 010203\n"
            "a. RRSIG A 5 1 60 20200101000000 20190101000000 1 a.\n"
            "a. RRSIG A 5 1 60 20200101000000 20190101000000 1 a. AQI=SECTION\n"
        )
    )
    entry = read_scenario(text).steps[0].entry
    assert entry is not None
    data = [record.data for record in entry.packets[0].answer]
    assert data[0] == b"\1\2\3" and data[1].endswith(b"\1a\0") and data[2].endswith(b"\1a\0\1\2")
