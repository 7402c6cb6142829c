"""Which address is tried when, and who wins."""

import asyncio
import socket

import pytest

from catenet.net.dial import Endpoint, HappyEyeballs, connect_first, interleave, resolve
from catenet.net.target import parse_target
from catenet.world import World


def test_interleave():
    assert interleave(["6a", "6b", "6c", "4a"], [True, True, True, False]) == ["6a", "4a", "6b", "6c"]
    assert interleave(["4a", "6a", "4b"], [False, True, False]) == ["4a", "6a", "4b"]
    assert interleave([], []) == []


def test_attempts_are_staggered():
    eyes = HappyEyeballs(["a", "b", "c"], 10.0)
    assert eyes.next_attempt(10.0) == "a"
    assert eyes.next_attempt(10.1) is None
    assert eyes.next_deadline() == 10.25
    assert eyes.next_attempt(10.25) == "b"
    assert eyes.next_deadline() == 10.5


def test_a_failure_hurries_the_next():
    eyes = HappyEyeballs(["a", "b"], 0.0)
    assert eyes.next_attempt(0.0) == "a"
    eyes.attempt_failed(0.01)
    assert eyes.next_attempt(0.01) == "b"
    assert (eyes.next_deadline(), eyes.exhausted) == (None, False)
    eyes.attempt_failed(0.02)
    assert eyes.exhausted


class Connection:
    """What an attempt of `connect_first` makes."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.closed = False

    def close(self):
        self.closed = True


def race(outcomes):
    """Connect in virtual time to addresses that answer or fail after so many seconds; return what came of it."""
    begun, made = [], []

    async def main():
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def dial(endpoint):
            begun.append((endpoint.address, round(loop.time() - start, 2)))
            seconds, failure = outcomes[endpoint.address]
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                if failure != "stubborn":
                    raise
            if isinstance(failure, Exception):
                raise failure
            made.append(Connection(endpoint))
            return made[-1]

        try:
            endpoint, connection = await connect_first(loop, [Endpoint(2, name) for name in outcomes], dial)
        finally:
            took = round(loop.time() - start, 2)
            await asyncio.sleep(60)
        assert connection.endpoint == endpoint and not connection.closed
        return endpoint.address, took

    result = []
    with World() as world:
        world.host("a").run(lambda: result.append(asyncio.run(main())))
        world.run()
        failure = world.processes[0].status
    return (result[0] if result else failure), begun, made


def test_the_second_address_wins_when_the_first_is_silent():
    winner, begun, _ = race({"silent": (100, None), "quick": (0.1, None), "late": (0, None)})
    assert winner == ("quick", 0.35)
    assert begun == [("silent", 0.0), ("quick", 0.25)]


def test_a_refusal_hurries_the_next():
    winner, begun, _ = race({"refuses": (0.01, ConnectionRefusedError()), "quick": (0.1, None)})
    assert winner == ("quick", 0.11)
    assert begun == [("refuses", 0.0), ("quick", 0.01)]


def test_a_connection_that_comes_too_late_is_closed():
    winner, _, made = race({"stubborn": (50, "stubborn"), "quick": (0.1, None)})
    assert winner[0] == "quick"
    assert [(one.endpoint.address, one.closed) for one in made] == [("quick", False), ("stubborn", True)]


def test_what_fails_last_is_raised():
    async def main():
        async def dial(endpoint):
            raise ConnectionRefusedError(endpoint.address)

        with pytest.raises(ConnectionRefusedError, match="b"):
            await connect_first(asyncio.get_running_loop(), [Endpoint(2, "a"), Endpoint(2, "b")], dial)
        with pytest.raises(OSError, match="no addresses"):
            await connect_first(asyncio.get_running_loop(), [], dial)

    asyncio.run(main())


def test_addresses_of_a_target():
    async def main():
        loop = asyncio.get_running_loop()
        assert await resolve(loop, parse_target("unix:@x")) == [Endpoint(socket.AF_UNIX, "\0x")]
        assert await resolve(loop, parse_target("tcp://127.0.0.1:5")) == [Endpoint(socket.AF_INET, ("127.0.0.1", 5))]
        assert await resolve(loop, parse_target("tcp://[::1]:5")) == [Endpoint(socket.AF_INET6, ("::1", 5, 0, 0))]

    asyncio.run(main())
