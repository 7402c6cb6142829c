"""The corpus of strictness through the gateway, to servers with other parsers: nobody reads two requests in one."""

import asyncio

import pytest
from tests.http.strictness import ours, servers
from tests.http.strictness.downgrades import DOWNGRADES
from tests.http.strictness.requests import REQUESTS

from catenet.http import serve
from catenet.http.gateway.gateway import Gateway

BEHIND = ["uvicorn", "aiohttp"]


async def through(name, play):
    """Play something at a gateway before one of the servers."""
    async with servers.SERVERS[name]() as (host, port):
        gateway = Gateway([f"/=http://{host}:{port}"])
        async with await serve(gateway, "http://127.0.0.1:0", interface="exchange") as front:
            outcomes = await play(("127.0.0.1", int(front.urls[0].rpartition(":")[2])))
        await gateway.close()
    return outcomes


def wrong(cases, mine, outcomes):
    """Cases of which the server behind has understood something else than the gateway: more, or what it refuses."""

    def is_right(said, got):
        # Refused; refused, and the next one served; read as we do; and what follows is refused behind, as `oGET`.
        return got[0] == "R" or got in ("S nothing", said, f"S{said[1:]} + refused")

    return {
        case.name: (said, got) for case, said, got in zip(cases, mine, outcomes, strict=True) if not is_right(said, got)
    }


@pytest.mark.parametrize("name", BEHIND)
def test_requests(name):
    mine = {case.data: ours.request(case.data) for case in REQUESTS}
    cases = [case for case in REQUESTS if mine[case.data][0] in "AR"]
    outcomes = asyncio.run(through(name, lambda address: servers.play(address, [case.data for case in cases], 10)))
    assert wrong(cases, [mine[case.data] for case in cases], outcomes) == {}
    accepted = [case.name for case in cases if mine[case.data][0] == "A"]
    passed = [got for got in outcomes if got[0] == "A"]
    assert len(passed) > len(accepted) * 0.8, "the gateway hands on what can be handed on"


@pytest.mark.parametrize("name", BEHIND)
def test_downgrades(name):
    mine = [ours.downgrade(case.data) for case in DOWNGRADES]
    data = [case.data for case in DOWNGRADES]
    outcomes = asyncio.run(through(name, lambda address: servers.downgrade_through(address, data)))
    assert wrong(DOWNGRADES, mine, outcomes) == {}
    assert sum(got[0] == "A" for got in outcomes) > 5
