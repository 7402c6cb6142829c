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


def test_a_mask_hides_what_is_set_and_lets_it_show_again():
    async def main():
        health = Health()
        stream = health.watch(Request(), None)
        assert (await anext(stream)).status == ServingStatus.SERVING
        health.mask()
        assert (await anext(stream)).status == ServingStatus.NOT_SERVING
        assert (await health.check(Request(), None)).status == ServingStatus.NOT_SERVING
        health.set("s.S", ServingStatus.SERVING)
        listed = (await health.list(None, None)).statuses
        assert {name: listed[name].status for name in listed} == {"": 2, "s.S": 2}
        health.mask(False)
        assert (await anext(stream)).status == ServingStatus.SERVING
        assert (await health.check(Request(service="s.S"), None)).status == ServingStatus.SERVING
        health.mask()
        unknown = health.watch(Request(service="t.T"), None)
        assert (await anext(unknown)).status == ServingStatus.SERVICE_UNKNOWN
        await stream.aclose()
        await unknown.aclose()

    asyncio.run(main())


def test_a_server_says_that_it_is_not_serving_before_it_drains():
    async def main():
        health, drained = Health(), []

        class Server:
            async def drain(self, grace=None):
                drained.append(grace)

        ending = asyncio.ensure_future(health.drain(Server(), announce=0.05, grace=3.0))
        await asyncio.sleep(0)
        assert (await health.check(Request(), None)).status == ServingStatus.NOT_SERVING and not drained
        await ending
        assert drained == [3.0]
        health.mask(False)
        assert (await health.check(Request(), None)).status == ServingStatus.NOT_SERVING, "finally"

    asyncio.run(main())
