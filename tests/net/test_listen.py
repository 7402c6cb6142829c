"""Listening sockets: one port on all addresses, and no living server's path."""

import asyncio
import socket

import pytest

from catenet.net.listen import listen_tcp, listen_unix


def listening(*arguments, **options):
    return asyncio.run(listen_tcp(*arguments, backlog=5, **options))


def test_one_port_on_all_addresses():
    for host in ("localhost", None, "127.0.0.1", "::1"):
        sockets = listening(host, 0)
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        for sock in sockets:
            loopback = "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"
            socket.create_connection((loopback, sock.getsockname()[1])).close()
            sock.close()


def test_a_port_that_is_taken_is_named():
    with listening("127.0.0.1", 0)[0] as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1 port {port}: Address already in use"):
            listening("127.0.0.1", port)


def test_several_may_share_a_port_if_all_say_so():
    with listening("127.0.0.1", 0, reuse_port=True)[0] as first:
        listening("127.0.0.1", first.getsockname()[1], reuse_port=True)[0].close()


def test_unix_sockets(tmp_path):
    path = str(tmp_path / "s")
    listen_unix(path, backlog=1).close()
    with listen_unix(path, backlog=1, mode=0o600), pytest.raises(OSError, match=f"{path}: Address already in use"):
        listen_unix(path, backlog=1)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match="/file: Address already in use"):
        listen_unix(str(tmp_path / "file"), backlog=1)
    with listen_unix(f"@{path}", backlog=1) as abstract:
        assert abstract.getsockname() == b"\0" + path.encode()
        with pytest.raises(OSError, match=f"@{path}: Address already in use"):
            listen_unix(f"@{path}", backlog=1)
    with pytest.raises(OSError, match=f"^cannot bind to {path}x+: AF_UNIX path too long"):
        listen_unix(path + "x" * 108, backlog=1)
