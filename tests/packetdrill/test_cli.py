"""The command: exit status, what it prints, JSON, directories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catenet.testing.packetdrill.cli import main

GOOD = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 close(3) = 0\n"
FAILING = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 close(4) = 0\n"
WRONG = "0 socket(..., SOCK_STREAM IPPROTO_TCP) = 3\n"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "good.pkt").write_text(GOOD)
    (tmp_path / "sub" / "failing.pkt").write_text(FAILING)
    return tmp_path


def test_pass(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scripts / "good.pkt")]) == 0
    assert capsys.readouterr().out == f"ok   {scripts / 'good.pkt'} (ipv4)\n"


def test_directory_with_a_failure(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(scripts)]) == 1
    out = capsys.readouterr().out
    assert "failing.pkt:2 (ipv4): close returned -1 EBADF, expected 0" in out
    assert "2 runs: 1 passed, 1 did not" in out


def test_wrong_script(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scripts / "wrong.pkt").write_text(WRONG)
    assert main(["-q", str(scripts)]) == 2
    out = capsys.readouterr().out
    assert "wrong.pkt:1 (ipv4): expected" in out
    assert "ok " not in out


def test_json(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--ip_version=all", str(scripts / "sub")]) == 1
    results = json.loads(capsys.readouterr().out)
    assert [(one["ip_version"], one["passed"], one["line"]) for one in results] == [
        ("ipv4", False, 2),
        ("ipv6", False, 2),
        ("ipv4-mapped-ipv6", False, 2),
    ]


def test_several_at_a_time_keep_their_order(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-j", "2", str(scripts)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["ok", "FAIL"]


def test_definitions_and_options(scripts: Path) -> None:
    (scripts / "defined.pkt").write_text("0 socket(..., KIND, IPPROTO_TCP) = 3\n+0 close(3) = 0\n")
    assert main(["-D", "KIND=SOCK_STREAM", "--tolerance_usecs=1", str(scripts / "defined.pkt")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere/at/all.pkt"], "no such file"),
        (["--ip_version=ipv5", "."], "one of ipv4, ipv6"),
        (["--mttu=5", "."], "did you mean --mtu?"),
        (["--mtu=big", "."], "not a number"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_empty_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no *.pkt file" in capsys.readouterr().err


def test_verbose_shows_what_was_skipped(scripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scripts / "noted.pkt").write_text("`frobnicate now`\n" + GOOD)
    assert main(["-v", str(scripts / "noted.pkt")]) == 0
    assert "note: skipped, unknown command: frobnicate now" in capsys.readouterr().out
