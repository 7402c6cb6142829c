"""The runner of CPython's own tests reads unittest's output, whole or cut off, and counts what it has read."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.cpython.modules import reason
from tests.conformance.cpython.table import BEGIN, END, Result, listed, table, write_table
from tests.conformance.cpython.verdicts import read_verdicts

OUTPUT = """\
test_a (test.test_x.C.test_a) ... ok
test_b (test.test_x.C.test_b)
What it is about. ... noise
ok
test_c (test.test_x.C.test_c) ... skipped 'not here'
test_d (test.test_x.C.test_d) ...   test_d (test.test_x.C.test_d) (part=1) ... FAIL
test_e (test.test_x.C.test_e) ... expected failure
test_f (test.test_x.C.test_f) ... ok

======================================================================
FAIL: test_f (test.test_x.C.test_f) (part=2)
----------------------------------------------------------------------
Ran 6 tests in 0.1s
"""


def test_verdicts() -> None:
    found = read_verdicts(OUTPUT)
    verdicts = {name.rpartition("_")[2]: verdict for name, verdict in found.of.items()}
    assert verdicts == {"a": "ok", "b": "ok", "c": "skipped", "d": "failed", "e": "ok", "f": "failed"}
    assert found.complete and found.under_way is None


def test_what_was_under_way_when_it_ended() -> None:
    found = read_verdicts("test_a (test.test_x.C.test_a) ... ok\ntest_b (test.test_x.C.test_b) ... ")
    assert found.of == {"test.test_x.C.test_a": "ok"}
    assert not found.complete and found.under_way == "test.test_x.C.test_b"


def test_a_package_has_several_summaries() -> None:
    assert not read_verdicts(OUTPUT + "test_g (test.test_x.D.test_g) ... ").complete


def test_table(tmp_path: Path) -> None:
    beyond = "test.test_pty.PtyTest.test_openpty"
    assert reason(beyond) and not reason("test.test_socket.BasicTCPTest.testRecv")
    kernel = {"test.a": "ok", "test.b": "ok", "test.c": "skipped", beyond: "ok"}
    text = table("3.0", [Result("test_x", kernel, {"test.a": "ok", "test.b": "failed"})])
    assert "of 3 tests that pass on the kernel, 1 (33.3 %) pass in a world" in text
    assert "| `test_x` | 3 | 1 | 1 | 1 |" in text and "* `b`" in text and "test_pty.PtyTest.test_openpty" in text
    document = tmp_path / "document.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(text, document)
    assert document.read_text() == f"before\n{BEGIN}\n\n{text}\n\n{END}\nafter\n"


def test_what_is_listed_as_failing_is_read_back(tmp_path: Path) -> None:
    kernel = {"m.C.test_a": "ok", "m.C.test_b": "ok", "m.C.test_c": "skipped"}
    text = table("3.11.7", [Result("test_m", kernel, {"m.C.test_a": "ok", "m.C.test_b": "failed"})])
    assert listed(f"* `m.C.test_x`\n{BEGIN}\n{text}\n{END}\n") == {"m.C.test_b"}
