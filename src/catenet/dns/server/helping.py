"""The zones of a server in a process that does not own them: read from the owner's files, again when it says so."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

from catenet.dns.server.authority import Authority
from catenet.dns.server.chain import PENDING, Chain
from catenet.dns.server.config import ServerConfig
from catenet.dns.server.courier import Helper
from catenet.dns.server.kept import Kept
from catenet.dns.server.request import Request
from catenet.dns.zone import Zone, ZoneSet
from catenet.dns.zone.storage import JournalFile, load_zone
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import NOTIFY, SERVFAIL, UPDATE

__all__ = ["HelpingAuthority"]

logger = logging.getLogger("catenet.dns")


class HelpingAuthority(Authority):
    """Answers for zones as `Authority` does, and leaves to their owner what changes them."""

    def __init__(
        self, config: ServerConfig, zones: ZoneSet, outer: Authority | None, helper: Helper, view: str
    ) -> None:
        self._helper = helper
        self._reading: dict[bytes, bool] = {}
        """Zones that are read again, and whether they have changed meanwhile."""
        super().__init__(config, zones, outer, None, view)

    def start(self, chain: Chain, before: Authority | None = None) -> None:
        """Answer for the zones by `chain`."""
        self._chain = chain
        self._handlers = {Chain.TRANSFER: self._transfer, NOTIFY: self._relay, UPDATE: self._relay}
        chain.handlers = {kind: partial(self._handle, kind) for kind in self._handlers}
        chain.keys = self.keys
        for kept in list(self._kept.values()):
            if kept.told.catalog and (zone := self.zones.get(kept.origin)) is not None:
                self._follow_catalog(kept, zone)

    def _prepare(self, kept: Kept, config: ServerConfig) -> None:
        if kept.told.file:
            self._read_again(kept)

    def _follow_soon(self, kept: Kept, zone: Zone | None) -> None:
        """The owner follows."""

    def _tell(self, kept: Kept, zone: Zone | None) -> None:
        """The owner tells."""

    def _relay(self, request: Request) -> bytes | None:
        assert self._chain is not None
        return PENDING if self._helper.relay(request) else self._chain.error(request, SERVFAIL)

    def _read_again(self, kept: Kept) -> None:
        """Take a zone from the files of its owner, if they are there."""
        path = Path(f"{kept.told.file}.signed" if kept.told.sign is not None else kept.told.file)
        kept.file = JournalFile(Path(f"{path}.jnl"))
        kept.file.load()
        kept.journal = kept.file.journal
        zone = load_zone(path, kept.file, kept.origin) if path.is_file() else None
        if zone is None:
            self.zones.discard(kept.origin)
            self._missing.add(kept.origin)
        else:
            self.zones.put(zone)
            self._missing.discard(kept.origin)

    def reread(self, name: bytes) -> None:
        """The owner has changed a zone; it is read on a thread, once more if it changes meanwhile."""
        kept = self._kept.get(name)
        if kept is None or self._chain is None:
            return
        if name in self._reading:
            self._reading[name] = True
            return
        self._reading[name] = False
        reading = asyncio.get_running_loop().run_in_executor(None, self._read_again, kept)
        reading.add_done_callback(partial(self._has_read, kept))

    def _has_read(self, kept: Kept, reading: asyncio.Future[None]) -> None:
        again = self._reading.pop(kept.origin)
        if (error := reading.exception()) is not None:
            logger.error("zone %s: %s", name_to_text(kept.origin), error)
        zone = self.zones.get(kept.origin)
        if kept.told.catalog and zone is not None:
            self._follow_catalog(kept, zone)
        self._changed(kept, zone)
        if again:
            self.reread(kept.origin)
