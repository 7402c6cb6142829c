import io

from catenet.link.capture import Capture
from catenet.link.device import Device, offload_of
from catenet.link.pipe import Pipe
from catenet.wire.pcapng import PcapngWriter, read_pcapng


def test_both_directions_are_written_and_passed_on():
    file = io.BytesIO()
    pipe = Pipe(mtu=1400)
    device = Capture(pipe.left, PcapngWriter(file), "eth0")
    wrapped: Device = device
    assert offload_of(wrapped) == (False, 0)
    assert device.mtu == 1400
    up, down = [], []
    device.attach(lambda packet, now: up.append(packet))
    pipe.right.attach(lambda packet, now: down.append(packet))
    device.send(b"\x45down", 1.5)
    pipe.right.send(b"\x45up", 2.0)
    pipe.deliver(2.5)
    assert (down, up) == ([b"\x45down"], [b"\x45up"])
    written = [(p.interface_name, p.time, p.data) for p in read_pcapng(file.getvalue())]
    assert written == [("eth0", 1.5, b"\x45down"), ("eth0", 2.5, b"\x45up")]
