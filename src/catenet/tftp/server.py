"""A server of a folder: requests on the well-known port, each transfer on a port of its own or all on that one.

`await serve("boot", "tftp://[::]:69")`. Answers leave from the address that was asked, whichever of the host's that is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from catenet.folder.root import Root
from catenet.net.datagram import DatagramEndpoint, DatagramPeer, serve_datagrams
from catenet.printable import printable
from catenet.tftp.channel import Channel
from catenet.tftp.client import SCHEMES
from catenet.tftp.core import Asked, ServerCore
from catenet.tftp.errors import ErrorCode, TftpError
from catenet.tftp.options import Wishes, grant
from catenet.tftp.packets import NETASCII, OCTET
from catenet.tftp.served import Reading, Storing, refusal
from catenet.tftp.timing import PATIENCE
from catenet.tftp.transfer import LINGER, Event, Transfer

__all__ = ["Server", "ServerOptions", "serve"]

_log = logging.getLogger(__name__)
_MODES: Final = (OCTET, NETASCII)
BUFFER: Final = 1 << 20
LAST_WORDS: Final = 1.0
"""Seconds for which the last ACKs are still repeated when the server ends."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server does. Sizes in bytes, times in seconds.

    * `upload`: files may be written; `overwrite`: also where there is one.
    * `hidden`: names that begin with a dot are served.
    * `single_port`: transfers use the port of the requests.
    * `most`: largest block and window that are granted, and the block number after 65,535 if nothing is said of it.
    * `max_transfers`: at a time; `max_per_client`: of one address.
    * `max_upload`: of one file; `max_upload_total`: of all files while the server runs, None: no limit.
    * `patience`: silence after which a transfer is given up.
    """

    upload: bool = False
    overwrite: bool = False
    hidden: bool = False
    single_port: bool = False
    most: Wishes = field(default_factory=lambda: Wishes(65_464, 64))
    max_transfers: int = 1000
    max_per_client: int = 32
    max_upload: int = 4 << 30
    max_upload_total: int | None = None
    patience: float = PATIENCE


class _Running:
    """One transfer of the server."""

    def __init__(self, asked: Asked, host: str) -> None:
        self.asked = asked
        self.host = host
        self.task: asyncio.Task[None] | None = None
        self.transfer: Transfer | None = None
        self.channel: Channel | None = None
        self.endpoint: DatagramEndpoint[Event] | None = None

    @property
    def moved(self) -> int:
        """Bytes of the file so far."""
        return 0 if self.channel is None else self.channel.moved


class Server:
    """Made by `serve`. `urls`: where it listens."""

    def __init__(self, root: Root, options: ServerOptions) -> None:
        self.core = ServerCore()
        self.urls: list[str] = []
        self._root = root
        self._options = options
        self._endpoint: DatagramEndpoint[Asked] | None = None
        self._sockets: list[tuple[int, str]] = []
        self._running: dict[str, _Running] = {}
        self._per_client: Counter[str] = Counter()
        self._stored = 0
        self._lingering: set[asyncio.Task[None]] = set()
        self._requests: asyncio.Task[None] | None = None

    def start(self, endpoint: DatagramEndpoint[Asked], bound: list[tuple[int, str]]) -> None:
        """Take requests of sockets, whose families and addresses are `bound`."""
        self._endpoint, self._sockets = endpoint, bound
        self.urls = list(endpoint.urls)
        self._requests = asyncio.get_running_loop().create_task(self._take_requests(endpoint))

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def drain(self, grace: float | None = None) -> None:
        """Take no requests any more, let transfers end for `grace` seconds, and close."""
        self.core.closing = True
        tasks = [running.task for running in self._running.values() if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        if self._lingering:
            await asyncio.wait(self._lingering, timeout=LAST_WORDS if grace is None else min(LAST_WORDS, grace))
        await self.close()

    async def close(self) -> None:
        """End all transfers at once; their clients are told."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for running in list(self._running.values()):
            if running.transfer is not None and running.channel is not None and not running.transfer.over:
                running.channel.fail(TftpError(ErrorCode.UNDEFINED, "the server is closing"))
        tasks += self._lingering
        if self._requests is not None:
            tasks.append(self._requests)
            self._requests = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
            self._root.close()

    # Requests.

    async def _take_requests(self, endpoint: DatagramEndpoint[Asked]) -> None:
        async for asked in endpoint:
            self._take(asked)

    def _take(self, asked: Asked) -> None:
        peer = asked.peer
        assert isinstance(peer, DatagramPeer)
        earlier = self._running.get(peer.name)
        if earlier is not None:
            if asked.data == earlier.asked.data and (earlier.transfer is None or not earlier.transfer.proven):
                return  # our first answer is on its way, or will be repeated
            self._abandon(earlier)
        host = peer.name.rpartition(":")[0]
        if len(self._running) >= self._options.max_transfers or self._per_client[host] >= self._options.max_per_client:
            self._refuse(asked, TftpError(ErrorCode.UNDEFINED, "too many transfers"))
            return
        running = _Running(asked, host)
        self._running[peer.name] = running
        self._per_client[host] += 1
        running.task = asyncio.get_running_loop().create_task(self._run(running, peer))

    def _abandon(self, running: _Running) -> None:
        """A boot loader has begun again, from the same port."""
        if running.channel is not None:
            running.channel.transfer.fail(TftpError(ErrorCode.UNDEFINED, "asked again"), tell=False)
        self._forget(running)

    def _forget(self, running: _Running) -> None:
        name = running.asked.peer.name
        if self._running.get(name) is running:
            del self._running[name]
            self._per_client[running.host] -= 1
            if not self._per_client[running.host]:
                del self._per_client[running.host]

    def _refuse(self, asked: Asked, error: TftpError) -> None:
        self.core.refuse(asked.peer, error.code, error.text)
        if self._endpoint is not None:
            self._endpoint.flush()
        _log.info("%s", _line(asked, 0, f"refused: {error.text}"))

    # Transfers.

    async def _run(self, running: _Running, peer: DatagramPeer) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            if running.asked.request.mode not in _MODES:
                raise TftpError(ErrorCode.ILLEGAL, "modes are octet and netascii")
            if running.asked.request.writes:
                await self._store(running, peer)
            else:
                await self._send(running, peer)
        except OSError as error:
            self._report(running, peer, error)
        except asyncio.CancelledError:
            _log.warning("%s", _line(running.asked, running.moved, "broken off: the server is closing"))
            raise
        else:
            seconds = asyncio.get_running_loop().time() - begun
            _log.info("%s", _line(running.asked, running.moved, _how(running.transfer, seconds)))
        finally:
            self._forget(running)
            self._release(running)

    def _report(self, running: _Running, peer: DatagramPeer, error: OSError) -> None:
        """Tell the client, unless it was the client who told us."""
        failure = refusal(error)
        if running.channel is None:
            self._refuse(running.asked, failure)
            return
        running.channel.fail(failure)
        why = f"{failure}" if error is failure else f"{failure.text}: {error.strerror or error}"
        _log.warning("%s", _line(running.asked, running.moved, f"failed: {why}"))

    async def _send(self, running: _Running, peer: DatagramPeer) -> None:
        request = running.asked.request
        file = Reading(self._root, request.name)
        try:
            is_text = request.mode == NETASCII
            channel = self._begin(running, peer, None if is_text else file.size)
            granted = await channel.begun()
            while data := await file.next(granted.block):
                await channel.write(data)
            await channel.finish()
        finally:
            file.close()

    async def _store(self, running: _Running, peer: DatagramPeer) -> None:
        options, request = self._options, running.asked.request
        if not options.upload:
            raise TftpError(ErrorCode.ACCESS, "files may not be written here")
        granted, _ = grant(request.options, options.most, None, True)
        room = self._room()
        if granted.size is not None and granted.size > room:
            raise TftpError(ErrorCode.DISK_FULL, "larger than may be written here")
        storing = Storing.begin(self._root, request.name, granted.size, options.overwrite)
        try:
            channel = self._begin(running, peer, None)
            while data := await channel.read():
                self._stored += len(data)
                if channel.moved > options.max_upload or self._room() < 0:
                    raise TftpError(ErrorCode.DISK_FULL, "larger than may be written here")
                await storing.write(data)
            storing.publish()
            await channel.finish()
        finally:
            storing.close()

    def _room(self) -> int:
        """How many bytes one more file may have."""
        total = self._options.max_upload_total
        return self._options.max_upload if total is None else min(self._options.max_upload, total - self._stored)

    def _begin(self, running: _Running, peer: DatagramPeer, size: int | None) -> Channel:
        request, options = running.asked.request, self._options
        loop = asyncio.get_running_loop()
        granted, said = grant(request.options, options.most, size, request.writes)
        if options.single_port:
            transfer = Transfer.answer(
                peer, granted, said, loop.time(), writes=not request.writes, patience=options.patience
            )
            self.core.attach(transfer)
            channel = Channel(transfer, lambda: self._flush(transfer), request.mode)
        else:
            sock = self._socket(peer)
            own = replace(peer, index=0)
            transfer = Transfer.answer(
                own, granted, said, loop.time(), writes=not request.writes, patience=options.patience
            )
            endpoint: DatagramEndpoint[Event] = DatagramEndpoint(loop, transfer, [sock], [], False, many=True)
            running.endpoint = endpoint
            channel = Channel(transfer, endpoint.flush, request.mode)
        running.transfer, running.channel = transfer, channel
        self._flush(transfer)
        return channel

    def _socket(self, peer: DatagramPeer) -> socket.socket:
        """A socket with a port of its own, on the address of the one that was asked."""
        family, host = self._sockets[peer.index]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            sock.bind((host, 0))
        except BaseException:
            sock.close()
            raise
        return sock

    def _flush(self, transfer: Transfer) -> None:
        if self._options.single_port and self._endpoint is not None:
            self.core.touch(transfer)
            self._endpoint.flush()

    def _release(self, running: _Running) -> None:
        """Close the transfer's socket, when the last ACK need not be repeated any more."""
        transfer = running.transfer
        if transfer is None:
            return
        if transfer.closed or transfer.error is not None or not transfer.over:
            self._close(running)
            return
        task = asyncio.get_running_loop().create_task(self._linger(running))
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    async def _linger(self, running: _Running) -> None:
        try:
            await asyncio.sleep(LINGER)
        finally:
            self._close(running)

    def _close(self, running: _Running) -> None:
        if running.endpoint is not None:
            running.endpoint.close()
        elif running.transfer is not None:
            self.core.detach(running.transfer)


def _line(asked: Asked, moved: int, what: str) -> str:
    """What the log says of a transfer."""
    verb = "put" if asked.request.writes else "get"
    return f"{asked.peer.name} {verb} {printable(asked.request.name)} {moved} bytes, {what}"


def _how(transfer: Transfer | None, seconds: float) -> str:
    if transfer is None or transfer.granted is None:
        return "done"
    granted = transfer.granted
    again = transfer.sender.repeated if transfer.sender is not None else 0
    repeated = f", {again} blocks again" if again else ""
    return f"{seconds:.3f} s, blocks of {granted.block}, windows of {granted.window}{repeated}"


async def serve(
    folder: str | os.PathLike[str],
    urls: str | Iterable[str],
    options: ServerOptions | None = None,
    *,
    reuse_port: bool = False,
) -> Server:
    """Serve a folder; `urls`: `tftp://host:port`, port 0 is any. Raises `ValueError` for a wrong URL, `OSError`."""
    options = options or ServerOptions()
    root = Root(os.fspath(folder), options.hidden)
    server = Server(root, options)
    try:
        endpoint = await serve_datagrams(
            server.core, urls, keep_events=True, schemes=SCHEMES, reuse_port=reuse_port, many=options.single_port
        )
    except BaseException:
        root.close()
        raise
    server.start(endpoint, endpoint.places)
    return server
