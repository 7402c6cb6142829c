"""Coroutines that run at once: what they return and raise, now or later, and what is left of them."""

import asyncio
import gc
import weakref

import pytest

from catenet.net.eager_task import Runner
from catenet.net.settled import Settled


class Argument:
    pass


async def works(argument, waits, error):
    if waits:
        await asyncio.sleep(0)
    if error is not None:
        raise error()  # by a name it would know itself
    return 7


def run(begin):
    """Call `begin` with a runner, outside of any task, as a protocol would; return what it has returned."""

    async def main():
        loop = asyncio.get_running_loop()
        runner = Runner(loop)
        outcome = loop.create_future()
        loop.call_soon(lambda: outcome.set_result(begin(runner)))
        result = await outcome
        for _ in range(5):
            await asyncio.sleep(0)
        runner.close()
        return result

    return asyncio.run(main())


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("error", [None, ValueError, StopAsyncIteration, GeneratorExit])
def test_ends(waits, error):
    ended = []

    def end(value, error):
        ended.append((value, type(error)))

    def begin(runner):
        first = runner.run(works(None, waits, error), end)
        second = runner.run(works(None, waits, None), end)
        return [first is not None, second is not None]

    assert run(begin) == [waits, waits]
    assert ended == [(None, error) if error else (7, type(None)), (7, type(None))]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("error", [None, ValueError])
def test_nothing_waits_for_the_collector(waits, error):
    argument = Argument()
    known = weakref.ref(argument)

    def begin(runner):
        nonlocal argument
        runner.run(works(argument, waits, error), lambda value, error: None)
        argument = None

    gc.disable()
    try:
        run(begin)
        assert known() is None
    finally:
        gc.enable()


class Compiled:
    """As compiled code has coroutines: with their methods, and of another type."""

    def __init__(self):
        self._inner = works(None, False, None)

    def __await__(self):
        return self._inner.__await__()

    def send(self, value):
        return self._inner.send(value)


@pytest.mark.parametrize(("work", "outcome"), [(Compiled, (7, type(None))), (lambda: None, (None, TypeError))])
def test_what_is_no_coroutine_of_the_interpreter(work, outcome):
    ended = []

    def begin(runner):
        runner.run(work(), lambda value, error: ended.append((value, type(error))))

    run(begin)
    assert ended == [outcome]


def test_what_is_settled_is_awaited_in_any_way():
    async def main():
        settled = Settled(asyncio.get_running_loop())
        assert await settled is None and await settled is None
        assert await asyncio.create_task(settled) is None
        assert await asyncio.wait_for(settled, 1) is None
        assert await asyncio.gather(settled, asyncio.shield(settled)) == [None, None]
        async with asyncio.TaskGroup() as group:
            group.create_task(settled)
        assert asyncio.iscoroutine(settled)

    asyncio.run(main())
