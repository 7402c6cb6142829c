"""Small files that have just been sent: for how long, and under which paths, they are sent again."""

import os
import time
from types import SimpleNamespace

import pytest

from catenet.http.files.recent import RENEWALS, Recent
from catenet.http.message import RequestHead, ResponseHead

HEAD = ResponseHead(200)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose files were changed long ago, as the clock says."""
    real = time.time
    monkeypatch.setattr("catenet.http.files.recent.time", SimpleNamespace(time=lambda: real() + 1000))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.js").write_text("one")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield SimpleNamespace(path=tmp_path, descriptor=descriptor)
    os.close(descriptor)


def kept(folder, queries=True, target=b"/sub/a.js", alone=True):
    made = Recent(folder.descriptor, queries)
    made.keep(target, "sub/a.js", os.stat(folder.path / "sub" / "a.js"), HEAD, b"one", 0.0, alone)
    return made


def asked(target=b"/sub/a.js", method=b"GET", fields=()):
    return RequestHead(method, target, fields)


def test_what_has_been_sent_is_sent_again_while_nothing_changes(folder):
    made = kept(folder)
    for second in range(RENEWALS + 1):
        assert made.find(asked(), second * 1.1) == (HEAD, b"one")
    assert made.find(asked(), (RENEWALS + 1) * 1.1) is None, "in any case it is opened now and then"


@pytest.mark.parametrize("alone", [True, False])
def test_a_form_beside_the_file_is_seen_after_a_second(folder, alone):
    """If there was one before, the folder may stay as it is when it changes: then no second is added at all."""
    made = kept(folder, alone=alone)
    assert made.find(asked(), 0.5) is not None
    if alone:
        assert made.find(asked(), 1.5) is not None
        (folder.path / "sub" / "a.js.gz").write_bytes(b"")
    assert made.find(asked(), 3.0) is None


def test_another_folder_in_its_place_is_another_file(folder):
    made = kept(folder)
    (folder.path / "sub").rename(folder.path / "old")
    (folder.path / "sub").mkdir()
    os.link(folder.path / "old" / "a.js", folder.path / "sub" / "a.js")
    assert made.find(asked(), 0.5) is None, "a link more has changed the file"


def test_a_folder_that_has_just_changed_is_not_relied_on(folder, monkeypatch):
    file, parent = os.stat(folder.path / "sub" / "a.js"), os.stat(folder.path / "sub")
    made = Recent(folder.descriptor)
    times = iter((file.st_ctime + 10, parent.st_ctime + 0.5))
    monkeypatch.setattr("catenet.http.files.recent.time", SimpleNamespace(time=lambda: next(times)))
    made.keep(b"/sub/a.js", "sub/a.js", file, HEAD, b"one", 0.0, True)
    assert made.find(asked(), 0.5) is not None
    assert made.find(asked(), 1.5) is None


def test_a_query_means_nothing_for_a_file(folder):
    made = kept(folder, target=b"/sub/a.js?v=1")
    assert made.find(asked(), 0.0) is not None
    assert made.find(asked(b"/sub/a.js?v=2"), 0.0) is not None
    assert made.find(asked(b"/sub/b.js?/sub/a.js"), 0.0) is None


def test_with_uploads_a_query_may_name_one(folder):
    made = kept(folder, queries=False, target=b"/sub/a.js?upload=x")
    assert made.find(asked(b"/sub/a.js?upload=x"), 0.0) is None
    made = kept(folder, queries=False)
    assert made.find(asked(), 0.0) is not None
    assert made.find(asked(b"/sub/a.js?upload=x"), 0.0) is None


@pytest.mark.parametrize("head", [
    asked(method=b"HEAD"), asked(method=b"PUT"), asked(fields=((b"range", b"bytes=0-"),)),
    asked(fields=((b"if-none-match", b'"x"'),)),
])  # fmt: skip
def test_other_requests_are_answered_otherwise(folder, head):
    assert kept(folder).find(head, 0.0) is None


def test_all_files_of_a_folder_cost_one_look_at_it(folder, monkeypatch):
    made = kept(folder)
    for number in range(20):
        made.keep(b"/sub/%d" % number, "sub/a.js", os.stat(folder.path / "sub" / "a.js"), HEAD, b"one", 0.0, True)
    looks, stat = [], os.stat
    monkeypatch.setattr(os, "stat", lambda path, **given: looks.append(path) or stat(path, **given))
    for now in (1.1, 1.2, 2.0):
        for number in range(20):
            assert made.find(asked(b"/sub/%d" % number), now) is not None
    assert looks.count("sub") == 1 and looks.count("sub/a.js") == 60
    (folder.path / "sub" / "a.js.gz").write_bytes(b"")
    assert made.find(asked(b"/sub/0"), 2.05) is not None, "nobody looks for a second"
    assert made.find(asked(b"/sub/0"), 2.2) is None
