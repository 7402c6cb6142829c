"""Beside the programs that others use: chrony, ntpsec's ntpd, ntpdig and ntpq, and ntplib. None may set a clock.

Each runs in a network namespace and without CAP_SYS_TIME, chronyd besides with `-x`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time

import ntplib
import pytest
from tests.ntp.chrony import LIMIT, UNPRIVILEGED, chronyd
from tests.ntp.nts.conversation import Files
from tests.ntp.serving import CATENET, serving
from tests.peers import UNPACKED, environment, tool

from catenet.ntp.client import query
from catenet.ntp.reference import Stated
from catenet.ntp.server import serve

pytestmark = pytest.mark.slow(30)

KEYS = """1 MD5 HEX:6162636465666768696a6b6c6d6e6f70
2 AES128 HEX:000102030405060708090a0b0c0d0e0f
3 SHA1 HEX:000102030405060708090a0b0c0d0e0f10111213
"""
KEYS_OF_NTPSEC = KEYS.replace("HEX:", "").replace(" AES128 ", " AES-128 ")


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "keys").write_text(KEYS)
    (tmp_path / "ntpsec.keys").write_text(KEYS_OF_NTPSEC)
    return str(tmp_path / "keys")


def of_ntpsec():
    """Its programs in Python find their package and its library where they were unpacked."""
    found = environment()
    libraries = f"{UNPACKED}/usr/lib/{os.uname().machine}-linux-gnu/ntp"
    found["LD_LIBRARY_PATH"] += f":{libraries}"
    found["PYTHONPATH"] = f"{UNPACKED}/usr/lib/python3/dist-packages"
    return found


# Their clients, our server.


@pytest.mark.peer
@pytest.mark.root
@pytest.mark.parametrize(
    "options",
    ["", "key 2", "key 3", "xleave", "xleave key 2", "version 3", "version 1"],
    ids=lambda text: text or "plain",
)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_chrony_asks(namespace, tmp_path, keys, options, address):
    listen = ["ntp://127.0.0.1:123", "ntp://[::1]:123"]
    inside = namespace.command([])
    with serving("--stratum", "1", "--keys", keys, listen=listen, prefix=inside) as (_, said):
        command = chronyd(
            tmp_path,
            "port 0",
            f"keyfile {keys}",
            f"server {address} iburst minpoll -2 maxpoll -2 maxsamples 4 {options}",
        )
        done = namespace.run(*command, "-Q", "-t", "20", env=environment(), timeout=LIMIT, check=False)
        output = done.stdout + done.stderr
    assert "System clock wrong by" in output, output
    assert abs(float(output.partition("wrong by ")[2].split()[0])) < 1
    counted = said[-1]
    assert ("0 authenticated" in counted) is ("key" not in options), counted
    assert ("0 interleaved" in counted) is ("xleave" not in options), counted


@pytest.mark.peer
@pytest.mark.root
def test_ntpdig_asks(namespace, keys):
    ntpdig = tool("ntpdig")
    inside = namespace.command([])
    listen = ["ntp://127.0.0.1:123", "ntp://[::1]:123"]
    with serving("--stratum", "1", "--keys", keys, listen=listen, prefix=inside) as (_, said):
        for words in ([], ["-k", f"{keys[:-4]}ntpsec.keys", "-a", "2"], ["-k", f"{keys[:-4]}ntpsec.keys", "-a", "3"]):
            for address in ("127.0.0.1", "::1"):
                done = namespace.run(ntpdig, "-j", *words, address, env=of_ntpsec(), timeout=LIMIT)
                found = json.loads(done.stdout)
                assert (found["stratum"], found["leap"]) == (1, "no-leap")
                assert abs(found["offset"]) < 1
    assert "6 answered" in said[-1] and "4 authenticated" in said[-1], said


@pytest.mark.peer
@pytest.mark.root
def test_ntpq_reads_variables(namespace):
    ntpq = tool("ntpq")
    listen = ["ntp://127.0.0.1:123", "ntp://[::1]:123"]
    words = ["--stratum", "2", "--refid", "192.0.2.1", "--control"]
    with serving(*words, listen=listen, prefix=namespace.command([])):
        for address in ("127.0.0.1", "::1"):
            said = namespace.run(ntpq, "-c", "rv", address, env=of_ntpsec(), timeout=LIMIT).stdout
            for one in ("stratum=2", "leap=00", "refid=192.0.2.1", "sync_ntp"):
                assert one in said, said


def test_ntplib_asks():
    """Each version of a request gets its own."""

    async def work():
        async with await serve("127.0.0.1:0", Stated(1, b"GPS\0")) as server:
            port = int(server.urls[0].rpartition(":")[2])
            for version in (2, 3, 4):
                client = ntplib.NTPClient()
                found = await asyncio.to_thread(client.request, "127.0.0.1", version, port, LIMIT)
                assert (found.version, found.mode, found.stratum) == (version, 4, 1)
                assert ntplib.leap_to_text(found.leap) == "no warning"
                assert ntplib.ref_id_to_text(found.ref_id) == "71.80.83.0"
                assert abs(found.offset) < 1

    asyncio.run(work())


@pytest.mark.peer
@pytest.mark.root
@pytest.mark.parametrize("by", ["key 2", "nts noval"])
def test_ntpd_follows_us_and_we_ask_it(namespaces, tmp_path, keys, by):
    """ntpd takes our time, authenticated, and then tells it to our client as a server of stratum 2.

    It compares the names of certificates with names alone, and the server has an address here: `noval`.
    """
    ntpd = tool("ntpd")
    here, there = namespaces(), namespaces()
    here.run("ip", "link", "add", "veth0", "type", "veth", "peer", "veth0", "netns", there.name)
    for one, address in ((here, "10.79.0.1/24"), (there, "10.79.0.2/24")):
        one.run("ip", "address", "add", address, "dev", "veth0")
        one.run("ip", "link", "set", "veth0", "up")
    (tmp_path / "ntp.conf").write_text(
        f"disable kernel\nserver 10.79.0.1 iburst minpoll 3 maxpoll 3 {by}\ntos minclock 1 minsane 1\n"
        f"keys {tmp_path}/ntpsec.keys\ntrustedkey 2 3\n"
    )
    words = ["--stratum", "1", "--keys", keys, "--nts", "--cert", Files(tmp_path, "10.79.0.1").cert]
    with serving(*words, listen=["ntp://10.79.0.1:123"], prefix=here.command([])) as (_, said):
        there.start(*UNPRIVILEGED, ntpd, "-n", "-g", "-c", f"{tmp_path}/ntp.conf", env=of_ntpsec())
        end = time.monotonic() + 2 * LIMIT
        while time.monotonic() < end:
            done = here.run(*CATENET, "ntp", "--json", "--timeout", "5s", "10.79.0.2", check=False)
            if done.returncode == 0:
                break
            time.sleep(0.5)
        found = json.loads(done.stdout)["servers"][0]
    assert (found["stratum"], found["verdict"]) == (2, "truechimer"), (done, said)
    assert abs(found["offset"]) < 1
    assert "0 authenticated" not in said[-1], said


# Their servers, our client.


@pytest.mark.peer
@pytest.mark.root
def test_we_ask_chrony(namespace, tmp_path):
    namespace.start(*chronyd(tmp_path, "local stratum 3", "allow"), env=environment())
    for address in ("127.0.0.1", "[::1]"):
        end = time.monotonic() + LIMIT
        while True:
            done = namespace.run(*CATENET, "ntp", "--json", "--samples", "2", address, check=False)
            if done.returncode == 0 or time.monotonic() > end:
                break
        found = json.loads(done.stdout)["servers"][0]
        assert (found["stratum"], found["verdict"]) == (3, "truechimer"), done
        assert abs(found["offset"]) < 1


class Ntplib(asyncio.DatagramProtocol):
    """A server that is made of ntplib's packets."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        asked = ntplib.NTPPacket()
        asked.from_data(data)
        now = ntplib.system_to_ntp_time(time.time())
        answer = ntplib.NTPPacket(version=asked.version, mode=4)
        answer.stratum, answer.leap, answer.ref_timestamp = 1, 0, now - 1
        answer.recv_timestamp = answer.tx_timestamp = now
        # Its timestamps are floats, which cannot hold a random origin.
        self.transport.sendto(answer.to_data()[:24] + data[40:48] + answer.to_data()[32:], address)


def test_we_ask_ntplib():
    async def work():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Ntplib, ("127.0.0.1", 0))
        try:
            found = await query([f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"], patience=LIMIT)
        finally:
            transport.close()
        assert found.answers[0].verdict == "truechimer"
        assert abs(found.selection.offset) < 1

    asyncio.run(work())
