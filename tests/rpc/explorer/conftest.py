"""A server with an explorer, in a thread of its own."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catenet.rpc import Code, RpcError, Server
from catenet.rpc.compile import compile_protos
from catenet.rpc.services.explorer.app import Explorer


@pytest.fixture(scope="session")
def greeter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The implementation of the service, of a class that was generated."""
    out = tmp_path_factory.mktemp("explored")
    compile_protos([Path(__file__).parent / "explored.proto"], [], out, relative=False)
    sys.path.insert(0, str(out))
    messages, services = importlib.import_module("explored_pb2"), importlib.import_module("explored_rpc")
    sys.path.remove(str(out))

    class Greeter(services.GreeterService):  # type: ignore[misc,name-defined]
        async def hello(self, request: Any, context: Any) -> Any:
            if not request.name:
                raise RpcError(Code.INVALID_ARGUMENT, "who is <b>there</b>?")
            context.set_initial_metadata((("x-seen", str(context.get("x-given"))),))
            return messages.Greeting(text=f"Hello, {request.name}")

        async def count(self, request: Any, context: Any) -> Any:
            for number in range(request.times):
                yield messages.Greeting(text=request.name, number=number)
            if request.name == "ever":
                await asyncio.Event().wait()

        async def hello_all(self, requests: Any, context: Any) -> Any:
            async for request in requests:
                yield messages.Greeting(text=f"Hello, {request.name}")

    return Greeter()


@pytest.fixture(scope="session")
def explored(greeter: Any) -> Iterator[str]:
    """Where the server is."""
    explorer = Explorer([greeter])
    started: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        async with Server([greeter], app=explorer, browser_hosts=explorer.hosts) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            started.append(listener.url.replace("tcp://", "http://"))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert ready.wait(20)
    yield started[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()
