"""A name server that runs: what its files say, read again when it is told to, its figures, its privileges."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from catenet.dns.designation import designation_set
from catenet.dns.server.build import zone_name
from catenet.dns.server.chain import Chain
from catenet.dns.server.config import ConfigError, ServerConfig
from catenet.dns.server.counters import Board, Counters
from catenet.dns.server.courier import Courier, Helper, Owner
from catenet.dns.server.https import HttpStreams
from catenet.dns.server.local import LocalData
from catenet.dns.server.metrics import CONTENT_TYPE, figures
from catenet.dns.server.parts import Part, Told, read_files
from catenet.dns.server.querylog import QueryLog
from catenet.dns.server.request import Transport
from catenet.dns.server.server import Server
from catenet.dns.server.watch import Watch
from catenet.net import ServerLimits, parse_target
from catenet.net.target import Scheme

__all__ = ["Service"]

logger = logging.getLogger("catenet.dns")

BEAT: Final = 1.0
METRICS_PATH: Final = "/metrics"
METRICS_SCHEMES: Final = {"http": Scheme(port=9153, takes_path=True)}


class Service:
    """A server and what it is made of.

    `read` says what it is told, now and at each reload; `board` is where process `number` of several publishes figures,
    `courier` what they share zones by.
    """

    def __init__(
        self, read: Callable[[], ServerConfig], board: Board, number: int = 0, courier: Courier | None = None
    ) -> None:
        self._read = read
        self._board = board
        self._number = number
        self._courier = courier
        self._side: Owner | Helper | None = None
        self.config = read()
        self.counters = Counters()
        self._part = Part(self.counters)
        self._server: Server | None = None
        self._metrics: HttpStreams | None = None
        self._log: QueryLog | None = None
        self._tls: tuple[ssl.SSLContext, str, str | None] | None = None
        self._watching: dict[str, int] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._again = False

    # Beginning.

    async def start(
        self,
        urls: Sequence[str],
        *,
        limits: ServerLimits | None = None,
        tls: ssl.SSLContext | None = None,
        certificate: tuple[str, str | None] | None = None,
        reuse_port: bool = False,
        shared: Mapping[str, socket.socket] | None = None,
        watch_files: bool = False,
    ) -> None:
        """Read zones, listen, give up privileges.

        `certificate` are the files of `tls`, to be read again at a reload. Raises ConfigError, OSError, ValueError.
        """
        loop = asyncio.get_running_loop()
        config = self.config
        if tls is not None and certificate is not None:
            self._tls = (tls, *certificate)
        self._side = None if self._courier is None else self._courier.side(self._number)
        told = read_files(config, self._side)
        if config.query_log:
            try:
                self._log = QueryLog(loop, config.query_log)
            except OSError as error:
                raise ConfigError(f"query-log {config.query_log}: {(error.strerror or str(error)).lower()}") from None
        watch = Watch(loop, self.counters, config.settings.rates, self._log)
        chain = self._part.use(told)
        settings = config.settings
        server = self._server = Server(chain, watch, limits or ServerLimits(max_idle=settings.idle_timeout))
        for url in urls:
            await server.listen(
                url, tls=tls, certificate=certificate, reuse_port=reuse_port, sock=(shared or {}).get(url)
            )
        if isinstance(self._side, Owner):
            self._side.receive = self._receive
        elif self._side is not None:
            self._side.changed = self._part.reread
        self._designate(server.chain)
        if config.metrics and not self._number:
            await self._serve_metrics(config.metrics, chain, watch)
        if config.user:
            become(config.user)
        if watch_files:
            self._watching = self._stamps()
        self._on_beat()

    def _receive(
        self, data: bytes, transport: Transport, address: str, port: int, respond: Callable[[bytes], None]
    ) -> bytes | None:
        """Answer what another process has got."""
        return None if self._server is None else self._server.chain.receive(data, transport, address, port, respond)

    def _designate(self, chain: Chain) -> None:
        """Tell clients where this server can be asked with encryption."""
        name = self.config.settings.designate
        if name is None and self._tls is not None:
            name = certificate_name(Path(self._tls[1]))
        found = designation_set(zone_name(name), self.urls) if name else None
        if found is not None:
            chain.designate(LocalData([found]))

    async def _serve_metrics(self, url: str, chain: Chain, watch: Watch) -> None:
        try:
            target = parse_target(url, schemes=METRICS_SCHEMES, default="http")
        except ValueError as error:
            raise ConfigError(f"metrics: {error}") from None
        path = (target.base or METRICS_PATH).encode()
        self._metrics = HttpStreams(chain, watch, ServerLimits(max_connections=64), {path: self._figures})
        listener = await self._metrics.listen(f"tcp://{target.url.removesuffix(target.base).partition('//')[2]}")
        logger.info("metrics on http://%s%s", listener.url.partition("//")[2], path.decode())

    def _figures(self) -> tuple[bytes, bytes]:
        self._publish()
        return CONTENT_TYPE, figures(self._board.total())

    # While it runs.

    @property
    def urls(self) -> Sequence[str]:
        """Where it listens, with the true ports."""
        return [] if self._server is None else self._server.urls

    def _publish(self) -> None:
        server = self._server
        if server is not None:
            self.counters.values["pending"] = server.chain.pending
            self.counters.values["connections"] = server.connections
        self._board.write(self._number, self.counters)

    def _on_beat(self) -> None:
        self._publish()
        if self._watching is not None and (stamps := self._stamps()) != self._watching:
            self._watching = stamps
            self.reload()
        self._beat = asyncio.get_running_loop().call_later(BEAT, self._on_beat)

    def _stamps(self) -> dict[str, int]:
        config = self.config
        files = [config.file]
        for part in (config, *(view.of(config) for view in config.views)):
            files += [one.file for one in part.zones] + [part.root_hints, part.trust_anchor]
            files += [name for one in part.zones if one.sign is not None for name in one.sign.keys]
        files += [name for name in self._tls[1:] if isinstance(name, str)] if self._tls is not None else []
        stamps = {}
        for name in filter(None, files):
            try:
                stamps[name] = os.stat(name).st_mtime_ns
            except OSError:
                continue  # an editor has just replaced it
        return stamps

    def reload(self) -> None:
        """Read files again, and answer by what they say from then on.

        What is wrong in them is logged, and changes nothing.
        """
        if self._reloading is not None:
            self._again = True
            return
        self._reloading = asyncio.get_running_loop().create_task(self._reload())
        self._reloading.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        self._reloading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("reload failed", exc_info=error)
        if self._again:
            self._again = False
            self.reload()

    async def _reload(self) -> None:
        loop, server = asyncio.get_running_loop(), self._server
        if server is None:
            return
        if self._log is not None:
            self._log.reopen()
        try:
            # On a thread: queries are answered meanwhile by what is there.
            told = await loop.run_in_executor(None, self._read_all)
            if self._tls is not None:
                self._tls[0].load_cert_chain(self._tls[1], self._tls[2])
                server.use_certificate(self._tls[1:])
        except (ConfigError, OSError, ValueError) as error:
            logger.error("not reloaded: %s", error)
            return
        config = self.config = told.config
        watch = Watch(loop, self.counters, config.settings.rates, self._log)
        chain = self._part.use(told)
        self._designate(chain)
        server.use(chain, watch)
        self.counters.add("reloads")
        logger.info("reloaded: %d zones", len(told.authority.zones))

    def _read_all(self) -> Told:
        return read_files(self._read(), self._side)

    # Ending.

    async def drain(self, grace: float | None = None) -> None:
        """Take no more queries, answer those that came, close."""
        self._stop()
        if self._server is not None:
            await self._server.drain(grace)
        await self._close_rest()

    async def close(self) -> None:
        """Stop at once."""
        self._stop()
        if self._server is not None:
            await self._server.close()
        await self._close_rest()

    def _stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        if self._reloading is not None:
            self._reloading.cancel()

    async def _close_rest(self) -> None:
        self._server = None
        self._part.close()
        if self._side is not None:
            self._side.close()
            self._side = None
        if self._metrics is not None:
            await self._metrics.close()
            self._metrics = None


def certificate_name(path: Path) -> str | None:
    """The first name of a server's certificate that is no pattern, None without one."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # InvalidVersion, DuplicateExtension and others are no ValueErrors
        return None
    found = (name for name in names.get_values_for_type(x509.DNSName) if not name.startswith("*"))
    return next(found, None)


def become(name: str) -> None:
    """Give up the privileges of root for good. Raises ConfigError."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"user: there is no user {name!r}") from None
    if os.geteuid() != 0:
        if entry.pw_uid != os.geteuid():
            raise ConfigError(f"user: only root can become {name!r}")
        return
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
