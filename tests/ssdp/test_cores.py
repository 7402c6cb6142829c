"""Both sides of SSDP without sockets: timing, expiry, and limits of what a peer can fill or have sent."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from catenet.net.core import Peer
from catenet.ssdp.core import Advertiser, ControlPoint
from catenet.ssdp.device import Device
from catenet.ssdp.message import Advertisement, Search, build_advertisement, build_search, parse

NETWORKS = [ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd00::/64")]
DEVICE = Device("uuid:1", "http://10.0.0.9/", "urn:a:device:Box:1", ("urn:a:service:S:1",))


@dataclass(frozen=True)
class Address:
    """A peer."""

    host: str
    port: int = 50000

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


GROUP = (Address("239.255.255.250", 1900), "239.255.255.250:1900")


def device(seed: int = 1) -> Advertiser:
    """A device that has advertised itself."""
    core = Advertiser(DEVICE, [GROUP], Random(seed), NETWORKS)
    core.start(0.0)
    play(core, 1.0)
    return core


def play(core: Advertiser | ControlPoint, until: float, since: float = 0.0) -> list[tuple[float, bytes, Peer]]:
    """What a core sends up to a time."""
    sent = []
    now = since
    while True:
        sent += [(now, data, peer) for data, peer in core.transmit(now)]
        due = core.next_deadline()
        if due is None or due > until:
            return sent
        now = max(now, due)
        core.handle_timeout(now)


def alive(usn: str, location: str = "http://10.0.0.9/", age: int = 1800, kind: str = "alive") -> bytes:
    return build_advertisement(Advertisement(kind, "upnp:rootdevice", usn, location, age), "h")  # type: ignore[arg-type]


def search(target: str = "ssdp:all", wait: int | None = 1) -> bytes:
    return build_search(Search(target, wait), "h")


def test_a_device_advertises_twice_and_again_before_half_of_its_time() -> None:
    """Each of its targets, at first and then between a quarter and half of max-age (section 1.2.2)."""
    core = Advertiser(DEVICE, [GROUP], Random(1), NETWORKS)
    core.start(0.0)
    sent = play(core, 5000.0)
    times = sorted({when for when, _, _ in sent})
    assert len(sent) == 4 * len(times)
    assert times[1] - times[0] < 1
    assert all(1800 / 4 <= later - before <= 1800 / 2 for before, later in zip(times[1::2], times[2::2], strict=False))
    core.drain(5000.0)
    goodbyes = [parse(data) for _, data, _ in play(core, 5000.0, 5000.0)]
    assert {one.kind for one in goodbyes} == {"byebye"}  # type: ignore[union-attr]
    assert len(goodbyes) == 8
    core.receive(search(), Address("10.0.0.7"), 5001.0)
    assert core.idle
    assert core.next_deadline() is None


def test_a_search_is_answered_within_its_time() -> None:
    """Each target once, at random moments within MX, to who has asked; a unicast search within a second."""
    for wait, limit in ((3, 3.0), (None, 1.0)):
        core = device()
        core.receive(search(wait=wait), Address("10.0.0.7"), 1.0)
        sent = play(core, 10.0, 1.0)
        assert len(sent) == 4
        assert all(1.0 < when < 1.0 + limit and peer == Address("10.0.0.7") for when, _, peer in sent)
        assert len({when for when, _, _ in sent}) == 4
        assert {parse(data).usn for _, data, _ in sent} == {usn for _, usn in DEVICE.targets()}  # type: ignore[union-attr]


def test_who_is_not_on_the_link_gets_no_answer() -> None:
    """Not even the smallest one; link-local addresses are."""
    core = device()
    for host in ("192.0.2.1", "2001:db8::1", "10.0.1.7", "nonsense"):
        core.receive(search(), Address(host), 1.0)
    core.receive(search("urn:a:device:Other:1"), Address("10.0.0.7"), 1.0)
    assert play(core, 10.0, 1.0) == []
    assert core.foreign == 4
    core.receive(search("uuid:1"), Address("fe80::1%eth0"), 2.0)
    assert len(play(core, 10.0, 2.0)) == 1


def test_a_device_sends_a_bounded_number_of_answers() -> None:
    """Three searches of one asker at once and one a second more; of all askers so many datagrams a second."""
    core = device()
    for number in range(1000):
        core.receive(search(), Address("10.0.0.7", 1024 + number), 1.0)
    assert len(play(core, 9.0, 1.0)) == 3 * 4
    core.receive(search(), Address("10.0.0.7"), 10.0)
    assert len(play(core, 20.0, 10.0)) == 4
    for host in range(1, 255):
        for target in ("ssdp:all", "upnp:rootdevice", "uuid:1"):
            core.receive(search(target), Address(f"10.0.0.{host}"), 20.0)
    assert len(play(core, 30.0, 20.0)) <= 1024
    assert core.limited > 1000


@given(st.integers(0, 10**6))
def test_whatever_is_searched_for_the_answer_is_bounded(seed: int) -> None:
    """Within each second at most twice what may be sent in one."""
    chance = Random(seed)
    core = device(seed)
    now, times = 1.0, []
    for _ in range(60):
        target = chance.choice(["ssdp:all", "uuid:1", "upnp:rootdevice", f"urn:a:device:Box:{chance.randrange(3)}"])
        core.receive(search(target, chance.choice([None, 1, 5])), Address(f"10.0.0.{chance.randrange(256)}"), now)
        times += [when for when, _, _ in play(core, now, now)]
        now += chance.choice([0.0, 0.0, 0.01])
    times += [when for when, _, _ in play(core, now + 10, now)]
    assert all(sum(1 for one in times if when <= one < when + 1) <= 400 for when in times)


def test_a_control_point_hears_what_comes_and_goes() -> None:
    """Found, changed, gone by a goodbye of the same host or when its time is over."""
    core = ControlPoint([GROUP], NETWORKS, "eth0")
    core.search("ssdp:all", 2, 0.0)
    assert [round(when, 1) for when, _, _ in play(core, 3.0)] == [0.0, 0.3, 0.6]

    def happened() -> list[tuple[str, str]]:
        found = []
        while (change := core.next_event()) is not None:
            found.append((change.what, change.entry.advertisement.usn))
        return found

    core.receive(alive("uuid:1"), Address("10.0.0.9"), 1.0)
    core.receive(alive("uuid:1"), Address("10.0.0.9"), 1.1)
    core.receive(alive("uuid:2", age=100), Address("10.0.0.8"), 1.2)
    core.receive(alive("uuid:3"), Address("192.0.2.9"), 1.2)
    core.receive(b"nonsense", Address("10.0.0.9"), 1.2)
    assert happened() == [("found", "uuid:1"), ("found", "uuid:2")]
    core.receive(alive("uuid:1", "http://10.0.0.9/new"), Address("10.0.0.9"), 2.0)
    core.receive(alive("uuid:1", kind="byebye"), Address("10.0.0.8"), 2.1)
    assert happened() == [("changed", "uuid:1")]
    core.receive(alive("uuid:1", kind="byebye"), Address("10.0.0.9"), 2.2)
    assert happened() == [("gone", "uuid:1")]
    assert core.next_deadline() == 101.2
    core.handle_timeout(101.2)
    assert happened() == [("gone", "uuid:2")]
    assert (core.foreign, core.malformed, core.cache.entries) == (1, 1, [])


def test_nobody_fills_the_cache() -> None:
    """One address has 64 entries, all together 1,024; what is known stays. Events that nobody fetches are bounded."""
    core = ControlPoint([GROUP], NETWORKS)
    core.receive(alive("uuid:own"), Address("10.0.0.9"), 0.0)
    for host in range(1, 100):
        for number in range(70):
            core.receive(alive(f"uuid:{host}-{number}"), Address(f"10.0.0.{host}"), 1.0)
    assert len(core.cache.entries) == 1024
    assert core.cache.refused == 1 + 99 * 70 - 1024
    assert any(entry.advertisement.usn == "uuid:own" for entry in core.cache.entries)
    events = 0
    while core.next_event() is not None:
        events += 1
    assert events == 1024
    core.handle_timeout(90000.0)
    assert core.cache.entries == []
