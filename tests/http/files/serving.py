"""A server of files in a thread, and requests byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catenet.http.files import FileOptions, Files
from catenet.http.server.server import serve


@dataclass
class Answer:
    """A response, header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: list[tuple[int, dict[str, str]]]


class Server:
    """A server and the folder that it serves."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        host, _, port = url.removeprefix("http://").rpartition(":")
        self.address = (host.strip("[]"), int(port))

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        return ask(self.address, method, target, body, **headers)


@contextlib.contextmanager
def serving(folder: Path, options: FileOptions | None = None) -> Iterator[Server]:
    """Serve a folder while the context is open."""
    started: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def main() -> None:
        files = Files(str(folder), options or FileOptions())
        async with await serve(files, "http://127.0.0.1:0", interface="exchange") as server:
            started.extend(server.urls)
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, over.wait)
        files.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield Server(started[0], folder)
    finally:
        over.set()
        thread.join(20)


def ask(address: tuple[str, int], method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
    """Send one request as it is and read the response."""
    said = {"Host": "x", "Connection": "close"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if body or method in ("PUT", "POST", "PATCH"):
        said.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall("\r\n".join(lines).encode("latin-1") + body)
        data = bytearray()
        while not _is_complete(method, data) and (piece := sock.recv(1 << 20)):
            data += piece
    return read_answer(bytes(data))


def _is_complete(method: str, data: bytearray) -> bool:
    """Whether a response is there that says its length: a server may wait for a body that it has refused."""
    start = 0
    while (end := data.find(b"\r\n\r\n", start)) >= 0:
        head = bytes(data[start:end]).lower()
        if not head.startswith(b"http/1.1 1"):
            length = re.search(rb"\ncontent-length: *([0-9]+)", head)
            return method != "HEAD" and length is not None and len(data) - end - 4 >= int(length[1])
        start = end + 4
    return False


def read_answer(data: bytes) -> Answer:
    """Read a response that ends with its connection."""
    interim = []
    while True:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if status >= 200:
            break
        interim.append((status, headers))
    if headers.get("transfer-encoding") == "chunked":
        data = b"".join(_chunks(data))
    return Answer(status, headers, data, interim)


def _chunks(data: bytes) -> Iterator[bytes]:
    while data:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        yield data[:count]
        data = data[count + 2 :]
