import json
import socket
import subprocess
import sys
import textwrap

import pytest

from catenet.link import netlink
from catenet.wire.address import LOOPBACK


def in_namespace(namespace, code, check=True):
    """Run Python in the namespace and return what it printed."""
    done = namespace.run(sys.executable, "-c", textwrap.dedent(code), check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="needs Linux")
def test_the_loopback_interface_is_listed():
    loopback = next(one for one in netlink.interfaces() if one.name == "lo")
    assert loopback.mtu >= 16384
    assert LOOPBACK[4] in [address.address for address in loopback.addresses]


@pytest.mark.root
def test_the_kernel_s_end_is_configured_without_the_ip_command(namespace):
    shown = in_namespace(
        namespace,
        """
        import subprocess
        from catenet.link.netlink import interfaces
        from catenet.link.tun import TunDevice
        from catenet.wire.address import parse_interface, format_address
        device = TunDevice("cat0", mtu=1400)
        device.configure([parse_interface("10.9.0.1/24"), parse_interface("fd09::1/64")])
        print(subprocess.check_output(["ip", "-j", "addr", "show", "dev", "cat0"], text=True).strip())
        ours = next(one for one in interfaces() if one.name == "cat0")
        print(ours.mtu, [f"{format_address(a.address)}/{a.prefix_length}" for a in ours.addresses][:2])
        """,
    )
    first, second = shown.strip().splitlines()
    [link] = json.loads(first)
    assert link["mtu"] == 1400
    assert "UP" in link["flags"]
    assert [(a["local"], a["prefixlen"]) for a in link["addr_info"]][:2] == [("10.9.0.1", 24), ("fd09::1", 64)]
    assert second == "1400 ['10.9.0.1/24', 'fd09::1/64']"


@pytest.mark.root
@pytest.mark.parametrize(("before", "after"), [(500, 10_000), (20_000, 20_000)])
def test_a_short_queue_is_lengthened_and_a_long_one_left(namespace, before, after):
    namespace.run("ip", "tuntap", "add", "dev", "cat0", "mode", "tun")
    namespace.run("ip", "link", "set", "cat0", "txqueuelen", str(before))
    code = "from catenet.link.tun import TunDevice; TunDevice('cat0').configure([])"
    in_namespace(namespace, code)
    [link] = json.loads(namespace.run("ip", "-j", "link", "show", "cat0").stdout)
    assert link["txqlen"] == after


@pytest.mark.root
def test_packets_of_the_kernel_arrive_and_ours_go_out(namespace):
    """A UDP datagram from the kernel comes up; with addresses and ports exchanged the kernel takes it."""
    shown = in_namespace(
        namespace,
        """
        import select, socket
        from catenet.link.tun import TunDevice
        from catenet.wire.address import parse_interface
        device = TunDevice("cat%d")
        device.configure([parse_interface("10.9.0.1/24")])
        got = []
        device.attach(lambda packet, now: got.append((packet, now)))
        user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        user.settimeout(60)
        user.sendto(b"marco", ("10.9.0.2", 7))
        udp = []
        while not udp:
            assert select.select([device], [], [], 60)[0]
            device.read(1.5)
            udp = [packet for packet, now in got if packet[0] == 0x45 and packet[9] == 17]
        p = udp[0]
        # Exchanging addresses and ports leaves both checksums right.
        device.send(p[:12] + p[16:20] + p[12:16] + p[22:24] + p[20:22] + p[24:], 2.0)
        print(user.recvfrom(100), got[0][1], device.name)
        """,
    )
    assert shown.strip() == "(b'marco', ('10.9.0.2', 7)) 1.5 cat0"


@pytest.mark.root
def test_a_device_in_use_and_a_missing_privilege_are_one_line(namespace):
    shown = in_namespace(
        namespace,
        """
        import os
        from catenet.link.tun import DeviceUnavailable, TunDevice
        first = TunDevice("cat0")
        try:
            TunDevice("cat0")
        except DeviceUnavailable as error:
            print(error)
        os.setresuid(65534, 65534, 65534)
        try:
            TunDevice("cat1")
        except DeviceUnavailable as error:
            print(error)
        """,
    )
    busy, denied = shown.strip().splitlines()
    assert "cat0 is in use by another program" in busy
    assert "CAP_NET_ADMIN" in denied
    assert "sudo setcap cap_net_admin+ep" in denied


@pytest.mark.root
def test_a_persistent_device_is_attached_to(namespace):
    namespace.run("ip", "tuntap", "add", "dev", "keep0", "mode", "tun")
    assert (
        in_namespace(namespace, "from catenet.link.tun import TunDevice; print(TunDevice('keep0').name)") == "keep0\n"
    )
    assert "keep0" in namespace.run("ip", "link").stdout


def test_no_test_leaves_a_device_outside_its_namespace():
    assert not [one.name for one in netlink.interfaces() if one.name.startswith("cat")]
    assert subprocess.run([sys.executable, "-c", "import catenet.link.tun"], check=True, timeout=30).returncode == 0


@pytest.mark.root
def test_with_offload_the_kernel_hands_over_tcp_in_one_piece(namespace):
    """A peer made of bare segments accepts a connection of the kernel's TCP, which then sends 20 KB as one packet."""
    shown = in_namespace(
        namespace,
        """
        import os, select, socket, struct, threading
        from catenet.link.tun import TunDevice
        from catenet.wire import ip, tcp
        from catenet.wire.address import parse_interface
        from catenet.wire.checksum import pseudo_sum
        from catenet.wire.offload import as_gso

        device = TunDevice("cat0", offload=True)
        device.configure([parse_interface("10.9.0.1/24")])
        got = []
        device.attach(lambda packet, now: got.append(bytes(packet)))

        def next_segment():
            while True:
                while got:
                    packet = ip.parse(got.pop(0))
                    if packet.protocol == 6:
                        return packet, tcp.parse(packet.payload, packet.source, packet.destination, verify=False)
                assert select.select([device], [], [], 60)[0]
                device.read(0.0)

        def answer(packet, seq, ack, flags, payload=b"", mss=0, options=b""):
            sums = pseudo_sum(packet.destination, packet.source, 6)
            data = tcp.pack(sums, 7, client, seq, ack, flags, 65535, 0, options, payload)
            data = data[:16] + ((sums + len(data)) % 65535).to_bytes(2, "big") + data[18:]
            whole = ip.pack(packet.destination, packet.source, 6, data, 64, 0, 1, True)
            device.send(as_gso(whole, mss) if mss else whole, 0.0)

        user = socket.socket()
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        user.settimeout(60)
        caller = threading.Thread(target=user.connect, args=(("10.9.0.2", 7),))
        caller.start()
        packet, syn = next_segment()
        client = syn.source_port
        answer(packet, 100, syn.seq + 1, tcp.SYN | tcp.ACK, options=bytes((2, 4, 1460 >> 8, 1460 & 255)))
        caller.join()
        user.sendall(bytes(14600))
        sizes, total = [], 0
        while total < 14600:
            packet, segment = next_segment()
            total += len(segment.payload)
            sizes.append(len(segment.payload))
        answer(packet, 101, segment.seq + len(segment.payload), tcp.ACK | tcp.PSH, b"x" * 20000, mss=1000)
        received = b""
        while len(received) < 20000:
            received += user.recv(65536)
        print(max(sizes) > 1460, received == b"x" * 20000, device.dropped)
        """,
    )
    assert shown.strip() == "True True 0"
