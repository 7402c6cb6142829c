"""Our stand-in for `grpc` beside grpcio: the same tests, the same programs of other packages, each with the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from grpc_tools import protoc

HERE = Path(__file__).parent
TESTS = HERE.parent / "grpc"
PORTABLE = (TESTS / "test_sync.py", TESTS / "test_aio.py")
PROGRAM = HERE / "dropin_libraries.py"

pytestmark = [pytest.mark.peer, pytest.mark.slow(30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What grpcio-tools generates."""
    out = tmp_path_factory.mktemp("dropin")
    proto = TESTS / "dropin.proto"
    assert protoc.main(["", f"-I{TESTS}", f"--python_out={out}", f"--grpc_python_out={out}", str(proto)]) == 0
    return out


def run(folder, *command, **environment):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_tests_of_the_stand_in_hold_for_grpcio(folder):
    done = run(
        folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *PORTABLE, CATENET_GRPC="grpcio"
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["health", "interceptor", "telemetry", "otlp", "pubsub", "qdrant"])
def test_programs_of_others_do_the_same(folder, name):
    theirs = run(folder, PROGRAM, name)
    ours = run(folder, "-m", "catenet", "run", "--net", "kernel", "--grpc", PROGRAM, name)
    assert (theirs.returncode, ours.returncode) == (0, 0), theirs.stderr + ours.stderr
    assert theirs.stdout == ours.stdout
    assert theirs.stdout.count("\n") > 0


CLIENT = """
import sys
if sys.argv[1] == "ours":
    from catenet.rpc.grpc.standin import install
    install()
import grpc
from dropin_pb2 import Message
from dropin_pb2_grpc import EchoStub

with grpc.insecure_channel(sys.argv[2]) as channel:
    stub = EchoStub(channel)
    print(grpc.__version__ == "1.999.0", stub.Unary(Message(text="a"), timeout=20).text)
    print([answer.count for answer in stub.Down(Message(count=3))], stub.Up(iter([Message(count=2)])).count)
    print([answer.text for answer in stub.Both(iter([Message(text="b"), Message(text="c")]))])
"""

SERVER = """
import sys
if sys.argv[1] == "ours":
    from catenet.rpc.grpc.standin import install
    install()
from dropin_libraries import add_echo, serve
server, address = serve(add_echo)
print(address, flush=True)
server.wait_for_termination()
"""


@pytest.mark.parametrize(("client", "server"), [("ours", "theirs"), ("theirs", "ours")])
def test_each_with_the_other(folder, client, server):
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{HERE}"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, server], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            done = run(folder, "-c", CLIENT, client, process.stdout.readline().strip())
        finally:
            process.kill()
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{client == 'ours'} A", "[0, 1, 2] 2", "['b', 'c']"]
