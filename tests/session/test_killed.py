"""Connections that the kernel destroys under a session, again and again."""

import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow(10)]


@pytest.mark.parametrize(
    ("loop", "scheme", "host"),
    [
        ("asyncio", "session+tcp", "127.0.0.1"),
        ("uvloop", "session+tcp", "[::1]"),
        ("asyncio", "session+tls", "[::1]"),
        ("uvloop", "session+tls", "127.0.0.1"),
    ],
)
def test_tcp_is_destroyed_every_tenth_of_a_second(namespace, loop, scheme, host):
    """10 MB each way, once and in order. 40 Mbit/s, so that it takes some seconds and nothing is still."""
    limits = ["rate", "40mbit", "burst", "64k", "latency", "10ms"]
    namespace.run("tc", "qdisc", "add", "dev", "lo", "root", "tbf", *limits)
    program = str(Path(__file__).with_name("killed.py"))
    done = namespace.run(sys.executable, program, loop, scheme, host, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    connections, destroyed = map(int, done.stdout.split())
    if not destroyed:
        pytest.skip("the kernel is without CONFIG_INET_DIAG_DESTROY")
    assert connections > 10 and destroyed > 10
