"""miniupnpc finds what is advertised, on Linux, in a network namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests import peers

pytestmark = [pytest.mark.root, pytest.mark.peer("upnpc")]

OFFER = """
import asyncio
from catenet.ssdp.device import Device
from catenet.ssdp.links import advertise

GATEWAY = Device("uuid:gate", "http://10.9.0.1:9/d.xml", "urn:schemas-upnp-org:device:InternetGatewayDevice:2")

async def main():
    async with advertise(GATEWAY, interfaces=["veth9"]):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""

NAMESPACE = """
/sbin/ip link set lo up
/sbin/ip link add veth9 type veth peer name other9
/sbin/ip addr add 10.9.0.1/24 dev veth9
/sbin/ip link set veth9 up
/sbin/ip link set other9 up
"$1" -c "$2" > "$4" & offering=$!
until grep -q ready "$4"; do sleep 0.1; done
LD_LIBRARY_PATH="$5" "$3" -m 10.9.0.1 -l || true
"$1" -m catenet discover --ssdp --wait 2s -i veth9
kill $offering
"""


def test_upnpc_finds_a_gateway_of_ours(tmp_path: Path) -> None:
    """By its type, a version behind ours, with our location; so does the verb."""
    upnpc = peers.tool("upnpc")
    line = ["unshare", "-n", "sh", "-ec", NAMESPACE, "sh", sys.executable, OFFER, upnpc, str(tmp_path / "out")]
    line.append(peers.environment()["LD_LIBRARY_PATH"])
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "desc: http://10.9.0.1:9/d.xml" in done.stdout, done.stdout
    assert "st: urn:schemas-upnp-org:device:InternetGatewayDevice:1" in done.stdout, done.stdout
    assert "uuid:gate::upnp:rootdevice http://10.9.0.1:9/d.xml" in " ".join(done.stdout.split()), done.stdout
