"""What the documents show is what happens: their blocks are run in order, each document in a folder of its own.

A block ` ```LANGUAGE file=NAME ` becomes that file; ` ```python ` runs; of ` ```console `, each line after `$ ` runs
and must succeed, and the lines under it must be printed (`...` stands for anything). ` ```console privileged ` shows
what needs root and is proved elsewhere; every other language is only shown.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests import commands

pytestmark = pytest.mark.slow(30)

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "worlds",
            "compatibility",
            "commands",
            "congestion",
            "datagrams",
            "dns",
            "graph",
            "http",
            "net",
            "ntp",
            "packetdrill",
            "relay",
            "rpc",
            "session",
            "testing",
            "textbook",
            "grpc",
            "rpc-compat",
            "rpc-identity",
            "rpc-policy",
            "rpc-sessions",
            "rpc-xml",
            "tftp",
        )
    ),
]
FENCE = re.compile(r"^```(\S*)[ \t]*(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    line: int
    language: str
    info: str
    text: str


def blocks(document: str) -> Iterator[Block]:
    text = (ROOT / document).read_text()
    for found in FENCE.finditer(text):
        yield Block(text.count("\n", 0, found.start()) + 1, *found.groups())


def run(words: list[str], folder: Path, real: bool = False) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = commands.run(
        words,
        real=real,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "120", "PYTEST_PLUGINS": "catenet.testing.plugin"},
        text=True,
        timeout=110,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{words} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def typed(block: Block) -> Iterator[tuple[str, list[str]]]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *expected = part.rstrip("\n").split("\n")
        while command.endswith("\\"):
            command = command[:-1] + expected.pop(0)
        yield command, expected


def words_of(command: str, real: bool) -> list[str]:
    """What a shell would exec, if it has nothing else to do; else the shell."""
    program, *rest = [""] if re.search(r"[|&;<>$`*?\n~=]", command) else shlex.split(command)
    if program == "catenet" and not real:
        return [*commands.CATENET, *rest]
    return [sys.executable, *rest] if program == "python" else ["bash", "-c", command]


def assert_printed(expected: list[str], printed: str) -> None:
    pattern = "\n".join(re.escape(line.rstrip()).replace(r"\.\.\.", ".*") for line in expected)
    found = re.search(pattern, "\n".join(line.rstrip() for line in printed.splitlines()), re.DOTALL)
    assert found, f"expected\n{chr(10).join(expected)}\ngot\n{printed}"


def marked(document: str) -> object:
    """A document whose blocks call curl is one for tests with real peers."""
    calls = "curl -s" in (ROOT / document).read_text()
    return pytest.param(document, marks=pytest.mark.peer("curl") if calls else ())


@pytest.mark.parametrize("document", [marked(document) for document in DOCUMENTS])
def test_blocks_run_as_shown(document: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    real = document == "README.md"  # by the installed command, and an interpreter for each block
    proved = 0
    for block in blocks(document):
        where = f"{document}:{block.line}"
        if name := re.match(r"file=(\S+)", block.info):
            (tmp_path / name[1]).write_text(block.text)
        elif block.language == "python":
            (tmp_path / "block.py").write_text(block.text)
            run([sys.executable, "block.py"], tmp_path, real)
        elif block.language == "console" and block.info != "privileged":
            for command, expected in typed(block):
                if command.startswith("make "):
                    continue  # `make demo` and `make test` are what runs this
                printed = run(words_of(command, real), tmp_path, real)
                assert_printed(expected, printed)
                print(where, command)
        else:
            continue
        proved += 1
    assert proved, f"{document} shows nothing that can be run"
