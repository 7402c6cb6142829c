"""What a program has written reaches its peer though it ends, or closes, with data unread."""

from __future__ import annotations

from typing import Any

import pytest

SERVER = """
import os, socket, struct, sys
with socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    connection, _ = listener.accept()
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 413 Content Too Large\\r\\n" + b"connection: close\\r\\n\\r\\n")
    {end}
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 80)) as connection:
    connection.sendall(bytes(5000))
    answer = b""
    try:
        while data := connection.recv(1000):
            answer += data
    except ConnectionResetError:
        print("reset after", len(answer), answer[:12].decode())
"""
ENDS = {
    "close": "connection.close()",
    "linger": "connection.setsockopt(1, socket.SO_LINGER, struct.pack('ii', 1, 0)); connection.close()",
    "detached": "os.close(connection.detach())",
    "end of the program": "pass",
    "exit": "sys.exit(3)",
    "at once": "os._exit(3)",
    "killed": "import signal; os.kill(os.getpid(), signal.SIGKILL)",
    "exception": "1 / 0",
    "event loop": "import asyncio; asyncio.run(abort(connection))",
}
ABORT = """
async def abort(connection):
    _, writer = await asyncio.open_connection(sock=connection)
    writer.write(b"")
    writer.transport.abort()
"""


@pytest.mark.parametrize("end", ENDS)
def test_an_early_answer_arrives(internet: Any, version: int, end: str) -> None:
    internet.world.link("server", latency="10ms", loss=0, reorder=0)
    internet.world.link("client", latency="10ms", loss=0, reorder=0)
    internet.server.run(["-c", (ABORT if end == "event loop" else "") + SERVER.format(end=ENDS[end])])
    internet.client.run(["-c", CLIENT, internet.address(version)])
    internet.world.run(60, check=False)
    assert internet.printed("client") == ["reset after 53 HTTP/1.1 413"]
