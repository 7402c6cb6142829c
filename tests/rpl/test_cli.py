"""The command: what it prints, exit status, JSON, directories, several at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catenet.testing.rpl.cli import main

QUERY = "STEP 1 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\nwww.example. IN A\nENTRY_END\n"
GOOD = f"""\
forward-zone: name: "." forward-addr: 192.0.2.1
CONFIG_END
SCENARIO_BEGIN forwarded
{QUERY}
STEP 2 REPLY
ENTRY_BEGIN
MATCH opcode qtype qname
ADJUST copy_id
REPLY QR RD RA NOERROR
SECTION QUESTION
www.example. IN A
SECTION ANSWER
www.example. IN A 192.0.2.7
ENTRY_END
STEP 3 CHECK_ANSWER
ENTRY_BEGIN
MATCH all
REPLY QR RD RA NOERROR
SECTION QUESTION
www.example. IN A
SECTION ANSWER
www.example. IN A 192.0.2.7
ENTRY_END
SCENARIO_END
"""
FAILING = GOOD.replace("192.0.2.7\nENTRY_END\nSCENARIO_END", "192.0.2.8\nENTRY_END\nSCENARIO_END")
UNSUPPORTED = "view: name: a\nCONFIG_END\nSCENARIO_BEGIN a\nSCENARIO_END\n"
WRONG = "CONFIG_END\nSCENARIO_BEGIN a\nSTEPP 1 QUERY\n"


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "good.rpl").write_text(GOOD)
    (tmp_path / "sub" / "failing.rpl").write_text(FAILING)
    return tmp_path


def test_pass(scenarios: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scenarios / "good.rpl")]) == 0
    assert capsys.readouterr().out == f"pass {scenarios / 'good.rpl'}\n"


def test_directory_with_a_failure(scenarios: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scenarios)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"pass {scenarios / 'good.rpl'}",
        f"fail {scenarios / 'sub' / 'failing.rpl'}:21: step 3: answer section without www.example. IN A 192.0.2.8 "
        "and with www.example. IN A 192.0.2.7",
        "1 of 2 passed (50.0 %), 1 failed, 0 unsupported",
    ]


def test_what_is_unsupported_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.rpl"
    file.write_text(UNSUPPORTED)
    assert main([str(file)]) == 1
    assert capsys.readouterr().out == f"unsupported {file}:1: view: is not among the settings of this resolver\n"


def test_mistakes_in_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.rpl"
    file.write_text(WRONG)
    assert main([str(file)]) == 2
    out = capsys.readouterr().out
    assert out == f"fail {file}:3: unknown word between ranges and steps 'STEPP'; did you mean STEP?\n"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("server: qname-minimisaton: no", "unknown setting 'qname-minimisaton'; did you mean qname-minimisation?"),
        ("server: do-ip6: maybe", "unknown value of do-ip6: 'maybe'"),
        ("server: cache-max-ttl: long", "cache-max-ttl: is a number, not 'long'"),
        ("server: private-address: 300.0.0.0/8", "private-address: '300.0.0.0' is not an IPv4 or IPv6 address"),
        ("server: val-override-date: 20201301000000", "val-override-date: '20201301000000' is no date"),
        ("stub-zone: stub-addr: 192.0.2.1", "stub-zone: without name:"),
        ("stub-zone: name: a stub-addr: b", "'b' is no address"),
        ("server: trust-anchor: 'a. IN A 192.0.2.1'", "record type A; a trust anchor is a DS or DNSKEY record"),
        ("qery-minimization: no", "unknown setting 'qery-minimization'; did you mean query-minimization?"),
    ],
)
def test_mistakes_in_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str) -> None:
    file = tmp_path / "a.rpl"
    file.write_text(f"{setting}\nCONFIG_END\nSCENARIO_BEGIN a\nSCENARIO_END\n")
    assert main([str(file)]) != 0
    line = capsys.readouterr().out
    assert f"{file}:1: " in line and message in line


def test_json_of_several_at_a_time(scenarios: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scenarios), "--json", "-j", "2"]) == 1
    good, failing = json.loads(capsys.readouterr().out)
    assert (good["verdict"], good["step"], good["message"]) == ("pass", None, "")
    assert (failing["verdict"], failing["step"], failing["line"]) == ("fail", 3, 21)


def test_the_exchange(scenarios: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scenarios / "good.rpl"), "-v"]) == 0
    out = capsys.readouterr().out
    assert "resolver asks www.example. IN A to 192.0.2.1 by udp\n" in out
    assert "    answer: www.example. 3600 IN A 192.0.2.7\n" in out


def test_quiet(scenarios: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scenarios / "good.rpl"), "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.rpl")]) == 2
    assert main([str(tmp_path)]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err == [
        f"rpl: {tmp_path / 'none.rpl'}: no such file or directory",
        f"rpl: {tmp_path}: no *.rpl file in this directory",
    ]
