"""The compiled interop service, and servers of every kind as processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from peers import CPP, HERE, need, node


@pytest.fixture(scope="session", autouse=True)
def generated(tmp_path_factory: Any) -> Iterator[Any]:
    """Compile interop.proto to where this process and the peers import it from."""
    from catenet.rpc.compile import compile_protos

    out = tmp_path_factory.mktemp("generated")
    compile_protos([HERE / "interop.proto", HERE / "harness.proto"], [], out, relative=False)
    sys.path.insert(0, str(out))
    yield out
    sys.path.remove(str(out))


@contextlib.contextmanager
def running(name: str, generated: Any) -> Iterator[Any]:
    """A server as a process; yields its port."""
    need(name)
    if name == "cpp":
        command, env = [str(CPP / "server"), "gzip"], None
    elif name == "grpc_js":
        command, env = ["node", str(HERE / "grpc_js_server.js"), str(HERE / "interop.proto")], node()
    else:
        command = [sys.executable, str(HERE / "peer_server.py"), name]
        env = {**os.environ, "PYTHONPATH": f"{generated}:{HERE}"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, f"{name} did not start"
            yield int(line)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def servers(generated: Any) -> Iterator[Any]:
    """Ports of servers, started when first asked for."""
    with contextlib.ExitStack() as stack:
        ports = {}

        def port(name: str) -> Any:
            if name not in ports:
                ports[name] = stack.enter_context(running(name, generated))
            return ports[name]

        yield port
