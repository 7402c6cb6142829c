"""`catenet get` and `put` of tftp URLs, `catenet serve tftp`: statuses of curl, JSON, words, signals."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import types

import pytest
from tests import commands
from tests.peers import tool

from catenet.cli import main

DATA = os.urandom(200_000)


@contextlib.contextmanager
def serving(folder, *words):
    """`catenet serve tftp` as a program; its URL, and the process, which is ended at the end."""
    command = [sys.executable, "-m", "catenet", "serve", "tftp", str(folder), "--listen", "tftp://127.0.0.1:0", *words]
    process = commands.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert line.startswith("serving tftp on tftp://127.0.0.1:"), line + process.stderr.read()
        yield line.split()[-1], process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("tftp")
    (root / "file").write_bytes(DATA)
    (root / "text").write_bytes(b"one\ntwo\n")
    with serving(root, "--upload") as (url, _):
        yield types.SimpleNamespace(url=url, root=root)


def test_get_and_put(server, tmp_path, monkeypatch, capsysbinary):
    monkeypatch.chdir(tmp_path)
    assert main(["get", f"{server.url}/file", "-O"]) == 0
    assert (tmp_path / "file").read_bytes() == DATA
    options = ["--tftp-blksize", "8192", "--tftp-windowsize", "4", "--tftp-timeout", "2", "--tftp-rollover", "1"]
    assert main(["get", "--json", f"{server.url}/file", "-o", "second", *options]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    assert told["size"] == len(DATA) and (told["blksize"], told["windowsize"]) == (8192, 4)
    assert main(["get", f"{server.url}/text;mode=netascii", "--tftp-no-options"]) == 0
    assert capsysbinary.readouterr().out == b"one\ntwo\n"
    (tmp_path / "new name").write_bytes(DATA)
    assert main(["put", "new name", f"{server.url}/"]) == 0
    assert (server.root / "new name").read_bytes() == DATA
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"piped")))
    assert main(["put", "-", f"{server.url}/piped"]) == 0
    assert (server.root / "piped").read_bytes() == b"piped"


def test_statuses_are_curls_and_one_line_says_why(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(b"x")
    free = "tftp://127.0.0.1:9"
    for words, status, said in (
        (["get", f"{server.url}/none"], 68, "no such file (error 1)"),
        (["put", "x", f"{server.url}/../x"], 69, "access is not allowed (error 2)"),
        (["put", "x", f"{server.url}/file"], 73, "there is a file of this name already (error 6)"),
        (["get", f"{server.url}/"], 3, "names no file"),
        (["get", server.url], 3, "write it as tftp://HOST/FILE"),
        (["get", f"{server.url}/file;mode=mail"], 3, "no mode 'mail'"),
        (["get", f"{free}/file"], 7, "connection refused"),
        (["get", "tftp://no-such-host.invalid/file"], 6, "no-such-host.invalid"),
        (["put", "none", f"{server.url}/x"], 26, "cannot read none"),
        (["put", "-", f"{server.url}/"], 3, "names no file"),
        (["get", f"{server.url}/file", "-o", "file", "--continue"], 33, "cannot begin in the middle"),
        (["get", f"{server.url}/file", "-u", "a:b"], 1, "no proxies, users or forms"),
    ):
        assert main(words) == status, words
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and said in err, err
    assert not (tmp_path / "none").exists() and not list(tmp_path.glob("*.part"))
    assert main(["get", "--json", f"{server.url}/none"]) == 68
    told = json.loads(capsys.readouterr().out)
    assert told["code"] == 1 and told["error"]["status"] == 68


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get", "tftp://h/f", "--tftp-blksize", "7"], "--tftp-blksize 7: from 8 to 65464"),
        (["get", "tftp://h/f", "--tftp-windowsize", "0"], "--tftp-windowsize 0: from 1 to 65535"),
        (["serve", "tftp", "nowhere"], "nowhere: no such file or directory"),
        (["serve", "tftp", "6969"], "write --listen tftp://localhost:6969"),
        (["serve", "tftp", "--blksize", "99999"], "--blksize 99999: from 8 to 65464"),
        (["serve", "tftp", "--overwrite"], "--overwrite goes with --upload"),
        (["serve", "tftp", "--max-transfers", "0"], "--max-transfers 0: at least 1"),
        (["serve", "tftp", "--max-upload", "lots"], "--max-upload"),
        (["serve", "tftp", "--patience", "long"], "--patience"),
        (["serve", "tftp", "--listen", "http://localhost:1"], "no scheme 'http'"),
    ],
)
def test_wrong_words(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and err.count("\n") == 1


def test_two_processes_share_a_port_and_the_log_has_a_line_a_transfer(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    with serving(tmp_path, "--workers", "2") as (url, process):
        for number in range(6):
            assert main(["get", f"{url}/file", "-s", "-o", str(tmp_path / f"got{number}")]) == 0
            assert (tmp_path / f"got{number}").read_bytes() == DATA
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0
    assert err.count(" get file 200000 bytes, ") == 6 and "Traceback" not in err


@pytest.mark.peer
def test_curl_gives_the_same_statuses(server, tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    for words, status in ((["/none"], 68), (["/file", "-T", "x"], 73), (["/../x", "-T", "x"], 69)):
        url, *rest = words
        done = commands.run(
            [tool("curl"), "-s", "--path-as-is", f"{server.url}{url}", *rest], cwd=tmp_path, capture_output=True
        )
        assert done.returncode == status
        ours = ["put", str(tmp_path / "x")] if rest else ["get"]
        assert main([*ours, f"{server.url}{url}", "-s"]) == status
