"""Connections that were heard in one turn of the event loop are written to together, none of them late."""

import asyncio
import time

from catenet.net import turns
from catenet.net.turns import Turns


class Member:
    def __init__(self, ended, error=None):
        self.ended = ended
        self.error = error

    def end_turn(self):
        self.ended.append(self)
        if self.error is not None:
            raise self.error


def run(body):
    async def main():
        made = Turns(asyncio.get_running_loop())
        made.members = 100
        await body(made)

    asyncio.run(main())


def test_together_when_the_turn_is_over():
    ended = []

    async def body(made):
        members = [Member(ended) for _ in range(5)]
        for member in members:
            made.join(member)
        assert not ended
        await asyncio.sleep(0)
        assert ended == members
        await asyncio.sleep(0)
        assert ended == members

    run(body)


def test_not_more_than_a_few_wait(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    ended = []

    async def body(made):
        for _ in range(40):
            made.join(Member(ended))
        assert len(ended) == 2 * turns._TOGETHER

    run(body)


def test_the_first_does_not_wait_for_handlers_that_take_their_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ended = []

    async def body(made):
        made.join(Member(ended))
        now[0] = 0.0004
        made.join(Member(ended))
        assert not ended
        now[0] = 0.0006
        made.join(Member(ended))
        assert len(ended) == 3

    run(body)


def test_what_one_raises_is_its_own():
    ended, told = [], []

    async def body(made):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        error = ValueError("x")
        for one in (None, error, None):
            made.join(Member(ended, one))
        await asyncio.sleep(0)
        assert len(ended) == 3 and told == [error]

    run(body)
