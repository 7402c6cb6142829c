"""Throughput of one TCP connection between the kernel and a stack in user space, MTU 1500, each way."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from benchmarks import peers
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave
from benchmarks.netns import Namespace, command, join, processor_seconds, wait_until

PROGRAMS = Path(__file__).parent / "programs"
PORT = "9000"
KERNEL = "10.77.0.1"
FAR = "10.77.0.2"
SECONDS = 3.0

Far: TypeAlias = Callable[[ExitStack], "tuple[Namespace, str, list[int], list[str]]"]
"""Sets a far end up: (namespace of the client, address of the service, processes to charge, what runs the client)."""


def open_port(namespace: Namespace, port: str = PORT) -> bool:
    """Whether something listens in the namespace (kernel sockets only)."""
    return f":{port}" in command("ip", "netns", "exec", namespace.name, "ss", "-Hltn")


def answers(namespace: Namespace, address: str) -> Callable[[], bool]:
    """A condition: the service at `address` takes a connection."""
    probe = f"import socket; socket.create_connection(({address!r}, {PORT}), 1).close()"

    def connects() -> bool:
        words = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", probe]
        return subprocess.run(words, capture_output=True).returncode == 0

    return connects


def kernel(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    """The kernel at both ends of a veth pair."""
    near, far = stack.enter_context(Namespace()), stack.enter_context(Namespace())
    join(near, far)
    service = far.start(sys.executable, str(PROGRAMS / "service.py"))
    wait_until(lambda: open_port(far), "the service")
    return near, "10.78.0.2", [service.pid], [sys.executable]


def kernel_without_offload(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    """The kernel at both ends, each packet 1,500 bytes."""
    near, address, pids, runner = kernel(stack)
    if shutil.which("ethtool") is None:
        raise Unavailable("apt-get install ethtool")
    near.run("ethtool", "-K", "veth0", "tso", "off", "gso", "off", "gro", "off", "tx", "off")
    return near, address, pids, runner


def on_device(mode: str, *words: str) -> Far:
    """A stack of its own that opens the device `tap7` or `tun7` of the near namespace."""

    def far(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
        near = stack.enter_context(Namespace())
        near.tun(f"{mode}7", f"{KERNEL}/24", mode)
        service = near.start(*words)
        wait_until(answers(near, FAR), Path(words[0]).name, service)
        return near, FAR, [service.pid], [sys.executable]

    return far


def gvisor_tun(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    return on_device("tun", str(peers.built("gvisor")), "tun", "tun7", FAR, "1500", PORT)(stack)


def gvisor_packet(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    """Run gVisor on AF_PACKET with segmentation offload, as runsc's network: the far veth has no kernel address."""
    program = str(peers.built("gvisor"))
    near, far = stack.enter_context(Namespace()), stack.enter_context(Namespace())
    join(near, far)
    far.ip("addr", "flush", "dev", "veth0")
    service = far.start(program, "packet", "veth0", "10.78.0.2", "1500", PORT)
    wait_until(answers(near, "10.78.0.2"), "netstack", service)
    return near, "10.78.0.2", [service.pid], [sys.executable]


def lwip(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    return on_device("tap", str(peers.built("lwip")), "tap7", FAR, KERNEL, PORT)(stack)


def pytcp(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    python = str(peers.built("pytcp") / "bin" / "python")
    return on_device("tap", python, str(peers.HERE / "pytcp_service.py"), "tap7", f"{FAR}/24", PORT)(stack)


def outer_service(stack: ExitStack) -> tuple[Namespace, subprocess.Popen[str]]:
    """A namespace that plays the host of a user-mode network: a service on loopback, a default route to nowhere."""
    outer = stack.enter_context(Namespace())
    outer.ip("link", "add", "uplink", "type", "veth", "peer", "name", "nowhere")
    outer.ip("link", "set", "nowhere", "up")
    outer.ip("addr", "add", "10.79.0.2/24", "dev", "uplink")
    outer.ip("link", "set", "uplink", "up")
    outer.ip("route", "add", "default", "via", "10.79.0.1")
    service = outer.start(sys.executable, str(PROGRAMS / "service.py"))
    wait_until(lambda: open_port(outer), "the service")
    return outer, service


def slirp4netns(mtu: int) -> Far:
    def far(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
        program = peers.need("slirp4netns", "apt-get install slirp4netns")
        outer, service = outer_service(stack)
        inner = stack.enter_context(Namespace())
        slirp = outer.start(
            program, "--configure", f"--mtu={mtu}", "--netns-type=path", f"/run/netns/{inner.name}", "tap0"
        )
        wait_until(answers(inner, "10.0.2.2"), "slirp4netns", slirp)
        return inner, "10.0.2.2", [service.pid, slirp.pid], [sys.executable]

    return far


def pasta(mtu: int) -> Far:
    def far(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
        program = peers.need("pasta", "apt-get install passt")
        outer, service = outer_service(stack)
        inner = stack.enter_context(Namespace())
        words = ["--foreground", "--quiet", "--config-net", "--runas", "0", "--netns-only", "--mtu", str(mtu)]
        words += ["-t", "none", "-u", "none", "-T", "none", "-U", "none", "--netns", f"/run/netns/{inner.name}"]
        relay = outer.start(program, *words)
        wait_until(answers(inner, "10.79.0.1"), "pasta", relay)
        return inner, "10.79.0.1", [service.pid, relay.pid], [sys.executable]

    return far


def catenet_command(address: str, program: str, *words: str) -> list[str]:
    """The command line that runs a program on our stack behind a TUN device."""
    return [sys.executable, "-m", "catenet", "run", "--net", "tun", "--address", address, program, *words]


def catenet(stack: ExitStack, **options: object) -> tuple[Namespace, str, list[int], list[str]]:
    """The same service.py, unchanged, on our stack; `catenet run` makes the device."""
    near = stack.enter_context(Namespace())
    service = near.start(*catenet_command(f"{FAR}/24", str(PROGRAMS / "service.py")), **options)
    wait_until(answers(near, FAR), "catenet run", service)
    return near, FAR, [service.pid], [sys.executable]


def catenet_compiled(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    """The same with the hot modules compiled."""
    return catenet(stack, env={**os.environ, "PYTHONPATH": str(peers.built("compiled") / "src")})


def catenet_both(stack: ExitStack) -> tuple[Namespace, str, list[int], list[str]]:
    """Our stack at both ends, two TUN devices, the kernel forwards between them."""
    near, address, pids, _ = catenet(stack)
    return near, address, pids, catenet_command("10.80.0.2/24", "")[:-1]


FARS: dict[str, Far] = {
    "Catenet": catenet,
    "Catenet (mypyc)": catenet_compiled,
    "Catenet to Catenet": catenet_both,
    "kernel (veth)": kernel,
    "kernel (veth, no offload)": kernel_without_offload,
    "gVisor netstack (AF_PACKET, GSO)": gvisor_packet,
    "gVisor netstack (TUN)": gvisor_tun,
    "lwIP (TAP)": lwip,
    "pasta, MTU 1500": pasta(1500),
    "pasta, MTU 65520": pasta(65520),
    "slirp4netns, MTU 1500": slirp4netns(1500),
    "slirp4netns, MTU 65520": slirp4netns(65520),
    "pmd-pytcp (TAP)": pytcp,
}


@contextmanager
def far_end(far: Far) -> Iterator[tuple[Namespace, str, list[int], list[str]]]:
    """Set a far end up and take it down."""
    with ExitStack() as stack:
        yield far(stack)


def talk(
    near: Namespace,
    runner: list[str],
    address: str,
    purpose: str,
    seconds: float,
    client: str = str(PROGRAMS / "client.py"),
    *more: str,
) -> dict[str, float]:
    """Run the client once; its own figures."""
    words = ["ip", "netns", "exec", near.name, *runner, client, address, PORT, purpose, str(seconds), *more]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 40)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end of the {purpose} run within {seconds + 40:.0f} s") from None
    # Under `catenet run` other lines may stand before and after the client's own.
    for line in done.stdout.splitlines():
        if "{" in line:
            return dict(json.loads(line[line.index("{") :]))
    raise Failed(" ".join((done.stderr.strip().splitlines() or ["no figures"])[-1:]))


def measure(far: Far, seconds: float) -> Sample:
    """Both directions of one far end, and what its processes spent; NaN for a direction that came to no end."""
    sample: Sample = {}
    trouble = ""
    waiting = ["in", "out"]
    while waiting:
        # What came to no end may go on for a while: the next direction gets a far end of its own.
        with far_end(far) as (near, address, pids, runner):
            ended = True
            while waiting and ended:
                purpose = waiting.pop(0)
                before = processor_seconds(pids)
                try:
                    told = talk(near, runner, address, purpose, seconds)
                except Failed as error:
                    trouble, ended = str(error), False
                    sample[purpose] = sample[f"{purpose}_core"] = math.nan
                    continue
                spent = processor_seconds(pids) - before
                sample[purpose] = told["bytes"] * 8 / told["seconds"] / 1e6
                sample[f"{purpose}_core"] = told["bytes"] * 8 / max(spent, 0.01) / 1e6
    if all(map(math.isnan, sample.values())):
        raise Failed(trouble)
    return sample


COLUMNS = [
    Column("in", "in, Mbit/s"),
    Column("out", "out, Mbit/s"),
    Column("in_core", "in, Mbit per CPU second"),
    Column("out_core", "out, Mbit per CPU second"),
]

NOTE = """`in` is kernel client to contender, `out` contender to kernel client; CUBIC at the kernel's end. A CPU second
is one of the far end's processes (stack, service, and the kernel's work in their system calls); the client's end and
interrupts are not in it. slirp4netns and pasta end the connection in user space and open another to a service on the
host's loopback: their CPU seconds contain that service. lwIP has the window that Debian builds it with (64 KB). A
run that ends without the far end's word for what it got counts as not finished: pasta of this version loses segments at
MTU 1500 when the sender is fast, and waits for retransmission timers."""


def contenders(measurement: Callable[[Far], Sample], only: str | None) -> list[Contender]:
    """A contender for each far end whose name contains `only`."""
    chosen = [name for name in FARS if not only or only.lower() in name.lower()]
    return [Contender(name, lambda far=FARS[name]: measurement(far)) for name in chosen]  # type: ignore[misc]


def versions() -> dict[str, str]:
    """Versions of the peers."""
    return {
        "Catenet (mypyc)": peers.compiled_commit(),
        "gVisor": peers.gvisor_version(),
        "lwIP (Debian liblwip-dev)": peers.package_version("liblwip-dev"),
        "slirp4netns (Debian)": peers.package_version("slirp4netns"),
        "pasta (Debian passt)": peers.package_version("passt"),
        "pmd-pytcp": peers.PYTCP.split("==")[1],
    }


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all contenders."""
    repetitions = repetitions or (1 if quick else 3)
    seconds = 1.0 if quick else SECONDS
    rows = contenders(lambda far: measure(far, seconds), only)
    interleave(rows, repetitions)
    summary = (
        f"One TCP connection over TUN, TAP or veth at MTU 1500 (but where the name says otherwise), {seconds:.0f} s a "
        f"direction, all in network namespaces."
    )
    return Report("tun", summary, [Table("Throughput", COLUMNS, rows, NOTE, "stack")], versions(), repetitions)
