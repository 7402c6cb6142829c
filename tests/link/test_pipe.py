from catenet.link.device import Device, offload_of
from catenet.link.pipe import Pipe


def test_packets_cross_when_delivered():
    pipe = Pipe()
    device: Device = pipe.left
    assert offload_of(device) == (False, 0)
    arrived = []
    pipe.right.attach(lambda packet, now: arrived.append((packet, now)))
    pipe.left.send(b"one", 1.0)
    assert arrived == []
    assert pipe.deliver(2.0) == 1
    assert arrived == [(b"one", 2.0)]


def test_an_answer_waits_for_the_next_delivery():
    pipe = Pipe()
    arrived = []
    pipe.right.attach(lambda packet, now: pipe.right.send(b"pong", now))
    pipe.left.attach(lambda packet, now: arrived.append(packet))
    pipe.left.send(b"ping", 0.0)
    assert pipe.deliver(0.0) == 1
    assert not arrived
    assert pipe.deliver(0.0) == 1
    assert arrived == [b"pong"]


def test_what_is_too_large_or_too_much_is_dropped():
    pipe = Pipe(mtu=10, limit=2)
    for packet in (bytes(11), b"a", b"b", b"c"):
        pipe.left.send(packet, 0.0)
    assert pipe.left.dropped == 2
    assert pipe.deliver(0.0) == 2
