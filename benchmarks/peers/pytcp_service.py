"""The benchmark service on pmd-pytcp, in its own venv: `pytcp_service.py TAP ADDRESS/24 PORT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pmd_net_addr import Ip4IfAddr
from pmd_pytcp import socket, stack
from pmd_pytcp.socket import AddressFamily, SocketType

BLOCK = bytes(1 << 16)


async def converse(connection: Any) -> None:
    purpose = await connection.recv(1)
    if purpose == b"I":
        total = 0
        while data := await connection.recv(1 << 18):
            total += len(data)
        await connection.send(total.to_bytes(8, "big"))
    elif purpose == b"O":
        while True:
            await connection.send(BLOCK)
            # `send` takes everything at once and without limit: wait as a send buffer of 256 KB would.
            while len(connection._tcp_session._tx.buffer) > 1 << 18:
                await asyncio.sleep(0)
    elif purpose == b"R":
        while message := await connection.recv(64):
            await connection.send(message)


async def serve(connection: Any) -> None:
    try:
        await converse(connection)
    except OSError:
        pass
    connection.close()


async def main() -> None:
    tap, address, port = sys.argv[1:4]
    tasks: set[asyncio.Task[None]] = set()
    stack.init()
    stack.add_interface(
        **stack.initialize_interface__tap(interface_name=tap),
        ip4_host=Ip4IfAddr(address),
        ip6_support=False,
    )
    await stack.start()
    listener = socket.socket(AddressFamily.INET4, SocketType.STREAM)
    # The stack owns its address only after it has probed for conflicts (RFC 5227), some seconds.
    while True:
        try:
            listener.bind((address.split("/")[0], int(port)))
            break
        except OSError:
            await asyncio.sleep(0.1)
    listener.listen()
    while True:
        connection, _ = await listener.accept()
        tasks.add(task := asyncio.create_task(serve(connection)))
        task.add_done_callback(tasks.discard)


asyncio.run(main())
