"""Channels with several servers on loopback: addresses that change, states, health, pings."""

import asyncio
import collections
import random
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import uvloop

from catenet.http.limits import Limits
from catenet.net.dial import Endpoint
from catenet.net.target import Target
from catenet.rpc import CallInfo, Channel, ChannelOptions, Code, Server, ServerOptions
from catenet.rpc.client.balancing.config import PolicyConfig, policy_named
from catenet.rpc.client.balancing.outliers import Outliers, SuccessRate
from catenet.rpc.client.names import Refresh, Resolved, by_dns
from catenet.rpc.client.service_config import parse_service_config
from catenet.rpc.model.load_report import LOAD_METADATA, LoadReport, load_of
from catenet.rpc.services.health import Health
from catenet.rpc.services.load import LoadMeter, LoadReports
from catenet.wire.dns.message import pack, parse
from catenet.wire.dns.record import make_record

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
from echoservice import COUNT, SAY, SLEEP, Echo, failure, number, text, until


class Named(Echo):
    def __init__(self, name):
        super().__init__()
        self.name = name

    async def say(self, request, context):
        return text(self.name)


@asynccontextmanager
async def servers(count, **options):
    """Yield servers that answer with their number, and the port of each."""
    made = [Server([Named(str(number))], **options) for number in range(count)]
    ports = [int((await server.listen("tcp://127.0.0.1:0")).url.rpartition(":")[2]) for server in made]
    try:
        yield made, ports
    finally:
        for server in made:
            await server.close()


def endpoints(ports):
    return tuple(Endpoint(2, ("127.0.0.1", port)) for port in ports)


class Names:
    """A resolver whose answers the test changes."""

    def __init__(self, ports, ttl=None):
        self.ports = ports
        self.ttl = ttl
        self.asked = 0

    async def __call__(self, target):
        self.asked += 1
        if self.ports is None:
            raise OSError("no such name")
        return Resolved(endpoints(self.ports), self.ttl)


async def answers(channel, count):
    return collections.Counter([(await channel.unary(SAY, text("x"))).value for _ in range(count)])


def options(names=None, policy="round_robin", **more):
    return ChannelOptions(balancing=policy, resolver=names, resolve_floor=0.0, **more)


# Names.


def test_when_to_ask_again():
    rng = random.Random(1)
    refresh = Refresh(floor=30.0)
    assert refresh.next_deadline() < 0
    refresh.failed(10.0, rng)
    assert 10.8 <= refresh.next_deadline() <= 11.2
    refresh.failed(11.0, rng)
    assert 12.2 <= refresh.next_deadline() <= 13.0
    refresh.succeeded(None, 20.0)
    assert refresh.next_deadline() is None, "nobody knows how long it holds"
    refresh.request()
    assert refresh.next_deadline() == 50.0, "the floor"
    refresh.succeeded(300.0, 60.0)
    assert refresh.next_deadline() == 360.0, "the TTL"
    refresh.request()
    assert refresh.next_deadline() == 90.0
    refresh.succeeded(5.0, 100.0)
    assert refresh.next_deadline() == 130.0
    refresh.request()
    assert refresh.next_deadline() == 105.0, "what holds for five seconds may be asked for after five"


def test_a_server_that_is_new_gets_calls_and_one_that_is_gone_ends_what_it_has():
    async def main():
        async with servers(3) as (made, ports), asyncio.timeout(60):
            names = Names(ports[:2], ttl=0.0)  # asked again every second
            async with Channel("dns:///pool:1", options=options(names)) as channel:
                assert names.asked == 0, "nothing happens before the first call"
                await answers(channel, 1)
                await until(lambda: sum(server.connections for server in made) == 2)
                assert await answers(channel, 10) == {"0": 5, "1": 5}
                stream = channel.server_stream(COUNT, number(-300))
                await anext(stream)
                running = next(server for server in made if server._connections and any(
                    connection.busy for connection in server._connections))  # fmt: skip
                kept = [port for server, port in zip(made, ports, strict=True) if server is not running]
                names.ports = kept
                await until(lambda: made[2].connections == 1)
                counts = await answers(channel, 10)
                assert set(counts.values()) == {5} and str(made.index(running)) not in counts
                assert len([one async for one in stream]) == 299
                await until(lambda: running.connections == 0)

    asyncio.run(main())


OUTLIERS = PolicyConfig("outlier_detection", Outliers(success_rate=SuccessRate()), policy_named("round_robin"))


@pytest.mark.parametrize("policy", ["round_robin", "weighted_round_robin", "ring_hash", OUTLIERS])
def test_the_same_addresses_again_change_nothing(policy):
    async def main():
        async with servers(2) as (made, ports), asyncio.timeout(60):
            names = Names(ports)
            async with Channel("dns:///pool:1", options=options(names, policy)) as channel:
                while sum(server.connections for server in made) < 2:
                    await answers(channel, 1)
                for _ in range(3):
                    asked = names.asked
                    channel.connections()._names.ask_again()
                    await until(lambda asked=asked: names.asked > asked)
                    await answers(channel, 4)
                assert [server.counters.connections_opened for server in made] == [1, 1]

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["pick_first", "round_robin", "ring_hash"])
def test_addresses_are_asked_for_again_when_a_server_ends(policy):
    async def main():
        async with servers(2) as (made, ports), asyncio.timeout(60):
            names = Names(ports[:1])
            async with Channel("dns:///pool:1", options=options(names, policy)) as channel:
                assert await answers(channel, 3) == {"0": 3}
                assert names.asked == 1
                names.ports = ports[1:]
                await made[0].drain()
                assert await answers(channel, 3) == {"1": 3}

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["pick_first", "round_robin", "weighted_round_robin", "ring_hash"])
def test_a_name_that_leads_nowhere_fails_calls_that_do_not_wait(policy):
    async def main():
        async with servers(1) as (_, ports), asyncio.timeout(60):
            names = Names(None)
            async with Channel("dns:///pool:1", options=options(names, policy)) as channel:
                error = await failure(channel.unary(SAY, text("x")))
                assert error.code is Code.UNAVAILABLE and "no such name" in error.message
                assert channel.connections().state == "transient failure"
                late = await failure(channel.unary(SAY, text("x"), wait_for_ready=True, timeout=0.01))
                assert late.code is Code.DEADLINE_EXCEEDED
                names.ports = ports
                assert (await channel.unary(SAY, text("x"), wait_for_ready=True)).value == "0"
                assert channel.connections().state == "ready"
                names.ports = None  # what is known is kept
                assert (await channel.unary(SAY, text("x"))).value == "0"

    asyncio.run(main())


def test_lists_of_unix_sockets(tmp_path):
    async def main():
        made = [Server([Named(name)]) for name in "ab"]
        urls = [(await server.listen(f"unix:{tmp_path}/{name}")).url for server, name in zip(made, "ab", strict=True)]
        async with Channel(",".join(urls)) as channel:
            await answers(channel, 1)
            await until(lambda: all(server.connections for server in made))
            assert await answers(channel, 10) == {"a": 5, "b": 5}
        for server in made:
            await server.close()

    asyncio.run(main())


def test_one_name_server_is_asked_and_its_ttl_counts():
    """By a name server of ours on loopback."""

    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            query = parse(data)
            question = query.question
            records = [make_record(question.name, 1, 77, bytes((127, 0, 0, last))) for last in (1, 2)]
            self.transport.sendto(pack(query.id, 0x8180, question, records if question.type == 1 else []), address)

    async def main():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Answer, ("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        target = Target("dns", "pool.example", 7000, resolve_all=True, server=f"127.0.0.1:{port}")
        found = await by_dns(target)
        assert found.ttl == 77.0
        assert sorted(endpoint.address for endpoint in found.endpoints) == [("127.0.0.1", 7000), ("127.0.0.2", 7000)]
        transport.close()
        with pytest.raises(OSError, match="no address of a name server"):
            await by_dns(Target("dns", "pool.example", 7000, resolve_all=True, server="ns.example"))

    asyncio.run(main())


# States.


def test_the_states_of_a_channel():
    async def main():
        async with servers(1) as (_, ports), asyncio.timeout(60):
            async with Channel(f"ipv4:127.0.0.1:{ports[0]}") as channel:
                connections, seen = channel.connections(), []
                connections.on_state = lambda: seen.append(connections.state)
                assert connections.state == "idle"
                await answers(channel, 1)
                assert [one for index, one in enumerate(seen) if seen[index - 1 : index] != [one]] == [
                    "connecting",
                    "ready",
                ]
            assert connections.state == "shutdown"

    asyncio.run(main())


def test_a_call_waits_for_servers_that_are_not_known_to_have_failed():
    """One that refuses is no reason to fail while another is still being connected to."""

    async def main():
        async with servers(2) as (made, ports), asyncio.timeout(60):
            await made[0].close()
            async with Channel(f"ipv4:127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}") as channel:
                assert await answers(channel, 5) == {"1": 5}
                await made[1].close()
                await until(lambda: channel.connections().state == "transient failure")
                error = await failure(channel.unary(SAY, text("x")))
                assert error.code is Code.UNAVAILABLE and "cannot connect" in error.message

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["round_robin", "ring_hash"])
def test_a_full_server_has_its_calls_wait(policy):
    async def main():
        few = ServerOptions(limits=Limits(max_streams=2))
        async with servers(1, options=few) as (_, ports), asyncio.timeout(60):
            async with Channel(f"ipv4:127.0.0.1:{ports[0]}", options=ChannelOptions(balancing=policy)) as channel:
                await answers(channel, 1)
                calls = [channel.unary(SLEEP, text("0.01"), metadata=[("x-user", "ada")]) for _ in range(10)]
                assert [answer.value for answer in await asyncio.gather(*calls)] == ["slept"] * 10

    asyncio.run(main())


# Health.


def test_health_checking_of_connections():
    config = parse_service_config(
        {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": "test.Echo"}}
    )

    async def main():
        healths = [Health(), Health()]
        made = [Server([Named(str(number)), health]) for number, health in enumerate(healths)]
        urls = [(await server.listen("tcp://127.0.0.1:0")).url.removeprefix("tcp://") for server in made]
        target, told = f"ipv4:{','.join(urls)}", asyncio.timeout(60)
        async with told, Channel(target, options=ChannelOptions(service_config=config)) as channel:
            error = await failure(channel.unary(SAY, text("x")))  # nobody has set that service
            assert error.code is Code.UNAVAILABLE and "not serving" in error.message
            healths[1].set("test.Echo", 1)
            assert (await channel.unary(SAY, text("x"), wait_for_ready=True)).value == "1"
            healths[0].set("test.Echo", 1)
            await until(lambda: len(channel.connections()._connections) == 2)
            assert await answers(channel, 10) == {"0": 5, "1": 5}
            draining = asyncio.create_task(healths[1].drain(made[1], announce=0.2, grace=5.0))
            await until(lambda: len(channel.connections()._connections) == 1)
            assert made[1].connections == 1, "it is not serving, and still connected"
            assert await answers(channel, 10) == {"0": 10}
            await draining
        for server in made:
            await server.close()

    asyncio.run(main())


def test_what_a_server_said_of_its_health_holds_until_it_is_asked_again():
    """Proxies end streams that last for long."""

    class Short(Health):
        watched = 0

        async def watch(self, request, context):
            self.watched += 1
            if self.watched == 3:
                context.abort(Code.INTERNAL, "no word")
            yield (await self.check(request, context))

    config = parse_service_config({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {}})

    async def main():
        health = Short()
        server = Server([Named("0"), health])
        url = (await server.listen("tcp://127.0.0.1:0")).url.removeprefix("tcp://")
        options = ChannelOptions(service_config=config)
        async with asyncio.timeout(60), Channel(f"ipv4:{url}", options=options) as channel:
            while health.watched < 2:
                assert (await channel.unary(SAY, text("x"))).value == "0"
                await asyncio.sleep(0.01)
            await until(lambda: channel.connections().state == "transient failure")  # the third said nothing
            await until(lambda: channel.connections().state == "ready")
        await server.close()

    asyncio.run(main())


# Load.


def test_load_reports_are_read_and_what_is_none_is_passed_over():
    report = LoadReport(0.5, 0.25, 0.75, 10.5, 0.5, {"disk": 0.1}, {"rows": 3.0}, {"queue": 2.0})
    assert load_of((("x", "y"), (LOAD_METADATA, report.encode()))) == report
    for value in (b"\xff\xff", b"\x09short"):
        assert load_of(((LOAD_METADATA, value),)) is None
    assert load_of(()) is None


def test_a_meter_of_load():
    meter = LoadMeter(window=10.0, interval=0.5)
    assert meter.report(0.0, 0.0).rps == 0
    for _ in range(50):
        meter.call_ended(False)
    for _ in range(10):
        meter.call_ended(True)
    assert meter.report(0.4, 9.9).rps == 0, "a report is good for half a second"
    report = meter.report(2.0, 1.0, 0.3)
    assert (report.rps, report.eps, report.cpu_utilization, report.application_utilization) == (30.0, 5.0, 0.5, 0.3)
    meter.report(12.5, 1.0)
    assert meter.report(13.0, 1.0).rps == 0, "what is longer ago does not count"


def test_a_server_reports_its_load():
    """grpcio's client reads the report too, and keeps it from programs (see `test_beside_grpcio.py`)."""

    async def main():
        reports = LoadReports(lambda: 0.25)
        async with servers(1, interceptors=[reports]) as (_, ports), asyncio.timeout(60):
            async with Channel(f"tcp://127.0.0.1:{ports[0]}") as channel:
                await channel.unary(SAY, text("x"))
                reports._meter._due = 0.0
                info = CallInfo()
                await channel.unary(SAY, text("x"), info=info)
                report = load_of(info.trailing_metadata)
                assert report.application_utilization == 0.25 and report.rps > 0

    asyncio.run(main())


# Pings.


def grpcio_server(least_ms):
    async def say(request, context):
        await asyncio.sleep(0.7 if request else 0)
        return request

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(say)

    server = grpc.aio.server(options=[("grpc.http2.min_recv_ping_interval_without_data_ms", least_ms)])
    server.add_generic_rpc_handlers([Handler()])
    return server, server.add_insecure_port("127.0.0.1:0")


def test_pings_while_a_call_runs_are_taken():
    """How often there are any by default is in `tests/rpc/worlds/test_balancing.py`: never as often as grpcio minds."""

    async def main():
        server, port = grpcio_server(10)
        await server.start()
        async with Channel(f"tcp://127.0.0.1:{port}", options=ChannelOptions(keepalive_time=0.2)) as channel:
            assert (await channel.unary(SAY, text("x"))).value == "x"
            assert channel.connections()._dialler._dial.keepalive_time == 0.2
        await server.stop(None)

    asyncio.run(main())


def test_who_is_told_of_too_many_pings_sends_half_as_many():
    async def main():
        server, port = grpcio_server(300_000)
        await server.start()
        fast = ChannelOptions(keepalive_time=0.02, keepalive_without_calls=True)
        async with Channel(f"tcp://127.0.0.1:{port}", options=fast) as channel, asyncio.timeout(60):
            assert (await channel.unary(SAY, text(""))).value == ""
            dial = channel.connections()._dialler._dial
            await until(lambda: dial.keepalive_time >= 0.04)
            assert (await channel.unary(SAY, text(""), wait_for_ready=True)).value == ""
        await server.stop(None)

    asyncio.run(main())


# Peers that vanish (what comes of it is in `tests/rpc/worlds/test_balancing.py`).


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tcp_looks_after_both_ends(factory):
    def seen(connection):
        sock = connection.transport.get_extra_info("socket")
        numbers = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        alive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return (alive, *(sock.getsockopt(socket.IPPROTO_TCP, number) for number in numbers))

    async def main():
        async with servers(1) as (made, ports):
            async with Channel(f"tcp://127.0.0.1:{ports[0]}") as channel:
                await answers(channel, 1)
                assert seen(channel.connections().pick()) == (1, 30, 7, 30_000)
                (served,) = made[0]._connections
                assert seen(served) == (1, 60, 15, 60_000)
            off = ChannelOptions(peer_timeout=None)
            async with Channel(f"tcp://127.0.0.1:{ports[0]}", options=off) as channel:
                await answers(channel, 1)
                assert seen(channel.connections().pick())[0] == 0

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
