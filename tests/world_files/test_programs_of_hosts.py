"""What a world file says of a host's programs: installed scripts, variables, standard input."""

import os
import sys
from pathlib import Path

import pytest
from tests import commands

from catenet.cli import main
from catenet.world.scenario.console_scripts import find_console_script

SHOW = """
import os, sys
print(os.environ.get("COLOUR"), os.environ.get("HOME"), os.environ["STATE_DIRECTORY"] != "", repr(sys.stdin.read()))
"""
WORLD = """
[hosts.a]
run = "show.py"
env = { COLOUR = "blue", HOME = "/nowhere" }
stdin = "first\\nsecond"
[hosts.b]
run = ["show.py", "show.py"]
[hosts.b.env]
COLOUR = ""
"""


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_variables_and_standard_input(tmp_path, isolation):
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "world.toml").write_text(WORLD)
    words = [*commands.CATENET, "run", "-q", "world.toml", "--isolation", isolation]
    done = commands.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = sorted(done.stdout.splitlines())
    assert lines[0] == r"a     | blue /nowhere True 'first\nsecond'"
    assert len(lines) == 3
    assert all(line.startswith("b     |  /") and line.endswith("True ''") for line in lines[1:])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[hosts.a]\nenv = 1\n", 2, "env must be a table, not 1"),
        ("[hosts.a.env]\nX = 1\n", 2, "env: X must be a text, not 1"),
        ("[hosts.a.env]\nX = 'a'\n'B=C' = 'b'\n", 3, "env: no variable can have the name 'B=C'"),
        ('[hosts.a.env]\nX = "a\\u0000"\n', 2, r"env: X must be a text, not 'a\x00'"),
        ("[hosts.a]\nstdin = 1\n", 2, "stdin: must be a text, not 1"),
        ("[hosts.a]\nrun = 'no-such-script x'\n", 2, "no program 'no-such-script' in "),
        ("[hosts.a]\nrun = 'json x'\n", 2, "; a module runs as '-m json'"),
    ],
)
def test_mistakes(tmp_path, capsys, text, line, message):
    path = tmp_path / "world.toml"
    path.write_text(text)
    assert main(["run", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"catenet: {path}:{line}: ") and message in err


APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})
"""
GET = "import urllib.request\nprint(urllib.request.urlopen('http://server:8000/').read())\n"


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_a_console_script_of_the_environment(tmp_path, isolation):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "get.py").write_text(GET)
    (tmp_path / "world.toml").write_text(
        "[hosts.server]\nrun = 'uvicorn app:app --host 0.0.0.0 --log-level error'\n"
        "[hosts.client]\nrun = 'get.py'\nstart = '5s'\n"
    )
    words = [*commands.CATENET, "run", "-q", str(tmp_path / "world.toml"), "--isolation", isolation]
    done = commands.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "client | b'hi'\n", "")


@pytest.mark.parametrize("net", ["sim", "kernel"])
def test_a_console_script_alone(tmp_path, net):
    words = [*commands.CATENET, "run", "-q", "--net", net, "uvicorn", "--version"]
    done = commands.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Running uvicorn" in done.stdout


def test_what_is_a_console_script(tmp_path, monkeypatch):
    assert find_console_script("uvicorn") == os.path.join(os.path.dirname(sys.executable), "uvicorn")
    for name in ("", ".", "..", "../bin/uvicorn", "a" * 1000, Path(sys.executable).name, "none"):
        assert find_console_script(name) is None, name
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name, head in {
        "plain": b"#!/usr/bin/python3\n",
        "long": b"#!/bin/sh\n'''exec' /long/python \"$0\"\n",
        "shell": b"#!/bin/sh\n",
        "binary": b"\x7fELFpython",
    }.items():
        (tmp_path / name).write_bytes(head)
        expected = str(tmp_path / name) if name in ("plain", "long") else None
        assert find_console_script(name) == expected
