"""A server that says what a test wants it to say, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Seen = tuple[str, dict[str, str], bytes]
Responder = bytes | Callable[[str, dict[str, str], bytes], bytes]


class Scripted:
    """Serves on a port of its own; `handle(reader, writer)` is called for each connection, which it need not close."""

    def __init__(self, handle: Handle, tls: ssl.SSLContext | None = None, path: str | None = None) -> None:
        self.handle = handle
        self.tls = tls
        self.path = path
        self.connections = 0
        self.errors: list[Exception] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Scripted:
        if self.path is None:
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
            self.port = self.server.sockets[0].getsockname()[1]
            self.url = f"{'https' if self.tls else 'http'}://localhost:{self.port}"
        else:
            self.server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not self.errors, self.errors

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, BrokenPipeError):
                await self.handle(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        except Exception as error:
            self.errors.append(error)
        finally:
            self.tasks.discard(task)
            writer.close()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """The lines of the next head: the first as it is, then a dict of fields with names in lower case."""
    block = await reader.readuntil(b"\r\n\r\n")
    first, *lines = block[:-4].decode("latin-1").split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def read_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    """The body that goes with a head."""
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    body = b""
    while fields.get("transfer-encoding") == "chunked":
        size = int((await reader.readline()).strip(), 16)
        body += await reader.readexactly(size)
        if size:
            await reader.readexactly(2)
            continue
        while (await reader.readline()).strip():
            pass
        break
    return body


def replying(*responses: Responder, seen: list[Seen] | None = None) -> Handle:
    """Answers requests, on any number of connections, with these bytes in turn; the last one for ever."""
    waiting = list(responses)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, fields = await read_head(reader)
            body = await read_body(reader, fields)
            if seen is not None:
                seen.append((first, fields, body))
            response = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            writer.write(response if isinstance(response, bytes) else response(first, fields, body))
            await writer.drain()

    return handle


def reply(body: bytes = b"", status: str = "200 OK", **fields: str) -> bytes:
    """A response with a length."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])
    return head.encode("latin-1") + b"\r\n\r\n" + body


@contextlib.contextmanager
def in_background(handle: Handle, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Scripted(handle, tls)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
