"""A foreign dissector as the oracle: it finds nothing malformed, and every checksum right, in what our stacks say."""

import json
import subprocess

import pytest

from catenet.wire import icmp, ip, multicast, nd, tcp
from catenet.wire.address import Prefix, parse_address
from catenet.wire.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from catenet.wire.tcp import TcpOptions, TcpSegment

from .test_fuzz import CAPTURES

pytestmark = pytest.mark.peer("tshark")

CHECKS = [
    argument
    for preference in (
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "ip.defragment:TRUE",
        "ipv6.defragment:TRUE",
    )
    for argument in ("-o", preference)
]
BAD = " || ".join(f"{protocol}.checksum.status == Bad" for protocol in ("ip", "tcp", "udp", "icmp", "icmpv6", "igmp"))


def tshark(path, *arguments):
    return subprocess.run(
        ["tshark", "-r", str(path), "--disable-protocol", "dns", *CHECKS, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def write(path, packets, linktype=LINKTYPE_RAW):
    with path.open("wb") as file:
        writer = PcapngWriter(file)
        writer.add_interface("alice/eth0", linktype)
        for number, packet in enumerate(packets):
            writer.write(0, number / 1000, packet, comment="first" if number == 0 else "")


@pytest.mark.parametrize(("version", "on_ethernet"), list(CAPTURES))
def test_nothing_malformed_and_no_wrong_checksum(tmp_path, version, on_ethernet):
    path = tmp_path / "capture.pcapng"
    packets = CAPTURES[version, on_ethernet]
    write(path, packets, LINKTYPE_ETHERNET if on_ethernet else LINKTYPE_RAW)
    assert len(tshark(path).splitlines()) == len(packets)
    assert tshark(path, "-Y", "_ws.malformed") == ""
    assert tshark(path, "-Y", BAD) == ""
    assert tshark(path, "-Y", "udp.length == 4008") != "", "fragments are put together"
    first = json.loads(tshark(path, "-T", "json", "-c", "1"))[0]["_source"]["layers"]
    assert first["frame"]["frame.interface_id_tree"]["frame.interface_name"] == "alice/eth0"


def option_segments():
    for options in (
        TcpOptions(mss=1460, window_scale=7, sack_permitted=True, timestamps=(1, 0)),
        TcpOptions(mss=1460, window_scale=7, sack_permitted=True, accecn=(1, (1, 0, 1))),
        TcpOptions(timestamps=(5, 6), sack=((1, 2), (3, 4), (5, 6))),
        TcpOptions(fast_open=b"cookie00", mss=1460),
        TcpOptions(fast_open=b""),
        TcpOptions(fast_open=b"cookie", fast_open_experimental=True),
        TcpOptions(user_timeout=0x8001),
        TcpOptions(md5=bytes(16)),
        TcpOptions(ao=bytes(14)),
    ):
        yield TcpSegment(1, 2, 3, 4, tcp.SYN, 5, 0, options, b"")


def test_all_tcp_options_are_understood(tmp_path):
    path = tmp_path / "options.pcapng"
    a, b = parse_address("10.0.0.1"), parse_address("10.0.0.2")
    segments = list(option_segments())
    write(path, [ip.build(ip.IpPacket(a, b, 6, tcp.build(segment, a, b))) for segment in segments])
    assert tshark(path, "-Y", '_ws.malformed || _ws.expert.severity == "Error" || ' + BAD) == ""
    kinds = tshark(path, "-T", "fields", "-e", "tcp.option_kind").splitlines()
    seen = {int(kind) for line in kinds for kind in line.split(",")}
    assert seen >= {1, 2, 3, 4, 5, 8, 19, 28, 29, 34, 174, 254}


def test_neighbour_discovery_and_membership_are_understood(tmp_path):
    path = tmp_path / "control.pcapng"
    a, everyone = parse_address("fe80::1"), parse_address("ff02::1")
    group, source = parse_address("ff05::5"), parse_address("2001:db8::7")
    link = nd.LinkAddress(1, b"\x02\0\0\0\0\x01")
    prefix = nd.PrefixInformation(parse_address("2001:db8::"), 64, True, True, 3600, 1800)
    options = (
        link,
        prefix,
        nd.Mtu(1400),
        nd.RouteInformation(Prefix.parse("2001:db8:5::/48"), 1, 600),
        nd.DnsServers(60, (source,)),
        nd.DnsSearch(60, (b"\7example\0",)),
    )
    messages = [
        nd.build(nd.RouterSolicitation((link,))),
        nd.build(nd.RouterAdvertisement(64, True, True, 1, 1800, 1000, 1000, options)),
        nd.build(nd.NeighborSolicitation(a, (link, nd.Nonce(b"nonce6")))),
        nd.build(nd.NeighborAdvertisement(a, True, True, True, (nd.LinkAddress(2, link.address),))),
        nd.build(nd.Redirect(a, source, (nd.RedirectedHeader(bytes(48)),))),
        multicast.build_mld(multicast.Query(group, 1.5, sources=(source,))),
        multicast.build_mld(multicast.Report((multicast.GroupRecord(6, group, (source,)),))),
        multicast.build_mld(multicast.Membership(group)),
        multicast.build_mld(multicast.Leave(group)),
    ]
    packets = [ip.build(ip.IpPacket(a, everyone, 58, icmp.build(each, a, everyone), 255)) for each in messages]
    four, group4 = parse_address("10.0.0.1"), parse_address("239.1.1.1")
    messages4 = (
        multicast.Query(group4, 1.5, sources=(four,)),
        multicast.Report((multicast.GroupRecord(2, group4, (four,)),)),
        multicast.Membership(group4),
        multicast.Leave(group4),
    )
    packets += [ip.build(ip.IpPacket(four, group4, 2, multicast.build_igmp(each), 1)) for each in messages4]
    write(path, packets)
    assert tshark(path, "-Y", "_ws.malformed || " + BAD) == ""
    types = tshark(path, "-T", "fields", "-e", "icmpv6.type", "-e", "igmp.type").split()
    assert types == ["133", "134", "135", "136", "137", "130", "143", "131", "132", "0x11", "0x22", "0x16", "0x17"]
    assert tshark(path, "-Y", "icmpv6.mld.maximum_response_code == 1500 || igmp.max_resp == 15").count("\n") == 2


def test_the_oracle_would_see_a_wrong_checksum(tmp_path):
    """Without this the tests above would pass on a tshark that checks nothing."""
    path = tmp_path / "wrong.pcapng"
    a, b = parse_address("10.0.0.1"), parse_address("10.0.0.2")
    raw = tcp.build(TcpSegment(1, 2, 3, payload=b"payload"), a, b)
    write(path, [ip.build(ip.IpPacket(a, b, 6, raw[:-1] + b"!"))])
    assert tshark(path, "-Y", BAD) != ""
