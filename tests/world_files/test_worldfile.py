import re
from pathlib import Path

import pytest

from catenet.cli import main
from catenet.link.properties import LinkProperties, QueueProperties
from catenet.wire.address import format_address
from catenet.world.scenario.units import PARSERS
from catenet.world.scenario.worldfile import (
    EventPlan,
    HostPlan,
    LinkPlan,
    NetworkPlan,
    WorldFileError,
    parse_world,
    read_world,
)
from catenet.world.world import World

WORLD = """
[world]
seed = 7
duration = "1min 30s"

[link]
latency = "20ms"
loss = 0.01

[hosts.server]
run = "server.py --port 8080"
address = ["10.0.0.9", "fd00::9"]
restart = "on-failure"

[hosts.alice]
run = ["-m http.server 80", "client.py"]
start = "2s"
latency = "0.1s"          # slower than the others
rate = "10Mbit"
queue = "64KiB"
network = "lan"

[routers.gate]
networks = ["lan", "wan"]

[[networks]]
name = "lan"
address = ["192.168.1.0/24", "fd01::/64"]

[[networks]]
name = "wan"

[[links]]
between = ["server", "alice"]
loss = "5%"

[[events]]
at = "10s"
partition = ["alice", ["server", "gate"]]
for = "3s"

[[events]]
at = 5
crash = "server"
for = "1s"

[[events]]
at = "20s"
heal = true

[[events]]
at = "21s"
link = ["alice", "server"]
loss = "50%"
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("server.py", "client.py"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_a_world_is_read_as_written(folder):
    (folder / "world.toml").write_text(WORLD)
    plan = read_world(folder / "world.toml")
    defaults = LinkProperties(latency=0.02, loss=0.01)
    slow = defaults.replace(latency=0.1, rate=1e7, queue=QueueProperties(packets=None, bytes=65536))
    assert (plan.seed, plan.duration, plan.folder) == (7, 90.0, folder)
    assert plan.hosts == (
        HostPlan("server", ("server.py --port 8080",), ("10.0.0.9", "fd00::9"), restart="on-failure", link=defaults),
        HostPlan("alice", ("-m http.server 80", "client.py"), networks=("lan",), start=2.0, link=slow),
        HostPlan("gate", networks=("lan", "wan"), router=True, link=defaults),
    )
    assert plan.networks == (NetworkPlan("lan", ("192.168.1.0/24", "fd01::/64")), NetworkPlan("wan"))
    assert plan.links == (LinkPlan("server", "alice", defaults.replace(loss=0.05)),)
    assert plan.events == (
        EventPlan(5.0, "crash", (("server",),), duration=1.0),
        EventPlan(10.0, "partition", (("alice",), ("server", "gate")), duration=3.0),
        EventPlan(20.0, "heal"),
        EventPlan(21.0, "link", (("alice", "server"),), {"loss": "50%"}),
    )


PAIR = "[hosts.a]\n[hosts.b]\n[[links]]\nbetween = ['a', 'b']\n"

MISTAKES = [
    ("[worlds]\n", 1, "unknown table 'worlds'; did you mean 'world'?"),
    ("[hosts.a]\n\n[link]\nlatencey = '1ms'\n", 4, "unknown link property 'latencey'; did you mean 'latency'?"),
    ("[hosts.a]\nlatency = '20msec'\n", 2, "latency: unknown unit of time 'msec' in '20msec'; did you mean 'ms'?"),
    ("[hosts.a]\nrate = '10Mbot'\n", 2, "rate: unknown unit of rate 'Mbot' in '10Mbot'; did you mean 'Mbit'?"),
    ("[hosts.a]\nloss = '101%'\n", 2, "loss: '101%' is not from 0 to 1 (0% to 100%)"),
    ("[hosts.a]\nmtu = 20\n", 2, "mtu: must be from 88 to 65535, not 20: TCP needs 88 bytes"),
    ("[hosts.a]\nmtu = 87\n", 2, "mtu: must be from 88 to 65535, not 87: TCP needs 88 bytes"),
    ("[hosts.a]\nweather = 1\n", 2, "unknown key 'weather'"),
    ("[hosts.a]\nrnu = 1\n", 2, "unknown key 'rnu'; did you mean 'run'?"),
    ("[hosts.a]\nqueue = 'fqcodel'\n", 2, "queue: unknown queue 'fqcodel'; did you mean 'fq_codel'?"),
    ("[hosts.a]\nrun = 'sever.py'\n", 2, "no program 'sever.py' in FOLDER/; did you mean 'server.py'?"),
    ("[hosts.a]\nrun = 'json -q'\n", 2, "no program 'json' in FOLDER/; a module runs as '-m json'"),
    ("[hosts.a]\nrun = '-m'\n", 2, "run needs a command line, as 'server.py --port 8080' or '-m http.server 80'"),
    ("[hosts.a]\naddress = '10.0.0.256'\n", 2, "address: '10.0.0.256' is not an IPv4 or IPv6 address"),
    ("[hosts.a]\nrestart = 'allways'\n", 2, "restart: must be one of never, on-failure, always, not 'allways'"),
    ("[hosts.a]\nrestart = 'allways'\n", 2, "; did you mean 'always'?"),
    ("[hosts.a]\nstrat = 1\n", 2, "unknown key 'strat'; did you mean 'start'?"),
    ("[hosts.a]\nnetwork = 'lan'\n", 2, "unknown network 'lan'"),
    ("[hosts.a_b]\n", 1, "'a_b' is not a host name: letters, digits and hyphens (RFC 1123)"),
    ("[hosts.localhost]\n", 1, "the name 'localhost' is taken"),
    ("[hosts.a]\n[routers.a]\n", 2, "the name 'a' is taken"),
    ("[hosts.a]\n[routers.r]\n", 2, "a router needs at least two networks: networks = ['NAME', 'NAME']"),
    ("[hosts.a]\n[[networks]]\n", 2, "a network needs a name"),
    ("[hosts.a]\n[[networks]]\nname = 'n'\naddress = '10.0.0.0'\n", 4, "address: '10.0.0.0' needs a prefix length"),
    ("[hosts.alice]\n[[events]]\nat = '1s'\ncrash = 'alcie'\n", 4, "unknown host 'alcie'; did you mean 'alice'?"),
    ("[hosts.a]\n[[events]]\ncrash = 'a'\n", 2, "an event needs a time: at = '5s'"),
    ("[hosts.a]\n[[events]]\nat = '1s'\n", 2, "an event needs exactly one of partition, heal, crash, restart, link"),
    (
        "[hosts.a]\n[[events]]\nat = 1\nheal = true\nfor = 2\n",
        5,
        "'for' goes with partition, crash, link, pause, freeze, not with heal",
    ),
    ("[hosts.a]\n[[events]]\nat = 1\nheal = true\n[[events]]\nat = 'x'\n", 6, "at: 'x' is no duration"),
    ("[hosts.a]\n[[events]]\nat = 1\nlink = 'a'\n", 2, "a link event needs what changes, as loss = '10%'"),
    ("[hosts.a]\n[[events]]\nat = 1\ncrash = 'a'\nloss = 1\n", 5, "unknown key 'loss'"),
    ("[hosts.a]\n[[links]]\nbetween = 'a'\n", 3, "a link joins two hosts: between = ['NAME', 'NAME']"),
    ("[hosts.a]\n[[events]]\nat = 1\nheal = false\n", 4, "heal: must be true, not False"),
    ("[hosts.a]\n[[events]]\nat = 1\nheal = 1\n", 4, "heal: must be true, not 1"),
    ("[hosts.a]\n[[events]]\nat = 1\nheal = 'a'\n", 4, "heal: must be true, not 'a'"),
    ("[hosts.a]\n[[links]]\nbetween = ['a', 'a']\n", 3, "between names 'a' twice"),
    (f"{PAIR}[[links]]\nbetween = ['a', 'b']\n", 6, "there is a link between 'a' and 'b' already"),
    (f"{PAIR}[[links]]\nbetween = ['b', 'a']\n", 6, "there is a link between 'b' and 'a' already"),
    (f"{PAIR}[[events]]\nat = 1\npartition = ['a', 'a']\n", 7, "partition names 'a' twice"),
    (f"{PAIR}[[events]]\nat = 1\npartition = ['b', ['a', 'a']]\n", 7, "partition names 'a' twice"),
    (f"{PAIR}[[events]]\nat = 1\npartition = [['a', 'b'], 'a']\n", 7, "partition names 'a' twice"),
    (f"{PAIR}[[events]]\nat = 1\nlink = ['a', 'a']\nloss = 1\n", 7, "link names 'a' twice"),
    (f"{PAIR}[[events]]\nat = 1\ncrash = ['a', 'b', 'a']\n", 7, "crash names 'a' twice"),
    (f"{PAIR}[[events]]\nat = 1\nrestart = ['b', 'b']\n", 7, "restart names 'b' twice"),
    ("[[networks]]\nname = 'n'\n[routers.r]\nnetworks = ['n', 'n']\n", 4, "networks names 'n' twice"),
    ("[[networks]]\nname = 'n'\n[hosts.a]\nnetwork = ['n', 'n']\n", 4, "network names 'n' twice"),
    ("[[networks]]\nname = 'n'\n[[networks]]\nname = 'n'\n", 4, "there is a network 'n' already"),
    ("[hosts.a]\nrun = [1]\n", 2, "run: must be a text, not 1"),
    ("[world]\nseed = true\n", 2, "seed must be a number or a text, not True"),
    ("[world]\nduration = '-1s'\n[hosts.a]\n", 2, "duration: a duration cannot be negative: '-1s'"),
    ("[world]\nseed = 1\n", 1, "a world needs at least one host: add a table [hosts.NAME]"),
    ("[hosts.a]\nrun = \n", 2, "invalid value"),
    ("hosts = 3\n", 1, "hosts must be a table, not 3"),
    ("[hosts]\na = 3\n", 2, "a must be a table, not 3"),
    ("[hosts.a]\n[events]\nat = 1\n", 2, "events must be tables, each under its own [[events]]"),
]

NO_NUMBER = ["nan", "inf", "-inf", "'1e999'", "0x1" + "0" * 290, "-1", "9" * 5000, "0x" + "f" * 5000]
NUMERIC = [
    "[hosts.a]\n[world]\n{} = {}\n",
    "[hosts.a]\n[link]\n{} = {}\n",
    "[hosts.a]\n[[events]]\n{} = {}\nheal = true\n",
]


@pytest.mark.parametrize("number", NO_NUMBER, ids=lambda number: number[:8])
@pytest.mark.parametrize("key", ["quiet", "duration", *PARSERS, "at", "start"])
def test_a_number_out_of_bounds_is_a_mistake_at_its_line(folder, key, number):
    form = NUMERIC[0 if key in ("quiet", "duration") else 2 if key == "at" else 1]
    text = f"[world]\n[hosts.a]\n{key} = {number}\n" if key == "start" else form.format(key, number)
    with pytest.raises(WorldFileError) as caught:
        parse_world(text.encode(), folder / "w.toml")
    assert caught.value.line == 3
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("seed", ["nan", "inf", "9" * 5000, "-0x" + "f" * 5000])
def test_a_seed_that_cannot_be_shown_is_a_mistake(folder, seed):
    with pytest.raises(WorldFileError) as caught:
        parse_world(f"[hosts.a]\n[world]\nseed = {seed}\n".encode(), folder / "w.toml")
    assert caught.value.line == 3


def test_nesting_without_end_is_a_mistake(folder):
    with pytest.raises(WorldFileError, match="nested too deep") as caught:
        parse_world(b"[hosts.a]\nrun = " + b"[" * 50_000, folder / "w.toml")
    assert caught.value.line == 2
    with pytest.raises(WorldFileError, match="nested too deep") as caught:
        parse_world(b"[hosts.a]\nrun = 'a.py'\n" + b"x." * 20_000 + b"y = 1", folder / "w.toml")
    assert caught.value.line == 3


def test_a_file_without_end_is_a_mistake():
    with pytest.raises(WorldFileError, match="more than 16 MiB"):
        read_world(Path("/dev/zero"))


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_its_place(folder, text, line, message):
    path = folder / "world.toml"
    with pytest.raises(WorldFileError) as caught:
        parse_world(text.encode(), path)
    shown = str(caught.value)
    assert shown.startswith(f"{path}:{line}: ")
    assert message.replace("FOLDER", str(folder)) in shown
    assert "\n" not in shown


def test_what_is_not_text_is_refused(folder):
    with pytest.raises(WorldFileError, match=":2: not UTF-8"):
        parse_world(b"[hosts.a]\n# \xff\n", Path("x.toml"))


LAN = "[[networks]]\nname = 'lan'\naddress = ['192.168.1.0/24', 'fd01::/64']\n"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("0.0.0.0", "no host can have the address 0.0.0.0: it means no host"),
        ("0.1.2.3/8", "no host can have the address 0.1.2.3: it means no host"),
        ("::", "no host can have the address ::: it means no host"),
        ("127.0.0.2/8", "no host can have the address 127.0.0.2: it is every host's own"),
        ("::1", "no host can have the address ::1: it is every host's own"),
        ("224.0.0.1", "no host can have the address 224.0.0.1: it is for groups (multicast)"),
        ("ff02::1", "no host can have the address ff02::1: it is for groups (multicast)"),
        ("255.255.255.255", "no host can have the address 255.255.255.255: it is for all hosts (broadcast)"),
        ("::ffff:10.0.0.1", "no host can have the address ::ffff:10.0.0.1: it is an IPv4 address"),
        ("192.168.1.0", "no host can have the address 192.168.1.0: it is the network 192.168.1.0/24 itself"),
        ("192.168.1.255", "it is for all hosts of the network 192.168.1.0/24 (broadcast)"),
        ("10.9.0.0/16", "it is the network 10.9.0.0/16 itself"),
        ("10.9.255.255/16", "it is for all hosts of the network 10.9.0.0/16 (broadcast)"),
        ("10.9.0.1", "address 10.9.0.1 is not within network 'lan' (192.168.1.0/24, fd01::/64)"),
        ("fd09::1", "address fd09::1 is not within network 'lan' (192.168.1.0/24, fd01::/64)"),
    ],
)
def test_addresses_that_no_host_can_have(tmp_path, capsys, address, message):
    path = tmp_path / "world.toml"
    path.write_text(f"{LAN}[hosts.a]\nlatency = '1ms'\naddress = '{address}'\n")
    assert main(["run", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"catenet: {path}:6: ") and message in err
    with World() as world, pytest.raises(ValueError, match=re.escape(message)):
        world.network("lan", "192.168.1.0/24", "fd01::/64")
        world.host("a", address)


@pytest.mark.parametrize(
    "address", ["192.168.1.7", "10.9.0.1/16", "10.9.0.0/31", "10.9.0.255/16", "fd01::", "240.0.0.1"]
)
def test_addresses_that_a_host_can_have(address):
    with World() as world:
        world.network("lan", *(() if address == "240.0.0.1" else ("192.168.1.0/24", "fd01::/64")))
        world.host("a", address)
        assert format_address(world.addresses("a")[0]) == address.partition("/")[0]


def test_the_smallest_packets_that_carry_tcp(tmp_path, capsys):
    (tmp_path / "server.py").write_text(
        "import socket\nwith socket.create_server(('', 7)).accept()[0] as peer:\n    peer.sendall(bytes(1000))\n"
    )
    (tmp_path / "client.py").write_text(
        "import socket\nwith socket.create_connection(('server', 7)) as peer:\n"
        "    print(len(peer.recv(1000, socket.MSG_WAITALL)))\n"
    )
    path = tmp_path / "world.toml"
    path.write_text("[link]\nmtu = 88\n[hosts.server]\nrun = 'server.py'\n[hosts.client]\nrun = 'client.py'\n")
    assert main(["run", "-q", str(path)]) == 0
    assert capsys.readouterr().out == "client | 1000\n"
