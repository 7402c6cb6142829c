"""Asyncio conversations that run unchanged on the kernel, on Catenet and on simloop: echoes, bulk, idling."""

from __future__ import annotations

import asyncio

PORT = 9001
MESSAGE = 64
CHUNK = 1460


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while message := await reader.read(MESSAGE):
            writer.write(message)
    finally:
        writer.close()


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    total = 0
    while data := await reader.read(1 << 18):
        total += len(data)
    writer.write(total.to_bytes(8, "big"))
    writer.close()


async def serve(purpose: str, address: str) -> None:
    """Serve `echo` or `bulk` until cancelled."""
    server = await asyncio.start_server(_echo if purpose == "echo" else _swallow, address, PORT)
    async with server:
        await server.serve_forever()


async def echo(address: str, count: int) -> None:
    """One connection, `count` messages of 64 bytes, each awaited."""
    reader, writer = await asyncio.open_connection(address, PORT)
    message = bytes(MESSAGE)
    for _ in range(count):
        writer.write(message)
        assert await reader.readexactly(MESSAGE) == message
    writer.close()


async def bulk(address: str, count: int) -> None:
    """One connection, `count` writes of 1,460 bytes, then the receiver's word that it has them all."""
    reader, writer = await asyncio.open_connection(address, PORT)
    chunk = bytes(CHUNK)
    for _ in range(count):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
    assert int.from_bytes(await reader.readexactly(8), "big") == count * CHUNK
    writer.close()


async def tick(seconds: float) -> None:
    """Do nothing but look at the clock once a second."""
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
