"""What the tests of servers run their coroutines in, and a client of bytes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.net.loops import LOOPS

T = TypeVar("T")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[T]], T]:
    """Run a coroutine on either event loop; nothing may reach its exception handler."""

    def run(work: Awaitable[T]) -> T:
        problems: list[dict[str, Any]] = []

        async def main() -> T:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
            async with asyncio.timeout(60):
                return await work

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            result = runner.run(main())
        assert problems == []
        return result

    return run
