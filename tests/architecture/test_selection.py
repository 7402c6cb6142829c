"""`make unit` and `make interop` are all tests, and no test is in both."""

from __future__ import annotations

import ast
import itertools
import re

import pytest
from _pytest.mark.expression import Expression
from tests import peers
from tests.architecture.source import ROOT, parse

RULES = {
    name: re.search(rf"^{name}:.*\n\t(.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]  # type: ignore[index]
    for name in ("unit", "interop")
}
MARKS = ("peer", "root", "slow", "timeout", "parametrize")


def expression(rule: str) -> Expression:
    """What a rule of the Makefile selects by marks."""
    variable = re.search(r"-m '\$\((\w+)\)' tests$", RULES[rule])
    assert variable is not None, f"make {rule} is not a choice by marks from the whole of tests/"
    value = re.search(rf"^{variable[1]} := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert value is not None
    return Expression.compile(value[1])


def test_each_test_is_in_one_of_the_two_whatever_its_marks() -> None:
    unit, interop = expression("unit"), expression("interop")
    for count in range(len(MARKS) + 1):
        for marks in itertools.combinations(MARKS, count):
            has = [each.evaluate(lambda name, marks=marks, **_: name in marks) for each in (unit, interop)]
            assert has == [not {"peer", "root"} & set(marks), bool({"peer", "root"} & set(marks))], marks


def test_a_test_without_the_mark_that_asks_for_a_program_fails() -> None:
    with peers.of_test("some test", False), pytest.raises(AssertionError, match="some test asks for sh"):
        peers.program("sh")
    with peers.of_test("some test", False), pytest.raises(AssertionError, match="some test asks for sh"):
        peers.tool("sh")


@pytest.mark.peer("sh")
def test_a_test_with_the_mark_gets_its_program() -> None:
    assert peers.tool("sh").endswith("/sh")


def test_files_that_ask_for_programs_have_the_mark() -> None:
    """What `tests/peers.py` finds only while tests run, found in the text: a file that uses it and marks nothing."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        asks = "tests.peers" in text or "which(" in text or "interop" in path.parent.parts
        marks = {
            node.attr
            for node in ast.walk(parse(text))
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pytest.mark"
        }
        if asks and path.name != "test_selection.py" and not marks & {"peer", "root"}:
            found.append(str(path.relative_to(ROOT)))
    assert found == []


def test_all_of_ci_runs_and_nothing_twice() -> None:
    runs = re.findall(r"^(?:timeout \d+ )?make (\w+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert runs == ["test", "compiled", "demo", "conformance", "interop"]
    conformance = [path.read_text() for path in (ROOT / "tests/conformance").rglob("*.sh")]
    assert conformance and not any("-m pytest" in text or "packetdrill" in text for text in conformance)
