"""catenet rpc serve --spiffe, with an agent of the tests."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.cli import main
from catenet.rpc import Channel, Code, client_of, service
from catenet.rpc.spiffe import WorkloadIdentity

GREETER = """
from catenet.rpc import service

@service("t.v1")
class Greeter:
    async def greet(self) -> str:
        return "hello"
"""


@service("t.v1")
class Greeter:
    async def greet(self) -> str:
        raise NotImplementedError


def agent_module():
    sys.path.insert(0, str(Path(__file__).parents[1] / "rpc" / "spiffe"))
    import agent

    return agent


async def called(folder, url, server):
    """Call by the command line, as the client: status, output, errors."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "catenet", "rpc", "call", url, "--spiffe", server, "t.v1.Greeter/Greet", "{}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": f"unix://{folder}/near"},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def test_serving_with_an_identity_of_the_workload_api(tmp_path):
    agent = agent_module()
    domain = agent.Domain("home.example")

    async def main():
        far, near = agent.Agent(), agent.Agent()
        far.give(domain, "/server")
        near.give(domain, "/client")
        agents = [await agent.serving(one, tmp_path / name) for one, name in ((far, "far"), (near, "near"))]
        (tmp_path / "greeter.py").write_text(GREETER)
        words = [
            "rpc",
            "serve",
            "greeter:Greeter",
            "--listen",
            "tls://127.0.0.1:0",
            "--spiffe",
            f"unix://{tmp_path}/far",
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "catenet", *words, cwd=tmp_path, stderr=subprocess.PIPE
        )
        try:
            url = (await process.stderr.readline()).decode().removeprefix("serving rpc on ").strip()
            async with WorkloadIdentity(f"unix://{tmp_path}/near") as identity:
                tls = identity.client(["spiffe://home.example/server"])
                async with Channel(url, tls=tls) as channel:
                    assert await client_of(Greeter, channel).greet() == "hello"
            assert await called(tmp_path, url, "spiffe://home.example/server") == (0, '{"value":"hello"}\n', "")
            status, _, told = await called(tmp_path, url, "spiffe://home.example/other")
            assert status == 1
            assert "spiffe://home.example/server is not who may be there" in told
        finally:
            process.terminate()
            await process.wait()
        for one in agents:
            await one.close()

    asyncio.run(main())


def test_an_agent_that_says_that_it_is_no_use(tmp_path):
    agent = agent_module()
    (tmp_path / "greeter.py").write_text(GREETER)

    async def main():
        one = agent.Agent()
        one.refuse(Code.UNIMPLEMENTED, "no SVIDs here")
        server = await agent.serving(one, tmp_path / "agent")
        words = [
            "rpc",
            "serve",
            "greeter:Greeter",
            "--listen",
            "tls://127.0.0.1:0",
            "--spiffe",
            f"unix://{tmp_path}/agent",
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "catenet", *words, cwd=tmp_path, stderr=subprocess.PIPE
        )
        _, told = await process.communicate()
        await server.close()
        return process.returncode, told.decode()

    status, told = asyncio.run(main())
    assert status == 2
    assert told.endswith("catenet: --spiffe: UNIMPLEMENTED: no SVIDs here\n")


@pytest.mark.parametrize("more", [(), ("--workers", "2")])
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_an_agent(tmp_path, signo, more):
    (tmp_path / "greeter.py").write_text(GREETER)
    words = ["greeter:Greeter", "--listen", "tls://127.0.0.1:0", "--spiffe", f"unix://{tmp_path}/nobody", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "catenet", "rpc", "serve", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        assert "asked again" in process.stderr.readline()  # it waits, a minute at most
        process.send_signal(signo)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "SPIFFE_ENDPOINT_SOCKET is not set: it names the socket of the SPIFFE Workload API"),
        (["--insecure"], "--spiffe goes without --cacert, --cert, --crl and --insecure"),
    ],
)
def test_calls_that_cannot_be(capsys, monkeypatch, words, why):
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
    assert main(["rpc", "call", "tls://localhost:1", "a.B/C", "{}", "--spiffe", "spiffe://a/b", *words]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--spiffe", "http://x"], "--spiffe: http://x: unix:///path or tcp://address:port is expected"),
        (["--spiffe", "unix:///x", "--cert", "c.pem"], "--spiffe goes without --cert and --tls"),
    ],
)
def test_what_cannot_be(tmp_path, capsys, monkeypatch, words, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greeter_never.py").write_text(GREETER)
    assert main(["rpc", "serve", "greeter_never:Greeter", "--listen", "tls://127.0.0.1:0", *words]) == 2
    assert why in capsys.readouterr().err
