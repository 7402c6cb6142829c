"""SSDP in worlds: devices and control points that lose packets, ssdpy's unmodified programs, and the verb."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests import commands

from catenet.ssdp.cache import Entry
from catenet.ssdp.device import Device
from catenet.ssdp.links import advertise, discover, search
from catenet.world import World

BOX = "urn:schemas-upnp-org:device:Box:1"


def offer(number: int, lasts: float = 60.0) -> None:
    """Advertise a device of this host for a while."""

    async def main() -> None:
        async with advertise(Device(f"uuid:{number}", f"http://10.0.0.{number}/d.xml", BOX)):
            await asyncio.sleep(lasts)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(6))
def test_devices_are_found_although_packets_get_lost(seed: int) -> None:
    """A search that is sent three times finds ten devices at up to 10 % of loss, and what expires is dropped."""
    chance = random.Random(seed)
    loss = chance.choice((0.0, 0.02, 0.10))
    found: list[Entry] = []

    def ask() -> None:
        found.extend(asyncio.run(discover(BOX, wait=2)))

    with World(seed) as world:
        for number in range(10):
            host = world.host(f"device{number}")
            world.link(host, latency=chance.uniform(0, 0.01), loss=loss)
            host.run(offer, number)
        world.host("asker").run(ask, start=5.0)
        world.run(80)
    # Each answer has three chances, by each IP version: (1 - 0.9^4)^6 is 0.2 % at a loss of 10 % and four crossings.
    assert len({entry.advertisement.usn for entry in found}) == 10
    assert {entry.advertisement.target for entry in found} == {BOX}


def test_who_listens_hears_what_comes_and_goes() -> None:
    """Advertisements and goodbyes without a search of one's own; nothing of another network."""
    heard: list[tuple[str, str]] = []

    def listen() -> None:
        async def main() -> None:
            async with asyncio.timeout(100), search("uuid:nobody") as changes:
                async for change in changes:
                    heard.append((change.what, change.entry.advertisement.usn))  # noqa: PERF401 (it ends by a time-out)

        with pytest.raises(TimeoutError):
            asyncio.run(main())

    with World() as world:
        world.network("lan")
        world.network("wan")
        world.host("gate", network=["lan", "wan"], forwarding=True)
        world.host("near", network="lan").run(offer, 1, 20.0, start=10.0)
        world.host("far", network="wan").run(offer, 2, 20.0, start=10.0)
        world.host("listener", network="lan").run(listen)
        world.run(200)
    assert {usn.partition("::")[0] for _, usn in heard} == {"uuid:1"}
    assert [what for what, _ in heard] == ["found"] * 3 + ["gone"] * 3


def test_beside_ssdpy_both_ways() -> None:
    """Its client finds our device, and its server is found by us: programs that know nothing of worlds."""
    import ssdpy

    theirs: list[dict[str, str]] = []
    ours: list[Entry] = []

    def serve() -> None:
        ssdpy.SSDPServer("uuid:theirs", device_type=BOX, location="http://10.0.0.3/", max_age=100).serve_forever()

    with World() as world:
        world.host("ours").run(offer, 1)
        world.host("asker").run(lambda: theirs.extend(ssdpy.SSDPClient(timeout=4).m_search(BOX, 2)), start=1.0)
        world.host("theirs").run(serve, daemon=True)
        world.host("finder").run(lambda: ours.extend(asyncio.run(discover(BOX))), start=10.0)
        world.run(60)
    assert {one["usn"] for one in theirs} == {f"uuid:1::{BOX}", "uuid:theirs"}
    mine = next(one for one in theirs if one["usn"].startswith("uuid:1"))
    assert (mine["st"], mine["location"], mine["cache-control"]) == (BOX, "http://10.0.0.1/d.xml", "max-age=1800")
    assert {entry.advertisement.usn for entry in ours} == {f"uuid:1::{BOX}", "uuid:theirs"}


def their_device() -> None:
    """A device of async_upnp_client, with its description, for a while."""
    from xml.etree import ElementTree

    from async_upnp_client.const import DeviceInfo
    from async_upnp_client.server import UpnpServer, UpnpServerDevice

    class Theirs(UpnpServerDevice):
        DEVICE_DEFINITION = DeviceInfo(
            BOX, "box", "me", None, None, "box", None, None, None, "uuid:theirs", None, None, "/d.xml", [],
            ElementTree.Element("server_device"),
        )  # fmt: skip
        EMBEDDED_DEVICES = ()
        SERVICES = ()

    async def main() -> None:
        server = UpnpServer(Theirs, source=("10.0.0.3", 0), http_port=8000)
        await server.async_start()
        await asyncio.sleep(30)
        await server.async_stop()

    asyncio.run(main())


def test_beside_async_upnp_client_both_ways() -> None:
    """What Home Assistant discovers with: its listener hears ours come and go, we hear its device come and go."""
    from async_upnp_client.search import async_search
    from async_upnp_client.ssdp_listener import SsdpListener

    theirs: list[tuple[str, str, str | None]] = []
    ours: list[tuple[str, str, str]] = []

    def listen() -> None:
        async def main() -> None:
            listener = SsdpListener(
                callback=lambda device, kind, source: theirs.append((source.name, kind, device.location)),
                source=("10.0.0.2", 0),
                search_target=BOX,
            )
            await listener.async_start()
            await asyncio.sleep(5)
            await async_search(found, 2, BOX, source=("10.0.0.2", 0))
            await asyncio.sleep(30)
            await listener.async_stop()

        async def found(headers: Mapping[str, str]) -> None:
            theirs.append(("SEARCH", headers["ST"], headers["LOCATION"]))

        asyncio.run(main())

    def follow() -> None:
        async def main() -> None:
            async with asyncio.timeout(50), search(BOX) as changes:
                async for change in changes:
                    one = change.entry.advertisement
                    ours.append((change.what, one.usn, one.location))

        with pytest.raises(TimeoutError):
            asyncio.run(main())

    with World() as world:
        world.host("ours").run(offer, 1, 20.0, start=1.0)
        world.host("listener").run(listen)
        world.host("theirs").run(their_device, start=2.0)
        world.host("follower").run(follow, start=4.0)
        world.run(100)
    heard = {(source, kind) for source, kind, location in theirs if location == "http://10.0.0.1/d.xml"}
    # With the first goodbye it forgets all of the device.
    wanted = {("ADVERTISEMENT_ALIVE", BOX), ("SEARCH", BOX), ("ADVERTISEMENT_BYEBYE", "upnp:rootdevice")}
    assert heard >= wanted, theirs
    named = [(what, where) for what, usn, where in ours if usn == f"uuid:theirs::{BOX}"]
    assert named[0] == ("found", "http://10.0.0.3:8000/d.xml") and named[-1][0] == "gone", ours
    assert ("found", f"uuid:1::{BOX}", "http://10.0.0.1/d.xml") in ours


WORLD = """
[hosts.printer]
run = "printer.py"
service = true

[hosts.asker]
run = "-m catenet discover --wait 4s {words}"
start = "3s"
"""

PRINTER = """
import asyncio
from catenet.dns.multicast.client import publish
from catenet.ssdp.device import Device
from catenet.ssdp.links import advertise

async def main():
    device = Device("uuid:p", "http://10.0.0.1/d.xml", "urn:schemas-upnp-org:device:Printer:1")
    async with advertise(device), publish("Laser \\u2460", "_ipp._tcp", 631, properties={"a": "b"}):
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def discovered(tmp_path: Path, words: str) -> list[str]:
    """Lines that the verb prints in a world with a printer."""
    (tmp_path / "world.toml").write_text(WORLD.format(words=words))
    (tmp_path / "printer.py").write_text(PRINTER)
    line = [sys.executable, "-m", "catenet", "run", str(tmp_path / "world.toml")]
    done = commands.run(line, capture_output=True, text=True, timeout=60, check=False)
    shown = [text.partition("| ")[2] for text in done.stdout.splitlines() if text.startswith("asker")]
    assert shown, done.stdout + done.stderr
    return shown


def test_the_verb_shows_a_table(tmp_path: Path) -> None:
    """Devices and services together."""
    lines = discovered(tmp_path, "")
    assert lines[0].split() == ["BY", "WHAT", "NAME", "WHERE", "INTERFACE"]
    assert any(line.split()[:2] == ["mdns", "_ipp._tcp"] and "Laser ①" in line for line in lines)
    assert sum(line.startswith("ssdp ") for line in lines) == 3
    assert any("http://10.0.0.1/d.xml" in line and "urn:schemas-upnp-org:device:Printer:1" in line for line in lines)


def test_the_verb_shows_json(tmp_path: Path) -> None:
    """One object; what was not asked for is not there."""
    found = json.loads("\n".join(discovered(tmp_path, "--json --mdns")))["found"]
    assert [(one["protocol"], one["type"], one["name"], one["port"]) for one in found] == [
        ("mdns", "_ipp._tcp", "Laser ①", 631)
    ]
    assert found[0]["properties"] == {"a": "b"}
    found = json.loads("\n".join(discovered(tmp_path, "--json --target uuid:p")))["found"]
    assert {one["name"] for one in found} >= {"uuid:p"}
    assert all(one["protocol"] == "ssdp" and one["location"] == "http://10.0.0.1/d.xml" for one in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wait", "0.1s"], "--wait must be 1 to 60 seconds, not 0.1"),
        (["--target", "printers"], "'printers' is nothing to search for; write ssdp:all"),
        (["-i", "nothing0"], "no interface 'nothing0'"),
        (["--upnp"], "unrecognized arguments: --upnp"),
    ],
)
def test_mistakes_of_the_verb(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, status 2."""
    from catenet.cli import main

    assert main(["discover", *words]) == 2
    assert message in capsys.readouterr().err
