"""No command line ends with a traceback of ours, however odd its names, its output and the places it writes to."""

import contextlib
import os
import subprocess

import pytest
from tests import commands

from catenet.cli import main

LONG = "a" * 100_000
PLACES = ("/dev/full", "/proc/none", "/dev/null/x", "/", LONG, f"{LONG}/x", "", "loop")
"""Where nothing can be written, or no folder can be made."""

COMMANDS = [
    "run {}",
    "run {}.py",
    "run {}.toml",
    "run -m {}",
    "run --net kernel {}.py",
    "run --net kernel -m {}",
    "run world.toml --for {}",
    "run world.toml --set {}=1",
    "run world.toml --set tcp_rmem={}",
    "run --address {} ok.py",
    "run --net tun --address 10.9.0.2/24 --device {} ok.py",
    "run --net tun --tap --bridge {} ok.py",
    "ss --host {}",
    "settings {}",
    "resolve {} @127.0.0.1:1 --timeout 0.1 --attempts 1",
    "resolve {}.example @127.0.0.1:1 --timeout 0.1 --attempts 1",
    "resolve x. @{}",
    "resolve x. --root-hints {}",
    "resolve x. --trust-anchor {}",
    "resolve -f {}",
    "resolve x. {}",
    "discover {}",
    "ping {}",
    "trace {}",
    "ntp {}",
    "get {}",
    "get http://{}/",
    "get http://127.0.0.1:1/{}",
    "get tftp://127.0.0.1:1/{} --timeout 0.1",
    "get http://127.0.0.1:1/ --cacert {}",
    "get http://127.0.0.1:1/ -d @{}",
    "get http://127.0.0.1:1/ --upload {}",
    "get file:///{}",
    "put {} http://127.0.0.1:1/",
    "put ok.py {}",
    "put ok.py http://127.0.0.1:1/{}",
    "serve {}",
    "serve files {} --listen http://127.0.0.1:0",
    "serve files . --listen {}",
    "serve files . --listen unix:{}",
    "serve http {} --listen http://127.0.0.1:0",
    "serve http {}:app --listen http://127.0.0.1:0",
    "serve http ok:{} --listen http://127.0.0.1:0",
    "serve dns --zone {} --listen udp://127.0.0.1:0",
    "serve tftp {} --listen tftp://127.0.0.1:0",
    "connect {}",
    "connect unix:{}",
    "connect tcp://{}:1",
    "listen {}",
    "listen unix:{}",
    "bridge {} x",
    "rpc compile {}",
    "rpc compile ok.proto -I {}",
    "rpc compat {} ok.proto",
    "rpc compat ok.proto {}",
    "rpc serve {}",
    "rpc serve ok.proto {}:X",
    "rpc serve ok.proto ok:{}",
    "rpc call {} a/b",
    "rpc call unix:{} a/b",
    "rpc call tcp://127.0.0.1:1 {}",
    "rpc call tcp://127.0.0.1:1 S/M @{} --proto ok.proto",
    "rpc call tcp://127.0.0.1:1 S/M --proto {}",
    "rpc call tcp://127.0.0.1:1 S/M --proto ok.proto --service-config {}",
    "rpc list {}",
    "rpc describe tcp://127.0.0.1:1 {} --proto ok.proto",
    "rpc policy check --policy {}",
    "rpc policy explain {}",
    "{}",
    "--{}",
    "run --{} ok.py",
]

WRITERS = [
    "run --json {} ok.py",
    "run --pcap {} ok.py",
    "run --plot {} ok.py",
    "run --seeds 1..1 --json {} ok.py",
    "rpc compile ok.proto --out {}",
    "get http://127.0.0.1:1/ -o {}",
    "get http://127.0.0.1:1/ --remote-time -o {}",
    "rpc serve ok.proto ok:X --access-log {}",
    "serve files . --listen http://127.0.0.1:0 --access-log {}",
]

PRINTERS = [
    "--version",
    "--help",
    "run --help",
    "run ok.py",
    "run many.py",
    "run world.toml --json -",
    "run --seeds 1..1 ok.py",
    "run --check ok.py",
    "addrs",
    "addrs --json",
    "settings",
    "settings --json",
    "rpc describe tcp://127.0.0.1:1 --proto ok.proto",
    "rpc list tcp://127.0.0.1:1 --proto ok.proto",
    "rpc compile ok.proto",
    "get data:,x",
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ok.py").write_text("print('ok')\n")
    (tmp_path / "many.py").write_text("for number in range(20_000): print(number)\n")
    (tmp_path / "world.toml").write_text("[hosts.a]\nrun = 'ok.py'\n")
    (tmp_path / "ok.proto").write_text('syntax = "proto3";\nmessage A {}\nservice S { rpc M(A) returns (A); }\n')
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def ran(folder, words, capsys):
    """Status and standard error of a command line; whatever it raises fails the test."""
    with contextlib.chdir(folder):
        try:
            status = main(words)
        except SystemExit as stop:
            status = stop.code
    return (1 if isinstance(status, str) else status), capsys.readouterr().err


@pytest.mark.parametrize("words", COMMANDS)
def test_long_names(words, folder, capsys):
    status, err = ran(folder, [word.replace("{}", LONG) for word in words.split()], capsys)
    assert status in (1, 2, 3, 6, 7, 9, 26, 28)
    assert err.startswith(("catenet: ", "catenet resolve: ", "host  | ")) or words.startswith("run --net kernel")
    assert "Traceback" not in err


@pytest.mark.parametrize("words", WRITERS)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[:20])
def test_places_that_cannot_be(words, place, folder, capsys):
    status, err = ran(folder, [word.replace("{}", place) for word in words.split()], capsys)
    assert status in (0, 1, 2, 7, 23)
    assert err.startswith("catenet: ") or place == "/dev/full" or status == 0
    assert "Traceback" not in err


@pytest.mark.parametrize("words", PRINTERS)
@pytest.mark.parametrize("output", ["full", "closed pipe", "one line"])
def test_outputs(words, output, folder):
    if output == "full":
        with open("/dev/full", "wb") as full:
            done = commands.run(
                [*commands.CATENET, *words.split()], cwd=folder, stdin=subprocess.DEVNULL, stdout=full,
                stderr=subprocess.PIPE, timeout=60, check=False,
            )  # fmt: skip
        assert b"Traceback" not in done.stderr, done.stderr[-3000:]
        assert done.returncode == (23 if words.startswith("get") else 1)
        assert b"catenet: cannot write the output: no space left on device\n" in done.stderr
        return
    reading, writing = os.pipe()
    if output == "closed pipe":
        os.close(reading)
    child = commands.Popen(
        [*commands.CATENET, *words.split()], cwd=folder, stdin=subprocess.DEVNULL, stdout=writing,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    if output == "one line":
        os.read(reading, 1)
        os.close(reading)
    _, err = child.communicate(timeout=60)
    assert b"Traceback" not in err and b"Exception ignored" not in err, err[-3000:]
