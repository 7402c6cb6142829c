"""Programs on Catenet's stack behind a TUN device, against the kernel's stack and real peers."""

import hashlib
import json
import signal
import sys

import pytest

pytestmark = pytest.mark.slow(40)

CATENET = [sys.executable, "-m", "catenet"]
ADDRESSES = ["--address", "10.9.0.2/24", "--address", "fd09::2/64"]
HOSTS = pytest.mark.parametrize("host", ["10.9.0.2", "[fd09::2]"])

WEB_SERVER = """
import hashlib
from aiohttp import web

async def download(request):
    left = int(request.query["size"])
    response = web.StreamResponse()
    response.content_length = left
    await response.prepare(request)
    block = bytes(range(256)) * 256
    while left:
        await response.write(block[:left])
        left -= min(left, len(block))
    return response

async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_chunked(65536):
        digest.update(chunk)
        size += len(chunk)
    return web.Response(text=f"{size} {digest.hexdigest()}")

async def ready(app):
    print("ready", flush=True)

app = web.Application(client_max_size=1 << 40)
app.add_routes([web.get("/", download), web.post("/", upload)])
app.on_startup.append(ready)
web.run_app(app, port=8080, print=None)
"""


@pytest.fixture
def serve(namespace, tmp_path):
    """Start a program on a TUN device in the namespace; returns it when it has said that it is ready."""

    def start(text, *options):
        (tmp_path / "program.py").write_text(text)
        child = namespace.start(*CATENET, "run", "--net", "tun", *ADDRESSES, *options, tmp_path / "program.py")
        line = child.stdout.readline()
        assert line == "host  | ready\n", line + child.stdout.read()
        return child

    return start


@pytest.mark.root
@pytest.mark.peer("curl")
@HOSTS
def test_curl_moves_100_mb_both_ways_to_an_unmodified_aiohttp_server(serve, namespace, tmp_path, host):
    size = 100_000_000
    child = serve(WEB_SERVER, "--json", tmp_path / "figures.json", "--pcap", tmp_path / "packets.pcapng")
    block = bytes(range(256)) * 256
    whole = (block * (size // len(block) + 1))[:size]
    namespace.run("curl", "-sSf", "-m", "60", "-o", tmp_path / "down", f"http://{host}:8080/?size={size}", timeout=70)
    assert hashlib.sha256((tmp_path / "down").read_bytes()).digest() == hashlib.sha256(whole).digest()
    said = namespace.run(
        "curl", "-sSf", "-m", "60", "-H", "Expect:", "--data-binary", f"@{tmp_path / 'down'}", f"http://{host}:8080/",
        timeout=70,
    )  # fmt: skip
    assert said.stdout == f"{size} {hashlib.sha256(whole).hexdigest()}"
    child.send_signal(signal.SIGINT)
    assert child.wait(15) == 130
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["hosts"]["host"]["bytes_sent"] > size
    assert figures["hosts"]["host"]["bytes_received"] > size
    assert (tmp_path / "packets.pcapng").stat().st_size > 2 * size
    assert figures["processes"][0]["end"] == "stopped"


IDLE = "import time\nprint('ready', flush=True)\nwhile True:\n    time.sleep(1)\n"

PING = """
import socket, sys
family, protocol, address, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with socket.socket(family, socket.SOCK_DGRAM, protocol) as user:
    user.settimeout(60)
    for size in (0, 1, 1400, 4000, 30000):
        data = bytes((kind, 0, 0, 0, 0, 0, 0, size & 255)) + bytes(range(256)) * (size // 256) + bytes(size % 256)
        user.sendto(data, (address, 0))
        answer = user.recv(65535)
        assert answer[8:] == data[8:], size
print("all answered")
"""


@pytest.mark.root
@pytest.mark.parametrize("family", [(2, 1, "10.9.0.2", 8), (10, 58, "fd09::2", 128)])
def test_the_kernel_s_pings_are_answered_whole_and_in_fragments(serve, namespace, family):
    serve(IDLE)
    namespace.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647", check=False)
    assert namespace.run(sys.executable, "-c", PING, *map(str, family)).stdout == "all answered\n"


@pytest.mark.root
@pytest.mark.peer("ping")
@pytest.mark.parametrize("address", ["10.9.0.2", "fd09::2"])
@pytest.mark.parametrize("size", ["0", "56", "1472", "1473", "65507"])
def test_ping_is_answered(serve, namespace, address, size):
    serve(IDLE)
    # One at a time: after a first answer ping waits for the next no longer than twice as long as for that one.
    for _ in range(2):
        said = namespace.run("ping", "-c", "1", "-W", "10", "-s", size, address, check=False)
        assert " 0% packet loss" in said.stdout, said.stdout + said.stderr


CLIENT = """
import socket, sys
print("ready", flush=True)
with socket.create_connection((sys.argv[1], 7002), timeout=20) as peer:
    peer.sendall(b"x" * 1_000_000)
    peer.shutdown(socket.SHUT_WR)
    size = 0
    while data := peer.recv(65536):
        size += len(data)
print("echoed", size)
"""

ECHO = """
import socket
with socket.create_server(("::", 7002), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    print("ready", flush=True)
    with listener.accept()[0] as peer:
        kept = []
        while data := peer.recv(65536):
            kept.append(data)
        peer.sendall(b"".join(kept))
"""


@pytest.mark.root
@pytest.mark.parametrize("address", ["10.9.0.1", "fd09::1"])
def test_a_client_reaches_a_server_of_the_kernel(namespace, tmp_path, address):
    (tmp_path / "client.py").write_text(CLIENT)
    server = namespace.start(sys.executable, "-c", ECHO)
    assert server.stdout.readline() == "ready\n"
    done = namespace.run(*CATENET, "run", "--net", "tun", *ADDRESSES, tmp_path / "client.py", address)
    assert "host  | echoed 1000000\n" in done.stdout


@pytest.mark.root
def test_without_the_privilege_there_is_one_line_that_says_how_to_get_it(namespace):
    code = (
        "import os, sys, catenet.cli.run, catenet.world.engine.tun_driver; os.setresgid(65534, 65534, 65534); "
        "os.setresuid(65534, 65534, 65534); from catenet.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["run", "--net", "tun", *ADDRESSES, "-m", "this"]
    done = namespace.run(sys.executable, "-c", code, *words, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("catenet: a TUN device needs the privilege CAP_NET_ADMIN: run as root (sudo), ")
    assert done.stderr.count("\n") == 1


@pytest.mark.root
@pytest.mark.peer("setpriv")
def test_a_device_made_for_a_user_needs_no_privilege(namespace):
    """As the message about the missing privilege advises: made, addressed and set up once by who has it."""
    namespace.run("ip", "tuntap", "add", "dev", "ours", "mode", "tun", "user", "0")
    namespace.run("ip", "addr", "add", "10.9.0.1/24", "dev", "ours")
    namespace.run("ip", "link", "set", "ours", "up")
    words = ["run", "--net", "tun", "--device", "ours", "--address", "10.9.0.2/24", "-m", "this"]
    without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    done = namespace.run(*without, *CATENET, *words, check=False)
    assert done.returncode == 0, done.stderr
    assert "host  | Beautiful is better than ugly." in done.stdout
    other = namespace.run(*without, *CATENET, *words[:3], *words[5:], check=False)
    assert (other.returncode, "CAP_NET_ADMIN" in other.stderr) == (2, True)


MANY = """
import selectors, socket
selector = selectors.DefaultSelector()
with socket.create_server(("::", 7003), family=socket.AF_INET6, backlog=200, dualstack_ipv6=True) as listener:
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                peer, _ = listener.accept()
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_WRITE)
                continue
            try:
                key.fileobj.send(bytes(65536))
            except ConnectionError:
                selector.unregister(key.fileobj)
                key.fileobj.close()
"""

TAKE = """
import selectors, socket, sys
selector, left = selectors.DefaultSelector(), {}
for _ in range(100):
    peer = socket.create_connection((sys.argv[1], 7003), timeout=20)
    selector.register(peer, selectors.EVENT_READ)
    left[peer] = 2_000_000
while left:
    ready = selector.select(60)
    assert ready, "connections starve"
    for key, _ in ready:
        left[key.fileobj] -= len(key.fileobj.recv(262144))
        if left[key.fileobj] <= 0:
            selector.unregister(key.fileobj)
            del left[key.fileobj]
print("all have theirs")
"""


@pytest.mark.root
@pytest.mark.parametrize("address", ["10.9.0.2", "fd09::2"])
def test_a_hundred_connections_lose_no_acknowledgement_in_the_device_s_queue(serve, namespace, tmp_path, address):
    child = serve(MANY, "--json", tmp_path / "figures.json")
    assert namespace.run(sys.executable, "-c", TAKE, address).stdout == "all have theirs\n"
    child.send_signal(signal.SIGINT)
    assert child.wait(15) == 130
    assert json.loads((tmp_path / "figures.json").read_text())["hosts"]["host"]["drops"] == {}


FLOOD = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user:
    for _ in range(20_000):
        user.sendto(bytes(10), ("10.9.0.2", 9))
"""


@pytest.mark.root
def test_what_the_device_s_queue_lost_is_in_the_report(serve, namespace, tmp_path):
    child = serve(IDLE, "--json", tmp_path / "figures.json")
    namespace.run("ip", "link", "set", "catenet0", "txqueuelen", "4")
    child.send_signal(signal.SIGSTOP)
    namespace.run(sys.executable, "-c", FLOOD)
    child.send_signal(signal.SIGCONT)
    child.send_signal(signal.SIGINT)
    assert child.wait(15) == 130
    host = json.loads((tmp_path / "figures.json").read_text())["hosts"]["host"]
    assert host["drops"]["device queue full"] > 19_000
    assert host["packets_dropped"] == sum(host["drops"].values())


NAMES = """
import socket
for name in ("www.example", "www"):
    try:
        print(sorted({entry[4][0] for entry in socket.getaddrinfo(name, 80)}))
    except OSError as error:
        print(error)
print(open("/etc/resolv.conf").read().split())
"""


@pytest.mark.root
@pytest.mark.peer("dnsmasq")
@pytest.mark.parametrize("host", ["10.9.0.1", "fd09::1"])
def test_names_are_asked_of_the_server_that_is_given(namespace, tmp_path, host):
    (tmp_path / "program.py").write_text(NAMES)
    words = ["dnsmasq", "-k", "--no-resolv", "--no-hosts", "--pid-file", "--conf-file=/dev/null", "--local=/www/"]
    namespace.start(*words, "--address=/www.example/192.0.2.1", "--address=/www.example/2001:db8::1")
    done = namespace.run(*CATENET, "run", "--net", "tun", *ADDRESSES, "--dns", host, tmp_path / "program.py")
    lines = [line.removeprefix("host  | ") for line in done.stdout.splitlines() if line.startswith("host  |")]
    assert lines == [
        "['192.0.2.1', '2001:db8::1']",
        "[Errno -2] Name or service not known",
        f"['nameserver', '{host}']",
    ]


@pytest.mark.root
def test_a_name_server_that_is_none_is_one_line(namespace, tmp_path):
    (tmp_path / "program.py").write_text(NAMES)
    for options, message in (
        (["--dns", "ns.example"], "'ns.example' is not an IPv4 or IPv6 address"),
        (["--dns", "10.9.0.1"] * 4, "a host asks up to 3 name servers (resolv.conf(5)), not 4"),
    ):
        done = namespace.run(
            *CATENET, "run", "--net", "tun", *ADDRESSES, *options, tmp_path / "program.py", check=False
        )
        assert (done.returncode, done.stderr) == (2, f"catenet: {message}\n")
    done = namespace.run(*CATENET, "run", "--dns", "10.9.0.1", tmp_path / "program.py", check=False)
    assert (done.returncode, done.stderr) == (2, "catenet: --dns goes with --net tun\n")
