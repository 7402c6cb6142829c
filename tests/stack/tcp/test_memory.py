"""Receive memory as Linux accounts for it."""

from __future__ import annotations

import pytest

from catenet.stack.tcp.receiving.memory import ReceiveMemory, truesize


@pytest.mark.parametrize(
    ("size", "cost"),
    [(40, 768), (126, 768), (127, 1280), (1063, 2304), (1500, 2304), (3776, 8448), (3777, 8448), (9040, 12544)],
)
def test_a_packet_costs_whole_buffers(size: int, cost: int) -> None:
    if size == 3776:
        cost = 256 + 8192  # the head alone: with its overhead beyond a page
    assert truesize(size) == cost


def test_costs_never_fall() -> None:
    costs = [truesize(size) for size in range(40, 66_000, 7)]
    assert costs == sorted(costs)
    assert all(cost > size for cost, size in zip(costs, range(40, 66_000, 7), strict=True))


def test_reading_gives_back_what_is_read_whole() -> None:
    memory = ReceiveMemory()
    memory.charge(1000, 1000, 40)
    memory.charge(2000, 1000, 40)
    memory.charge(5000, 1000, 40)
    assert memory.charged == 3 * truesize(1040)
    memory.release(1999)
    assert memory.charged == 2 * truesize(1040)
    assert memory.is_full(1999, 2 * truesize(1040) - 1)
    assert not memory.is_full(1999, 2 * truesize(1040))
    assert not memory.is_full(5000, 0)
    assert memory.charged == 0


def test_full_packets_tell_the_share_of_data() -> None:
    memory = ReceiveMemory()
    assert (memory.window(1000), memory.buffer(500)) == (500, 1000)
    memory.charge(9000, 9000, 40)
    assert memory.learn(9000)
    assert memory.ratio == (9000 << 8) // truesize(9040)
    assert not memory.learn(9000)
    assert memory.window(memory.last) <= 9000
    assert memory.buffer(memory.window(100_000)) <= 100_000
