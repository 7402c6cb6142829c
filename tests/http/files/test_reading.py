"""Files as they are read: listings, types, forms, folders as archives, who may; and no way out of the folder."""

import gzip
import io
import json
import os
import random
import socket
import subprocess
import tarfile
import threading
import time
import zipfile

import httpx
import pytest
from serving import ask, serving
from tests.peers import environment, program, tool

from catenet.folder.root import Root
from catenet.http.files import FileOptions
from catenet.http.files.paths import BadPath, parse_path
from catenet.http.files.recent import Recent
from catenet.http.message import ResponseHead

NASTY = [
    "<script>alert(1)<script>",
    "a\"b'c",
    "javascript:alert(1)",
    "\x1b[31mred",
    "\u202egnp.exe",
    "100%",
    "a?b#c",
    "é ü",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("secret")
    (folder / "a.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "empty").touch()
    (folder / ".hidden").write_text("hidden")
    for name in ("sub", "sub/deep", "indexed", "names"):
        (folder / name).mkdir()
    (folder / "sub/b.html").write_text("<p>b")
    (folder / "sub/deep/c.json").write_text("{}")
    (folder / "indexed/index.html").write_text("index")
    (folder / "index-not.html").write_text("x")
    for name in NASTY:
        (folder / "names" / name).write_text(name)
    (folder / "names" / os.fsdecode(b"\xff\xfe")).write_text("bytes")
    (folder / "inside").symlink_to("sub/b.html")
    (folder / "sub/up").symlink_to("../a.txt")
    (folder / "sub/around").symlink_to("../sub/./deep/../deep")
    (folder / "leaves").symlink_to(outside / "secret.txt")
    (folder / "leaves-too").symlink_to(f"../{outside.name}/secret.txt")
    (folder / "leaves-by-folder").symlink_to("..")
    (folder / "absolute-inside").symlink_to(folder / "a.txt")
    (folder / "loop").symlink_to("loop")
    (folder / "proc").symlink_to("/proc/self")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "socket"))
    with serving(folder) as server:
        yield server


@pytest.mark.parametrize(
    ("target", "names", "folder"),
    [
        (b"/", (), True),
        (b"/a/b", ("a", "b"), False),
        (b"//a///b/", ("a", "b"), True),
        (b"/a%20b?c=d", ("a b",), False),
        (b"/%252e%252e/x", ("%2e%2e", "x"), False),
        (b"/%ff", (os.fsdecode(b"\xff"),), False),
        (b"/a\\..\\b", ("a\\..\\b",), False),
        (b"/...", ("...",), False),
    ],
)
def test_targets(target, names, folder):
    path = parse_path(target)
    assert (path.names, path.folder) == (names, folder)
    again = parse_path(path.url.encode())
    assert again.names == names
    assert not path.url.startswith("//")


BAD = [
    "/..",
    "/../x",
    "/a/../b",
    "/%2e%2e/x",
    "/.%2e/x",
    "/%2E%2E%2Fetc",
    "/a%2fb",
    "/a%00b",
    "/%",
    "/%zz",
    "/.",
    "/a/./b",
]
BAD += ["/" + "x" * 256, "/" + "x/" * 200]


@pytest.mark.parametrize("target", BAD)
def test_targets_that_name_no_file(site, target):
    with pytest.raises(BadPath):
        parse_path(target.encode())
    assert site.ask("GET", target).status == 400


OUTSIDE = ["/leaves", "/leaves-too", "/leaves-by-folder/", "/proc/", "/proc/environ", "/proc/root/etc/passwd", "/loop"]
OUTSIDE += [
    "/fifo",
    "/socket",
    "/.hidden",
    "/a.txt/",
    "/a.txt/x",
    "/absolute-inside",
    "/%252e%252e/etc/passwd",
    "/missing",
]
OUTSIDE += ["/leaves-by-folder/outside0/secret.txt", "/sub/..%5c..%5cetc/passwd", "/.catenet-upload-x"]


@pytest.mark.parametrize("target", OUTSIDE)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_outside_hidden_or_no_file_is_not_there(site, target, method):
    answer = site.ask(method, target)
    assert answer.status == 404
    assert b"secret" not in answer.body


@pytest.mark.parametrize(("target", "body"), [("/inside", b"<p>b"), ("/sub/around/c.json", b"{}"), ("/sub/up", None)])
def test_links_that_stay_inside(site, target, body):
    answer = site.ask("GET", target)
    assert answer.status == 200
    assert answer.body == (body if body is not None else (site.folder / "a.txt").read_bytes())


def test_devices(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.mknod(tmp_path / "zero", 0o20666, os.makedev(1, 5))
    root = Root(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        root.open(["zero"])
    root.close()


def test_somebody_who_exchanges_folders_and_links_meanwhile_wins_nothing(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder, text in ((inside / "x", "good"), (outside, "secret")):
        folder.mkdir(parents=True)
        (folder / "file").write_text(text)
    (inside / "link").symlink_to("../outside")
    over = threading.Event()

    def exchange():
        while not over.is_set():
            os.rename(inside / "x", inside / "y")
            os.rename(inside / "link", inside / "x")
            os.rename(inside / "x", inside / "link")
            os.rename(inside / "y", inside / "x")

    thread = threading.Thread(target=exchange)
    thread.start()
    root = Root(str(inside))
    seen = set()
    try:
        for _ in range(3000):
            opened = root.open_file(("x", "file"))
            if opened is not None:
                seen.add(opened[0].read())
                opened[0].close()
    finally:
        over.set()
        thread.join()
        root.close()
    assert seen <= {b"good"}


def test_no_descriptors_are_left_open(site):
    before = len(os.listdir("/proc/self/fd"))
    for target in (
        "/",
        "/a.txt",
        "/missing",
        "/leaves",
        "/sub/up",
        "/sub/around/",
        "/?zip",
        "/?tar",
        "/indexed/",
        "/loop",
    ):
        site.ask("GET", target)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


# Listings.


def test_a_listing_is_a_page_without_script(site):
    answer = site.ask("GET", "/names/", Accept="text/html")
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "href='./javascript:alert(1)'" in page
    assert "href='./a%22b&#x27;c'" in page
    assert "href='./%3Cscript%3Ealert(1)%3Cscript%3E'" in page


def test_every_link_of_a_listing_leads_to_its_file(site):
    listed = json.loads(site.ask("GET", "/names/", Accept="application/json").body)
    assert {one["name"] for one in listed} == {*NASTY, "\ufffd\ufffd"}
    for one in listed:
        answer = site.ask("GET", one["url"])
        assert answer.status == 200
        if one["name"] in NASTY:
            assert answer.body.decode() == one["name"]


def test_a_listing_as_json(site):
    answer = site.ask("GET", "/sub/", Accept="application/json")
    assert answer.headers["content-type"] == "application/json"
    assert [(one["name"], one["type"], one["size"]) for one in json.loads(answer.body)] == [
        ("around", "directory", None),
        ("deep", "directory", None),
        ("b.html", "file", 4),
        ("up", "file", 10240),
    ]


def test_names_that_are_not_shown(site):
    names = {one["name"] for one in json.loads(site.ask("GET", "/", Accept="application/json").body)}
    assert names == {"sub", "indexed", "names", "a.txt", "empty", "index-not.html", "inside"}


def test_no_form_that_is_wanted(site):
    assert site.ask("GET", "/sub/", Accept="image/png").status == 406
    assert site.ask("GET", "/sub/", Accept="nonsense").status == 200  # what cannot be read says nothing


def test_folders_end_with_a_slash_and_lead_nowhere_else(site):
    assert site.ask("GET", "/sub?x=1").headers["location"] == "/sub/?x=1"
    assert site.ask("GET", "//sub").headers["location"] == "/sub/"
    assert site.ask("GET", "//sub//deep").headers["location"] == "/sub/deep/"
    assert site.ask("GET", "/indexed/").body == b"index"


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_without_uploads_nothing_can_be_changed(site, method):
    answer = site.ask(method, "/new.txt", b"x" if method in ("PUT", "POST") else b"")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert site.ask("OPTIONS", "/").headers["allow"] == "GET, HEAD, OPTIONS"


def test_head_has_the_fields_of_get(site):
    for target in ("/a.txt", "/", "/empty", "/names/"):
        get, head = site.ask("GET", target), site.ask("HEAD", target)
        assert head.body == b""
        assert {**get.headers, "date": ""} == {**head.headers, "date": ""}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.html", "text/html; charset=utf-8"),
        ("x.JS", "text/javascript; charset=utf-8"),
        ("x.json", "application/json; charset=utf-8"),
        ("x.svg", "image/svg+xml; charset=utf-8"),
        ("x.png", "image/png"),
        ("x.tar.gz", "application/gzip"),
        ("x.wasm", "application/wasm"),
        ("x", "application/octet-stream"),
    ],
)
def test_types(name, kind):
    from catenet.http.files.content import content_type

    assert content_type(name) == kind


# Archives.


def test_a_folder_as_tar(site):
    answer = site.ask("GET", "/?tar")
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-disposition"] == 'attachment; filename="files.tar"'
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}
    assert files["files/a.txt"] == (site.folder / "a.txt").read_bytes()
    assert files["files/sub/deep/c.json"] == b"{}"
    assert files["files/names/é ü"] == "é ü".encode()
    assert not any("hidden" in name or "leaves" in name or "inside" in name for name in files)


def test_a_folder_as_zip(site):
    answer = site.ask("GET", "/sub/?zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="sub.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["sub/b.html", "sub/deep/", "sub/deep/c.json"]
        assert archive.read("sub/b.html") == b"<p>b"


def test_tar_reads_the_archive(site):
    data = site.ask("GET", "/sub/?tar").body
    listed = subprocess.run(["tar", "-tf", "-"], input=data, capture_output=True, check=True).stdout
    assert listed.split() == [b"sub/b.html", b"sub/deep/", b"sub/deep/c.json"]


def test_an_archive_over_http_1_0_ends_with_the_connection(site):
    with socket.create_connection(site.address) as sock:
        sock.sendall(b"GET /sub/?tar HTTP/1.0\r\n\r\n")
        data = b""
        while piece := sock.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert len(tarfile.open(fileobj=io.BytesIO(body)).getnames()) == 3


# What has just been sent.


def test_changes_are_seen_at_once(tmp_path, tmp_path_factory):
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_text("secret")
    file = tmp_path / "a.txt"
    file.write_text("one")
    os.utime(file, (1, 1))
    while time.time() - file.stat().st_ctime < 1.01:
        time.sleep(0.05)  # until then it might change within one tick of its clock, and is not kept
    with serving(tmp_path) as server:
        tag = server.ask("GET", "/a.txt").headers["etag"]
        assert server.ask("GET", "/a.txt").body == b"one"
        assert server.ask("GET", "/a.txt", If_None_Match=tag).status == 304
        assert server.ask("GET", "/a.txt", Range="bytes=1-").body == b"ne"
        assert server.ask("HEAD", "/a.txt").headers["content-length"] == "3"
        file.write_text("two")
        os.utime(file, (1, 1))
        assert server.ask("GET", "/a.txt").body == b"two"
        file.unlink()
        assert server.ask("GET", "/a.txt").status == 404
        file.symlink_to(secret)
        assert server.ask("GET", "/a.txt").status == 404


# Forms.


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    text = b"console.log(1)\n" * 100
    (folder / "app.js").write_bytes(text)
    for suffix, data in ((".gz", gzip.compress(text)), (".br", b"br"), (".zst", b"zst")):
        (folder / f"app.js{suffix}").write_bytes(data)
    (folder / "old.js").write_bytes(text)
    (folder / "old.js.gz").write_bytes(b"stale")
    os.utime(folder / "old.js.gz", (1, 1))
    options = FileOptions(
        fallback="app.js", index=("none",), listing=False, cache_control="max-age=60", cors="https://a.example",
        users=(("ada", "geheim:ß"),),
    )  # fmt: skip
    with serving(folder, options) as server:
        yield server


ADA = httpx.BasicAuth("ada", "geheim:ß")
ADA_VALUE = "Basic YWRhOmdlaGVpbTrDnw=="


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("*", "zstd"),
        ("deflate", None),
        ("gzip;q=0", None),
        ("identity", None),
        (None, None),
    ],
)
def test_compressed_forms(forms, accept, coding):
    headers = {"Authorization": ADA_VALUE} | ({} if accept is None else {"Accept-Encoding": accept})
    answer = forms.ask("GET", "/app.js", **headers)
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "accept-encoding" in answer.headers["vary"]
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_who_takes_no_compressed_form_takes_none_from_others(tmp_path):
    text = b"x" * 1000
    for name, data in (("a.js", text), ("a.js.gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1, 1))
    while time.time() - (tmp_path / "a.js").stat().st_ctime < 1.01:
        time.sleep(0.05)  # until it may be kept
    with serving(tmp_path) as server:
        for accept, coding in (("identity", None), ("gzip", "gzip"), ("identity", None)):
            assert server.ask("GET", "/a.js", Accept_Encoding=accept).headers.get("content-encoding") == coding


def test_compressed_forms_have_tags_of_their_own(forms):
    tags = {
        forms.ask("GET", "/app.js", Authorization=ADA_VALUE, Accept_Encoding=coding).headers["etag"]
        for coding in ("gzip", "br", "zstd", "identity")
    }
    assert len(tags) == 4


def test_a_form_that_is_older_than_its_file_is_not_sent(forms):
    answer = forms.ask("GET", "/old.js", Authorization=ADA_VALUE, Accept_Encoding="gzip")
    assert "content-encoding" not in answer.headers


def test_httpx_unpacks_it(forms):
    answer = httpx.get(f"{forms.url}/app.js", headers={"accept-encoding": "gzip"}, auth=ADA)
    assert answer.text == "console.log(1)\n" * 100
    assert answer.headers["cache-control"] == "max-age=60"


def test_pages_that_are_missing_fall_back(forms):
    page = forms.ask("GET", "/some/route", Authorization=ADA_VALUE, Accept="text/html,*/*")
    assert (page.status, page.body[:7]) == (200, b"console")
    assert forms.ask("GET", "/some/image.png", Authorization=ADA_VALUE, Accept="image/*").status == 404
    assert forms.ask("GET", "/", Authorization=ADA_VALUE).status == 404  # no listing


@pytest.mark.parametrize(
    "value", [None, "Basic", "Basic eDp5", "Bearer x", "Basic YWRhOnk=", "Basic ////", "Basic YWRh"]
)
def test_who_has_no_name_is_asked_for_it(forms, value):
    answer = forms.ask("GET", "/app.js", **({} if value is None else {"Authorization": value}))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert b"console" not in answer.body


def test_pages_of_other_origins(forms):
    answer = forms.ask("OPTIONS", "/app.js", Access_Control_Request_Method="GET", Access_Control_Request_Headers="x-y")
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-allow-headers"] == "x-y"


# The oracle: nginx is asked the same.

NGINX = """
daemon off; master_process off; error_log stderr crit; pid {folder}/pid;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; default_type application/octet-stream;
  types {{ text/plain txt; }} charset utf-8;
  server {{ listen unix:{folder}/socket; listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@pytest.fixture(scope="module")
def nginx(site, tmp_path_factory):
    binary = program("nginx")
    if binary is None:
        pytest.skip("needs the nginx command")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port, root=site.folder))
    folder.chmod(0o755)
    process = subprocess.Popen([str(binary), "-c", str(folder / "conf"), "-g", "user root;"], env=environment())
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.02)
        yield ("127.0.0.1", port)
    finally:
        process.terminate()
        process.wait(10)


RANGES = [
    "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=10-19", "bytes=10239-", "bytes=10239-99999", "bytes=10240-",
    "bytes=99999-", "bytes=-99999", "bytes=5-4", "bytes=abc", "bytes=", "bytes", "items=0-1", "bytes=0-0,-1",
    "bytes=0-9,20-29,40-49", "bytes=0-1,99999-", "bytes=99999-,88888-", "BYTES=0-1", "bytes=1-2,", "bytes=+1-2",
    "bytes=0x1-2", "bytes=1-2-3", "bytes=--1", "bytes=1 - 2", "bytes=18446744073709551616-",
]  # fmt: skip
# Where we differ, and why: what is no range at all is ignored (RFC 9110 section 14.2), where nginx says 416, and reads
# blanks that the grammar does not have.
DIFFERENT = dict.fromkeys(
    ["bytes=5-4", "bytes=abc", "bytes=1-2,", "bytes=+1-2", "bytes=0x1-2", "bytes=1-2-3", "bytes=--1"], (200, 416)
)
DIFFERENT |= {"bytes=1 - 2": (200, 206), "bytes=18446744073709551616-": (200, 416)}


@pytest.mark.peer
@pytest.mark.parametrize("value", RANGES)
def test_ranges_are_answered_as_by_nginx(site, nginx, value):
    ours = site.ask("GET", "/a.txt", Range=value)
    theirs = ask(nginx, "GET", "/a.txt", Range=value)
    if value in DIFFERENT:
        assert (ours.status, theirs.status) == DIFFERENT[value]
        return
    assert ours.status == theirs.status
    same(ours, theirs)


def same(ours, theirs):
    for name in ("content-range", "last-modified", "accept-ranges"):
        if name in theirs.headers and theirs.status != 416:
            assert ours.headers.get(name) == theirs.headers[name], name
    if ours.status == 416:
        assert ours.headers["content-range"] == theirs.headers["content-range"]
    elif ours.status == 206 and "content-range" not in ours.headers:
        assert parts(ours) == parts(theirs)
    else:
        assert ours.body == theirs.body
        assert ours.headers.get("content-length") == theirs.headers.get("content-length")


def parts(answer):
    """Heads and contents of multipart/byteranges, whatever the boundary and its case."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    assert int(answer.headers["content-length"]) == len(answer.body)
    found = []
    for piece in answer.body.split(b"--" + boundary)[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        found.append((sorted(head.strip().lower().split(b"\r\n")), content.removesuffix(b"\r\n")))
    return found


@pytest.mark.peer
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (field, kind)
        for field in ("If-None-Match", "If-Match")
        for kind in ("same", "other", "*", "weak", "list", "junk")
    ]
    + [
        (field, kind)
        for field in ("If-Modified-Since", "If-Unmodified-Since")
        for kind in ("same", "past", "future", "junk")
    ],
)
def test_conditions_are_answered_as_by_nginx(site, nginx, method, field, kind):
    def conditional(address):
        plain = ask(address, "GET", "/a.txt")
        tag, date = plain.headers["etag"], plain.headers["last-modified"]
        value = {
            ("same", True): tag, ("other", True): '"other"', ("*", True): "*", ("weak", True): f"W/{tag}",
            ("list", True): f'"x", {tag}', ("junk", True): "junk", ("same", False): date,
            ("past", False): "Sun, 06 Nov 1994 08:49:37 GMT", ("future", False): "Sun, 06 Nov 2044 08:49:37 GMT",
            ("junk", False): "junk",
        }[kind, field.endswith("Match")]  # fmt: skip
        return ask(address, method, "/a.txt", **{field.replace("-", "_"): value})

    ours, theirs = conditional(site.address), conditional(nginx)
    # nginx compares dates for equality by default (if_modified_since exact); a date that is none does not count in
    # RFC 9110 section 13.1.4.
    different = {("If-Modified-Since", "future"): (304, 200), ("If-Unmodified-Since", "junk"): (200, 412)}
    if (field, kind) in different:
        assert (ours.status, theirs.status) == different[field, kind]
        return
    assert ours.status == theirs.status
    if ours.status < 300:
        same(ours, theirs)
    if ours.status == 304:
        assert ours.body == b""
        assert "etag" in ours.headers


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["same", "other", "weak", "date", "past"])
def test_if_range_is_answered_as_by_nginx(site, nginx, kind):
    os.utime(site.folder / "a.txt", (1_700_000_000, 1_700_000_000))

    def conditional(address):
        plain = ask(address, "GET", "/a.txt")
        tag, date = plain.headers["etag"], plain.headers["last-modified"]
        value = {
            "same": tag,
            "other": '"other"',
            "weak": f"W/{tag}",
            "date": date,
            "past": "Sun, 06 Nov 1994 08:49:37 GMT",
        }
        return ask(address, "GET", "/a.txt", Range="bytes=1-2", If_Range=value[kind])

    ours, theirs = conditional(site.address), conditional(nginx)
    assert ours.status == theirs.status
    same(ours, theirs)


def test_random_ranges_have_the_right_bytes(site):
    whole = (site.folder / "a.txt").read_bytes()
    draw = random.Random(1)
    with httpx.Client(base_url=site.url) as client:
        for _ in range(60):
            start = draw.randrange(len(whole))
            stop = draw.randrange(start, len(whole)) + 1
            answer = client.get("/a.txt", headers={"range": f"bytes={start}-{stop - 1}", "accept-encoding": "identity"})
            assert (answer.status_code, answer.content) == (206, whole[start:stop])


# Habits of programs.


@pytest.mark.peer
def test_curl_resumes(site, tmp_path):
    tool("curl")
    whole = (site.folder / "a.txt").read_bytes()
    (tmp_path / "a.txt").write_bytes(whole[:1000])
    subprocess.run(["curl", "-sfC", "-", "-O", f"{site.url}/a.txt"], cwd=tmp_path, check=True)
    assert (tmp_path / "a.txt").read_bytes() == whole


@pytest.mark.peer
def test_wget_mirrors(site, tmp_path):
    tool("wget")
    words = ["wget", "-q", "-r", "-l", "3", "--no-parent", f"{site.url}/sub/"]
    subprocess.run(words, cwd=tmp_path, check=False)
    (host,) = tmp_path.iterdir()
    assert (host / "sub/b.html").read_text() == "<p>b"
    assert (host / "sub/deep/c.json").read_text() == "{}"


@pytest.mark.peer("ab")
def test_ab_keeps_alive_over_http_1_0(site):
    ran = subprocess.run(
        ["ab", "-q", "-k", "-n", "200", "-c", "4", f"{site.url}/a.txt"], capture_output=True, text=True, check=True
    )
    assert "Failed requests:        0" in ran.stdout
    assert "Keep-Alive requests:    200" in ran.stdout


def test_a_file_that_shrinks_while_it_is_sent_breaks_off(tmp_path):
    with open(tmp_path / "big", "wb") as file:
        file.truncate(1 << 30)
    with serving(tmp_path) as server, socket.create_connection(server.address) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(1000)
        os.truncate(tmp_path / "big", 1000)
        received = 0
        try:
            while piece := sock.recv(1 << 20):
                received += len(piece)
        except ConnectionResetError:
            pass
        assert received < 1 << 30
        assert server.ask("GET", "/big").status == 200


def test_one_file_by_many_targets_takes_no_more_memory(tmp_path):
    """What has just been sent is kept by targets, of which a client makes as many as it likes."""
    (tmp_path / "a").touch()
    found = os.stat(tmp_path / "a")
    old = os.stat_result([*found[:7], 0, 0, 0])
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        recent = Recent(folder)
        most = 0
        for number in range(20_000):
            recent.keep(b"/" * (number % 2000) + b"%d" % number, "a", old, ResponseHead(200), b"", 0.0)
            most = max(most, len(recent._kept))
        assert 1000 < most < 10_000
        assert all(len(target) <= 1024 for target in recent._kept)
    finally:
        os.close(folder)
