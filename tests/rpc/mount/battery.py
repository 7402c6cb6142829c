"""The same calls against any host of the services; each returns what can be compared with our own server's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from echoservice import BLOB, CHAT, COUNT, MISSING, SAY, SLEEP, SUM, number, text
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from catenet.rpc import CallInfo, Channel, Kind, Method, RpcError

Call = Callable[[Channel], Awaitable[Any]]

UNKNOWN = Method("test.None", "Say", Kind.UNARY, StringValue, StringValue)


def _ours(metadata: Any) -> list[Any]:
    return sorted(pair for pair in metadata if pair[0].startswith(("x-", "y-")))


def _say(value: str, **options: Any) -> Call:
    async def call(channel: Channel) -> Any:
        info = CallInfo()
        reply = await channel.unary(SAY, text(value), info=info, **options)
        return reply.value, _ours(info.initial_metadata), _ours(info.trailing_metadata)

    return call


async def _count(channel: Channel) -> Any:
    return [reply.value async for reply in channel.server_stream(COUNT, number(300))]


async def _unlucky(channel: Channel) -> Any:
    replies = channel.server_stream(COUNT, number(13))
    got = [(await anext(replies)).value for _ in range(13)]
    try:
        return got, await anext(replies)
    except RpcError as error:
        return got, error.code, error.message, _ours(error.metadata)


async def _sum(channel: Channel) -> Any:
    return (await channel.client_stream(SUM, [number(each) for each in range(200)])).value


async def _too_much(channel: Channel) -> Any:
    return await channel.client_stream(SUM, [number(9_000_000)] * 4)


async def _blob(channel: Channel) -> Any:
    data = bytes(range(256)) * 2000
    return (await channel.unary(BLOB, BytesValue(value=data))).value == data


async def _too_large(channel: Channel) -> Any:
    return await channel.unary(BLOB, BytesValue(value=bytes(5 << 20)))


async def _late(channel: Channel) -> Any:
    return await channel.unary(SLEEP, text("19"), timeout=0.1)


async def _missing(channel: Channel) -> Any:
    return await channel.unary(MISSING, text(""))


async def _unknown(channel: Channel) -> Any:
    return await channel.unary(UNKNOWN, text(""))


async def _at_once(channel: Channel) -> Any:
    replies = await asyncio.gather(*[channel.unary(SAY, text(f"later:{each}")) for each in range(20)])
    return [reply.value for reply in replies]


async def _chat(channel: Channel) -> Any:
    async with channel.bidi(CHAT) as call:
        await call.send(text("a"))
        first = (await call.receive()).value  # type: ignore[union-attr]
        await call.send(text("b"))
        await call.done()
        return first, [reply.value async for reply in call]


async def _talk(channel: Channel) -> Any:
    """The server may wait for the end of the request."""
    async with channel.bidi(CHAT) as call:
        await call.send(text("a"))
        await call.done()
        return [reply.value async for reply in call]


CALLS: dict[str, Call] = {
    "says": _say("hello"),
    "waits": _say("later:hello"),
    "fails": _say("fail:NOT_FOUND"),
    "raises": _say("raise:"),
    "answers wrong": _say("wrong:"),
    "has metadata": _say("meta:", metadata=[("a-text", "1"), ("a-data-bin", b"\0\xff")]),
    "compresses": _say("zip:gzip", compression="gzip"),
    "counts": _count,
    "ends amidst": _unlucky,
    "sums": _sum,
    "sums too much": _too_much,
    "large": _blob,
    "late": _late,
    "not implemented": _missing,
    "unknown": _unknown,
    "many": _at_once,
}
TWO_WAYS: dict[str, Call] = {"chats": _chat}
TALKS: dict[str, Call] = {"talks": _talk}
LAST: dict[str, Call] = {"too large": _too_large}
"""A server of HTTP/1.1 may close a connection with the answer to what it has not read."""


async def outcomes(channel: Channel, calls: dict[str, Call]) -> dict[str, Any]:
    """Make all calls one after the other; of one that fails return code, text and details."""
    found: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            async with asyncio.timeout(60):
                found[name] = await call(channel)
        except RpcError as error:
            # Where the deadline passes first, here or there, is chance, and so is the text then.
            text = "" if name == "late" else error.message
            found[name] = (error.code, text, [detail.type_name for detail in error.details], _ours(error.metadata))
    return found
