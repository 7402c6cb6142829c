"""Deadlines that arriving segments set reach the driver, which asks for the next one when it transmits."""

from __future__ import annotations

from tests.stack.tcp.tcpnet import Net


def test_a_deadline_set_by_a_segment_wakes_the_driver():
    """A delayed ACK: the segment asks for no packet now, only for one in a while."""
    net = Net(4, delay=0.01)
    client, server, _ = net.pair()
    server.set_option("TCP_QUICKACK", 0)
    net.run(1)
    woken = []
    net.b.on_dirty = lambda: woken.append(net.b.next_deadline())
    client.send(b"x")
    net.step()
    arrived = net.now
    assert len(woken) == 1
    assert arrived < woken[0] <= arrived + 0.2
