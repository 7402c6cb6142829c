"""The high-score service as RPC: in a lossy world with a partition and a crash, and on the kernel's sockets."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests import commands

from catenet.rpc.compile import compile_protos

EXAMPLE = Path(__file__).parents[2] / "examples" / "hiscore_rpc"


def run(*arguments, cwd):
    command = [sys.executable, *map(str, arguments)]
    return commands.run(command, cwd=cwd, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_a_world(tmp_path, seed):
    done = run("-m", "catenet", "run", EXAMPLE / "world.toml", "--seed", seed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alice  | all 25 scores are stored, each once" in done.stdout
    assert "bob    | galaga: places" in done.stdout
    assert "crash of server" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_on_the_kernel(tmp_path):
    command = [sys.executable, "-u", EXAMPLE / "server.py", f"unix:{tmp_path}/s.sock"]
    with commands.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline() == "listening, with 0 scores\n"
            done = run(EXAMPLE / "bob.py", f"unix:{tmp_path}/s.sock", cwd=tmp_path)
            assert (done.returncode, done.stdout.count("places")) == (0, 4), done.stderr
        finally:
            server.terminate()


def test_what_is_checked_in_is_what_the_compiler_writes(tmp_path):
    for path in compile_protos([EXAMPLE / "hiscore.proto"], [], tmp_path):
        if path.name == "hiscore_rpc.py":
            assert path.read_text() == (EXAMPLE / path.name).read_text()
