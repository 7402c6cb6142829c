"""Cookies by the vectors of RFC 9018, rates, access, the query log, privileges, worlds."""

import asyncio
import json
import pwd
import sys
from pathlib import Path

import pytest
from tests import commands
from tests.dns.server.running import ZONE, ask_udp, query, serving
from tests.peers import tool

from catenet.dns.server.access import Access, Action, network
from catenet.dns.server.cookies import Cookies, CookieState
from catenet.dns.server.counters import CODES, NAMES, Board, Counters
from catenet.dns.server.fast.siphash import siphash
from catenet.dns.server.metrics import figures
from catenet.dns.server.querylog import MOST_WAITING, QueryLog
from catenet.dns.server.rates import RateLimiter, RateLimits


def test_siphash_as_its_authors_have_it():
    key = bytes(range(16))
    assert siphash(key, bytes(range(15))).hex() == "e545be4961ca29a1"
    assert siphash(key, b"").hex() == "310e0edd47db6f72"
    assert siphash(key, bytes(range(8))).hex() == "6224939a79f5f593"


OLD, NEW = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715"), bytes.fromhex("445536bcd2513298075a5d379663c962")


@pytest.mark.parametrize(
    ("secrets", "address", "wall", "option", "state", "answer"),
    [
        (
            ["e5e973e5a6b2a43f48e7dc849e37bfcf"], "198.51.100.100", 1559731985, "2464c4abcf10c957", CookieState.CLIENT,
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
        ),
        (
            ["e5e973e5a6b2a43f48e7dc849e37bfcf"], "198.51.100.100", 1559734385,
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480", CookieState.VALID,
            "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
        ),
        (
            [NEW.hex(), OLD.hex()], "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961,
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8", CookieState.VALID,
            "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
        ),
    ],
)  # fmt: skip
def test_cookies_of_rfc_9018(secrets, address, wall, option, state, answer):
    cookies = Cookies([bytes.fromhex(secret) for secret in secrets])
    found = cookies.check(bytes.fromhex(option), address, wall)
    assert found[0] is state
    if len(secrets) == 1:
        assert found[1].hex() == answer
    else:
        # Younger than half an hour: it is sent back as it is, which the RFC leaves to the server.
        assert found[1].hex() in (option, answer)
        renewed = Cookies([NEW]).check(bytes.fromhex(option), address, wall)
        assert renewed[0] is CookieState.CLIENT and renewed[1].hex() == answer


def test_rates():
    limiter = RateLimiter(RateLimits(responses=5, nxdomains=2, errors=0, slip=2, window=3, exempt=("198.51.100.0/24",)))
    asked, reply = query(), b"\x81\x80" + bytes(60)
    sent = [limiter.judge(asked, f"192.0.2.{number}", reply, 100.0) for number in range(11)]
    assert sent[:5] == [reply] * 5, "a network has one account"
    assert sent[5:] == [None, sent[6]] * 3
    assert sent[6] == b"\x83\x80\0\1\0\0\0\0\0\0" + asked[12:]
    assert limiter.judge(query("other.example.org."), "192.0.2.1", reply, 100.0) == reply
    assert limiter.judge(asked, "203.0.113.1", reply, 100.0) == reply
    assert limiter.judge(asked, "192.0.2.1", reply, 101.0) is None, "it is in debt"
    assert limiter.judge(asked, "192.0.2.1", reply, 110.0) == reply
    for _ in range(50):
        assert limiter.judge(asked, "198.51.100.7", reply, 100.0) == reply
        assert limiter.judge(asked, "192.0.2.1", b"\x81\x85" + bytes(8), 100.0), "errors have no limit here"
    names = [limiter.judge(query(f"n{number}.x."), "2001:db8::1", b"\x81\x83" + bytes(8), 1.0) for number in range(4)]
    assert sum(one == b"\x81\x83" + bytes(8) for one in names) == 2


def test_accounts_have_a_limit():
    limiter = RateLimiter(RateLimits(most_accounts=1000))
    for number in range(10_000):
        limiter.judge(query(f"n{number}.x."), f"10.{number >> 8}.{number & 255}.1", b"\x81\x80", 1.0)
        assert len(limiter) <= 1001


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("10.0.0.1/8", "do you mean 10.0.0.0/8?"), ("fe80::/129", "neither"), ("localhost", "neither"), ("", "neither")],
)
def test_networks_with_mistakes(text, complaint):
    with pytest.raises(ValueError, match=r"bits behind|neither") as caught:
        network(text)
    assert complaint in str(caught.value)


def test_access_of_all_kinds_of_addresses():
    access = Access({"10.0.0.0/8": Action.REFUSE, "10.1.0.0/16": Action.ALLOW, "fe80::/10": Action.DROP}, ["10.1.2.3"])
    assert access.verdict("10.9.9.9").action is Action.REFUSE
    assert access.verdict("10.1.9.9").action is Action.ALLOW
    assert access.verdict("10.1.2.3").recursion and not access.verdict("10.1.2.4").recursion
    assert access.verdict("fe80::1%lo").action is Action.DROP
    assert access.verdict("::ffff:10.9.9.9").action is Action.REFUSE
    assert access.verdict("").recursion, "a Unix socket"
    assert access.uniform is None and Access({}, ()).uniform is not None


def test_the_log_is_bounded_and_can_be_moved(tmp_path):
    async def main():
        log = QueryLog(asyncio.get_running_loop(), str(tmp_path / "log"))
        for number in range(MOST_WAITING + 7):
            log.add("udp", "192.0.2.1", 99, query(number=number & 0xFFFF), b"\x81\x80" + bytes(8))
        assert log.lost == 7
        log.add("tcp", "", 0, b"\0\1\1\0" + bytes(8) + b"\xc0", b"\x81\x81")
        while not (tmp_path / "log").stat().st_size:
            await asyncio.sleep(0.01)
        (tmp_path / "log").rename(tmp_path / "old")
        log.reopen()
        log.add("udp", "192.0.2.1", 99, query("q\\.\\000x.example."), b"\x81\x83" + bytes(8))
        log.close()

    asyncio.run(main())
    new = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert new[-1]["name"] == "q\\.\\000x.example." and new[-1]["rcode"] == "NXDOMAIN"
    old = (tmp_path / "old").read_text().splitlines()
    assert len(old) + len(new) == MOST_WAITING + 1
    assert all(json.loads(line)["time"] for line in old)


def test_figures_are_sums_of_all_processes():
    board = Board(2)
    for number in range(2):
        counters = Counters()
        counters.add("queries_udp", 5)
        counters.codes[0x83] += 2
        board.write(number, counters)
    total = board.total()
    assert len(total) == len(NAMES) + CODES
    text = figures(total).decode()
    assert 'catenet_dns_queries_total{transport="udp"} 10\n' in text
    assert 'catenet_dns_answers_total{rcode="NXDOMAIN"} 4\n' in text


@pytest.mark.root
def test_privileges_are_given_up(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "a.zone").write_text(ZONE)
    (tmp_path / "c.toml").write_text('user = "nobody"\nrecursive = false\n[[zone]]\nfile = "a.zone"\n')
    with serving(tmp_path, "--config", "c.toml", "--listen", "udp+tcp://127.0.0.1:0") as server:
        assert ask_udp(server.port, query())
        status = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
        entry = pwd.getpwnam("nobody")
        assert f"Uid:\t{entry.pw_uid}\t{entry.pw_uid}\t{entry.pw_uid}\t{entry.pw_uid}" in status
        assert f"Gid:\t{entry.pw_gid}\t{entry.pw_gid}\t{entry.pw_gid}\t{entry.pw_gid}" in status


WORLD = """
[hosts.ns]
run = "-m catenet serve dns --zone a.zone --no-recursive --listen udp+tcp://:53"
service = true

[hosts.cache]
run = "-m catenet serve dns --config c.toml --listen udp+tcp://:53"
service = true
start = "1s"

[hosts.user]
run = "-m catenet resolve www.example.org @cache large.example.org TXT +short"
start = "2s"
"""


def test_in_a_world(tmp_path):
    """An authority, a forwarder and a client on three hosts, over UDP and, for what was cut, TCP."""
    (tmp_path / "a.zone").write_text(ZONE)
    (tmp_path / "c.toml").write_text('forward = "10.0.0.1"\n[access]\nrecursion = ["0.0.0.0/0"]\n')
    text = WORLD.replace("[hosts.ns]\n", '[hosts.ns]\naddress = "10.0.0.1/24"\n')
    text = text.replace("[hosts.cache]\n", '[hosts.cache]\naddress = "10.0.0.2/24"\n')
    text = text.replace("[hosts.user]\n", '[hosts.user]\naddress = "10.0.0.3/24"\n')
    (tmp_path / "w.toml").write_text(text)
    command = [sys.executable, "-m", "catenet", "run", "w.toml"]
    done = commands.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "user  | 192.0.2.3\n" in done.stdout
    assert done.stdout.count("user  | ") == 61


@pytest.mark.root
def test_behind_a_tun_device(namespace, tmp_path):
    """The server on our own stack, asked by dig on the kernel's: both IP versions, UDP and TCP."""
    dig = tool("dig")
    (tmp_path / "a.zone").write_text(ZONE)
    words = ["-m", "catenet", "run", "--net", "tun", "--address", "10.9.0.2/24", "--address", "fd09::2/64"]
    serve = ["-m", "catenet", "serve", "dns", "--zone", "a.zone", "--no-recursive", "--listen", "udp+tcp://:53"]
    child = namespace.start(sys.executable, *words, *serve, cwd=tmp_path)
    assert child.stdout.readline() == "host  | serving dns on udp+tcp://localhost:53\n"
    for address in ("10.9.0.2", "fd09::2"):
        for option in ("+notcp", "+tcp"):
            done = namespace.run(dig, f"@{address}", "www.example.org", "+short", option)
            assert done.stdout == "192.0.2.3\n"
        done = namespace.run(dig, f"@{address}", "large.example.org", "TXT", "+short")
        assert len(done.stdout.splitlines()) == 60
