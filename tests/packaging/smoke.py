"""What a fresh installation must do: the commands, a world, HTTP, a call, names, as processes of their own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import catenet

ROOT = Path(__file__).parents[2]
CATENET = str(Path(sys.executable).parent / "catenet")


def run(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([CATENET, *map(str, words)], capture_output=True, text=True, timeout=100, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_the_package_is_the_installed_one() -> None:
    assert ROOT not in Path(catenet.__file__).parents


def test_every_verb_has_help() -> None:
    verbs = [line.split()[0] for line in run("--help").splitlines() if line.startswith("    ") and line[4] != " "]
    assert len(verbs) > 10
    for verb in verbs:
        assert run(verb, "--help").startswith(f"usage: catenet {verb}")


def test_a_world_runs_the_same_twice() -> None:
    told = [json.loads(run("run", ROOT / "examples/hiscore/world.toml", "--json", "-")) for _ in range(2)]
    assert told[0]["trace_sha256"] == told[1]["trace_sha256"]


def test_files_are_served_and_fetched(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    server = subprocess.Popen(
        [CATENET, "serve", "http", str(tmp_path), "--listen", "http://127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        url = server.stderr.readline().split()[-1]
        assert run("get", f"{url}/a.txt") == "hello\n"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)


def test_calls_are_compiled_and_made(tmp_path: Path) -> None:
    for file in (ROOT / "examples/hiscore_rpc").glob("*.*"):
        if not file.name.startswith("hiscore_"):
            shutil.copy(file, tmp_path)
    run("rpc", "compile", "hiscore.proto", cwd=tmp_path)
    assert "world" in run("run", "world.toml", cwd=tmp_path)
