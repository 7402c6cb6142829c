"""The access log of calls: every wire, every end, and nothing in it that a caller could forge."""

import asyncio
import io
import json

import httpx
import pytest
from echoservice import COUNT, SAY, SLEEP, SUM, Echo, failure, number, text, until

from catenet.rpc import Channel, ChannelOptions, Guard, Server
from catenet.rpc.policy.rules import Policy
from catenet.rpc.server.access_log import DEFAULT, FIELDS, AccessLog

WIRES = [
    (ChannelOptions(), "grpc"),
    (ChannelOptions(protocol="grpc-web"), "grpc-web"),
    (ChannelOptions(protocol="connect", http1=True), "connect"),
]


def logged(work, *, fields=DEFAULT, as_json=True, **options):
    """What is written while `work(channel of a server, its URL, its service)` goes on."""
    file = io.StringIO()

    async def main():
        echo = Echo()
        log = AccessLog(file, fields, as_json=as_json)
        channel_options = options.pop("channel", ChannelOptions())
        async with Server([echo], access_log=log, **options) as server:
            url = (await server.listen("tcp://127.0.0.1:0")).url
            async with Channel(url, options=channel_options) as channel:
                await work(channel, url, echo)

    asyncio.run(main())
    lines = file.getvalue().splitlines()
    return [json.loads(line) for line in lines] if as_json else lines


@pytest.mark.parametrize(("channel", "protocol"), WIRES)
def test_a_line_for_each_call_however_it_ends(channel, protocol):
    async def work(channel, url, echo):
        await channel.unary(SAY, text("hello"))
        await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
        await failure(channel.unary(SAY, text("raise:")))
        assert len([each async for each in channel.server_stream(COUNT, number(100))]) == 100
        await channel.client_stream(SUM, [number(7)] * 5)
        await failure(channel.unary(SLEEP, text("19"), timeout=0.05))

    found = logged(work, channel=channel, fields=list(FIELDS))
    late = found[5]["code"]  # of the caller and the server, both of whom look at the deadline, one is first
    assert late in ("DEADLINE_EXCEEDED", "CANCELLED")
    assert [(each["method"], each["code"], each["received"], each["sent"]) for each in found] == [
        ("test.Echo/Say", "OK", 7, 7),
        ("test.Echo/Say", "NOT_FOUND", 16, 0),
        ("test.Echo/Say", "UNKNOWN", 8, 0),
        ("test.Echo/Count", "OK", 2, 198),
        ("test.Echo/Sum", "OK", 10, 2),
        ("test.Echo/Sleep", late, 4, 0),
    ]
    assert {each["protocol"] for each in found} == {protocol}
    assert all(each["client"].startswith("127.0.0.1:") and each["status"] is None for each in found)
    assert found[2]["message"] == "KeyError in the handler" and found[0]["message"] is None
    assert found[5]["timeout"] == 0.05 and all(each["ms"] >= 0 for each in found)
    assert list(found[0]) == list(FIELDS)


def test_who_goes_away_and_who_may_not():
    async def work(channel, url, echo):
        call = asyncio.ensure_future(channel.unary(SLEEP, text("19")))
        await echo.started.wait()
        call.cancel()
        await until(lambda: any("cancel" in each for each in echo.heard))
        await failure(channel.unary(SAY, text("x")))

    policy = Policy()
    policy.allow(SLEEP, "anyone")
    found = logged(work, guard=Guard(policy))
    assert sorted((each["method"], each["code"]) for each in found) == [
        ("test.Echo/Say", "UNAUTHENTICATED"),
        ("test.Echo/Sleep", "CANCELLED"),
    ]


def test_what_becomes_no_call_and_what_is_escaped():
    async def work(channel, url, echo):
        async with httpx.AsyncClient(base_url=url.replace("tcp", "http")) as client:
            await client.post("/test.Echo/None%22%20x", json={}, headers={"user-agent": 'a" b [31m\\'})
            await client.post(f"/{SAY.full_name}", content=b"{", headers={"content-type": "text/plain"})
        reader, writer = await asyncio.open_connection(*url.removeprefix("tcp://").split(":"))
        writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nX-None: \x1b[31m\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()

    fields = ["method", "code", "status", "agent", "request:X-None"]
    assert logged(work, fields=fields, as_json=False) == [
        r'test.Echo/None%22%20x - 404 "a\" b [31m\\" -',
        rf"{SAY.full_name} - 415 {'python-httpx/' + httpx.__version__} -",
        "- - 400 - -",
    ]


def test_a_field_that_there_is_not():
    with pytest.raises(ValueError, match="no field 'nope' of the access log; known: time, client"):
        AccessLog(io.StringIO(), ["nope"])
