"""Who replays, steals, forges, floods or lies: refused alike, and the session goes on."""

import random

import pytest
from pairs import Entropy, Pair, Wire

from catenet.session import wire
from catenet.session.core import Ending, Options
from catenet.session.keys import derive, exchange, ladder, public_key
from catenet.session.opening import ClientLink, client_session
from catenet.session.table import SessionLimits, Table, Terms


def begun(options=None, channel=b"", **limits):
    options = options or Options()
    pair = Pair(0, options, Terms(options, SessionLimits(**limits)), channel)
    pair.connect()
    pair.client.write(b"secret of the session")
    pair.settle()
    assert bytes(pair.got[1]) == b"secret of the session"
    return pair


def say(pair, data, channel=b"", peer=b""):
    """Say something to the server on a connection of one's own; return what it answers."""
    link = pair.table.link()
    link.peer = peer
    link.begin(pair.now, channel)
    link.receive(data, pair.now)
    answer = b""
    while piece := link.transmit(pair.now):
        answer += piece
    assert link.closed or link.attached
    return answer


def refused(answer):
    return answer == wire.frame(wire.REFUSED, bytes([wire.Refusal.UNKNOWN]))


def resumption(pair):
    """What the client says when it resumes, taken from the network."""
    pair.wires[0].cut(pair.now)
    connection = pair.connect()
    connection.pull(0, pair.now)
    return connection, bytes(connection.flight[0])


def goes_on(pair):
    for connection in pair.wires:
        connection.cut(pair.now)
    pair.wires.clear()
    pair.connect()
    pair.client.write(b", and more")
    pair.settle()
    assert bytes(pair.got[1]).endswith(b", and more") and pair.client.ended is None


def test_a_replayed_resume_is_refused():
    pair = begun()
    _, seen = resumption(pair)
    pair.settle()
    assert pair.server.connections == 2
    assert refused(say(pair, seen))
    assert pair.server.connections == 2
    goes_on(pair)


def test_a_replay_of_the_beginning_is_another_session_that_nobody_can_confirm():
    pair = begun()
    link = pair.table.link()
    link.begin(pair.now)
    first = Pair(0)
    seen = bytearray()
    connection = first.connect()
    first.settle()
    seen = bytes(connection.passed[0])
    answer = say_all(pair, seen)
    assert wire.frame(wire.REFUSED, bytes([wire.Refusal.DENIED])) in answer
    assert len(pair.table.sessions) == 1
    goes_on(pair)


def say_all(pair, data):
    link = pair.table.link()
    link.begin(pair.now)
    link.receive(data, pair.now)
    answer = b""
    while piece := link.transmit(pair.now):
        answer += piece
    return answer


def test_every_changed_bit_of_a_resume_is_refused():
    pair = begun()
    _, seen = resumption(pair)
    pair.wires[-1].cut(pair.now)
    size = 4 + int.from_bytes(seen[1:4], "big")
    for bit in range(8 * 4, 8 * size, 3):
        changed = bytearray(seen[:size])
        changed[bit // 8] ^= 1 << bit % 8
        link = pair.table.link()
        link.begin(pair.now)
        link.receive(bytes(changed), pair.now)
        assert not link.attached
        answer = link.transmit(pair.now)
        assert refused(answer) or not answer
    goes_on(pair)


def test_whoever_knows_the_token_knows_nothing():
    pair = begun()
    thief = client_session(Options(), Entropy(5))
    thief.token = pair.client.token
    for epoch in (1, 1000):
        thief.keys = derive(bytes(32), b"", bytes(64), b"")
        thief.epoch = epoch
        link = ClientLink(thief, Options(), Entropy(6))
        link.begin(pair.now)
        thief.ended = None
        assert refused(say(pair, link.transmit(pair.now)))
    goes_on(pair)


def test_unknown_expired_and_wrong_are_told_alike():
    pair = begun()
    _, seen = resumption(pair)
    size = 4 + int.from_bytes(seen[1:4], "big")
    good = wire.Resume.parse(seen[4:size])
    answers = {
        say(pair, wire.frame(wire.RESUME, wire.Resume(*fields).pack()))
        for fields in [
            (False, 15, 99, good.received, good.limit, good.nonce, bytes(16), good.proof),
            (False, 15, 99, good.received, good.limit, good.nonce, good.token, bytes(32)),
            (False, 15, 0, good.received, good.limit, good.nonce, good.token, good.proof),
            (True, 15, good.epoch, good.received, good.limit, good.nonce, good.token, good.proof),
        ]
    }
    assert len(answers) == 1 and refused(answers.pop())


def test_proofs_hold_for_one_tls_connection():
    """Somebody in between has a certificate that the client accepts, and hands on what the client says."""
    pair = begun(channel=b"tls-unique:one")
    pair.wires[0].cut(pair.now)
    link = ClientLink(pair.client, Options(), pair.entropy)
    link.begin(pair.now, b"tls-unique:to the thief")
    assert refused(say(pair, link.transmit(pair.now), b"tls-unique:from the thief"))
    link.lost(pair.now)
    new = ClientLink(client_session(Options(), pair.entropy), Options(), pair.entropy)
    connection = Wire(new, pair.table.link(), pair.now)
    assert connection.open
    new = ClientLink(client_session(Options(), pair.entropy), Options(), pair.entropy)
    link = pair.table.link()
    new.begin(pair.now, b"tls-unique:to the thief")
    link.begin(pair.now, b"tls-unique:from the thief")
    link.receive(new.transmit(pair.now), pair.now)
    new.receive(link.transmit(pair.now), pair.now)
    assert new.refused == wire.Refusal.DENIED and not new.attached
    pair.wires.clear()
    goes_on(pair)


def test_another_certificate_is_another_client():
    pair = begun()
    _, seen = resumption(pair)
    assert refused(say(pair, seen, peer=b"hash of another certificate"))


@pytest.mark.parametrize("key", [None, b"another key, of 24 bytes"])
def test_without_the_shared_key_nothing_begins(key):
    options = Options(key=b"a key that both of them have")
    pair = Pair(0, Options(key=key), Terms(options))
    pair.connect()
    pair.settle()
    assert not pair.opened and not pair.client.token


def test_a_client_that_trusts_the_proof_of_no_one():
    """Without the server's proof a client goes no further, and may try elsewhere."""
    pair = begun()
    connection, _ = resumption(pair)
    client = connection.ends[0]
    said = wire.Resumed(pair.client.epoch, pair.client.sending.start + 5, 1 << 20, bytes(32)).pack()
    client.receive(wire.frame(wire.RESUMED, said), pair.now)
    assert client.closed and client.failure == "the server proves nothing"
    goes_on(pair)


def test_sessions_that_nobody_confirms_have_a_limit():
    pair = begun(max_pending=10)
    for seed in range(50):
        link = ClientLink(client_session(Options(), Entropy(seed)), Options(), Entropy(seed))
        link.begin(pair.now)
        say_all(pair, link.transmit(pair.now))
    assert len(pair.table) == 11
    pair.table.check(pair.now + 3601)
    assert len(pair.table) == 1
    goes_on(pair)


def test_sessions_have_a_limit():
    pair = begun(max_sessions=1)
    link = ClientLink(client_session(Options(), Entropy(9)), Options(), Entropy(9))
    link.begin(pair.now)
    assert say(pair, link.transmit(pair.now)) == wire.frame(wire.REFUSED, bytes([wire.Refusal.BUSY]))


def test_memory_has_a_limit():
    options = Options(buffer=100_000)
    table = Table(Terms(options, SessionLimits(max_held=250_000)), Entropy(1), lambda session: table.grant(session))
    clients = []
    for seed in range(8):
        client = client_session(options, Entropy(seed))
        client.write(bytes(100_000))
        connection = Wire(ClientLink(client, options, Entropy(100 + seed)), table.link(), 0.0)
        for step in range(12):
            connection.turn(step * 0.01)
            table.check(step * 0.01)
        if seed % 2:
            connection.cut(1.0)
        clients.append(client)
        assert table.held <= 250_000
    assert table.tight
    assert {client.ended for client in clients} >= {None}
    newest = client_session(options, Entropy(50))
    connection = Wire(ClientLink(newest, options, Entropy(51)), table.link(), 2.0)
    for step in range(12):
        connection.turn(2.0 + step * 0.01)
    assert newest.sending.limit - newest.sending.start <= 64 << 10


def test_who_sends_more_than_he_may_loses_the_connection_and_not_the_session():
    pair = begun(Options(buffer=4096))
    server = pair.wires[0].ends[1]
    start = pair.server.receiving.consumed
    server.receive(wire.data_header(start, 5000) + bytes(5000), pair.now)
    assert server.closed and "more than it may" in server.failure
    goes_on(pair)


@pytest.mark.parametrize(
    "frames",
    [
        lambda session: wire.data_header(session.receiving.consumed + 1, 5) + b"a gap",
        lambda session: wire.ack(session.sending.sent + 1, session.sending.limit),
        wire.frame(wire.DATA, bytes(4)),
        wire.frame(wire.ACK, bytes(7)),
        lambda session: wire.fin(session.receiving.consumed + 1),
        lambda session: wire.fin(session.receiving.consumed - 1),
        wire.frame(wire.STOP),
        wire.frame(wire.BYE),
        wire.frame(wire.PING, bytes(9)),
        wire.frame(0x7F),
        wire.frame(wire.NEW, bytes(88)),
        wire.frame(wire.RESUME, bytes(128)),
        wire.frame(wire.ACCEPT, bytes(128)),
        b"\x30\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_what_may_not_come(frames, side):
    pair = begun()
    end = pair.wires[0].ends[side]
    end.receive(frames((pair.client, pair.server)[side]) if callable(frames) else frames, pair.now)
    assert end.closed and end.failure
    goes_on(pair)


def test_anything_at_all():
    """Bytes of a stranger, and changed bytes of a client, raise nothing and end no session."""
    pair = begun()
    _, seen = resumption(pair)
    rng = random.Random(1)
    for _ in range(2000):
        link = pair.table.link()
        link.begin(pair.now)
        data = bytearray(seen if rng.random() < 0.7 else rng.randbytes(rng.randrange(200)))
        for _ in range(rng.randrange(1, 4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        at = rng.randrange(len(data) + 1)
        for piece in (bytes(data[:at]), bytes(data[at:])):
            if piece:
                link.receive(piece, pair.now)
        while link.transmit(pair.now):
            pass
        link.lost(pair.now)
    for side in (0, 1):
        for _ in range(1000):
            goes = Pair(7)
            goes.connect()
            goes.settle(turns=20)
            goes.wires[0].ends[side].receive(rng.randbytes(rng.randrange(1, 60)), goes.now)
            assert goes.client.ended in (None, Ending.RESET)
            break
    goes_on(pair)


def test_pings_that_are_not_read_stop_the_reading():
    pair = begun()
    server = pair.wires[0].ends[1]
    for _ in range(70):
        server.receive(wire.frame(wire.PING, bytes(8)), pair.now)
    assert server.full and not server.closed


def test_the_exchange():
    """RFC 7748 sections 5.2 and 6.1; with and without the package `cryptography`."""
    one = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df3b8f4f2ce7a1d7c2fe5e8f0a6c3b00".replace(" ", ""))
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert ladder(scalar, point).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert exchange(scalar, point) == ladder(scalar, point)
    assert ladder(one, b"\x09" + bytes(31)) == public_key(one)
    assert exchange(one, bytes(32)) is None and exchange(one, b"\x01" + bytes(31)) is None


def test_an_acknowledgement_that_cannot_leave_is_not_due_again_and_again():
    """A peer that reads nothing must not make us look at the same deadline without end."""
    pair = begun()
    pair.settle()
    server = pair.wires[0].ends[1]
    start = pair.server.receiving.end_of_data
    server.receive(wire.data_header(start, 5) + b"hello", pair.now)
    due = server.next_deadline()
    assert due < pair.now + 0.1
    server.handle_timeout(due)
    assert server.next_deadline() > due + 1.0
    server.receive(wire.data_header(start + 5, 5) + b"again", due)
    assert server.next_deadline() > due + 1.0
    assert server.transmit(due) == wire.ack(*pair.server.receiving.say())


def stranger(pair, seed, origin="10.0.0.9", leave=True):
    """Begin a session from an address, and leave at once; return the client and its connection."""
    client = client_session(Options(), Entropy(1000 + seed))
    link = pair.table.link()
    link.origin = origin
    connection = Wire(ClientLink(client, Options(), Entropy(5000 + seed)), link, pair.now)
    for _ in range(4):
        connection.turn(pair.now)
    if leave:
        connection.cut(pair.now)
    return client, connection


def test_who_leaves_sessions_behind_leaves_room_for_others():
    pair = begun(max_of_peer=20)
    clients = [stranger(pair, seed)[0] for seed in range(40)]
    assert sum(bool(client.token) for client in clients) == 20
    assert len(pair.table.sessions) == 21
    other, _ = stranger(pair, 50, origin="10.0.0.10")
    assert len(pair.table.sessions) == 22 and other.token
    for session in list(pair.table.sessions.values())[1:3]:
        session.reset()
    pair.table.check(pair.now)
    later = [stranger(pair, seed)[0] for seed in range(60, 65)]
    assert [bool(client.token) for client in later] == [True, True, False, False, False]
    goes_on(pair)


def test_of_sessions_that_nobody_confirms_those_without_a_connection_go_first():
    pair = begun(max_pending=10)
    waiting = ClientLink(client_session(Options(), Entropy(1)), Options(), Entropy(1))
    connection = Wire(waiting, pair.table.link(), pair.now)
    connection.pull(0, pair.now)
    connection.push(0, pair.now)
    for seed in range(50):
        link = ClientLink(client_session(Options(), Entropy(seed)), Options(), Entropy(seed))
        link.begin(pair.now)
        flood = pair.table.link()
        flood.begin(pair.now)
        flood.receive(link.transmit(pair.now), pair.now)
        flood.lost(pair.now)
    for _ in range(4):
        connection.turn(pair.now)
    assert len(pair.opened) == 2 and waiting.attached


def test_an_epoch_that_no_database_can_keep():
    """Of a client that is one: it must not fail where its epoch is kept."""
    pair = begun()
    pair.client.epoch = (1 << 63) - 1
    _, said = resumption(pair)
    assert not say(pair, said)
    assert pair.server.epoch == 0
    pair.client.epoch = 0
    goes_on(pair)
    pair.client.epoch = (1 << 63) - 2
    goes_on(pair)


@pytest.mark.parametrize("side", [0, 1])
def test_a_flood_of_pings_ends_its_connection(side):
    pair = begun()
    end = pair.wires[0].ends[side]
    end.receive(wire.frame(wire.PING) * 60_000, pair.now)
    assert end.closed and not end.transmit(pair.now)
    goes_on(pair)


def test_a_session_that_has_ended_is_remembered_without_its_bytes():
    """Who reads nothing and breaks off leaves nothing behind, as often as he does it."""
    pair = begun()
    pair.server.write(bytes(1_000_000))
    connection = pair.wires[0]
    connection.pull(1, pair.now)
    assert pair.server.held == 1_000_000
    connection.ends[1].receive(wire.frame(wire.RESET, b"\1"), pair.now)
    pair.table.check(pair.now)
    assert not pair.table.sessions and pair.server.ended is Ending.RESET
    assert pair.server.held == 0 and pair.server.acknowledged == 0


@pytest.mark.parametrize("side", [0, 1], ids=["NEW", "ACCEPT"])
def test_every_changed_bit_of_a_beginning_is_noticed(side):
    """Who changes flags, expiry, window, key or token on the way begins no session."""
    options = Options(key=b"a key that both of them have")
    pair = Pair(0, options, channel=b"tls-unique:one")
    size = 4 + (88, 77 + 16 + 32)[side]
    for bit in range(8, 8 * size, 3):
        client, server = ClientLink(client_session(options, Entropy(bit)), options, Entropy(bit)), pair.table.link()
        client.begin(pair.now, pair.channel)
        server.begin(pair.now, pair.channel)
        said = [bytearray(client.transmit(pair.now)), bytearray()]
        assert side or len(said[0]) == size
        if not side:
            said[0][bit // 8] ^= 1 << bit % 8
        server.receive(bytes(said[0]), pair.now)
        said[1] += server.transmit(pair.now)
        assert not side or len(said[1]) == size
        if side:
            said[1][bit // 8] ^= 1 << bit % 8
        if said[1]:
            client.receive(bytes(said[1]), pair.now)
        assert not client.attached and not client._owner.token
    assert not pair.opened
