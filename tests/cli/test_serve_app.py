"""catenet serve asgi|wsgi: applications found, told, started again; mistakes in one line."""

import contextlib
import json
import signal
import socket
import ssl
import sys
import time
import urllib.request

import pytest
import trustme
from tests.dns.server.running import port_of, serving

from catenet.cli import main

SHOP = """
import os
from contextlib import asynccontextmanager

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("cleaned up", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    text = f"{os.getpid()} {scope['root_path']} {os.environ.get('SHOP')}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})

def make():
    return app

async def refuses(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})

number = 5

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['wsgi.multiprocess']}".encode()]
"""


@pytest.fixture(autouse=True)
def shop(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("shop", "broken"):
        sys.modules.pop(name, None)


def get(url):
    with urllib.request.urlopen(url, timeout=20) as reply:
        return reply.read().decode()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["asgi"], "the following arguments are required: MODULE:NAME"),
        (["asgi", "shop:ap"], "shop:ap: module shop has no 'ap'; do you mean app?"),
        (["asgi", "shop:number"], "shop:number: int is no application: it cannot be called"),
        (["asgi", "shopp:app"], "shopp:app: ModuleNotFoundError: No module named 'shopp'"),
        (["asgi", "broken"], "broken.py:1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (["asgi", "shop:refuses"], "shop:refuses: the application does not start: no database"),
        (["asgi", "shop", "--listen", "htp://x:1"], "no scheme 'htp'; do you mean http?"),
        (["asgi", "shop", "--listen", "https://127.0.0.1:0"], "needs --tls, or --cert (and --key)"),
        (
            ["asgi", "shop", "--listen", "8000"],
            "--listen: target '8000' is no host; a port of this machine is localhost:8000",
        ),
        (
            ["asgi", "shop", "--liste", "8000", "--prot", "1"],
            "unrecognized arguments: --prot 1; see 'catenet serve asgi --help'",
        ),
        (
            ["asgi", "shop", "--worker-count=3"],
            "--worker-count=3; did you mean --workers? see 'catenet serve asgi --help'",
        ),
        (["asgi", "shop", "--root-path", "shop"], "--root-path shop: begins with a slash"),
        (
            ["asgi", "shop", "--log-fields", "time,stauts"],
            "no field 'stauts' of the access log; known: time",
        ),
        (["asgi", "shop", "--access-log", "no/such/file"], "--access-log no/such/file: No such file or directory"),
        (["asgi", "shop", "--trust-proxy", "proxy"], "--trust-proxy 'proxy' is no address, no network and not 'unix'"),
        (["asgi", "shop", "--env", "SHOP"], "--env SHOP: write NAME=VALUE"),
        (["asgi", "shop", "--env-file", "none"], "--env-file none: No such file or directory"),
        (["asgi", "shop", "--sni", "b.pem"], "--sni: --cert names the certificate for all other names"),
        (["wsgi", "shop:wsgi", "--threads", "0"], "--threads 0: at least 1"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, complaint):
    assert main(["serve", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("catenet: ") and complaint in err and err.count("\n") == 1


def test_an_application_is_served_and_told_of_its_end(shop):
    (shop / "env").write_text('# of the shop\nexport SHOP="open all day"\n')
    words = ["shop", "--listen", "http://127.0.0.1:0", "--root-path", "/s", "--env-file", "env", "--access-log=log"]
    with serving(shop, *words, "--log-json", kind="asgi") as server:
        assert get(server.urls[0]).split(" ", 1)[1] == "/s open all day"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.process.stdout.read() == "cleaned up\n"
    told = json.loads((shop / "log").read_text())
    assert (told["target"], told["status"]) == ("/", 200)


def test_workers_and_a_factory(shop):
    words = ["shop:make", "--factory", "--listen", "http://127.0.0.1:0", "--workers", "2"]
    with serving(shop, *words, kind="asgi") as server:
        workers = set()
        while len(workers) < 2:
            workers.add(get(server.urls[0]).split()[0])


def test_wsgi(shop):
    with serving(shop, "shop:wsgi", "--listen", "http://127.0.0.1:0", kind="wsgi") as server:
        assert get(server.urls[0]) == "False"


def test_reload(shop):
    with serving(shop, "shop", "--listen", "http://127.0.0.1:0", "--reload", kind="asgi") as server:
        assert get(server.urls[0]).endswith("None")
        (shop / "shop.py").write_text(SHOP.replace("{os.environ.get('SHOP')}", "changed"))
        changed = False
        while not changed:
            time.sleep(0.05)
            with contextlib.suppress(OSError):  # between two workers nobody is there
                changed = get(server.urls[0]).endswith("changed")


def test_workers_share_a_unix_socket_and_read_certificates_again(shop):
    authority = trustme.CA()

    def certify(name):
        (shop / "server.pem").write_bytes(authority.issue_cert(name).private_key_and_cert_chain_pem.bytes())

    def served(port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as tls:
            return tls.getpeercert()["subjectAltName"][0][1]

    certify("old.test")
    words = ["--listen", "unix:s.sock", "--listen", "https://127.0.0.1:0", "--cert", "server.pem", "--workers", "2"]
    with serving(shop, "shop", *words, kind="asgi") as server:
        port = port_of(server.urls[1])
        assert served(port) == "old.test"
        certify("new.test")
        server.process.send_signal(signal.SIGHUP)
        while {served(port) for _ in range(8)} != {"new.test"}:
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect("s.sock")
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    assert not (shop / "s.sock").exists()
