"""Files from and to servers: `get`, `put`, and streams of either, `reading` and `writing`.

URLs are `tftp://host[:port]/name[;mode=netascii]` (RFC 3617). Each transfer has a socket of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from catenet.net import dial
from catenet.net.client import ConnectError
from catenet.net.datagram import DatagramEndpoint, DatagramPeer
from catenet.net.target import Scheme, Target, parse_target
from catenet.net.tls import explain
from catenet.tftp.channel import Channel
from catenet.tftp.errors import TftpError
from catenet.tftp.options import Wishes
from catenet.tftp.packets import NETASCII, OCTET
from catenet.tftp.timing import PATIENCE
from catenet.tftp.transfer import LINGER, Event, Transfer

__all__ = ["SCHEMES", "FileUrl", "get", "parse_url", "put", "reading", "writing"]

PORT: Final = 69
SCHEMES: Final[Mapping[str, Scheme]] = {
    "tftp": Scheme(port=PORT, kinds=(socket.SOCK_DGRAM,)),
    "udp": Scheme(port=PORT, kinds=(socket.SOCK_DGRAM,)),
}
"""Of URLs on which a server listens; both mean the same."""
NEXT_ADDRESS: Final = 6.0
"""Seconds without an answer after which the next address of a name is asked."""
BUFFER: Final = 1 << 20
_URL: Final = re.compile(r"tftp://([^/?#]*)/([^;?#]*)(?:;mode=([A-Za-z]+))?", re.IGNORECASE).fullmatch
_DEFAULT: Final = Wishes()
_lingering: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class FileUrl:
    """A parsed URL: where, which file, in which mode."""

    target: Target
    name: str
    mode: str = OCTET


def parse_url(text: str) -> FileUrl:
    """Return what a URL of a file says. Raises `ValueError`."""
    found = _URL(text)
    if found is None:
        raise ValueError(f"URL {text!r}: write it as tftp://HOST/FILE or tftp://HOST/FILE;mode=netascii")
    mode = (found[3] or OCTET).lower()
    if mode not in (OCTET, NETASCII):
        raise ValueError(f"URL {text!r}: no mode {mode!r}; octet and netascii are known")
    name = unquote_to_bytes(found[2]).decode("utf-8", "surrogateescape")
    if not name or "\0" in name:
        raise ValueError(f"URL {text!r} names no file")
    return FileUrl(parse_target(f"tftp://{found[1]}", schemes=SCHEMES), name, mode)


async def get(url: str, wishes: Wishes = _DEFAULT, *, patience: float = PATIENCE) -> bytes:
    """Return a file. Raises `ValueError` for the URL, `ConnectError`, `TftpError`.

    `patience`: seconds of silence after which it is given up.
    """
    async with reading(url, wishes, patience=patience) as channel:
        return b"".join([piece async for piece in channel])


async def put(url: str, data: bytes, wishes: Wishes = _DEFAULT, *, patience: float = PATIENCE) -> None:
    """Send a file; it is there when this returns. Raises `ValueError` for the URL, `ConnectError`, `TftpError`."""
    async with writing(url, wishes, size=len(data), patience=patience) as channel:
        await channel.write(data)
        await channel.finish()


def reading(
    url: str, wishes: Wishes = _DEFAULT, *, patience: float = PATIENCE
) -> contextlib.AbstractAsyncContextManager[Channel]:
    """Return a file as a stream: `async with` gives the channel, `async for` its pieces. Raises as `get`."""
    return _open(url, wishes, False, None, patience)


def writing(
    url: str, wishes: Wishes = _DEFAULT, *, size: int | None = None, patience: float = PATIENCE
) -> contextlib.AbstractAsyncContextManager[Channel]:
    """Return a file to be written: `async with` gives the channel, which is to be finished. Raises as `put`.

    `size`: of the whole, for servers that want to know; None: nobody knows.
    """
    return _open(url, wishes, True, size, patience)


@contextlib.asynccontextmanager
async def _open(url: str, wishes: Wishes, writes: bool, size: int | None, patience: float) -> AsyncIterator[Channel]:
    parsed = parse_url(url)
    endpoint, channel = await _first_that_answers(parsed, wishes, writes, size, patience)
    try:
        yield channel
    finally:
        channel.cancel()
        _close(endpoint, channel.transfer)


async def _first_that_answers(
    url: FileUrl, wishes: Wishes, writes: bool, size: int | None, patience: float
) -> tuple[DatagramEndpoint[Event], Channel]:
    """Ask the addresses of a host one after another."""
    loop = asyncio.get_running_loop()
    try:
        addresses = await dial.resolve(loop, url.target, socket.SOCK_DGRAM, None)
    except OSError as error:
        raise ConnectError(f"cannot connect to {url.target.url}: {explain(error)}") from error
    failure: OSError = OSError("no addresses")
    for number, address in enumerate(addresses, 1):
        waits = patience if number == len(addresses) else min(patience, NEXT_ADDRESS)
        try:
            endpoint, channel = _ask(loop, url, address, wishes, writes, size, waits)
        except OSError as error:  # no route, or no IPv6 here
            failure = error
            continue
        try:
            await channel.begun()
        except TftpError as error:
            endpoint.close()
            if error.told or not isinstance(error, (TimeoutError, ConnectionError)):
                raise
            failure = error
        except BaseException:
            channel.cancel()
            endpoint.close()
            raise
        else:
            channel.transfer.timer.be_patient(patience)
            return endpoint, channel
    if isinstance(failure, TftpError):
        raise failure
    raise ConnectError(f"cannot connect to {url.target.url}: {explain(failure)}")


def _ask(
    loop: asyncio.AbstractEventLoop,
    url: FileUrl,
    address: dial.Endpoint,
    wishes: Wishes,
    writes: bool,
    size: int | None,
    patience: float,
) -> tuple[DatagramEndpoint[Event], Channel]:
    peer = DatagramPeer(address.address)
    told = None if url.mode == NETASCII else size
    transfer = Transfer.ask(peer, url.name, url.mode, wishes, loop.time(), writes=writes, size=told, patience=patience)
    sock = socket.socket(address.family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        endpoint: DatagramEndpoint[Event] = DatagramEndpoint(
            loop, transfer, [sock], [url.target.url], keep_events=False, many=True, errors=True
        )
    except BaseException:
        sock.close()
        raise
    return endpoint, Channel(transfer, endpoint.flush, url.mode)


def _close(endpoint: DatagramEndpoint[Event], transfer: Transfer) -> None:
    """Close the socket, but not before the other end has heard the last ACK, if the loop runs on."""
    if transfer.closed or transfer.error is not None:
        endpoint.close()
        return
    task = asyncio.get_running_loop().create_task(_linger(endpoint))
    _lingering.add(task)
    task.add_done_callback(_lingering.discard)


async def _linger(endpoint: DatagramEndpoint[Event]) -> None:
    try:
        await asyncio.sleep(LINGER)
    finally:
        endpoint.close()
