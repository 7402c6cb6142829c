"""RFC 8899: what a path carries is found by probes alone, whatever is lost beside them."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catenet.plpmtud import PathSearch, Sizes, State, Timing, udp_sizes
from catenet.world import World

pytestmark = pytest.mark.slow(40)

if TYPE_CHECKING:
    from tests.conftest import Namespace

PROGRAM = Path(__file__).parent / "link" / "programs" / "path_size.py"
BOUNDS = Sizes(40, 1172, 1472)


class Carrier:
    """A path that carries datagrams up to `limit` and tells nobody; drives a search in virtual time."""

    def __init__(self, search: PathSearch, limit: int, lost: Callable[[], bool] = lambda: False) -> None:
        self.search = search
        self.limit = limit
        self.lost = lost
        self.now = 0.0
        self.probes: list[int] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            size = self.search.transmit(self.now)
            if size is not None:
                self.probes.append(size)
                if size <= self.limit and not self.lost():
                    self.search.handle_ack(size, self.now)
                continue
            deadline = self.search.next_deadline()
            if deadline is None or deadline > end:
                self.now = end
                return
            assert deadline >= self.now
            self.now = deadline
            self.search.handle_timeout(self.now)

    def finish_search(self) -> None:
        """Let a search end that is under way: one begins whenever the raise timer, or a lost confirmation, says so."""
        for _ in range(120):
            if self.search.state is not State.SEARCHING:
                return
            self.run(1)
        raise AssertionError("a search does not end")


@pytest.mark.parametrize("limit", [1172, 1173, 1300, 1464, 1471, 1472, 9000])
def test_finds_what_passes(limit: int) -> None:
    search = PathSearch(BOUNDS, Timing(probe=1, granularity=1))
    path = Carrier(search, limit)
    assert search.transmit(0) is None
    assert search.next_deadline() is None
    search.start(0)
    assert search.state is State.BASE
    path.run(60)
    assert search.state is State.SEARCH_COMPLETE
    assert search.size == min(limit, BOUNDS.most)
    assert path.probes[:2] == [BOUNDS.base, BOUNDS.most]
    assert len(path.probes) < 40


def test_a_wide_path_costs_two_probes() -> None:
    search = PathSearch(BOUNDS)
    path = Carrier(search, 1500)
    search.start(0)
    path.run(10_000)
    assert path.probes == [BOUNDS.base, BOUNDS.most]
    assert search.next_deadline() is None


def test_a_probe_is_lost_only_when_all_of_its_size_are() -> None:
    search = PathSearch(BOUNDS, Timing(probe=2, max_probes=3))
    losses = iter([False, True, True, False])
    path = Carrier(search, 1500, lambda: next(losses))
    search.start(0)
    path.run(60)
    assert path.probes == [1172, 1472, 1472, 1472]
    assert search.size == 1472


def test_larger_sizes_are_tried_again_after_the_raise_timer() -> None:
    search = PathSearch(BOUNDS, Timing(probe=1, raise_=600))
    path = Carrier(search, 1300)
    search.start(0)
    path.run(100)
    before = search.size
    assert 1292 <= before <= 1300
    path.limit = 1472
    path.run(400)
    assert search.size == before
    path.run(200)
    assert search.size == 1472
    assert search.state is State.SEARCH_COMPLETE


def test_base_that_does_not_pass_is_an_error_until_it_does() -> None:
    search = PathSearch(BOUNDS, Timing(probe=1))
    path = Carrier(search, 600)
    search.start(0)
    path.run(20)
    assert search.state is State.ERROR
    assert search.size == BOUNDS.least
    path.limit = 1472
    path.run(20)
    assert search.state is State.SEARCH_COMPLETE
    assert search.size == 1472


def test_a_black_hole_is_noticed_by_lost_data() -> None:
    search = PathSearch(BOUNDS, Timing(probe=1))
    path = Carrier(search, 1472)
    search.start(0)
    path.run(1)
    path.limit = 1280
    search.handle_loss(1472, path.now)
    search.handle_ack(1472, path.now)  # one as large arrived: it was congestion
    for _ in range(2):
        search.handle_loss(1472, path.now)
        search.handle_ack(500, path.now)  # small ones prove nothing
    assert search.size == 1472
    search.handle_loss(1400, path.now)
    assert search.state is State.BASE
    assert search.size == BOUNDS.base
    path.run(60)
    assert 1272 <= search.size <= 1280
    for _ in range(9):
        search.handle_loss(BOUNDS.base, path.now)  # a loss of what passes everywhere is no black hole
    assert search.state is State.SEARCH_COMPLETE


def test_a_black_hole_is_noticed_by_the_confirmation_timer() -> None:
    search = PathSearch(BOUNDS, Timing(probe=1, confirm=60))
    path = Carrier(search, 1472)
    search.start(0)
    path.run(200)
    assert path.probes == [1172, 1472, 1472, 1472, 1472]  # every minute
    path.limit = 1280
    path.run(120)
    assert 1272 <= search.size <= 1280
    assert search.state is State.SEARCH_COMPLETE


@pytest.mark.parametrize(
    ("told", "state", "size", "probe"),
    [
        (39, State.SEARCHING, 1172, 1472),  # less than any path has: a lie
        (500, State.ERROR, 40, 0),
        (1171, State.ERROR, 40, 0),
        (1172, State.SEARCH_COMPLETE, 1172, 0),
        (1400, State.SEARCHING, 1172, 1287),
        (1472, State.SEARCHING, 1172, 1472),  # not less than the probe: it is about another packet
        (9000, State.SEARCHING, 1172, 1472),
    ],
)
def test_icmp_bounds_a_search_within_reason(told: int, state: State, size: int, probe: int) -> None:
    search = PathSearch(BOUNDS)
    search.start(0)
    assert search.transmit(0) == 1172
    search.handle_ack(1172, 0.1)
    assert search.transmit(0.1) == 1472
    search.handle_too_big(told, 0.2)
    assert (search.state, search.size, search.probed) == (state, size, probe)


def test_icmp_below_what_passed_is_a_black_hole() -> None:
    search = PathSearch(BOUNDS, Timing(probe=1))
    path = Carrier(search, 1472)
    search.start(0)
    path.run(1)
    path.limit = 1280
    search.handle_too_big(1280, path.now)
    assert (search.state, search.size) == (State.BASE, 1172)
    path.run(1)
    assert search.size == 1280


def test_stopped_it_is_silent_and_begins_anew() -> None:
    search = PathSearch(BOUNDS)
    path = Carrier(search, 1472)
    search.start(0)
    path.run(1)
    search.stop()
    search.handle_ack(1472, 1.0)
    search.handle_loss(1472, 1.0)
    search.handle_too_big(600, 1.0)
    search.handle_timeout(1e9)
    assert (search.state, search.size, search.transmit(2), search.next_deadline()) == (State.DISABLED, 1172, None, None)
    search.start(2)
    path.run(1)
    assert search.size == 1472


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(30, 1600),
    later=st.integers(30, 1600),
    loss=st.sampled_from((0.0, 0.05, 0.2)),
    seed=st.integers(0, 1 << 32),
    granularity=st.integers(8, 64),
)
@example(limit=1416, later=30, loss=0.0, seed=1425, granularity=28)
def test_whatever_happens_sizes_stay_in_bounds(
    limit: int, later: int, loss: float, seed: int, granularity: int
) -> None:
    rng = random.Random(seed)
    search = PathSearch(BOUNDS, Timing(probe=1, confirm=30, granularity=granularity))
    path = Carrier(search, limit, lambda: rng.random() < loss)
    search.start(0)
    for limit_now in (limit, later):
        path.limit = limit_now
        for _ in range(20):
            path.run(rng.choice((0.5, 7.0, 100.0)))
            kind = rng.randrange(4)
            if kind == 1:
                search.handle_loss(rng.randrange(1600), path.now)
            elif kind == 2:
                search.handle_too_big(rng.randrange(1600), path.now)
            elif kind == 3 and search.size <= path.limit:
                search.handle_ack(search.size, path.now)
            assert BOUNDS.least <= search.size <= BOUNDS.most
            assert search.probed == 0 or search.size <= search.probed <= BOUNDS.most
        path.lost = lambda: False
        path.run(2000)
        path.finish_search()
        carried = min(limit_now, BOUNDS.most)
        if carried < BOUNDS.base:
            assert search.size == BOUNDS.least
        else:
            assert search.state is State.SEARCH_COMPLETE
            assert carried - granularity < search.size <= carried


@pytest.mark.parametrize(
    ("version", "mtu", "sizes"), [(4, 1500, (40, 1172, 1472)), (6, 1500, (1232, 1232, 1452)), (4, 576, (40, 548, 548))]
)
def test_sizes_of_udp(version: int, mtu: int, sizes: tuple[int, int, int]) -> None:
    assert udp_sizes(version, mtu) == sizes


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1280"):
        udp_sizes(6, 1000)
    with pytest.raises(ValueError, match="least <= base"):
        PathSearch(Sizes(100, 50, 200))
    for wrong in (
        {"probe": 0.5},
        {"probe": 20, "raise_": 10},
        {"confirm": 600},
        {"max_probes": 1},
        {"granularity": 0},
    ):
        with pytest.raises(ValueError, match="must be"):
            Timing(**wrong)  # type: ignore[arg-type]


# One program on three networks.

ADDRESSES = {4: "10.9.0.2", 6: "fd09::2"}
VERSIONS = pytest.mark.parametrize("version", [4, 6])
FOUND = re.compile(r"(\d+) bytes, search complete")


def found(text: str) -> int:
    match = FOUND.search(text)
    assert match is not None, text
    return int(match[1])


@VERSIONS
@pytest.mark.parametrize("silent", [True, False], ids=["black hole", "told"])
def test_in_a_world(version: int, silent: bool) -> None:
    lines: list[str] = []
    world = World(1, directory=PROGRAM.parent, output=lambda host, stream, line: lines.append(line))
    for name in ("left", "right"):
        world.network(name)
    router = world.host("router", network=["left", "right"], forwarding=True)
    world.host("server", network="right").run([PROGRAM.name, "serve", str(version)], daemon=True)
    world.host("client", network="left").run([PROGRAM.name, "find", str(version), "server", "8"], start=0.1)
    with world:
        world.run(0.05)
        router.stack.set_mtu(3, 1400)
        if silent:
            router.stack.icmp.send_error = lambda *_, **__: None  # type: ignore[method-assign]
        world.run(600)
    largest = 1400 - (28 if version == 4 else 48)
    assert largest - 8 < found("\n".join(lines)) <= largest
    assert router.stack.counters[version].ip.FragFails > 0


@VERSIONS
@pytest.mark.root
def test_on_the_kernel(namespaces: Callable[[], Namespace], version: int) -> None:
    """A link whose far end takes less than the near one sends: a black hole without any ICMP."""
    client, server = namespaces(), namespaces()
    veth = ["link", "add", "near", "mtu", "1500", "type", "veth", "peer", "name", "far", "netns", server.name]
    client.run("ip", *veth, "mtu", "1400")
    for namespace, name, number in ((client, "near", 1), (server, "far", 2)):
        namespace.run("ip", "address", "add", f"10.9.0.{number}/24", "dev", name)
        namespace.run("ip", "address", "add", f"fd09::{number}/64", "dev", name, "nodad")
        namespace.run("ip", "link", "set", name, "up")
    server.start(sys.executable, str(PROGRAM), "serve", str(version))
    done = client.run(sys.executable, str(PROGRAM), "find", str(version), ADDRESSES[version], "64", timeout=60)
    largest = 1400 - (28 if version == 4 else 48)
    assert largest - 64 < found(done.stdout) <= largest


@VERSIONS
@pytest.mark.root
def test_on_our_stack_through_the_kernels_path(
    namespaces: Callable[[], Namespace], version: int, tmp_path: Path
) -> None:
    """The program on a TUN device; behind the kernel that forwards is the link whose far end takes less."""
    router, server = namespaces(), namespaces()
    veth = ["link", "add", "near", "mtu", "1500", "type", "veth", "peer", "name", "far", "netns", server.name]
    router.run("ip", *veth, "mtu", "1400")
    for namespace, name, number in ((router, "near", 1), (server, "far", 2)):
        namespace.run("ip", "address", "add", f"10.9.0.{number}/24", "dev", name)
        namespace.run("ip", "address", "add", f"fd09::{number}/64", "dev", name, "nodad")
        namespace.run("ip", "link", "set", name, "up")
    for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        router.run("sh", "-c", f"echo 1 > /proc/sys/net/{key}")
    server.run("ip", "route", "add", "default", "via", "10.9.0.1")
    server.run("ip", "-6", "route", "add", "default", "via", "fd09::1")
    server.start(sys.executable, str(PROGRAM), "serve", str(version))
    addresses = ["--address", "10.10.0.2/24", "--address", "fd10::2/64"]
    words = ["-m", "catenet", "run", "--net", "tun", *addresses, str(PROGRAM), "find", str(version)]
    done = router.run(sys.executable, *words, ADDRESSES[version], "64", timeout=90, cwd=tmp_path, check=False)
    largest = 1400 - (28 if version == 4 else 48)
    assert largest - 64 < found(done.stdout + done.stderr) <= largest


def test_the_program_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
