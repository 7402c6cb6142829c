"""What is called wrongly says so at once, and a factory that fails costs its connection alone."""

import asyncio
import logging
import socket

import pytest
import trustme
from datagram_echo import AskCore, EchoCore
from line_echo import LineCore
from loops import LOOPS

from catenet.net import connect, connect_datagrams, serve, serve_datagrams, server_context


@pytest.mark.parametrize(
    ("call", "error", "complaint"),
    [
        (lambda: serve(LineCore(), "tcp://127.0.0.1:0"), TypeError, r"serve\(\) takes what makes a core.* LineCore"),
        (lambda: connect(LineCore, "tcp://127.0.0.1:1"), TypeError, r"connect\(\) takes a core, LineCore\(\)"),
        (lambda: serve_datagrams(EchoCore, "udp://127.0.0.1:0"), TypeError, r"serve_datagrams\(\) takes a core"),
        (lambda: connect_datagrams(AskCore(None), "udp://a:1"), TypeError, r"connect_datagrams\(\) takes what makes"),
        (lambda: serve(LineCore, "udp://127.0.0.1:0"), ValueError, r"'udp://127.* serve_datagrams\(\)"),
        (lambda: connect(LineCore(), "udp://a:1"), ValueError, r"connect_datagrams\(\)"),
        (lambda: serve_datagrams(EchoCore(), "tcp://:0"), ValueError, r"do you mean serve\(\)"),
        (lambda: serve_datagrams(EchoCore(), ["udp://:0", "unix:/run/x"]), ValueError, r"do you mean serve\(\)"),
        (lambda: connect_datagrams(AskCore, "tls://a:1"), ValueError, r"do you mean connect\(\)"),
    ],
)
def test_a_wrong_call_says_so_at_once(call, error, complaint):
    async def main():
        with pytest.raises(error, match=complaint):
            await call()

    asyncio.run(main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
@pytest.mark.parametrize("failure", [RuntimeError, ConnectionError])
def test_a_factory_that_fails_costs_its_connection_alone(loop, scheme, failure, tmp_path, caplog):
    """The peer sees the end, the place is free again, and the log has it once."""
    certificate = tmp_path / "cert"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    made, problems = [], []

    def factory():
        made.append(None)
        raise failure("no core today")

    async def main():
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda loop, context: problems.append(context))
        async with await serve(factory, f"{scheme}://127.0.0.1:0", tls=server_context(str(certificate))) as server:
            port = int(server.urls[0].rpartition(":")[2])
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", port)) as sock:
                    sock.setblocking(False)
                    assert await running.sock_recv(sock, 1) == b""
            assert server.connections == server._acceptor.open == 0

    with caplog.at_level(logging.WARNING, "catenet.net"), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    assert len(made) == 5 and problems == []
    (record,) = caplog.records
    assert "no core today" in record.getMessage() and record.exc_info is not None
