"""Names with very many addresses: what each costs, counted as calls of functions, and how many are tried at a time."""

import asyncio
import random
import sys

import pytest

from catenet.net.dial import Endpoint
from catenet.rpc.client.balancing.config import PolicyConfig, make_policy, policy_named
from catenet.rpc.client.balancing.outliers import FailurePercentage, Outliers
from catenet.rpc.client.balancing.policy import State
from catenet.rpc.client.connection import name_of
from catenet.rpc.client.subchannels import MOST_ATTEMPTS, Subchannels

OUTLIERS = PolicyConfig("outlier_detection", Outliers(failure_percentage=FailurePercentage()))
POLICIES = {
    **{name: policy_named(name) for name in ("round_robin", "weighted_round_robin", "ring_hash")},
    "outlier_detection": PolicyConfig("outlier_detection", OUTLIERS.settings, policy_named("round_robin")),
}


class Nobody:
    """A channel that only asks how all stand."""

    def __init__(self, policy):
        self.policy = policy
        self.failed = asyncio.Event()

    def up(self, connection): ...

    def down(self, connection): ...

    def retire(self, connection): ...

    def stands_otherwise(self, error):
        assert self.policy.state
        if self.policy.counts[State.FAILED] == len(self.policy.addresses):
            self.failed.set()


def endpoints(count):
    return [Endpoint(2, (f"10.0.{number >> 8}.{number & 255}", 1)) for number in range(count)]


async def all_fail(config, count):
    """Return how many calls of functions it takes until all addresses have failed."""

    async def dial(endpoint):
        raise ConnectionRefusedError("refused")

    rng = random.Random(1)
    policy = make_policy(config, rng, name_of)
    owner = Nobody(policy)
    subchannels = Subchannels(owner, policy, dial, rng, None)
    addresses = endpoints(count)
    policy.update(addresses, 0.0)  # the ring is made here, whose size is the same for all
    calls = 0

    def profile(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        subchannels.update(addresses)
        if policy.keyed:
            policy.pick(b"key")
            subchannels.connect_more()
        await owner.failed.wait()
    finally:
        sys.setprofile(before)
    await subchannels.close()
    return calls


@pytest.mark.parametrize("name", POLICIES)
def test_the_work_grows_with_the_addresses_and_not_with_their_square(name):
    few, many = (asyncio.run(all_fail(POLICIES[name], count)) for count in (50, 400))
    assert many < 16 * few, "eight times the addresses"


def test_no_more_than_so_many_connections_are_being_made_at_a_time():
    async def main():
        running = most = 0
        full, go = asyncio.Event(), asyncio.Event()

        async def dial(endpoint):
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == MOST_ATTEMPTS:
                full.set()
            await go.wait()
            running -= 1
            raise ConnectionRefusedError("refused")

        rng = random.Random(1)
        policy = make_policy(policy_named("round_robin"), rng, name_of)
        owner = Nobody(policy)
        subchannels = Subchannels(owner, policy, dial, rng, None)
        subchannels.update(endpoints(3 * MOST_ATTEMPTS))
        await full.wait()
        go.set()
        await owner.failed.wait()  # all have had their turn
        assert most == MOST_ATTEMPTS
        await subchannels.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_an_address_that_cannot_be_dialled_fails_whatever_is_raised():
    async def main():
        async def dial(endpoint):
            raise OverflowError("port must be 0-65535")

        rng = random.Random(1)
        policy = make_policy(policy_named("round_robin"), rng, name_of)
        owner = Nobody(policy)
        subchannels = Subchannels(owner, policy, dial, rng, None)
        subchannels.update(endpoints(2))
        await owner.failed.wait()
        await subchannels.close()

    asyncio.run(asyncio.wait_for(main(), 60))
