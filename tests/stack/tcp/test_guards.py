"""Every state in which a connection expects nothing, one by one: the fast paths decline and touch nothing."""

from __future__ import annotations

from collections import deque

import pytest
from tests.stack.tcp.tcpnet import Net
from tests.stack.tcp.test_expected import provoke, talk
from tests.stack.tcp.test_predict import plain

from catenet.control import make
from catenet.control.states import CA_CWR, CA_DISORDER, CA_LOSS, CA_RECOVERY
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.accecn import AccEcn
from catenet.stack.tcp.fastpath.bulk_send import header_for_run
from catenet.stack.tcp.fastpath.receive import try_fast_receive
from catenet.stack.tcp.receiving.memory import ReceiveMemory
from catenet.stack.tcp.receiving.reassembly import Reassembly
from catenet.stack.tcp.sending.header import header_of
from catenet.stack.tcp.sending.mtu import MtuProbing
from catenet.stack.tcp.user.tx_timestamps import TxTimestamps

VERSIONS = (4, 6)

ANY = {
    "closing": lambda c: setattr(c, "state", states.CLOSE_WAIT),
    "finishing": lambda c: setattr(c, "state", states.FIN_WAIT_1),
    "disorder": lambda c: setattr(c, "ca_state", CA_DISORDER),
    "reduction": lambda c: setattr(c, "ca_state", CA_CWR),
    "recovery": lambda c: setattr(c, "ca_state", CA_RECOVERY),
    "loss": lambda c: setattr(c, "ca_state", CA_LOSS),
    "marks": lambda c: setattr(c, "ecn", 1),
    "accurate marks": lambda c: setattr(c, "accecn", AccEcn()),
    "no timestamps": lambda c: setattr(c, "timestamps", False),
    "nobody to read": lambda c: setattr(c, "endpoint", None),
    "holes": lambda c: setattr(c, "reassembly", Reassembly()),
    "probing": lambda c: setattr(c, "mtu_probing", MtuProbing(c)),
    "a loss probe": lambda c: setattr(c, "tlp_high_seq", c.snd_nxt),
    "stamps": lambda c: setattr(c, "tx_timestamps", TxTimestamps()),
    "accounting": lambda c: setattr(c, "memory", ReceiveMemory()),
    "old timestamp": lambda c: setattr(c, "ts_recent", c.ts_recent + 5000),
    "oldest timestamp": lambda c: setattr(c, "ts_recent", c.ts_recent + 0x7FFF0000 & 0xFFFFFFFF),
}
DATA = {
    "a full window": lambda c: setattr(c, "rcv_wnd", c.rcv_nxt - c.rcv_wup),
    "data that wait": lambda c: setattr(c, "write_seq", c.snd_nxt + 1),
    "other data": lambda c: setattr(c, "rcv_nxt", c.rcv_nxt + 1),
}
OUTSTANDING = {
    "no SACK": lambda c: setattr(c, "sack_ok", False),
    "SACKed": lambda c: setattr(c, "sacked_out", 1),
    "lost": lambda c: setattr(c, "lost_out", 1),
    "sent again": lambda c: setattr(c, "retransmitted_out", 1),
    "reneging": lambda c: setattr(c, "reneging", True),
    "control by rate": lambda c: setattr(c, "congestion", make("bbr")),
    "never sent": lambda c: setattr(c, "snd_nxt", c.snd_una + 10),
    "cut in two": lambda c: setattr(c.sent[0], "seq", c.snd_una - 1),
    "longer": lambda c: setattr(c.sent[0], "end", c.sent[0].end + 1),
    "marked": lambda c: setattr(c.sent[0], "marks", 2),
}
RUN = {
    "holes": ANY["holes"],
    "urgent data": lambda c: setattr(c, "urgent_mode", True),
    "accurate marks": ANY["accurate marks"],
    "marks": ANY["marks"],
    "checksums": lambda c: setattr(c.layer, "offload", False),
    "end": lambda c: setattr(c, "fin_queued", True),
    "records": lambda c: setattr(c, "record_ends", deque([c.snd_nxt + 1])),
    "stamps": ANY["stamps"],
    "accounting": ANY["accounting"],
    "cutting": lambda c: setattr(c.layer, "gso_size", 60_000),
    "no timestamps": ANY["no timestamps"],
    "Ethernet": lambda c: setattr(header_of(c), "can_send", False),
    "narrow": lambda c: setattr(header_of(c), "max_payload", c.mss - 1),
}


def expecting(version: int, kind: str):
    """Two hosts, the connection of the second, and a packet that it expects: data, an ACK or both."""
    net = Net(version)
    for stack in net.hosts:
        stack.set_offload(True)
    client, server, _ = net.pair()
    talk(net, client, server)
    provoke(net, client, server, kind)
    packets: list[bytes] = []
    net.filters[0] = lambda packet, now: packets.append(packet) or []
    net.run(0.1)
    c = server.connection
    assert c.packets_out == (kind != "data")
    assert len(packets[0]) - (52 if version == 4 else 72) == (100 if kind != "ack" else 0)
    return net, c, packets[0]


def takes(net: Net, packet: bytes) -> bool:
    return try_fast_receive(net.b.tcp, packet, net.now, False, False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["data", "ack", "both"])
def test_what_is_expected_is_taken(version, kind):
    net, _, packet = expecting(version, kind)
    assert takes(net, packet)
    assert not takes(net, packet)


@pytest.mark.parametrize(
    ("kind", "state"),
    [(kind, state) for kind in ("data", "ack", "both") for state in ANY]
    + [("data", state) for state in DATA]
    + [(kind, state) for kind in ("ack", "both") for state in OUTSTANDING],
)
def test_the_fast_path_declines_what_is_not_expected(kind, state):
    net, c, packet = expecting(4, kind)
    (ANY | DATA | OUTSTANDING)[state](c)
    before = plain(c), net.b.snapshot(), net.b.tcp.counters.snapshot()
    assert not takes(net, packet)
    assert (plain(c), net.b.snapshot(), net.b.tcp.counters.snapshot()) == before


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("state", RUN)
def test_no_run_of_segments_leaves(version, state):
    _, c, _ = expecting(version, "both")
    size = 2 * c.mss if state == "cutting" else 10
    assert header_for_run(c, size, c.mss) is not None
    RUN[state](c)
    assert header_for_run(c, size, c.mss) is None
