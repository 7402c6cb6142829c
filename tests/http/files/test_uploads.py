"""Uploads: PUT, forms, those that can be resumed; limits, a full disk, processes that are killed."""

import contextlib
import fcntl
import hashlib
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from serving import Server, read_answer, serving
from tests.peers import tool

from catenet.folder.partial import MAX_AGE, Partial
from catenet.folder.root import PARTIAL
from catenet.http.files import FileOptions

PATCH = {"Content-Type": "application/partial-upload"}


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "there.txt").write_text("old")
    with serving(tmp_path, FileOptions(upload=True, max_upload=1 << 20)) as server:
        yield server
        partials(server.folder, 0)


@pytest.fixture
def overwritten(tmp_path):
    (tmp_path / "there.txt").write_text("old")
    with serving(tmp_path, FileOptions(upload=True, overwrite=True)) as server:
        yield server


def partials(folder, count):
    """Wait until so many uploads are unfinished: a server hears of a client's end after its socket does."""
    for _ in range(500):
        found = [path for path in folder.rglob("*") if path.name.startswith(PARTIAL) and not path.suffix]
        if len(found) == count:
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def test_put(inbox):
    body = random.Random(1).randbytes(300_000)
    answer = inbox.ask("PUT", "/sub/new%20file.bin", body)
    assert (answer.status, answer.headers["location"]) == (201, "/sub/new%20file.bin")
    assert (inbox.folder / "sub/new file.bin").read_bytes() == body
    assert inbox.ask("PUT", "/sub/empty").status == 201
    assert (inbox.folder / "sub/empty").read_bytes() == b""


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/there.txt", {}, 409),
        ("/sub", {}, 409),
        ("/sub/", {}, 409),
        ("/", {}, 409),
        ("/missing/new.txt", {}, 409),
        ("/there.txt/new.txt", {}, 409),
        ("/.hidden", {}, 403),
        (f"/{PARTIAL}x", {}, 403),
        ("/../new.txt", {}, 400),
        ("/%2e%2e%2fnew.txt", {}, 400),
        ("/new.txt", {"Content_Range": "bytes 0-2/10"}, 400),
        ("/new.txt", {"Content_Encoding": "gzip"}, 415),
        ("/new.txt", {"If_Match": "*"}, 412),
        ("/there.txt", {"If_None_Match": "*"}, 412),
        ("/new.txt", {"Content_Length": str(2 << 20)}, 413),
    ],
)
def test_what_cannot_be_put(inbox, target, headers, status):
    assert inbox.ask("PUT", target, b"new", **headers).status == status
    assert (inbox.folder / "there.txt").read_text() == "old"
    assert not (inbox.folder / "new.txt").exists()


def test_links_that_leave_are_no_folders(inbox, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (inbox.folder / "out").symlink_to(outside)
    (inbox.folder / "file").symlink_to(outside / "file")
    assert inbox.ask("PUT", "/out/new.txt", b"x").status == 409
    assert inbox.ask("PUT", "/file", b"x").status == 409
    assert post(inbox, "/out/", *form("new.txt", b"x")).status == 409
    assert list(outside.iterdir()) == []


def test_replacing(overwritten):
    tag = overwritten.ask("GET", "/there.txt").headers["etag"]
    assert overwritten.ask("PUT", "/there.txt", b"x", If_Match='"other"').status == 412
    assert overwritten.ask("PUT", "/there.txt", b"newer", If_Match=tag).status == 204
    assert (overwritten.folder / "there.txt").read_text() == "newer"


def test_replacing_a_link_does_not_write_through_it(overwritten, tmp_path_factory):
    target = tmp_path_factory.mktemp("outside") / "target"
    target.write_text("old")
    (overwritten.folder / "link").symlink_to(target)
    assert overwritten.ask("PUT", "/link", b"x").status == 409
    assert target.read_text() == "old"


def test_nobody_sees_half_a_file(inbox):
    with socket.create_connection(inbox.address) as sock:
        sock.sendall(b"PUT /slow.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
        (partial,) = partials(inbox.folder, 1)
        assert inbox.ask("GET", "/slow.txt").status == 404
        assert inbox.ask("GET", f"/{partial.name}").status == 404
        assert partial.name not in inbox.ask("GET", "/", Accept="application/json").body.decode()
    partials(inbox.folder, 0)
    assert not (inbox.folder / "slow.txt").exists()


def test_of_two_who_put_the_same_file_one_wins(inbox):
    answers = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(inbox.ask("PUT", "/one", b"%d" % n * 50_000).status))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, *[409] * 7]
    assert len(set((inbox.folder / "one").read_bytes())) == 1


def test_a_body_in_chunks_that_is_too_long(inbox):
    def endless():
        while True:
            yield b"x" * 65536

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):
        assert httpx.put(f"{inbox.url}/new.txt", content=endless()).status_code == 413
    partials(inbox.folder, 0)


def form(name, content):
    boundary = "xyz"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return (head.encode() + content + f"\r\n--{boundary}--\r\n".encode(),)


def post(server, target, body, **headers):
    return server.ask("POST", target, body, Content_Type="multipart/form-data; boundary=xyz", **headers)


def test_forms(inbox):
    files = [("file", ("a.txt", b"a" * 100_000)), ("file", ("b é.txt", b"")), ("note", (None, b"no file"))]
    answer = httpx.post(f"{inbox.url}/sub/", files=files)
    assert answer.status_code == 201
    assert [one["name"] for one in answer.json()] == ["a.txt", "b é.txt"]
    assert (inbox.folder / "sub/a.txt").read_bytes() == b"a" * 100_000
    assert httpx.get(inbox.url + answer.json()[1]["url"]).status_code == 200
    page = httpx.post(f"{inbox.url}/sub/", files={"file": ("c.txt", b"c")}, headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/sub/")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../x.txt", "x.txt"),
        ("/etc/passwd", "passwd"),
        ("..\\\\..\\\\y.txt", "y.txt"),
        ("..\\..\\y.txt", 403),  # quoted pairs: it is ....y.txt
        (".bashrc", 403),
        ("../.h", 403),
        (" .h", 403),
        (f"{PARTIAL}x", 403),
        ("..", 400),
    ],
)
def test_names_in_forms(inbox, name, stored):
    answer = post(inbox, "/sub/", *form(name, b"x"))
    assert answer.status == (201 if isinstance(stored, str) else stored)
    assert [path.name for path in (inbox.folder / "sub").iterdir()] == ([stored] if isinstance(stored, str) else [])


def test_a_form_that_is_broken_off_after_its_last_delimiter_stores_nothing(inbox):
    (body,) = form("a.txt", b"x")
    head = b"POST /sub/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=xyz\r\n"
    with socket.create_connection(inbox.address) as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % (len(body) + 5) + body)
        partials(inbox.folder, 1)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    partials(inbox.folder, 0)
    assert list((inbox.folder / "sub").iterdir()) == []


def test_of_a_form_with_a_name_that_is_taken_nothing_is_stored(inbox):
    parts = [form(name, name.encode())[0] for name in ("a.txt", "there.txt", "a.txt")]
    opened = parts[0].replace(b"--xyz--\r\n", b"")
    assert post(inbox, "/", opened + parts[1]).status == 409
    assert post(inbox, "/", opened + parts[2]).status == 409
    assert not (inbox.folder / "a.txt").exists()


def test_a_form_of_many_files_holds_few_open(inbox):
    names = [f"{number}.txt" for number in range(300)]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (others + 200, limit[1]))
    try:
        answer = post(
            inbox, "/sub/", b"".join(form(name, b"x")[0].replace(b"--xyz--\r\n", b"") for name in names) + b"--xyz--"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert answer.status == 201
    assert len(list((inbox.folder / "sub").iterdir())) == len(names)


def test_the_last_of_two_files_of_one_name_replaces_the_other(overwritten):
    first, second = form("there.txt", b"first")[0], form("there.txt", b"second")[0]
    assert post(overwritten, "/", first.replace(b"--xyz--\r\n", b"") + second).status == 201
    assert (overwritten.folder / "there.txt").read_bytes() == b"second"
    partials(overwritten.folder, 0)


def test_forms_that_are_none(inbox):
    assert inbox.ask("POST", "/", b"x", Content_Type="text/plain").status == 415
    assert post(inbox, "/", b"nothing").status == 400
    assert post(inbox, "/", form("a.txt", b"x")[0][:-9]).status == 400
    assert post(inbox, "/", *form("there.txt", b"x")).status == 409
    assert post(inbox, "/missing/", *form("a.txt", b"x")).status == 409
    assert post(inbox, "/", *form("a.txt", b"x" * (1 << 20))).status == 413


def test_who_may_upload(tmp_path):
    options = FileOptions(upload=True, upload_users=(("ada", "x"),))
    with serving(tmp_path, options) as server:
        assert server.ask("GET", "/").status == 200
        assert server.ask("PUT", "/new.txt", b"x").status == 401
        assert server.ask("HEAD", "/new.txt?upload=" + "0" * 32).status == 401
        assert post(server, "/", *form("a.txt", b"x")).status == 401
        assert httpx.put(f"{server.url}/new.txt", content=b"x", auth=("ada", "x")).status_code == 201


# Resumable Uploads for HTTP.


def begin(server, target, body, complete, **headers):
    return server.ask("PUT", target, body, Upload_Complete=complete, Upload_Draft_Interop_Version="8", **headers)


def append(server, location, body, offset, complete, **headers):
    said = {"Upload_Offset": str(offset), "Upload_Complete": complete, "Content_Type": PATCH["Content-Type"], **headers}
    return server.ask("PATCH", location, body, **said)


def test_an_upload_in_parts(inbox):
    answer = begin(inbox, "/new.txt", b"one ", "?0", Upload_Length="13")
    assert answer.status == 201
    ((status, interim),) = answer.interim
    location = answer.headers["location"]
    assert (status, interim["location"], interim["upload-draft-interop-version"]) == (104, location, "8")
    assert re.fullmatch(r"/new\.txt\?upload=[0-9a-f]{32}-13", location)
    assert answer.headers["upload-limit"] == f"max-size={1 << 20}, max-age={MAX_AGE}"
    assert (answer.headers["upload-complete"], answer.headers["upload-offset"]) == ("?0", "4")
    assert append(inbox, location, b"two ", 4, "?0").status == 204
    state = inbox.ask("HEAD", location)
    assert state.status == 204
    said = {name: value for name, value in state.headers.items() if name in ("upload-offset", "upload-length")}
    assert said == {"upload-offset": "8", "upload-length": "13"}
    assert (state.headers["upload-complete"], state.headers["cache-control"]) == ("?0", "no-store")
    assert not (inbox.folder / "new.txt").exists()
    last = append(inbox, location, b"three", 8, "?1")
    assert (last.status, last.headers["upload-complete"], last.headers["location"]) == (201, "?1", "/new.txt")
    assert (inbox.folder / "new.txt").read_text() == "one two three"
    state = inbox.ask("HEAD", location)
    assert (state.headers["upload-complete"], state.headers["upload-offset"]) == ("?1", "13")
    assert append(inbox, location, b"", 13, "?1").status == 410


def test_an_upload_in_one_request(inbox):
    answer = begin(inbox, "/new.txt", b"whole", "?1")
    assert (answer.status, answer.headers["location"], answer.headers["upload-complete"]) == (201, "/new.txt", "?1")
    assert (inbox.folder / "new.txt").read_text() == "whole"


def test_interim_responses_are_for_those_who_know_them(inbox):
    answer = inbox.ask("PUT", "/new.txt", b"x", Upload_Complete="?0")
    assert (answer.status, answer.interim) == (201, [])
    assert inbox.ask("DELETE", answer.headers["location"]).status == 204
    assert inbox.ask("HEAD", answer.headers["location"]).status == 404


def test_appends_that_are_refused(inbox):
    location = begin(inbox, "/new.txt", b"1234", "?0", Upload_Length="8").headers["location"]
    wrong = append(inbox, location, b"5678", 3, "?1")
    assert (wrong.status, wrong.headers["upload-offset"]) == (409, "4")
    assert json.loads(wrong.body)["expected-offset"] == 4
    assert append(inbox, location, b"5678", 4, "?1", Content_Type="text/plain").status == 415
    assert append(inbox, location, b"5678", "x", "?1").status == 400
    assert append(inbox, location, b"5678", 4, "yes").status == 400
    assert append(inbox, location, b"567", 4, "?1").status == 400  # it was said to be longer
    assert append(inbox, location, b"5678", 4, "?0", Upload_Length="9").status == 400
    assert inbox.ask("GET", location).status == 405
    assert append(inbox, location, b"56789", 4, "?0").status == 400
    assert inbox.ask("HEAD", location).status == 404  # too long: it is void
    assert inbox.ask("HEAD", "/new.txt?upload=../../etc/passwd").status == 404
    assert inbox.ask("HEAD", "/new.txt?upload=" + "0" * 32).status == 404
    assert begin(inbox, "/new.txt", b"12", "?1", Upload_Length="3").status == 400


def test_what_a_client_learns_by_options(inbox):
    answer = inbox.ask("OPTIONS", "/")
    assert answer.headers["accept-patch"] == "application/partial-upload"
    assert "max-size=1048576" in answer.headers["upload-limit"]


def test_a_connection_that_breaks_leaves_what_has_come(inbox):
    body = random.Random(2).randbytes(900_000)
    with socket.create_connection(inbox.address) as sock:
        sock.sendall(
            b"PUT /big HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 8\r\n"
            b"Content-Length: 900000\r\n\r\n" + body[:500_000]
        )
        location = read_answer(sock.recv(65536) + b"HTTP/1.1 200\r\n\r\n").interim[0][1]["location"]
        (partial,) = partials(inbox.folder, 1)
        while partial.stat().st_size < 250_000:
            time.sleep(0.01)
    offset = int(inbox.ask("HEAD", location).headers["upload-offset"])
    assert 250_000 <= offset <= 500_000
    assert append(inbox, location, body[offset:], offset, "?1").status == 201
    assert (inbox.folder / "big").read_bytes() == body


def test_who_resumes_ends_the_connection_before(inbox):
    location = begin(inbox, "/big", b"", "?0").headers["location"]
    with socket.create_connection(inbox.address) as sock:
        sock.sendall(
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nUpload-Offset: 0\r\n"
            "Content-Type: application/partial-upload\r\nContent-Length: 900000\r\n\r\n".encode()
            + b"x" * 300_000
        )
        (partial,) = partials(inbox.folder, 1)
        while partial.stat().st_size < 250_000:
            time.sleep(0.01)
        offset = int(inbox.ask("HEAD", location).headers["upload-offset"])  # the first connection is still open
        assert append(inbox, location, b"y" * 10, offset, "?1").status == 201
    assert (inbox.folder / "big").read_bytes() == b"x" * offset + b"y" * 10


def test_old_uploads_are_swept(tmp_path):
    old, young = tmp_path / f"{PARTIAL}{'0' * 32}", tmp_path / f"{PARTIAL}{'1' * 32}"
    for path in (old, young):
        path.touch()
    os.utime(old, (1, 1))
    with serving(tmp_path, FileOptions(upload=True)) as server:
        assert server.ask("PUT", "/new.txt", b"x").status == 201
    assert not old.exists()
    assert young.exists()


def test_what_was_killed_within_publishing_is_published(inbox):
    """Both names were there; and neither the note nor the name is taken for another upload's."""
    location = begin(inbox, "/new.txt", b"whole", "?0").headers["location"]
    (partial,) = partials(inbox.folder, 1)
    os.link(partial, inbox.folder / "new.txt")
    note = partial.with_name(partial.name + ".complete")
    note.write_text("5\n")
    assert inbox.ask("HEAD", location).headers["upload-complete"] == "?0"
    assert append(inbox, location, b"", 5, "?1").status == 201
    assert inbox.ask("HEAD", location).headers["upload-complete"] == "?1"
    assert not partial.exists()
    other = begin(inbox, "/new.txt.2", b"x", "?0").headers["location"]
    (inbox.folder / "new.txt.2").write_text("somebody else's")
    assert append(inbox, other, b"", 1, "?1").status == 409
    (partial,) = partials(inbox.folder, 1)  # no note that it is complete
    assert inbox.ask("HEAD", other).headers["upload-complete"] == "?0"
    assert inbox.ask("DELETE", other).status == 204
    note.write_text("")
    assert inbox.ask("HEAD", location).status == 404


def test_what_is_published_while_another_opens_it_is_not_appended_to(tmp_path, monkeypatch):
    folder = os.open(tmp_path, os.O_RDONLY)
    first = Partial.create(folder, "0" * 32)
    lock = fcntl.flock

    def late(descriptor, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        first.publish("new.txt", False)
        first.close()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert Partial.resume(folder, "0" * 32) is None
    os.close(folder)


# Other processes.


@contextlib.contextmanager
def process(folder, *words, limit=None, within=()):
    """`catenet serve http` in a process of its own; `within`: words that run a command."""

    def prepare():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [
        sys.executable,
        "-m",
        "catenet",
        "serve",
        "http",
        str(folder),
        "--listen",
        "http://127.0.0.1:0",
        "--json",
    ]
    child = subprocess.Popen(
        [*within, *command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare
    )
    try:
        line = child.stdout.readline()
        assert line, child.stderr.read()
        yield child, json.loads(line)["urls"][0]
    finally:
        child.kill()
        child.communicate()


def test_a_disk_that_is_full(tmp_path):
    with process(tmp_path, "--upload", limit=300_000) as (_, url):
        body = b"x" * 400_000
        assert httpx.put(f"{url}/plain", content=body).status_code == 507
        assert list(tmp_path.iterdir()) == []
        assert httpx.post(f"{url}/", files={"file": ("form", body)}).status_code == 507
        assert list(tmp_path.iterdir()) == []
        begun = httpx.put(f"{url}/resumed", content=b"", headers={"upload-complete": "?0"})
        location = url + begun.headers["location"]
        headers = {**PATCH, "upload-offset": "0", "upload-complete": "?1"}
        assert httpx.patch(location, content=body, headers=headers).status_code == 507
        assert httpx.head(location).headers["upload-offset"] == "300000"
        assert httpx.put(f"{url}/small", content=b"x").status_code == 201


@pytest.mark.root
def test_a_small_file_system(tmp_path):
    """A tmpfs of 400 KB in a mount namespace: bodies in chunks, whose length nobody knows before."""
    mount = 'mount -t tmpfs -o size=400k tmpfs "$0" && exec "$@"'

    def pieces():
        for _ in range(20):
            yield b"x" * 50_000

    with process(tmp_path, "--upload", within=["unshare", "-m", "sh", "-c", mount, str(tmp_path)]) as (_, url):
        assert httpx.put(f"{url}/known", content=b"x" * 500_000).status_code == 507
        assert httpx.put(f"{url}/plain", content=pieces()).status_code == 507
        headers = {"upload-complete": "?1", "upload-draft-interop-version": "8"}
        assert httpx.put(f"{url}/resumed", content=pieces(), headers=headers).status_code == 507
        assert httpx.get(f"{url}/", headers={"accept": "application/json"}).json() == []
        assert httpx.put(f"{url}/none", content=b"x").status_code == 507  # the one that can be resumed has all
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused_before_it_comes(tmp_path):
    with serving(tmp_path, FileOptions(upload=True, max_upload=1 << 62)) as server:
        answer = server.ask("PUT", "/big", Content_Length=str(1 << 48), Expect="100-continue")
    assert (answer.status, answer.interim) == (507, [])


def test_killed_and_resumed(tmp_path):
    body = random.Random(3).randbytes(8 << 20)
    with process(tmp_path, "--upload") as (child, url):
        begun = httpx.put(f"{url}/big", content=b"", headers={"upload-complete": "?0", "upload-length": str(len(body))})
        path = begun.headers["location"]

        def pieces():
            for start in range(0, 5 << 20, 1 << 18):
                yield body[start : start + (1 << 18)]
            while not any(file.is_file() and file.stat().st_blocks for file in tmp_path.rglob("*")):
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            while True:
                yield b"lost"
                time.sleep(0.01)

        with pytest.raises(httpx.HTTPError):
            httpx.patch(url + path, content=pieces(), headers={**PATCH, "upload-offset": "0", "upload-complete": "?1"})
    assert not (tmp_path / "big").exists()
    with process(tmp_path, "--upload") as (_, url):
        state = httpx.head(url + path)
        offset = int(state.headers["upload-offset"])
        assert 0 < offset < len(body)
        assert state.headers["upload-length"] == str(len(body))
        headers = {**PATCH, "upload-offset": str(offset), "upload-complete": "?1"}
        assert httpx.patch(url + path, content=body[offset:], headers=headers).status_code == 201
    assert (tmp_path / "big").read_bytes() == body


def test_every_worker_knows_that_an_upload_is_complete(tmp_path):
    with process(tmp_path, "--upload", "--workers", "2") as (_, url):
        server = Server(url, tmp_path)
        location = begin(server, "/new.txt", b"one ", "?0").headers["location"]
        assert append(server, location, b"two", 4, "?1").status == 201
        for _ in range(20):  # each from another port, and so to either worker
            said = server.ask("HEAD", location).headers
            assert (said["upload-complete"], said["upload-offset"]) == ("?1", "7")
            assert append(server, location, b"two", 4, "?1").status == 410
        assert server.ask("GET", f"/{PARTIAL}{location[-32:]}.complete").status == 404
        (listed,) = json.loads(server.ask("GET", "/", Accept="application/json").body)
        assert listed["name"] == "new.txt"


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) << 10


@pytest.mark.peer
def test_memory_does_not_grow_with_files(tmp_path):
    """5 GiB, sparse, to the middle of it by a range; 32 MiB up; a folder of 128 MiB as tar."""
    tool("curl")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(5 << 30)
    (tmp_path / "folder").mkdir()
    with open(tmp_path / "folder/large", "wb") as file:
        file.truncate(128 << 20)
    with process(tmp_path, "--upload", "--max-upload", "1GiB") as (child, url):
        before = resident(child.pid)
        with httpx.stream("GET", f"{url}/huge", headers={"range": f"bytes={(5 << 30) - (1 << 27)}-"}) as answer:
            assert answer.headers["content-length"] == str(1 << 27)
            assert sum(map(len, answer.iter_raw(1 << 20))) == 1 << 27
        digest = hashlib.sha256()
        block = random.Random(4).randbytes(1 << 20)

        def pieces():
            for _ in range(32):
                digest.update(block)
                yield block

        assert httpx.put(f"{url}/up", content=pieces(), timeout=60).status_code == 201
        ran = subprocess.run(f"curl -sf {url}/folder/?tar | wc -c", shell=True, capture_output=True, check=True)
        assert int(ran.stdout) > 128 << 20
        assert resident(child.pid) - before < 24 << 20
    with open(tmp_path / "up", "rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
