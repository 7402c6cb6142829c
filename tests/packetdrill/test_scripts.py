"""Our own scripts, feature by feature, against the stack, in both versions of IP."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from catenet.testing.packetdrill.parser import read_options
from catenet.testing.packetdrill.runner import run_file

SCRIPTS = Path(__file__).parent / "scripts"
FILES = sorted(SCRIPTS.rglob("*.pkt"))


def versions(path: Path) -> list[str]:
    own = [value for _, name, value in read_options(path.read_text()) if name == "ip_version" and value]
    return own or ["ipv4", "ipv6"]


RUNS = [(path, version) for path in FILES for version in versions(path)]


@pytest.mark.parametrize(
    ("path", "version"), RUNS, ids=[f"{path.parent.name}/{path.stem}-{version}" for path, version in RUNS]
)
def test_script(path: Path, version: str) -> None:
    result = run_file(path, [("ip_version", version)])
    assert result.passed, f"line {result.line}: {result.message}\n{result.expected}\n{result.sent}\n{result.notes}"


@pytest.mark.parametrize("path", FILES[::8], ids=lambda path: path.stem)
def test_mapped_addresses_change_nothing_on_the_wire(path: Path) -> None:
    if versions(path) != ["ipv4", "ipv6"]:
        return
    result = run_file(path, [("ip_version", "ipv4-mapped-ipv6")])
    assert result.passed, f"line {result.line}: {result.message}"


def test_every_feature_has_five_scripts() -> None:
    counts = Counter(path.parent.name for path in FILES)
    assert len(counts) >= 33
    assert {feature: count for feature, count in counts.items() if count < 5} == {}


def test_every_script_says_what_it_is_about() -> None:
    assert [path.name for path in FILES if not path.read_text().startswith("// ")] == []
