"""Callers of other users, each a forked process that becomes somebody and calls; for tests that are root."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

from catenet.net.privileges import Account, become
from catenet.rpc import RpcError, SyncChannel


def fork(uid: int, work: Callable[[], Any]) -> tuple[int, int]:
    """Run in a child that is that user; return its number and where what it returns can be read."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    try:
        if uid:
            become(Account(uid, uid, (uid, 9000)))
        try:
            result: Any = work()
        except RpcError as error:
            result = error.code.name
        os.write(write, json.dumps(result).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _outcome(child: int, read: int) -> Any:
    with open(read, "rb") as stream:
        told = stream.read()
    os.waitpid(child, 0)
    assert told, "the caller failed"
    return json.loads(told)


async def as_user(uid: int, work: Callable[[], Any]) -> Any:
    """Return what the work of that user returns, or the name of the code that it ends with."""
    return await asyncio.to_thread(_outcome, *fork(uid, work))


async def call_as(uid: int, url: str, method: Any, *requests: Any) -> list[Any]:
    """Make calls on one connection as that user; return values, or names of codes."""

    def work() -> list[Any]:
        found = []
        with SyncChannel(url) as channel:
            for request in requests:
                try:
                    found.append(channel.unary(method, request, timeout=20).value)
                except RpcError as error:
                    found.append(error.code.name)
        return found

    found: list[Any] = await as_user(uid, work)
    return found


def abstract() -> str:
    """A URL that every user may connect to, wherever the folders of tests are."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind("")
        name: bytes = probe.getsockname()
        return f"unix:@catenet-test-{name[1:].decode()}-{os.getpid()}"
