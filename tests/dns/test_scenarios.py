"""Our own resolver scenarios, from the RFCs: each must pass; and the real Unbound agrees with what they expect."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.dns.scenarios.signed import FOLDER, cases, text_of
from tests.peers import environment, program

from catenet.testing.rpl.resolver import make_subject
from catenet.testing.rpl.runner import run_file

SCENARIOS = Path(__file__).parent / "scenarios"
FILES = sorted(SCENARIOS.rglob("*.rpl"))

OTHERWISE = {
    "iterator/delegation_of_loopback": "the namespace's servers are on loopback, so it is told to ask there",
    "iterator/glue_of_no_address": "nothing can listen on 0.0.0.0 alone",
    "iterator/nobody_answers": "takes minutes of real time",
    "iterator/self_referral": "takes a referral to the same zone for an answer without data",
    "iterator/timeout_then_good": "takes minutes of real time",
    "iterator/ttls_of_a_set_differ": "keeps the highest TTL of a set, against RFC 2181 5.2",
    "iterator/two_clients": "all questions come from one address",
    "iterator/unreachable": "a server that cannot be reached",
    "local/access": "all questions come from one address",
    "validator/negative_anchor": "an anchor of the same name goes before a negative one",
    "negative/no_name_for_all_types": "remembers an unsigned NXDOMAIN by type",
}
"""Scenarios that the real Unbound answers otherwise, or that cannot be played to it, and why."""


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SCENARIOS).with_suffix("")) for path in FILES])
def test_scenario(path: Path) -> None:
    result = run_file(path, make_subject, verbose=True)
    assert result.verdict == "pass", f"step {result.step}: {result.message}\n" + "\n".join(result.log)


def test_there_are_enough() -> None:
    counts = Counter(path.parent.name for path in FILES)
    assert sum(counts.values()) >= 200
    assert {area: count for area, count in counts.items() if count < 4} == {}


def test_each_says_what_it_is_about() -> None:
    assert [path.name for path in FILES if not path.read_text().startswith("; ")] == []


def test_those_of_signed_zones_are_as_written() -> None:
    """`python -m tests.dns.scenarios.signed` writes them; keys are fixed, so it writes the same each time."""
    written = {case.name: text_of(case) for case in cases()}
    assert written == {path.stem: path.read_text() for path in FOLDER.glob("*.rpl")}


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.peer("unbound")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("area", sorted({path.parent.name for path in FILES} - {"stale"}))
def test_unbound_agrees(namespace: Any, area: str) -> None:
    """The same files, with Unbound in place of our resolver; those in which time passes are left out."""
    unbound = program("unbound")
    if unbound is None:
        pytest.skip("no unbound")
    files = [path for path in FILES if path.parent.name == area]
    files = [path for path in files if str(path.relative_to(SCENARIOS).with_suffix("")) not in OTHERWISE]
    words = [sys.executable, "-m", "tests.rpl.real_unbound", str(unbound), *map(str, files)]
    done = namespace.run(*words, timeout=590, check=False, env=environment())
    assert [line for line in done.stdout.splitlines() if line.startswith("fail")] == [], done.stderr
    assert "pass " in done.stdout
