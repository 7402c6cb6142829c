"""curl and grpcurl against our server; buf with our plugin."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from peers import HERE, NODE_MODULES

pytestmark = pytest.mark.peer

URL = "http://127.0.0.1:{port}/interop.Interop/"


def tool(name):
    """A command on the path, or where go puts its own."""
    home = Path(os.environ.get("GOPATH", Path.home() / "go"))
    found = shutil.which(name) or shutil.which(name, path=str(home / "bin"))
    if found is None:
        pytest.skip(f"needs the {name} command")
    return found


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, **more)


@pytest.fixture
def url(servers):
    return URL.format(port=servers("catenet"))


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_speaks_json(url, version):
    common = [tool("curl"), "-sS", version, "-H", "content-type: application/json", "-w", "\n%{http_code}"]
    body, status = run(*common, "-d", '{"text": "tetris", "count": 3}', url + "Unary").stdout.rsplit("\n", 1)
    assert (status, json.loads(body)["text"], json.loads(body)["count"]) == ("200", "tetris", 3)
    body, status = run(*common, "-d", '{"code": 5, "text": "gone"}', url + "Unary").stdout.rsplit("\n", 1)
    error = json.loads(body)
    assert (status, error["code"], error["message"]) == ("404", "not_found", "gone")
    assert error["details"][0]["debug"] == {"retryDelay": "3s"}
    body, status = run(*common, "-d", '{"count": "x"}', url + "Unary").stdout.rsplit("\n", 1)
    assert (status, json.loads(body)["code"]) == ("400", "invalid_argument")


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_speaks_xml(url, version):
    common = [
        tool("curl"),
        "-sS",
        version,
        "-H",
        "content-type: application/xml",
        "-w",
        "\n%{http_code} %{content_type}",
    ]
    body, status = run(*common, "-d", "<Request><text>a&amp;b</text></Request>", url + "Unary").stdout.rsplit("\n", 1)
    assert status == "200 application/xml"
    assert '<m:Response xmlns:m="proto:interop"><text>a&amp;b</text>' in body
    body, status = run(*common, "-d", "<!DOCTYPE a><Request/>", url + "Unary").stdout.rsplit("\n", 1)
    assert (status, json.loads(body)["code"]) == ("400 application/json", "invalid_argument")


@pytest.mark.parametrize("options", [["-k"], []], ids=["kept", "closed"])
@pytest.mark.parametrize("method", ["Unary", "Nothing"])
def test_ab_speaks_http_1_0(url, options, method, tmp_path):
    """Apache's tool keeps connections only if it is told that they are kept, and hangs if they are kept silently."""
    (tmp_path / "body").write_text('{"text": "tetris"}')
    command = [tool("ab"), *options, "-q", "-s", "20", "-n", 200, "-c", 10, "-p", tmp_path / "body"]
    done = run(*command, "-T", "application/json", url + method)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    assert (lines["Complete requests"].strip(), lines["Failed requests"].strip()) == ("200", "0")
    assert lines.get("Keep-Alive requests", "0").strip() == ("200" if options else "0")
    assert ("Non-2xx responses" in lines) is (method == "Nothing")


def test_curl_understands_compression(url):
    text = "high score " * 500
    command = [tool("curl"), "-sS", "--compressed", "-D", "-", "-H", "content-type: application/json"]
    head, _, body = (
        run(*command, "-d", json.dumps({"text": text}), url + "Unary").stdout.replace("\r", "").partition("\n\n")
    )
    assert "content-encoding: gzip" in head
    assert json.loads(body)["text"] == text


PROTO = ["-plaintext", "-import-path", Path(__file__).parent, "-proto", "interop.proto"]


def test_grpcurl(servers):
    address = f"127.0.0.1:{servers('catenet')}"
    command = [tool("grpcurl"), *PROTO]
    done = run(*command, "-v", "-H", "x-text: a b", "-d", '{"text": "tetris"}', address, "interop.Interop/Unary")
    assert done.returncode == 0, done.stderr
    assert '"x-text": "a b"' in done.stdout
    assert "x-initial: first" in done.stdout
    assert "x-trailing: last" in done.stdout
    done = run(*command, "-d", '{"code": 5, "text": "gone"}', address, "interop.Interop/Unary")
    assert "Code: NotFound" in done.stderr
    assert "Message: gone" in done.stderr
    assert "google.rpc.RetryInfo" in done.stderr
    done = run(*command, "-d", '{"count": 3}', address, "interop.Interop/ServerStream")
    assert done.stdout.count("{") == 3
    requests = '{"text": "a"} {"text": "b"}'
    done = run(*command, "-d", requests, address, "interop.Interop/Bidi")
    assert [line.strip() for line in done.stdout.splitlines() if "text" in line] == ['"text": "a"', '"text": "b"']
    assert '"count": 2' in run(*command, "-d", requests, address, "interop.Interop/ClientStream").stdout
    done = run(*command, "-max-time", "0.3", "-d", '{"sleep_ms": 20000}', address, "interop.Interop/Unary")
    assert "DeadlineExceeded" in done.stderr


def test_buf_generates_with_our_plugin(generated, tmp_path):
    """What buf and the plugin make together is what the command makes (no module of buf's registry is needed)."""
    buf = NODE_MODULES / ".bin" / "buf"
    if not buf.exists():
        pytest.skip(f"needs npm install --prefix {NODE_MODULES.parent} @bufbuild/buf")
    (tmp_path / "proto").mkdir()
    shutil.copy(HERE / "interop.proto", tmp_path / "proto")
    plugin = Path(sys.executable).parent / "protoc-gen-catenet"
    (tmp_path / "buf.yaml").write_text("version: v2\nmodules: [{path: proto}]\n")
    plugins = f"[{{local: {plugin}, out: out, opt: [imports=absolute]}}]"
    (tmp_path / "buf.gen.yaml").write_text(f"version: v2\nplugins: {plugins}\n")
    cache = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run(buf, "generate", cwd=tmp_path, env=cache)
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "out" / "interop_rpc.py").read_text()
    assert made == (generated / "interop_rpc.py").read_text()
