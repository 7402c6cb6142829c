"""The same verdict as `buf breaking` on every case: the same rules broken, in the same files and lines."""

from collections import Counter, defaultdict

import pytest
from tests.rpc.compat.buf import BUF, judged, recorded
from tests.rpc.compat.corpus import cases, write

from catenet.rpc.compat import CATEGORIES, RULES, compare, rules_of
from catenet.rpc.compile.command import describe_protos

OURS = {"EXTENSION_SAME_NUMBER", "FIELD_XML_COMPATIBLE_TYPE", "FIELD_XML_COMPATIBLE_CARDINALITY"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What we find, by the slugs of the cases."""
    sides = []
    for folder in write(cases(), tmp_path_factory.mktemp("cases")):
        files = describe_protos(sorted(folder.rglob("*.proto")), [folder])
        sides.append([file for file in files if not file.name.startswith("google/")])
    by_case = defaultdict(list)
    for finding in compare(*sides, RULES):
        by_case[finding.place.file.partition("/")[0]].append(finding)
    return by_case


def differences(verdict, findings):
    """What only one of both says; where buf names no file or no line, any will do."""
    left = Counter()
    for finding in findings:
        left[finding.rule, finding.place.file.partition("/")[2], finding.place.line] += 1
    lacking = []
    for item in sorted(verdict, key=lambda item: item.endswith(":0")):
        rule, _, place = item.partition(" ")
        file, _, line = place.rpartition(":")
        match = next(
            (
                ours
                for ours in left
                if ours[0] == rule and file in ("", ours[1]) and (line == "0" or int(line) == ours[2]) and left[ours]
            ),
            None,
        )
        if match is None:
            lacking.append(item)
        else:
            left[match] -= 1
    return lacking, sorted(left.elements())


def test_every_case_has_the_verdict_of_buf(found):
    verdicts = recorded()
    assert set(verdicts) == {case.slug for case in cases()}
    assert len(verdicts) >= 240
    wrong = {}
    for slug, verdict in verdicts.items():
        ours = [finding for finding in found[slug] if finding.rule not in OURS]
        lacking, more = differences(verdict, ours)
        if lacking or more:
            wrong[slug] = {"only buf": lacking, "only we": more}
    assert not wrong


def test_every_rule_is_broken_and_kept():
    """None of the rules of buf goes untried: each is broken by some cases, and most cases break it not."""
    broken = Counter(rule for verdict in recorded().values() for rule in {item.partition(" ")[0] for item in verdict})
    assert set(broken) == set(RULES) - OURS
    assert max(broken.values()) < len(recorded()) / 2


def test_categories_pass_and_fail_as_those_of_buf(found):
    """What a pipeline sees: whether a category is broken at all."""
    for category in ("FILE", "PACKAGE", "WIRE_JSON", "WIRE"):
        rules = rules_of([category], OURS)
        for slug, verdict in recorded().items():
            fails = any(item.partition(" ")[0] in rules for item in verdict)
            assert fails == any(finding.rule in rules for finding in found[slug]), (category, slug)
    assert set(CATEGORIES) == {"FILE", "PACKAGE", "WIRE_JSON", "WIRE", "XML"}


def test_what_buf_passes_over(found):
    """An extension that keeps its name and changes its number is another one for everybody who has the old number."""
    for slug in ("extension_gets_another_number", "extension_of_another_message"):
        assert recorded()[slug] == []
        (finding,) = found[slug]
        assert (finding.rule, finding.place.line) == ("EXTENSION_SAME_NUMBER", 4)
        assert finding.breaks == ("source", "JSON", "wire", "XML")


@pytest.mark.peer
def test_buf_says_what_is_recorded(tmp_path):
    if not BUF.exists():
        pytest.skip(f"needs npm install --prefix {BUF.parents[2]} @bufbuild/buf")
    assert judged(cases(), tmp_path) == recorded()
