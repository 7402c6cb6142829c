"""`import grpc` gives ours: in a process that asks for it, and for all programs of `catenet run --grpc`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.rpc.grpc.conftest import REFERENCE

pytestmark = pytest.mark.skipif(REFERENCE, reason="about the stand-in itself")

IMPORTS = """
from catenet.rpc.grpc.standin import install
install()
install()
import grpc, grpc.aio, grpc.experimental
from grpc.experimental import aio
import grpc.experimental.aio as again
from grpc._utilities import first_version_is_lower
import catenet.rpc.grpc, catenet.rpc.grpc.aio
assert grpc is catenet.rpc.grpc and grpc.aio is aio is again is catenet.rpc.grpc.aio
assert grpc.__spec__.name == "catenet.rpc.grpc"
assert not first_version_is_lower(grpc.__version__, "1.85.1") and first_version_is_lower("1.9.0", "1.10.0-dev")
try:
    import grpc._cython
except ModuleNotFoundError as error:
    assert error.name == "grpc._cython", error.name
else:
    raise AssertionError
try:
    grpc.nothing
except AttributeError as error:
    assert "docs/grpc.md" in str(error)
import dropin_pb2_grpc
"""

SERVER = """
import grpc
from concurrent import futures
import dropin_pb2, dropin_pb2_grpc

class Echo(dropin_pb2_grpc.EchoServicer):
    def Unary(self, request, context):
        return dropin_pb2.Message(text=request.text.upper())
    def Down(self, request, context):
        for number in range(request.count):
            yield dropin_pb2.Message(count=number)

server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
dropin_pb2_grpc.add_EchoServicer_to_server(Echo(), server)
server.add_insecure_port("[::]:50051")
server.start()
server.wait_for_termination()
"""

PLAIN = """
import time
import grpc, dropin_pb2, dropin_pb2_grpc

with grpc.insecure_channel("server:50051") as channel:
    stub = dropin_pb2_grpc.EchoStub(channel)
    for number in range(4):
        try:
            print(stub.Unary(dropin_pb2.Message(text=f"m{number}"), timeout=2, wait_for_ready=True).text)
        except grpc.RpcError as error:
            print(error.code())
        time.sleep(1)
"""

LOOP = """
import asyncio
import grpc, dropin_pb2, dropin_pb2_grpc

async def main():
    async with grpc.aio.insecure_channel("server:50051") as channel:
        stub = dropin_pb2_grpc.EchoStub(channel)
        print([answer.count async for answer in stub.Down(dropin_pb2.Message(count=3))])

asyncio.run(main())
"""

WORLD = """
[world]
seed = 3
[link]
latency = "50ms"
loss = "2%"
[hosts.server]
run = "server.py"
service = true
[hosts.ann]
run = "plain.py"
start = "1s"
[hosts.bob]
run = "loop.py"
start = "1s"
[[events]]
at = "2s"
partition = ["server", "ann"]
for = "4s"
"""


def run(generated, *command, cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(generated.folder)}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def test_modules_are_the_same_under_both_names(generated):
    done = run(generated, "-c", IMPORTS)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_comes_before_the_other(generated):
    done = run(generated, "-c", "import grpc; from catenet.rpc.grpc.standin import install; install()")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: grpc has been imported already")


def test_unchanged_programs_in_a_world(generated, tmp_path):
    for name, text in {"server.py": SERVER, "plain.py": PLAIN, "loop.py": LOOP, "world.toml": WORLD}.items():
        (tmp_path / name).write_text(text)
    done = run(generated, "-m", "catenet", "run", "--grpc", "world.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    printed = [line for line in done.stdout.splitlines() if line.startswith(("ann ", "bob "))]
    ann = [line.partition("| ")[2] for line in printed if line.startswith("ann ")]
    assert ann == ["M0", "StatusCode.DEADLINE_EXCEEDED", "M2", "M3"]
    assert any(line.endswith("| [0, 1, 2]") for line in printed)
