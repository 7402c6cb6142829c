"""Random conversations: cuts, several connections at once, small windows, offsets at the edges of 32 bits."""

import random

import pytest
from pairs import Pair

from catenet.session import wire
from catenet.session.core import Ending, Options
from catenet.session.messages import Assembly, MessageError, pack
from catenet.session.receiving import Receiving
from catenet.session.sending import Sending
from catenet.session.table import SessionLimits, Terms


def converse(seed):
    """Two programs that write and read as they like, over connections that come and go. Return the pair, and what
    each has written.
    """
    rng = random.Random(seed)
    options = Options(buffer=rng.choice([4096, 5000, 20_000, 1 << 20]))
    pair = Pair(seed, options, Terms(options, SessionLimits()))
    near = rng.choice([1, 100, 5000])
    if rng.random() < 0.5:
        pair.client.sending = Sending((1 << 32) - near, 0)
    size = rng.choice([0, 1, 3000, 60_000])
    texts = [rng.randbytes(size), rng.randbytes(rng.choice([0, 1, 3000, 60_000]))]
    written = [0, 0]
    broken = 0
    for _ in range(4000):
        if pair.client.ended is not None and not pair.wires:
            break
        another = pair.client.token and len(pair.wires) < 4 and rng.random() < 0.02
        if pair.client.ended is None and (another or not pair.wires):
            calm = broken > 40 or rng.random() < 0.3
            pair.connect((None, None) if calm else (rng.randrange(1, 9000), rng.randrange(1, 9000)))
            broken += not calm
        for side, session in enumerate((pair.client, pair.server)):
            if session is None or session.ended is not None or session.sending.finished:
                continue
            room = max(options.buffer - session.sending.held, 0)
            piece = texts[side][written[side] : written[side] + min(rng.randrange(3000), room)]
            session.write(piece)
            written[side] += len(piece)
            if written[side] == len(texts[side]):
                session.write_eof()
        step(pair, rng)
    pair.read()
    return pair, texts


def step(pair, rng):
    pair.now += rng.choice([0.001, 0.01, 0.03])
    pair.timers()
    rng.shuffle(pair.wires)
    for connection in list(pair.wires):
        if connection.open and rng.random() < 0.8:
            connection.turn(pair.now, rng.choice([None, None, 1, 9, 500, 5000]))
    pair.wires = [connection for connection in pair.wires if connection.open]
    if rng.random() < 0.5:
        pair.read()


@pytest.mark.parametrize("seed", range(60))
def test_everything_arrives_once_and_in_order(seed):
    pair, texts = converse(seed)
    assert bytes(pair.got[1]) == texts[0] and bytes(pair.got[0]) == texts[1]
    assert pair.client.ended is Ending.DONE and pair.server.ended is Ending.DONE
    assert len(pair.opened) == 1


@pytest.mark.parametrize("start", [0, (1 << 32) - 1, (1 << 32) - 100, (1 << 40) + 5, (1 << 33) - 1])
def test_offsets_around_what_32_bits_can_hold(start):
    sending, receiving = Sending(start, 1 << 20), Receiving(start, 1 << 20)
    rng = random.Random(start)
    data = rng.randbytes(1000)
    for at in range(0, 1000, 10):
        sending.write(data[at : at + 10])
    sending.finished = True
    got = b""
    while (found := sending.next_data(7)) is not None:
        offset, piece = found
        for _ in range(2):
            receiving.accept(offset & 0xFFFFFFFF, piece)
        got += receiving.read()
        if rng.random() < 0.3:
            received, limit = receiving.say()
            sending.acknowledge(received & 0xFFFFFFFF, limit & 0xFFFFFFFF)
        if rng.random() < 0.1:
            sending.rewind()
    receiving.end(sending.next_end() & 0xFFFFFFFF)
    sending.acknowledge(*[value & 0xFFFFFFFF for value in receiving.say()])
    assert got == data and sending.complete and sending.held == 0 and receiving.complete


def test_integers_from_their_low_bits():
    for near in (0, 5, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 50) + 12345):
        for difference in (0, 1, -1, 1000, (1 << 31) - 1, -(1 << 31)):
            assert wire.expand((near + difference) & 0xFFFFFFFF, near) == near + difference


def test_frames_in_any_pieces():
    rng = random.Random(4)
    frames = [(wire.DATA, rng.randbytes(rng.randrange(1, 300))) if rng.random() < 0.5 else (wire.PING, rng.randbytes(8))
              for _ in range(200)]  # fmt: skip
    offset, stream = 4_294_967_000, b""
    for kind, payload in frames:
        stream += wire.data_header(offset, len(payload)) + payload if kind == wire.DATA else wire.frame(kind, payload)
        offset += len(payload) if kind == wire.DATA else 0
    for most in (1, 2, 5, 7, 100, 100_000):
        reader, data, pings, position = wire.FrameReader(), b"", [], 4_294_967_000
        for at in range(0, len(stream), most):
            reader.feed(stream[at : at + most])
            while (found := reader.next()) is not None:
                if found[0] == wire.DATA:
                    position += len(found[1])
                    assert reader.offset == position & 0xFFFFFFFF
                    data += found[1]
                else:
                    pings.append(found[1])
        assert not reader.unfinished
        assert data == b"".join(payload for kind, payload in frames if kind == wire.DATA)
        assert pings == [payload for kind, payload in frames if kind == wire.PING]


def test_messages_in_any_pieces():
    rng = random.Random(6)
    messages = [rng.randbytes(rng.choice([0, 1, 10, 3000])) for _ in range(200)]
    stream = b"".join(map(pack, messages))
    for most in (1, 3, 1000, 1 << 20):
        assembly, found = Assembly(3000), []
        for at in range(0, len(stream), most):
            assembly.feed(stream[at : at + most])
            while (message := assembly.next()) is not None:
                found.append(message)
        assert found == messages and not assembly.unfinished
    with pytest.raises(MessageError, match="3001"):
        Assembly(3000).feed(pack(bytes(3001)))
