"""Beside the programs that others use: tftpd-hpa, atftpd, dnsmasq, tftp, atftp, curl, and a boot by iPXE."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from tests.peers import UNPACKED, environment, program, tool

from catenet.cli import main

pytestmark = [pytest.mark.peer, pytest.mark.slow(30)]

DATA = os.urandom(1_500_000)
TEXT = b"one\ntwo\rthree\r\nfour"
CATENET = [sys.executable, "-m", "catenet"]
LIMIT = 120


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    tmp_path.chmod(0o755)
    root.chmod(0o777)
    (root / "file").write_bytes(DATA)
    (root / "text").write_bytes(TEXT)
    for name in ("file", "text"):
        (root / name).chmod(0o666)
    return root


@contextlib.contextmanager
def ours(folder, *words, listen="tftp://127.0.0.1:0", prefix=()):
    command = [*prefix, *CATENET, "serve", "tftp", str(folder), "--listen", listen, *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert line.startswith("serving tftp on "), line + process.stderr.read()
        yield line.split()[-1], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# Their clients, our server.


@pytest.mark.parametrize("words", [(), ("--single-port",)])
def test_tftp_hpa(folder, tmp_path, words):
    tftp = tool("tftp")
    with ours(folder, "--upload", *words) as (url, _):
        port = url.rpartition(":")[2]
        for name, mode in (("file", "octet"), ("text", "netascii")):
            for way in (["get", name, "got"], ["put", "got", f"{name}2"]):
                command = [tftp, "-m", mode, "127.0.0.1", port, "-c", *way]
                subprocess.run(command, cwd=tmp_path, env=environment(), timeout=LIMIT, check=True)
            assert (folder / f"{name}2").read_bytes() == (folder / name).read_bytes()
        assert (tmp_path / "got").read_bytes() == TEXT


@pytest.mark.parametrize(
    "options", [(), ("blksize 1468", "windowsize 32"), ("blksize 8192", "windowsize 8", "tsize 0"), ("timeout 2",)]
)
def test_atftp(folder, tmp_path, options):
    atftp = tool("atftp")
    asked = [word for option in options for word in ("--option", option)]
    with ours(folder, "--upload") as (url, _):
        port = url.rpartition(":")[2]
        for way in (["-g", "-r", "file", "-l", "got"], ["-p", "-r", "file2", "-l", "got"]):
            command = [atftp, *asked, *way, "127.0.0.1", port]
            subprocess.run(command, cwd=tmp_path, env=environment(), timeout=LIMIT, check=True, capture_output=True)
    assert (folder / "file2").read_bytes() == (tmp_path / "got").read_bytes() == DATA


@pytest.mark.parametrize("options", [[], ["--tftp-no-options"], ["--tftp-blksize", "8192"]])
def test_curl(folder, tmp_path, options):
    curl = tool("curl")
    with ours(folder, "--upload") as (url, _):
        subprocess.run([curl, "-sS", *options, f"{url}/file", "-o", "got"], cwd=tmp_path, timeout=LIMIT, check=True)
        subprocess.run([curl, "-sS", *options, "-T", "got", f"{url}/file2"], cwd=tmp_path, timeout=LIMIT, check=True)
    assert (folder / "file2").read_bytes() == DATA


# Their servers, our client.


def in_tftpd(folder, port):
    options = ["-L", "-4", "-a", f"127.0.0.1:{port}", "-u", "root", "-c", "-s"]
    return [tool("in.tftpd"), *options, str(folder)]


def atftpd(folder, port):
    options = ["--daemon", "--no-fork", "--port", str(port), "--bind-address", "127.0.0.1", "--user", "root.root"]
    return [tool("atftpd"), *options, "--logfile", "-", str(folder)]


@contextlib.contextmanager
def theirs(command, port):
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while main(["get", "-s", f"tftp://127.0.0.1:{port}/none"]) == 7:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        yield f"tftp://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


PLAIN = ["--tftp-no-options"]
WINDOWS = ["--tftp-blksize", "1468", "--tftp-windowsize", "32"]
LARGE = ["--tftp-blksize", "65464", "--tftp-windowsize", "1", "--tftp-timeout", "3"]


@pytest.mark.root
@pytest.mark.parametrize("server", [in_tftpd, atftpd])
def test_their_servers(folder, tmp_path, server):
    port = free_port()
    with theirs(server(folder, port), port) as url:
        for options in ([], PLAIN, WINDOWS, LARGE):
            assert main(["get", "-s", f"{url}/file", "-o", str(tmp_path / "got"), *options]) == 0
            assert (tmp_path / "got").read_bytes() == DATA
            assert main(["put", "-s", str(tmp_path / "got"), f"{url}/file", *options]) == 0
            assert (folder / "file").read_bytes() == DATA
        assert main(["get", "-s", f"{url}/text;mode=netascii", "-o", str(tmp_path / "got")]) == 0
        assert (tmp_path / "got").read_bytes() == TEXT
        assert main(["get", "-s", f"{url}/none"]) == 68


@pytest.mark.root
def test_dnsmasq(folder, tmp_path, namespace):
    command = [
        "--keep-in-foreground",
        "--port=0",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--log-facility=-",
    ]
    words = ["--enable-tftp", f"--tftp-root={folder}", "--listen-address=127.0.0.1", "--bind-interfaces"]
    namespace.start(tool("dnsmasq"), *command, *words, stdout=subprocess.DEVNULL)
    for options in ([], PLAIN, WINDOWS):
        got = tmp_path / "got"
        for _ in range(100):
            done = namespace.run(
                *CATENET, "get", "tftp://127.0.0.1/file", "-s", "-o", str(got), *options, check=False, timeout=LIMIT
            )
            if done.returncode != 7:
                break
            time.sleep(0.05)
        assert done.returncode == 0 and got.read_bytes() == DATA
    done = namespace.run(*CATENET, "get", "tftp://127.0.0.1/none", check=False)
    assert done.returncode == 68


# A boot.

SCRIPT = "#!ipxe\nimgfetch --name second {base}second.bin\nchain {base}end.ipxe\n"
BOOTED = "get end.ipxe 7 bytes"


def qemu(*network):
    shared = UNPACKED / "usr" / "share"
    if program("qemu-system-x86_64") is None or not (UNPACKED / "usr/lib/ipxe/qemu").exists():
        pytest.skip("needs the qemu-system-x86_64 command, and ipxe-qemu")
    folders = [shared / "qemu", shared / "seabios", UNPACKED / "usr/lib/ipxe/qemu"]
    return [
        tool("qemu-system-x86_64"), "-accel", "tcg", "-m", "128", "-nodefaults", "-display", "none", "-no-reboot",
        *[word for folder in folders for word in ("-L", str(folder))], "-boot", "n",
        "-device", "virtio-net-pci,netdev=n", "-netdev", ",".join(network),
    ]  # fmt: skip


def boot_folder(folder, base):
    (folder / "boot.ipxe").write_text(SCRIPT.format(base=base))
    (folder / "second.bin").write_bytes(DATA)
    (folder / "end.ipxe").write_text("#!ipxe\n")


def await_boot(machine, server):
    """The guest has fetched a script, and what that names; then it has nothing more to do."""
    try:
        said = []
        for line in server.stderr:
            said.append(line)
            if BOOTED in line:
                break
        assert any(f"get second.bin {len(DATA)} bytes" in line for line in said), said
    finally:
        machine.terminate()  # `timeout` hands it on; killed, it would leave the guest
        machine.wait()


def test_ipxe_boots_behind_a_nat(folder):
    """The guest's network is a NAT in qemu: transfers use one port."""
    with ours(folder, "--single-port") as (url, server):
        port = url.rpartition(":")[2]
        base = f"tftp://10.0.2.2:{port}/"
        boot_folder(folder, base)
        command = ["timeout", str(LIMIT), *qemu("user", "id=n", f"bootfile={base}boot.ipxe")]
        await_boot(subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL), server)


@pytest.mark.root
def test_ipxe_boots_as_dhcp_says(folder, namespace):
    """DHCP of dnsmasq names server and file, the well-known port is asked, transfers have ports of their own."""
    boot_folder(folder, "")
    namespace.run("ip", "tuntap", "add", "tap0", "mode", "tap")
    namespace.run("ip", "address", "add", "10.79.0.1/24", "dev", "tap0")
    namespace.run("ip", "link", "set", "tap0", "up")
    command = ["--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--pid-file=", "--user=root"]
    words = ["--dhcp-range=10.79.0.10,10.79.0.20", "--dhcp-boot=boot.ipxe,,10.79.0.1", "--interface=tap0"]
    leases = [f"--dhcp-leasefile={folder.parent}/leases", "--dhcp-authoritative", "--no-ping"]
    namespace.start(tool("dnsmasq"), *command, *words, *leases, stdout=subprocess.DEVNULL)
    with ours(folder, listen="tftp://10.79.0.1:69", prefix=namespace.command([])) as (_, server):
        machine = namespace.start(
            "timeout", str(LIMIT), *qemu("tap", "id=n", "ifname=tap0", "script=no", "downscript=no"),
            env=environment(), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        await_boot(machine, server)
