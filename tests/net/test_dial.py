"""Which address is tried when, and who wins."""

import asyncio
import socket
import ssl

import pytest
import trustme
import uvloop

from catenet.net.dial import (
    Candidate,
    ClientTls,
    Endpoint,
    HappyEyeballs,
    connect,
    connect_first,
    interleave,
    resolve,
    secure,
)
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


@pytest.mark.parametrize(
    ("url", "family"), [("tcp://192.0.2.7:80", socket.AF_INET), ("tcp://[2001:db8::7]:80", socket.AF_INET6)]
)
def test_an_address_needs_no_resolver(url, family):
    async def main():
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = None
        return await resolve(loop, parse_target(url))

    assert [(endpoint.family, endpoint.address[:2]) for endpoint in asyncio.run(main())] == [
        (family, (parse_target(url).host, 80))
    ]


class Echo(asyncio.Protocol):
    """Speaks first, then repeats what it hears."""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"hello ")

    def data_received(self, data):
        self.transport.write(data)


class Reader(asyncio.Protocol):
    """Takes over a candidate."""

    def __init__(self, wanted):
        self.heard = b""
        self.wanted = wanted
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.write(b"world")

    def data_received(self, data):
        self.heard += data
        if self.heard == self.wanted and not self.done.done():
            self.done.set_result(None)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_candidate_loses_nothing_of_a_server_that_speaks_first(factory, encrypted):
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server_tls)
    authority.configure_trust(client_tls)

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=server_tls if encrypted else None)
        endpoint = Endpoint(socket.AF_INET, server.sockets[0].getsockname())
        candidate = await connect(loop, endpoint, Candidate)
        if encrypted:
            candidate = await secure(loop, candidate, ClientTls(client_tls, "localhost"))
        await asyncio.sleep(0.02)  # what comes before it is handed over is kept
        reader = Reader(b"hello world")
        candidate.hand_over(reader)
        await reader.done
        candidate.close()
        server.close()
        return reader.heard

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) == b"hello world"


def test_tls_that_fails_says_why():
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        candidate = await connect(loop, Endpoint(socket.AF_INET, server.sockets[0].getsockname()), Candidate)
        with pytest.raises(OSError, match=r"speaks before TLS|WRONG_VERSION|wrong version"):
            await secure(loop, candidate, ClientTls(ssl.create_default_context(), "localhost"))
        server.close()

    asyncio.run(main())


def test_a_connection_that_is_lost_while_it_is_handed_over():
    """TLS settles whom to tell when its connection is lost, and tells in the next turn of the event loop."""

    class Lost(asyncio.Transport):
        def set_protocol(self, protocol):
            pass

        def pause_reading(self):
            pass

        def is_closing(self):
            return True

    class Owner(asyncio.Protocol):
        lost = None

        def connection_lost(self, error):
            self.lost = error

    candidate, owner = Candidate(), Owner()
    candidate.connection_made(Lost())
    candidate.hand_over(owner)
    assert owner.lost is None
    candidate.connection_lost(error := ConnectionResetError())
    assert owner.lost is error
