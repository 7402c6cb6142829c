"""What all may hold together: who waits, who goes, and who is woken."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from catenet.net.budget import Budget


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), max_size=50))
def test_the_sum_is_the_sum(charges):
    budget, held = Budget(200), {}
    for holder, amount in charges:
        budget.charge(holder, amount)
        held[holder] = amount
    assert budget.used == sum(held.values())
    assert budget.tight == (budget.used > 100)
    victims = budget.victims(150, lambda holder: holder % 2 == 0)
    assert sum(held[holder] for holder in held if holder not in victims) <= 150
    kept_even = [held[holder] for holder in held if holder % 2 == 0 and holder not in victims and held[holder]]
    assert not kept_even or all(holder % 2 == 0 for holder in victims)
    for holder in victims:
        budget.charge(holder, 0)
    assert budget.used <= 150 and budget.victims(150, bool) == []


def test_victims_are_those_that_stall_then_the_largest():
    budget = Budget(100)
    for holder, amount in {"a": 50, "b": 10, "c": 30, "d": 20}.items():
        budget.charge(holder, amount)
    assert budget.exceeded
    assert budget.victims(100, lambda holder: False) == ["a"]
    assert budget.victims(100, lambda holder: holder in "bd") == ["d"]
    assert budget.victims(90, lambda holder: holder == "b") == ["b", "a"]
    assert budget.victims(0, lambda holder: holder == "b", only_stalled=True) == ["b"]


def test_who_holds_nothing_never_waits_and_the_others_go_on_one_by_one():
    async def main():
        budget = Budget(100)
        budget.charge("a", 40)
        budget.charge("b", 40)
        await budget.wait("c")
        done = []

        async def producer(name):
            await budget.wait(name)
            done.append(name)
            budget.charge(name, 40)

        tasks = [asyncio.create_task(producer(name)) for name in ("a", "a", "b")]
        await asyncio.sleep(0.01)
        assert done == []
        budget.charge("b", 0)  # its own queue is empty: it may go on although there is no room for more
        budget.charge("a", 60)
        await asyncio.sleep(0.01)
        assert done == ["b"]
        budget.charge("b", 0)
        budget.charge("c", 60)
        budget.charge("a", 30)  # still no room
        await asyncio.sleep(0.01)
        assert done == ["b"]
        budget.charge("c", 0)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_one_wakes_at_a_time_and_a_cancelled_one_passes_it_on():
    async def main():
        budget = Budget(100)
        budget.charge("x", 90)
        budget.charge("y", 5)
        woken = []

        async def producer(number):
            await budget.wait("y")
            woken.append(number)
            budget.charge("x", 90)  # takes all the room

        tasks = [asyncio.create_task(producer(number)) for number in range(3)]
        await asyncio.sleep(0)
        budget.charge("x", 0)
        tasks[0].cancel()  # has been woken already
        await asyncio.sleep(0.01)
        assert woken == [1]
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert budget._waiting == {}

    asyncio.run(main())
