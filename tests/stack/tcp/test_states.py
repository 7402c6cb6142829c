"""The state machine through a wire: opening, closing, resets, timers, readiness."""

from __future__ import annotations

import pytest
from tests.stack.tcp.tcpnet import ADDRESSES, Net

from catenet.stack.endpoint import Fault, Name, Readiness, StackError
from catenet.wire import ip, tcp
from catenet.wire.tcp import ACK, FIN, RST, SYN, TcpOptions, TcpSegment

IN, OUT, ERR, HUP, RDHUP = Readiness.IN, Readiness.OUT, Readiness.ERR, Readiness.HUP, Readiness.RDHUP


@pytest.fixture(params=[4, 6])
def net(request) -> Net:
    return Net(request.param)


def segments(net: Net, host: int) -> list[TcpSegment]:
    """What `host` has sent so far."""
    out = []
    for _, number, packet in net.log:
        if number == host:
            parsed = ip.parse(packet)
            if parsed.protocol == 6:
                out.append(tcp.parse(parsed.payload, parsed.source, parsed.destination))
    return out


def inject(net: Net, host: int, segment: TcpSegment, source: bytes | None = None) -> None:
    """Let `host` receive a segment that its peer (or somebody who claims to be) never sent."""
    addresses = ADDRESSES[net.version]
    sender = source or addresses[1 - host]
    data = tcp.build(segment, sender, addresses[host])
    packet = ip.build(ip.IpPacket(sender, addresses[host], 6, data))
    net.hosts[host].receive(packet, net.now)
    net.pump()


def forged(client, server, net, flags, seq=0, ack=0, data=b"", **options) -> TcpSegment:
    """A segment from client to server, numbers relative to what the server expects next."""
    c = server.connection
    stamps = TcpOptions(timestamps=options.get("stamps", (c.ts_recent, 1))) if c.timestamps else TcpOptions()
    return TcpSegment(
        client.local().port,
        server.local().port,
        (c.rcv_nxt + seq) & 0xFFFFFFFF,
        (c.snd_una + ack) & 0xFFFFFFFF,
        flags,
        1000,
        0,
        stamps,
        data,
    )


def test_handshake_names_and_readiness(net):
    listener = net.listener()
    assert listener.readiness() == 0 and listener.state == "LISTEN"
    client = net.a.tcp_endpoint(net.version)
    assert client.readiness() == OUT | HUP
    client.connect(net.name(1, 80))
    assert client.state == "SYN-SENT" and client.readiness() == 0
    with pytest.raises(StackError) as error:
        client.connect(net.name(1, 80))
    assert error.value.fault is Fault.ALREADY_IN_PROGRESS
    woken = []
    client.on_ready = lambda: woken.append(client.readiness())
    net.run(1)
    assert woken and client.readiness() == OUT
    assert listener.readiness() == IN
    server = listener.accept()
    assert listener.accept() is None
    assert server.peer() == client.local() and client.peer() == server.local()
    assert client.local().port >= 32768


def test_refused_and_timed_out(net):
    client = net.a.tcp_endpoint(net.version)
    client.connect(net.name(1, 81))
    net.run(1)
    assert client.readiness() == IN | OUT | ERR | HUP | RDHUP
    assert client.take_error() is Fault.CONNECTION_REFUSED
    assert client.readiness() == IN | OUT | HUP | RDHUP
    lost = net.a.tcp_endpoint(net.version)
    net.filters = [lambda packet, now: [], None]
    lost.connect(net.name(1, 80))
    net.run(400)
    assert lost.state == "CLOSED" and lost.take_error() is Fault.TIMED_OUT


def test_simultaneous_open(net):
    ends = [host.tcp_endpoint(net.version) for host in net.hosts]
    for number, end in enumerate(ends):
        end.bind(Name(ADDRESSES[net.version][number], 7000))
    ends[0].connect(net.name(1, 7000))
    ends[1].connect(net.name(0, 7000))
    net.run(2)
    assert [end.state for end in ends] == ["ESTABLISHED"] * 2
    assert ends[0].send(b"left") == 4 and ends[1].send(b"right") == 5
    net.run(1)
    assert ends[0].receive(10) == b"right" and ends[1].receive(10) == b"left"


def test_close_leads_through_every_state(net):
    client, server, _ = net.pair()
    client.close()
    net.run(0.1)
    assert server.state == "CLOSE-WAIT" and server.receive(1) == b""
    assert server.readiness() == IN | OUT | RDHUP
    server.close()
    net.run(1)
    assert not net.b.tcp.connections
    assert len(net.a.tcp.connections) == 1
    net.run(61)
    assert not net.a.tcp.connections


def test_simultaneous_close_leaves_both_in_time_wait(net):
    client, server, _ = net.pair()
    client.close()
    server.close()
    net.run(1)
    assert len(net.a.tcp.connections) == len(net.b.tcp.connections) == 1
    net.run(61)
    assert not net.a.tcp.connections and not net.b.tcp.connections


def test_half_close_carries_data_the_other_way(net):
    client, server, _ = net.pair()
    client.send(b"question")
    client.shutdown(False, True)
    with pytest.raises(StackError) as error:
        client.send(b"more")
    assert error.value.fault is Fault.BROKEN_PIPE
    net.run(1)
    assert client.state == "FIN-WAIT-2"
    assert server.receive(100) == b"question" and server.receive(100) == b""
    net.run(200)
    server.send(b"answer")
    net.run(1)
    assert client.receive(100) == b"answer"


def test_unread_data_at_close_resets(net):
    client, server, _ = net.pair()
    client.send(b"never read")
    net.run(1)
    server.close()
    net.run(1)
    with pytest.raises(StackError) as error:
        client.receive(1)
    assert error.value.fault is Fault.CONNECTION_RESET
    assert client.receive(1) == b""
    assert not net.a.tcp.connections and not net.b.tcp.connections


def test_linger_zero_resets(net):
    client, server, _ = net.pair(SO_LINGER=0)
    client.close()
    net.run(1)
    assert server.readiness() & (ERR | HUP) == ERR | HUP
    assert server.take_error() is Fault.CONNECTION_RESET


def test_maxseg_is_forgotten_with_the_connection(net):
    """As Linux: `connect` to AF_UNSPEC leaves the size that segments had, the next connection asks for its own."""
    client, _, _ = net.pair(TCP_MAXSEG=600)
    assert client.get_option("TCP_MAXSEG") == 588
    client.disconnect()
    assert client.get_option("TCP_MAXSEG") == 588
    net.run(1)
    client.connect(net.name(1, 80))
    assert client.get_option("TCP_MAXSEG") == (524 if net.version == 4 else 1208)
    net.run(1)
    assert client.get_option("TCP_MAXSEG") == (1448 if net.version == 4 else 1428)


def test_data_after_close_is_answered_with_reset(net):
    client, server, _ = net.pair()
    server.close()
    net.run(1)
    client.send(b"nobody reads this")
    net.run(1)
    assert client.state == "CLOSED"
    assert client.take_error() in (Fault.BROKEN_PIPE, Fault.CONNECTION_RESET)


def test_zero_window_is_probed_until_it_opens(net):
    client, server, _ = net.pair(TCP_NODELAY=1)
    server.set_option("SO_RCVBUF", 8000)
    data = bytes(range(256)) * 4000
    sent = 0
    for _ in range(50):
        sent += client.send(data[sent : sent + 20000]) or 0
        net.run(1)
    held = server.unread()
    net.run(600)
    assert server.unread() == held < sent
    assert client.info().tcpi_probes >= 0 and client.state == "ESTABLISHED"
    out = bytearray()
    while len(out) < sent:
        piece = server.receive(4096)
        if piece is None:
            assert net.run(200, lambda: server.unread() > 0)
            continue
        out += piece
    assert bytes(out) == data[:sent]


def test_accept_queue_overflow_delays_and_recovers(net):
    net.b.settings.tcp_syncookies = 0
    listener = net.listener(backlog=1)
    clients = [net.a.tcp_endpoint(net.version) for _ in range(5)]
    for client in clients:
        client.connect(net.name(1, 80))
    net.run(0.5)
    assert len(listener.listener.queue) in (1, 2)
    taken = 0
    for _ in range(30):
        while listener.accept() is not None:
            taken += 1
        net.run(2)
    assert taken == 5
    assert all(client.state == "ESTABLISHED" for client in clients)


@pytest.mark.parametrize("cookies", [0, 1])
def test_syn_flood_leaves_memory_bounded(net, cookies):
    net.b.settings.tcp_syncookies = cookies
    listener = net.listener(backlog=8)
    for number in range(500):
        source = ADDRESSES[net.version][0][:-1] + bytes((10 + number % 200,))
        inject(net, 1, TcpSegment(1024 + number, 80, number * 7, 0, SYN, 1000, 0, TcpOptions(mss=1400)), source)
    assert len(net.b.tcp.connections) <= 9
    client = net.a.tcp_endpoint(net.version)
    client.connect(net.name(1, 80))
    net.run(5)
    assert (client.state == "ESTABLISHED") == bool(cookies)
    if cookies:
        server = listener.accept()
        client.send(b"through the flood")
        net.run(1)
        assert server.receive(100) == b"through the flood"
        assert server.connection.sack_ok and server.connection.snd_scale == 7


def test_forged_reset_must_be_exact(net):
    client, server, _ = net.pair()
    inject(net, 1, forged(client, server, net, RST, seq=5000))
    assert server.state == "ESTABLISHED"
    answer = segments(net, 1)[-1]
    assert answer.flags == ACK
    inject(net, 1, forged(client, server, net, RST, seq=10_000_000))
    assert server.state == "ESTABLISHED"
    inject(net, 1, forged(client, server, net, RST))
    assert server.state == "CLOSED"


def test_forged_syn_is_challenged_and_limited(net):
    client, server, _ = net.pair()
    before = len(segments(net, 1))
    for _ in range(50):
        inject(net, 1, forged(client, server, net, SYN, seq=100))
    assert server.state == "ESTABLISHED"
    assert len(segments(net, 1)) == before + 1


def test_forged_data_with_impossible_ack_is_dropped(net):
    client, server, _ = net.pair()
    for ack in (-100_000_000, 100_000):
        inject(net, 1, forged(client, server, net, ACK, ack=ack, data=b"evil"))
    assert server.receive(100) is None


def test_old_timestamps_are_rejected(net):
    client, server, _ = net.pair()
    client.send(b"x")
    net.run(1)
    assert server.receive(10) == b"x"
    recent = server.connection.ts_recent
    old = ((recent - 100_000) & 0xFFFFFFFF, 1)
    inject(net, 1, forged(client, server, net, ACK, data=b"old", stamps=old))
    assert server.receive(10) is None
    assert net.b.tcp.counters.paws_rejected == 1


def test_time_wait_answers_and_yields_to_a_newer_syn(net):
    client, server, _listener = net.pair()
    name = client.local()
    server.close()
    net.run(0.1)
    client.close()
    net.run(1)
    rest = next(iter(net.b.tcp.connections.values()))
    options = TcpOptions(mss=1000, timestamps=((rest.ts_recent + 5000) & 0xFFFFFFFF, 0))
    inject(net, 1, TcpSegment(name.port, 80, (rest.rcv_nxt - 1000) & 0xFFFFFFFF, 0, ACK, 0, 0, options))
    assert segments(net, 1)[-1].flags == ACK
    inject(net, 1, TcpSegment(name.port, 80, (rest.rcv_nxt + 1000) & 0xFFFFFFFF, 0, SYN, 0, 0, options))
    assert segments(net, 1)[-1].flags & (SYN | ACK) == SYN | ACK


def test_keepalive_finds_a_dead_peer(net):
    client, server, _ = net.pair(SO_KEEPALIVE=1, TCP_KEEPIDLE=10, TCP_KEEPINTVL=5, TCP_KEEPCNT=3)
    net.run(60)
    assert client.state == "ESTABLISHED"
    net.filters = [lambda packet, now: [], None]
    net.run(60)
    assert client.state == "CLOSED" and client.take_error() is Fault.TIMED_OUT
    assert server.state == "ESTABLISHED"


def test_user_timeout_ends_the_waiting(net):
    client, _server, _ = net.pair(TCP_USER_TIMEOUT=5000)
    net.filters = [lambda packet, now: [], None]
    start = net.now
    client.send(b"lost")
    assert net.run(100, lambda: client.state == "CLOSED")
    assert 4.5 < net.now - start < 8
    assert client.take_error() is Fault.TIMED_OUT


def test_stray_segments_are_reset(net):
    inject(net, 1, TcpSegment(1000, 99, 5, 77, ACK, 0))
    assert (segments(net, 1)[-1].flags, segments(net, 1)[-1].seq) == (RST, 77)
    inject(net, 1, TcpSegment(1000, 99, 5, 0, SYN | FIN, 0, 0, TcpOptions(), b"abc"))
    last = segments(net, 1)[-1]
    assert last.flags == RST | ACK and last.ack == 10
    before = len(segments(net, 1))
    inject(net, 1, TcpSegment(1000, 99, 5, 0, RST, 0))
    assert len(segments(net, 1)) == before


def test_bind_conflicts(net):
    listener = net.listener(80)
    other = net.b.tcp_endpoint(net.version)
    with pytest.raises(StackError) as error:
        other.bind(listener.local())
    assert error.value.fault is Fault.ADDRESS_IN_USE
    with pytest.raises(StackError) as error:
        other.bind(Name(ADDRESSES[net.version][0], 81))
    assert error.value.fault is Fault.ADDRESS_NOT_AVAILABLE
    shared = [net.listener(90, SO_REUSEPORT=1) for _ in range(3)]
    for _ in range(60):
        net.a.tcp_endpoint(net.version).connect(net.name(1, 90))
    net.run(2)
    assert all(len(each.listener.queue) >= 3 for each in shared)


def test_urgent_byte_out_of_line(net):
    client, server, _ = net.pair()
    client.send(b"abc", urgent=True)
    net.run(1)
    assert server.readiness() & Readiness.PRI
    assert server.receive(10) == b"ab"
    assert server.at_mark()
    assert server.receive_urgent() == b"c"
    client.send(b"de")
    net.run(1)
    assert server.receive(10) == b"de"


def test_fast_open_saves_a_round_trip(net):
    net.b.settings.tcp_fastopen = 3
    net.listener(80, TCP_FASTOPEN=5)
    for number in range(2):
        client = net.a.tcp_endpoint(net.version)
        client.set_option("TCP_FASTOPEN_CONNECT", 1)
        client.connect(net.name(1, 80))
        assert client.send(b"early") == (5 if number else None)
        net.run(0.015)
        server_side = [c for c in net.b.tcp.connections.values() if getattr(c, "received", None)]
        assert len(server_side) == number
        net.run(1)


def test_ports_of_connections_are_random(net):
    net.listener(80, backlog=100)
    ports = []
    for _ in range(20):
        client = net.a.tcp_endpoint(net.version)
        client.connect(net.name(1, 80))
        ports.append(client.local().port)
    assert len(set(ports)) == 20
    assert sorted(ports) != ports
