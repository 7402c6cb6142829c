"""catenet serve http: its words, TLS by one word, its log, several processes, its end."""

import contextlib
import json
import signal
import subprocess
import sys

import pytest
from tests.peers import tool

from catenet.cli import main


@contextlib.contextmanager
def serving(folder, *words, listen="http://127.0.0.1:0"):
    command = [sys.executable, "-m", "catenet", "serve", "http", str(folder), "--listen", listen, "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def curl(*words):
    tool("curl")
    return subprocess.run(["curl", "-sS", *words], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.peer
def test_tls_by_one_word_http_2_and_two_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site/a.txt").write_text("hello")
    words = ["--tls", "--upload", "--auth-upload", "ada:x", "--workers", "2"]
    with serving(tmp_path / "site", *words, listen="https://localhost:0") as (_, told):
        (url,) = told["urls"]
        trusted = ["--cacert", told["authority"]]
        for version in ("--http1.1", "--http2"):
            out = curl(*trusted, version, "-w", " %{http_version}", f"{url}/a.txt")
            assert out == f"hello {version[6:]}"
            name = f"{url}/new{version[6]}.txt"
            # Without a body: curl 7.88 calls a response "empty" that comes before its body has left, nginx's too.
            assert curl(*trusted, version, "-X", "PUT", name, "-o", "/dev/null", "-w", "%{http_code}") == "401"
            assert "/new" in curl(*trusted, version, "-u", "ada:x", "-T", str(tmp_path / "site/a.txt"), name)
            assert curl(*trusted, version, "-r", "1-2", f"{url}/a.txt") == "el"
    assert (tmp_path / "site/new1.txt").read_text() == "hello"


@pytest.mark.peer
def test_some_paths_are_answered_by_other_servers(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/a.txt").write_text("front")
    (tmp_path / "behind/api").mkdir(parents=True)
    (tmp_path / "behind/api/a.txt").write_text("behind")
    with serving(tmp_path / "behind") as (_, behind):
        words = ["--auth", "ada:x", "--proxy", f"/api={behind['urls'][0]}"]
        with serving(tmp_path / "site", *words) as (_, front):
            (url,) = front["urls"]
            assert curl("-u", "ada:x", f"{url}/a.txt") == "front"
            assert curl("-u", "ada:x", "-r", "1-2", f"{url}/api/a.txt") == "eh"
            assert curl(f"{url}/api/a.txt", "-o", "/dev/null", "-w", "%{http_code}") == "401"
            told = "-u", "ada:x", "-o", "/dev/null", "-w", "%{http_code}", "--path-as-is"
            assert curl(*told, f"{url}/api/../a.txt") == "400"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--proxy", "api"], "--proxy 'api' is no route; write for example /api=http://127.0.0.1:8000"),
        (["--proxy", "/api=htp://x:1"], "no scheme 'htp'; do you mean http?"),
        (["--proxy", "/a=http://x:1", "--proxy", "/a/=http://y:1"], "two routes for /a: give one several URLs"),
        (["--proxy", "/a=http://x:1", "--proxy-ca", "missing.pem"], "--proxy-ca: missing.pem: No such file"),
        (["--proxy-insecure"], "--proxy-insecure goes with --proxy"),
    ],
)
def test_mistakes_about_other_servers(capsys, tmp_path, words, complaint):
    assert main(["serve", "http", str(tmp_path), *words]) == 2
    err = capsys.readouterr().err
    assert complaint in err and err.count("\n") == 1


@pytest.mark.peer
def test_the_log_has_bytes_and_the_fields_that_were_chosen(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    log = tmp_path / "log"
    with serving(tmp_path, "--access-log", str(log), "--log-fields", "method,target,status,bytes") as (_, told):
        curl("-r", "1-2", f"{told['urls'][0]}/a.txt")
        curl("-g", f"{told['urls'][0]}/%1b[31m")
    assert log.read_text().splitlines() == ["GET /a.txt 206 2", "GET /%1b[31m 404 23"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing"], "missing: no such file or directory"),
        (["pyproject.toml"], "pyproject.toml: not a directory"),
        (["8000"], "8000: no such file or directory; for the port write --listen http://localhost:8000"),
        (["--overwrite"], "--overwrite goes with --upload"),
        (["--auth-upload", "a:b"], "--auth-upload goes with --upload"),
        (["--auth", "ada"], "--auth: write USER:PASS"),
        (["--max-upload", "1 parsec"], "--max-upload: unknown unit of size 'parsec'"),
        (["--index", "a/b.html"], "a/b.html: the name of a file, not a path"),
        (["--cors", "https://é"], "--cors 'https://é': no value of a header field"),
        (["--listen", "htp://x"], "no scheme 'htp'; do you mean http?"),
        (["--listen", "https://localhost:0"], "needs --tls, or --cert (and --key)"),
        (["--log-fields", "colour"], "--log-fields"),
    ],
)
def test_wrong_words(words, complaint, capsys):
    assert main(["serve", "http", *words]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert len(error.strip().splitlines()) == 1
