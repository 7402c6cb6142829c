"""GUPnP's library finds what is advertised and hears it go, and is found, on Linux, in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import peers

pytestmark = [pytest.mark.root, pytest.mark.peer]

BOX = "urn:schemas-upnp-org:device:Box:1"
LIBRARY = peers.UNPACKED / "usr" / "lib" / f"{os.uname().machine}-linux-gnu" / "libgssdp-1.6.so.0"

OFFER = f"""
import asyncio, sys
from catenet.ssdp.device import Device
from catenet.ssdp.links import advertise

async def main():
    async with advertise(Device("uuid:ours", "http://10.9.0.1:9/d.xml", "{BOX}"), interfaces=["veth9"]):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""

FIND = f"""
import asyncio
from catenet.ssdp.links import search

async def main():
    async with asyncio.timeout(60), search("{BOX}", interfaces=["veth9"]) as changes:
        async for change in changes:
            one = change.entry.advertisement
            print(change.what, one.usn, one.location, flush=True)
            break

asyncio.run(main())
"""


@pytest.fixture
def lan(namespaces):
    """A namespace with an interface that has multicast."""
    if not LIBRARY.exists():
        pytest.skip("needs libgssdp-1.6-0")
    space = namespaces()
    space.run("ip", "link", "set", "lo", "up")
    space.run("ip", "link", "add", "veth9", "type", "veth", "peer", "name", "other9")
    space.run("ip", "addr", "add", "10.9.0.1/24", "dev", "veth9")
    space.run("ip", "link", "set", "veth9", "up")
    space.run("ip", "link", "set", "other9", "up")
    return space


def theirs(space, *words):
    """A program with the library, once it has begun."""
    libraries = peers.environment()["LD_LIBRARY_PATH"]
    script = str(Path(__file__).with_name("gssdp.py"))
    child = space.start("env", f"LD_LIBRARY_PATH={libraries}", sys.executable, script, *words)
    assert child.stdout.readline() == "ready\n"
    return child


def test_it_finds_ours_and_hears_it_go(lan):
    browser = theirs(lan, "find", "veth9", BOX)
    ours = lan.start(sys.executable, "-c", OFFER, stdin=subprocess.PIPE)
    assert browser.stdout.readline() == f"found uuid:ours::{BOX} http://10.9.0.1:9/d.xml\n"
    ours.stdin.write("\n")
    ours.stdin.flush()
    assert browser.stdout.readline() == f"gone uuid:ours::{BOX}\n"


def test_it_finds_ours_that_was_there_before(lan):
    ours = lan.start(sys.executable, "-c", OFFER, stdin=subprocess.PIPE)
    assert ours.stdout.readline() == "ready\n"
    browser = theirs(lan, "find", "veth9", BOX)
    assert browser.stdout.readline() == f"found uuid:ours::{BOX} http://10.9.0.1:9/d.xml\n"


def test_ours_finds_it(lan):
    theirs(lan, "offer", "veth9", BOX, "uuid:theirs", "http://10.9.0.1:9/t.xml")
    found = lan.run(sys.executable, "-c", FIND)
    assert found.stdout == f"found uuid:theirs::{BOX} http://10.9.0.1:9/t.xml\n"
