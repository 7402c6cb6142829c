import asyncio
import random

import pytest

from catenet.ntp.asking import Route
from catenet.ntp.association import Association
from catenet.ntp.daemon import Server, discipline


class ReportOnly:
    """A clock that nobody gets to adjust."""

    def now(self):
        return 0.0

    def frequency(self):
        return 0.0


def test_a_name_that_can_be_none_is_an_error_of_the_network():
    async def main():
        with pytest.raises(OSError, match=r"'a\.\.b' is no name of a host"):
            await Route("a..b", 123).connect()

    asyncio.run(main())


def test_the_daemon_reports_it_and_goes_on():
    async def main():
        told = asyncio.get_running_loop().create_future()
        kept = discipline(
            {Server("a..b"): Association(random.Random(1))},
            ReportOnly(),
            rng=random.Random(1),
            on_problem=lambda *problem: told.set_result(problem),
        )
        task = asyncio.create_task(kept)
        assert await told == ("a..b", "'a..b' is no name of a host")
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
