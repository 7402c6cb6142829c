import asyncio
import gc

from catenet.net.eager_task import Runner


def test_cancelled_in_the_turn_in_which_it_suspended():
    """The spare task has not had its first step then; the coroutine must hear of it all the same."""
    heard = []

    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def main():
        loop = asyncio.get_running_loop()
        runner = Runner(loop)
        ended = []

        def request_came():
            task = runner.run(work(), lambda value, error: ended.append(type(error)))
            task.cancel()

        loop.call_soon(request_came)
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        assert heard == ["cancelled"]
        assert ended == [asyncio.CancelledError]
        runner.close()

    asyncio.run(main())
