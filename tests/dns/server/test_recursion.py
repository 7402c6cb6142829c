"""Recursion as the chain's backend: what is known here does not wait until others' questions have begun."""

import asyncio
import time
from types import SimpleNamespace

from catenet.dns.response import Response
from catenet.dns.server.recursion import Recursion
from catenet.wire.dns.message import Question


class Recursor:
    """Takes a while to begin a question, and answers at once."""

    def __init__(self, fails=()):
        self.core = SimpleNamespace(context=SimpleNamespace(policies=SimpleNamespace(told=None)))
        self.begun = 0
        self.fails = fails

    def begin(self, question, done, **_):
        self.begun += 1
        if self.begun in self.fails:
            raise RuntimeError("a mistake")
        until = time.monotonic() + 0.001
        while time.monotonic() < until:
            pass
        done(Response())

    async def close(self):
        pass


REQUEST = SimpleNamespace(
    address="192.0.2.1", transport=SimpleNamespace(name="udp"), dnssec_ok=False, checking_disabled=False
)


def test_questions_begin_a_few_at_a_time():
    async def run():
        recursor, answers = Recursor(fails=(7,)), []
        recursion = Recursion(recursor)
        for number in range(100):
            recursion.ask(REQUEST, Question(b"\1a\0", number), answers.append)
        assert not recursor.begun, "who asks is asked for more first"
        turns = 0
        while len(answers) < 100:
            before = recursor.begun
            await asyncio.sleep(0)
            assert recursor.begun - before < 10
            turns += 1
        assert turns > 20
        assert [one.rcode for one in answers].count(2) == 1, "a mistake of ours is a failure, and no more"

    asyncio.run(run())


def test_what_has_not_begun_fails_when_it_is_closed():
    async def run():
        answers = []
        recursion = Recursion(Recursor())
        for number in range(5):
            recursion.ask(REQUEST, Question(b"\1a\0", number), answers.append)
        recursion.close()
        assert [one.rcode for one in answers] == [2] * 5

    asyncio.run(run())
