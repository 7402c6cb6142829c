"""Servers of several processes as they are: what clients on another host get, and what the kernel's programs say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from catenet.posix.errors import NotModelled
from catenet.world import World

SOCKETS = """
import multiprocessing, pickle, socket

def inner(queue, listener):
    print("inner", listener.getsockname()[0], listener.getsockname()[1] > 0, listener.family.name)
    stream, datagram = queue.get()
    print(stream.recv(10), isinstance(datagram, socket.socket), datagram.type.name)

def outer(listener):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=inner, args=(queue, listener))
    process.start()
    one, other = socket.socketpair()
    queue.put((one, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)))
    other.sendall(b"hello")
    process.join()
    print("inner ended with", process.exitcode)

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("spawn").Process(target=outer, args=(listener,))
    process.start()
    process.join()
    print("outer ended with", process.exitcode)
    try:
        pickle.dumps(listener)
    except TypeError:
        print("for no other purpose")
"""


def lines_of(folder: Path, *words: str) -> list[str]:
    """What a command writes that ends well."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


def said(folder: Path, what: str) -> list[str]:
    """The lines of a run's programs, with the names of their hosts in front."""
    return [line for line in lines_of(folder, "-m", "catenet", "run", what) if " | " in line]


def test_sockets_are_handed_to_spawned_processes_and_theirs(tmp_path: Path) -> None:
    (tmp_path / "sockets.py").write_text(SOCKETS)
    real = lines_of(tmp_path, "sockets.py")
    assert len(real) == 5
    assert said(tmp_path, "sockets.py") == [f"host  | {line}" for line in real]


APPS = """
import os

def answer(path):
    return (str(os.getpid()) if path == "/pid" else f"hello {path}").encode()

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os.kill(os.getpid(), 9)
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] != "lifespan":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": answer(scope["path"])})
        return
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
"""

FLASK = """
import apps, flask

app = flask.Flask(__name__)

@app.get("/", defaults={"path": ""})
@app.get("/<path:path>")
def get(path):
    return apps.answer(f"/{path}")
"""

MANAGE = """
import os, sys

os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """
import apps
from django.http import HttpResponse
from django.urls import re_path

DEBUG, SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF = True, "none", ["*"], "site_settings"
urlpatterns = [re_path("", lambda request: HttpResponse(apps.answer(request.path)))]
"""

POOL = """
import asyncio
from concurrent.futures import ProcessPoolExecutor

import apps

async def main():
    with ProcessPoolExecutor(2) as pool:
        async def serve(reader, writer):
            path = (await reader.readuntil(b"\\r\\n\\r\\n")).split()[1].decode().partition("?")[0]
            body = await asyncio.get_running_loop().run_in_executor(pool, apps.answer, path)
            writer.write(f"HTTP/1.0 200 OK\\r\\n\\r\\n{body.decode()}".encode())
            writer.close()

        await (await asyncio.start_server(serve, "0.0.0.0", 8000)).serve_forever()

if __name__ == "__main__":
    asyncio.run(main())
"""

FILES = {"flask_app.py": FLASK, "manage.py": MANAGE, "site_settings.py": SETTINGS, "pool.py": POOL}

CLIENT = """
import http.client, sys, time

def get(host, path):
    connection = http.client.HTTPConnection(host, 8000, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except OSError as error:
        return type(error).__name__
    finally:
        connection.close()

for host in sys.argv[1:]:
    while get(host, "/") != "hello /":
        time.sleep(0.5)
    first, ended, after = get(host, "/pid"), get(host, "/crash"), [get(host, "/pid") for _ in range(3)]
    print(host, first.isdigit(), ended, all(each.isdigit() for each in after), get(host, "/a/b?c"))
"""

TOOLS = Path(sys.executable).parent
COMMANDS = {
    "gunicorn": "gunicorn apps:wsgi --workers 2 --bind 0.0.0.0:8000 --no-control-socket",
    "hypercorn": "hypercorn apps:asgi --workers 2 --bind 0.0.0.0:8000",
    "uvicorn": "uvicorn apps:asgi --workers 2 --host 0.0.0.0",
    "reloader": "uvicorn apps:asgi --reload --host 0.0.0.0",
    "flask": "flask --app flask_app run --debug --host 0.0.0.0 --port 8000",
    "django": "manage.py runserver 0.0.0.0:8000",
    "pool": "pool.py",
}


def test_servers_with_workers_serve_and_stop(tmp_path: Path) -> None:
    world = ["[link]", 'latency = "2ms"']
    for name, command in COMMANDS.items():
        tool = command if ".py " in f"{command} " else f"{TOOLS}/{command}"
        world += [f"[hosts.{name}]", f"run = '{tool}'", "service = true"]
    world += ["[hosts.client]", f'run = "client.py {" ".join(COMMANDS)}"']
    for file, text in {"apps.py": APPS, "client.py": CLIENT, "world.toml": "\n".join(world), **FILES}.items():
        (tmp_path / file).write_text(text)
    lines = said(tmp_path, "world.toml")
    assert [" ".join(line.split()[2:]) for line in lines if line.startswith("client")] == [
        "gunicorn True RemoteDisconnected True hello /a/b",
        *(f"{name} True hello /crash True hello /a/b" for name in COMMANDS if name != "gunicorn"),
    ]
    text = "\n".join(lines)
    for end in (
        "was sent SIGKILL",  # gunicorn notes a worker that has been killed, …
        "Booting worker with pid: 1003",  # … puts another in its place, …
        "Shutting down: Master",  # … and stops when the run ends, as the others do
        "Stopping parent process",
        "Stopping reloader process",
    ):
        assert end in text


def test_a_program_knows_the_command_line_of_its_interpreter(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("import sys\nprint(sys.orig_argv[1:], sys.argv)\n")
    words = ["words.py", "--reload", "a b"]
    done = lines_of(tmp_path, "-m", "catenet", "run", *words)
    assert done[0] == f"host  | {words} {words}"


def test_a_server_with_sockets_of_its_own_is_refused_where_it_begins() -> None:
    server = pytest.importorskip("granian").Granian

    def program() -> None:
        with pytest.raises(NotModelled, match="use a server written in Python"):
            server("apps:asgi")

    with World() as world:
        world.host("a").run(program)
        world.run()


VERSIONED = """
import os

VERSION = open("version").read()

def wsgi(environ, start_response):
    body = f"{VERSION} {os.getppid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

UPGRADE = """
import http.client, os, signal, time

def get():
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    connection.request("GET", "/")
    body = connection.getresponse().read().decode()
    connection.close()
    return body

time.sleep(5)
old = int(open("pid").read())
print(get() == f"one {old}")
open("version", "w").write("two")
os.kill(old, signal.SIGUSR2)
time.sleep(5)
new = int(open("pid.2").read())
os.kill(old, signal.SIGQUIT)
time.sleep(5)
print({get() for _ in range(4)} == {f"two {new}"}, new != old, os.path.exists(f"/proc/{old}"))
"""


def test_a_server_hands_its_sockets_to_a_new_version_of_itself(tmp_path: Path) -> None:
    command = f"{TOOLS}/gunicorn apps:wsgi --workers 2 --bind 0.0.0.0:8000 --pid pid --no-control-socket"
    world = f"[world]\nquiet = 0\n[hosts.server]\nrun = ['{command}', 'upgrade.py']"
    for file, text in {"apps.py": VERSIONED, "upgrade.py": UPGRADE, "version": "one", "world.toml": world}.items():
        (tmp_path / file).write_text(text)
    lines = said(tmp_path, "world.toml")
    assert [line for line in lines if line.endswith(("True", "False"))] == ["server | True", "server | True True False"]
    assert any("Master has been promoted" in line for line in lines)
