"""Messages over connections that break."""

import os
import random

import pytest
from test_streams import cut

from catenet import session


def test_messages_survive_their_connections(run):
    async def handler(channel):
        async for message in channel:
            await channel.send(message[::-1])

    async def main():
        rng = random.Random(1)
        messages = [rng.randbytes(rng.choice([0, 1, 100, 50_000])) for _ in range(100)]
        async with await session.serve_messages(handler, "session+tcp://127.0.0.1:0") as server:
            async with await session.connect_messages(server.urls[0]) as channel:
                for number, message in enumerate(messages):
                    await channel.send(message)
                    if number % 20 == 10:
                        cut(server)
                channel.end()
                assert [message async for message in channel] == [message[::-1] for message in messages]
                assert channel.session.connections > 1
            with pytest.raises(session.SessionRefused):
                await session.connect(server.urls[0])

    run(main())


def test_a_message_that_is_too_large_for_the_peer(run, caplog):
    async def handler(channel):
        async for _ in channel:
            pass

    async def main():
        async with await session.serve_messages(handler, "session+tcp://127.0.0.1:0", most=1000) as server:
            channel = await session.connect_messages(server.urls[0])
            await channel.send(os.urandom(1000))
            await channel.send(os.urandom(1001))
            with pytest.raises(session.SessionReset, match="a message is larger than the peer takes"):
                await channel.receive()
            with pytest.raises(session.SessionReset, match="a message is larger than the peer takes"):
                await channel.send(b"more")

    run(main())
    (record,) = caplog.records
    assert record.name == "catenet.session" and record.levelname == "WARNING"
    assert record.message == "a session is broken off: the peer sends a message of 1001 bytes; 1000 are taken"


def test_a_message_that_is_not_sent_leaves_the_session(run):
    async def handler(channel):
        async for message in channel:
            await channel.send(message[::-1])

    async def main():
        async with await session.serve_messages(handler, "session+tcp://127.0.0.1:0") as server:
            async with await session.connect_messages(server.urls[0]) as channel:
                with pytest.raises(ValueError, match="a message of 8388604 bytes; at most 4194304 "):
                    await channel.send(bytes(8 * 2**20 - 4))
                with pytest.raises(TypeError, match="a message is bytes, not str"):
                    await channel.send("text")
                for message in (bytes(4 << 20), bytearray(b"ab"), memoryview(b"abc")):
                    await channel.send(message)
                    assert await channel.receive() == bytes(message)[::-1]

    run(main())


def test_words_that_mean_nothing(run):
    async def main():
        for call, word, near in (
            (lambda **words: session.connect("session+tcp://127.0.0.1:1", **words), "expire", "expiry"),
            (lambda **words: session.connect_messages("session+tcp://127.0.0.1:1", **words), "authorise", None),
            (lambda **words: session.serve(None, "session+tcp://127.0.0.1:0", **words), "authorise", "authorize"),
            (lambda **words: session.serve_messages(None, "session+tcp://127.0.0.1:0", **words), "limit", "limits"),
        ):
            hint = f"; did you mean '{near}'" if near else "$"
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{word}'{hint}"):
                await call(**{word: 1})
        with pytest.raises(ValueError, match="state: sessions of messages"):
            await session.serve_messages(None, "session+tcp://127.0.0.1:0", state="file")

    run(main())
