"""`catenet connect` and `listen` with sessions, over connections that break while they relay."""

import os
import re
import subprocess

import pytest
import trustme
from tests import commands
from tests.cli.relaying import CATENET, TIME, connect, listening
from tests.session.breaking import breaking


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.mark.parametrize("scheme", ["session+tcp", "session+tls"])
def test_a_pipe_that_survives(scheme, files):
    """As `ProxyCommand` uses it: bytes in, bytes out, and ten connections broken meanwhile."""
    data = os.urandom(2_000_000)
    tls = ["--cert", str(files / "server.pem")] if scheme == "session+tls" else []
    with (
        listening("-k", f"{scheme}://127.0.0.1:0", "--exec", "cat", *tls) as server,
        breaking(("127.0.0.1", server.port), most=10) as breaker,
    ):
        trusted = ["--ca", str(files / "ca.pem")] if tls else []
        done = connect(f"{scheme}://127.0.0.1:{breaker.port}", "--buffer", "100kB", *trusted, data=data)
        assert (done.stderr, done.returncode) == (b"", 0)
        assert done.stdout == data
        assert breaker.connections > 10


def test_between_servers_that_know_nothing_of_sessions():
    """tcp to session, through a network that breaks, session to tcp: what ssh and a database want of it."""
    with (
        listening("-k", "tcp://127.0.0.1:0", "--exec", "cat") as service,
        listening("-k", "session+tcp://127.0.0.1:0", service.url) as far,
        breaking(("127.0.0.1", far.port), most=5) as breaker,
        listening("-k", "tcp://127.0.0.1:0", f"session+tcp://127.0.0.1:{breaker.port}") as near,
    ):
        data = os.urandom(1_000_000)
        done = connect(near.url, data=data)
        assert (done.returncode, done.stdout == data) == (0, True)
        assert breaker.connections > 5


def test_one_session_has_standard_input_and_output(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(os.urandom(16).hex().encode())
    with listening("session+tcp://127.0.0.1:0", "--session-key", str(key)) as server:
        refused = connect(server.url, data=b"without the key")
        assert (refused.returncode == 1 and b"does not permit" in refused.stderr) or b"proves nothing" in refused.stderr
        client = commands.Popen(
            [*CATENET, "connect", server.url, "--session-key", str(key)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert client.stdin is not None
        client.stdin.write(b"to the server")
        client.stdin.close()
        out, _, status = server.finish(b"to the client")
        assert (out, status) == (b"to the server", 0)
        assert client.stdout is not None and client.stdout.read() == b"to the client"
        assert client.wait(TIME) == 0


def test_the_log_tells_what_becomes_of_connections():
    """With -v each end says why a connection was lost, and where the session went on.

    A server may see the next connection before it sees that the last one is gone.
    """
    data = os.urandom(300_000)
    with (
        listening("session+tcp://127.0.0.1:0", "--exec", "cat", "-v") as server,
        breaking(("127.0.0.1", server.port), most=3) as breaker,
    ):
        done = connect(f"session+tcp://127.0.0.1:{breaker.port}", "--buffer", "50kB", "-v", data=data)
        assert (done.returncode, done.stdout == data) == (0, True)
        far = server.finish()[1]
    text = done.stderr.decode()
    assert re.search(r"session: connection lost: .+ \(127\.0\.0\.1:\d+\)\n", text)
    assert re.search(r"session: resumed after \d+\.\d s on 127\.0\.0\.1:\d+\n", text)
    assert re.search(r"session: (resumed after \d+\.\d s|moved to a new connection) on 127\.0\.0\.1:", far.decode())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["session+tcp://127.0.0.1:1"], "cannot connect to session+tcp://127.0.0.1:1"),
        (["session+udp://127.0.0.1:1"], "do you mean session+t"),
        (["session+tcp://127.0.0.1:1", "--buffer", "1"], "buffer=1"),
        (["session+tcp://127.0.0.1:1", "--session-key", "/nonexistent"], "--session-key /nonexistent"),
        (["session+tcp://127.0.0.1:1", "--session-key", "/dev/null"], "--session-key: a shared key has 16 bytes"),
        (["session+tcp://127.0.0.1:1", "-4"], "goes on over any address"),
    ],
)
def test_what_cannot_be(words, line):
    done = connect(*words)
    assert done.returncode in (1, 2) and line in done.stderr.decode()
    assert len(done.stderr.decode().splitlines()) == 1
