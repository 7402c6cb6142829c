"""get and put against `catenet serve http`: HTTP/1.1, HTTP/2 over TLS, uploads that go on where they were."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests import commands

from catenet.cli import main
from catenet.cli.transfer.parallel import LEAST

CONTENT = hashlib.shake_256(b"own").digest(6 << 20)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """URLs of a folder that takes uploads, plain and over TLS; the folder; and the file of the authority."""
    import trustme

    folder = tmp_path_factory.mktemp("served")
    pems = tmp_path_factory.mktemp("pems")
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(pems / "server.pem")
    authority.cert_pem.write_to_path(pems / "ca.pem")
    (folder / "file.bin").write_bytes(CONTENT)
    words = ["serve", "http", str(folder), "--upload", "--overwrite", "--cert", str(pems / "server.pem"), "--json"]
    words += ["--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0"]
    process = commands.Popen([sys.executable, "-m", "catenet", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())["urls"]
        yield [url.rstrip("/") for url in urls], folder, str(pems / "ca.pem")
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("up.bin").write_bytes(CONTENT)
    return tmp_path


@pytest.mark.parametrize("words", [[], ["--http1.1"], ["--parallel", "3"]])
@pytest.mark.parametrize("at", [0, 1])
def test_get(served, here, at, words):
    urls, _, ca = served
    check = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    assert main(["get", "-s", "-O", f"{urls[at]}/file.bin", "--cacert", ca, "--checksum", check, *words]) == 0
    assert Path("file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [0, 1, LEAST, LEAST + 1])
def test_a_file_of_one_part_or_little_more(served, here, size):
    (url, _), folder, _ = served
    (folder / f"{size}").write_bytes(CONTENT[:size])
    assert main(["get", "-s", "-o", "f", f"{url}/{size}", "--parallel", "3"]) == 0
    assert Path("f").read_bytes() == CONTENT[:size]


@pytest.mark.parametrize("words", [[], ["--continue"]])
@pytest.mark.parametrize("at", [0, 1])
def test_put(served, here, at, words):
    urls, folder, ca = served
    name = f"put-{at}{''.join(words)}"
    assert main(["put", "up.bin", f"{urls[at]}/{name}", "--cacert", ca, "-s", "-f", *words]) == 0
    assert (folder / name).read_bytes() == CONTENT
    assert sorted(path.name for path in here.iterdir()) == ["up.bin"]


@pytest.mark.parametrize("at", [0, 1])
def test_an_upload_goes_on_after_a_kill(served, here, at, capfd):
    urls, folder, ca = served
    target = f"{urls[at]}/killed-{at}"
    words = ["put", "up.bin", target, "--cacert", ca, "--continue", "-s"]
    before = set(folder.iterdir())
    process = commands.Popen([sys.executable, "-m", "catenet", *words, "--limit-rate", "2M"])
    note = Path("up.bin.upload.json")
    end = time.monotonic() + 60
    while not note.exists() or sum(path.stat().st_size for path in {*folder.iterdir()} - before) < 200_000:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not (folder / f"killed-{at}").exists() and note.stat().st_mode & 0o77 == 0
    assert main([*words, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert 0 < found["offset"] < len(CONTENT) and found["status"] in (200, 201, 204)
    assert (folder / f"killed-{at}").read_bytes() == CONTENT and not note.exists()


def test_an_upload_goes_on_within_one_call(served, here, capfd):
    """A relay breaks the first two connections off that carry more than a megabyte."""
    urls, folder, _ = served
    port = int(urls[0].rpartition(":")[2])
    listener = socket.create_server(("127.0.0.1", 0))
    cuts = [1 << 20, 2 << 20]

    def relay(client):
        server = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=copy, args=(server, client), daemon=True).start()
        copied = copy(client, server, cuts[0] if cuts else None)
        if cuts and copied >= cuts[0]:
            cuts.pop(0)
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=relay, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/relayed"
        assert main(["put", "up.bin", url, "--continue", "--retry", "4"]) == 0
    assert not cuts and (folder / "relayed").read_bytes() == CONTENT
    assert capfd.readouterr().err.count("going on") == 2


def copy(source, target, limit=None):
    copied = 0
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
            copied += len(piece)
            if limit is not None and copied >= limit:
                break
    return copied


def test_a_file_that_has_changed_is_sent_anew(served, here, capfd):
    urls, folder, _ = served
    from catenet.cli.transfer.resuming import _Note

    found = os.stat("up.bin")
    url = f"{urls[0]}/changed"
    note = _Note(url, f"{url}?upload=00000000000000000000000000000000", found.st_size, found.st_mtime_ns - 1)
    Path("up.bin.upload.json").write_text(json.dumps({name: getattr(note, name) for name in note.__slots__}))
    assert main(["put", "up.bin", url, "--continue", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["offset"] == 0
    # An upload that is gone begins anew, too.
    note = _Note(url, f"{url}?upload=00000000000000000000000000000000", found.st_size, found.st_mtime_ns)
    Path("up.bin.upload.json").write_text(json.dumps({name: getattr(note, name) for name in note.__slots__}))
    assert main(["put", "up.bin", url, "--continue", "-s"]) == 0
    assert (folder / "changed").read_bytes() == CONTENT


@pytest.mark.peer
def test_a_server_without_such_uploads(nginx, here, capfd):
    assert main(["put", "up.bin", f"{nginx.url}/dav/whole.bin", "--continue", "-v"]) == 0
    assert "in one piece only" in capfd.readouterr().err
    assert (nginx.root / "www" / "dav" / "whole.bin").read_bytes() == CONTENT


def test_mistakes(here, capfd):
    assert main(["put", "-", "http://a/x", "--continue"]) == 2
    assert main(["put", "no", "http://a/x", "--continue"]) == 26
    assert capfd.readouterr().err.count("\n") == 2
