import asyncio
import threading

import pytest
from grpc_health.v1 import health_pb2

from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.model.wellknown import HEALTH
from catenet.rpc.services.health import MOST_LISTED, Health, ServingStatus

Request = HEALTH.method("Check").request


def test_the_messages_are_those_of_grpc():
    ours = HEALTH.method("Check").response(status=2)
    assert health_pb2.HealthCheckResponse.FromString(ours.SerializeToString()).status == 2
    theirs = {value.name: value.number for value in health_pb2.HealthCheckResponse.ServingStatus.DESCRIPTOR.values}
    assert {status.name: int(status) for status in ServingStatus} == theirs


def test_check():
    async def main():
        health = Health()
        assert (await health.check(Request(), None)).status == ServingStatus.SERVING
        with pytest.raises(RpcError) as caught:
            await health.check(Request(service="s.S"), None)
        assert caught.value.code is Code.NOT_FOUND
        health.set("s.S", ServingStatus.NOT_SERVING)
        assert (await health.check(Request(service="s.S"), None)).status == ServingStatus.NOT_SERVING

    asyncio.run(main())


def test_list():
    async def main():
        health = Health()
        health.set("s.S", ServingStatus.NOT_SERVING)
        listed = (await health.list(None, None)).statuses
        assert {name: listed[name].status for name in listed} == {"": 1, "s.S": 2}
        for number in range(MOST_LISTED):
            health.set(f"s.{number}", ServingStatus.SERVING)
        with pytest.raises(RpcError) as caught:
            await health.list(None, None)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED

    asyncio.run(main())


def test_watch_tells_changes_and_only_changes():
    async def main():
        health = Health()
        stream = health.watch(Request(service="s.S"), None)
        assert (await anext(stream)).status == ServingStatus.SERVICE_UNKNOWN
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        threading.Thread(target=health.set, args=("s.S", ServingStatus.SERVING)).start()
        assert (await asyncio.wait_for(waiting, 60)).status == ServingStatus.SERVING
        waiting = asyncio.ensure_future(anext(stream))
        health.set("s.S", ServingStatus.SERVING)
        health.set("t.T", ServingStatus.SERVING)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        health.shutdown()
        assert (await asyncio.wait_for(waiting, 60)).status == ServingStatus.NOT_SERVING
        await stream.aclose()
        assert health._watchers == {}

    asyncio.run(main())


def test_shutdown_is_final():
    health = Health()
    health.shutdown()
    health.set("", ServingStatus.SERVING)
    assert health.get("") is ServingStatus.NOT_SERVING
