"""Connections that want large buffers share `tcp_autotune_total`; those that want none are not counted."""

from __future__ import annotations

import pytest
from tests.stack.tcp.tcpnet import Net, transfer

from catenet.stack.tcp.sending.autotune import BufferBudget

TOTAL = 1 << 20
LEAST = 131_072


class Grower:
    """Stands for a connection."""


def test_a_lone_connection_may_have_all():
    assert BufferBudget().limit(Grower(), TOTAL, 0) == TOTAL


def test_connections_that_grow_at_a_time_share_the_budget():
    budget, growers = BufferBudget(), [Grower() for _ in range(4)]
    limits = [budget.limit(one, TOTAL, 5) for one in growers]
    assert limits == [TOTAL, TOTAL // 2, TOTAL // 3, TOTAL // 4]
    assert budget.limit(growers[0], TOTAL, 6) == TOTAL // 4, "who asks again is one as before"


def test_no_buffer_is_less_than_the_initial_one():
    budget = BufferBudget()
    assert min(budget.limit(Grower(), TOTAL, 0) for _ in range(1000)) == LEAST


def test_a_share_is_free_a_period_after_its_connection_stops_growing():
    budget, one, other = BufferBudget(), Grower(), Grower()
    budget.limit(other, TOTAL, 0)
    assert budget.limit(one, TOTAL, 10) == TOTAL // 2
    assert budget.limit(one, TOTAL, 1_000_010) == TOTAL // 2, "two grew in the period before"
    assert budget.limit(one, TOTAL, 2_000_020) == TOTAL


def test_after_a_silence_nobody_is_remembered():
    budget = BufferBudget()
    for _ in range(9):
        budget.limit(Grower(), TOTAL, 0)
    assert budget.limit(Grower(), TOTAL, 60_000_000) == TOTAL


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("total", [0, 300_000])
def test_a_transfer_s_buffers_stay_within_the_budget(version, total):
    net = Net(version)
    for stack in net.hosts:
        stack.settings.tcp_autotune_total = total
    client, accepted, _ = net.pair()
    net.run(0.1)
    data = bytes(6_000_000)
    assert transfer(net, client, accepted, data) == data
    largest = max(client.get_option("SO_SNDBUF"), accepted.get_option("SO_RCVBUF"))
    assert largest <= total if total else largest > 300_000
