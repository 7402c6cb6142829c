"""The table of docs/determinism.md: each source has a treatment that the page explains; the tests exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREATMENTS = {"eliminated", "normalised", "drawn", "given", "not covered"}


def rows() -> list[list[str]]:
    text = (ROOT / "docs/determinism.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == "| source | what programs get | treatment | test |"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_source_of_entropy_has_a_treatment_and_a_test_that_exists() -> None:
    found = rows()
    assert len(found) > 30
    assert len({row[0] for row in found}) == len(found)
    for source, what, treatment, test in found:
        assert treatment in TREATMENTS and what, source
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
        assert (named is None) == (treatment == "not covered"), source
        if named is not None:
            assert f"\ndef {named[2]}(" in (ROOT / named[1]).read_text(), test


def test_what_the_page_names_beside_the_table_exists() -> None:
    text = (ROOT / "docs/determinism.md").read_text()
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text):
        assert f"\ndef {name}(" in (ROOT / path).read_text(), name
    explained = set(re.findall(r"^\* \*\*(.+?)\*\*", text, re.MULTILINE))
    assert explained == TREATMENTS
