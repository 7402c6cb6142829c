"""NTS beside chrony, both ways, with a throwaway authority. chronyd may set no clock (`-x`, no CAP_SYS_TIME)."""

from __future__ import annotations

import json
import time

import pytest
from tests.ntp.chrony import LIMIT, chronyd
from tests.ntp.nts.conversation import Files
from tests.ntp.serving import CATENET, serving
from tests.peers import environment

pytestmark = [pytest.mark.peer, pytest.mark.root, pytest.mark.slow(20)]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.mark.parametrize("options", ["", "xleave"], ids=["basic", "interleaved"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_chrony_asks_us(namespace, tmp_path, files, options, address):
    """Time on a port of its own, which the keys' server names."""
    hosts = ["127.0.0.1", "[::1]"]
    listen = [f"ntp://{host}:1123" for host in hosts] + [f"nts://{host}:4460" for host in hosts]
    words = ["--stratum", "1", "--nts", "--cert", files.cert]
    with serving(*words, listen=listen, prefix=namespace.command([])) as (_, said):
        command = chronyd(
            tmp_path, "port 0", "nosystemcert", f"ntstrustedcerts {files.ca}",
            f"server {address} nts iburst minpoll -2 maxpoll -2 maxsamples 4 {options}",
        )  # fmt: skip
        done = namespace.run(*command, "-Q", "-t", "30", env=environment(), timeout=LIMIT, check=False)
        output = done.stdout + done.stderr
    assert "System clock wrong by" in output, output
    assert abs(float(output.partition("wrong by ")[2].split()[0])) < 1
    assert "0 authenticated" not in said[-1], said
    assert ("0 interleaved" in said[-1]) is (not options), said


def test_we_ask_chrony(namespace, tmp_path, files):
    (tmp_path / "key.pem").write_text("".join(_part(files.cert, "PRIVATE KEY")))
    (tmp_path / "chain.pem").write_text("".join(_part(files.cert, "CERTIFICATE")))
    command = chronyd(
        tmp_path, "local stratum 3", "allow", "port 1123", "ntsport 4460", "ntsprocesses 1",
        f"ntsserverkey {tmp_path}/key.pem", f"ntsservercert {tmp_path}/chain.pem",
    )  # fmt: skip
    namespace.start(*command, env=environment())
    for address in ("127.0.0.1", "[::1]"):
        end = time.monotonic() + LIMIT
        while True:
            done = namespace.run(
                *CATENET, "ntp", "--json", "--samples", "2", "--nts", "--ca", files.ca, address, check=False
            )
            if done.returncode == 0 or time.monotonic() > end:
                break
        found = json.loads(done.stdout)["servers"][0]
        assert (found["stratum"], found["verdict"], found["nts"]) == (3, "truechimer", True), done
        assert abs(found["offset"]) < 1


def _part(path, what):
    """Lines of the blocks of a file in PEM of one kind."""
    inside = False
    with open(path) as file:
        for line in file:
            if line.startswith("-----BEGIN "):
                inside = what in line
            if inside:
                yield line
