"""Zone transfers: records are printed as they come (`AXFR`, `IXFR=SERIAL`)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.cli.resolve.as_json import question_json, record_json
from catenet.cli.resolve.asking import Session, make_query, reason
from catenet.cli.resolve.multicast import MDNS
from catenet.cli.resolve.paper import DOUBTFUL, HEAD, QUIET, Paper
from catenet.cli.resolve.records import data_text, lines
from catenet.cli.resolve.show import question_text

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.cli.resolve.servers import Address, NameServer
    from catenet.dns.client.transfer import TransferReader
    from catenet.wire.dns.message import Message
    from catenet.wire.dns.record import Record

__all__ = ["Transfer", "is_transfer", "over_streams"]


def is_transfer(ask: Ask) -> bool:
    """Whether a question asks for a zone."""
    from catenet.wire.dns.numbers import AXFR, IXFR

    return ask.question.type in (AXFR, IXFR)


def over_streams(ask: Ask) -> Ask:
    """The question of servers over TCP, which transfers need. Raises UsageError for servers over HTTP."""
    servers: list[NameServer] = []
    for server in ask.servers:
        if server.target.scheme == MDNS:
            raise UsageError(f"{question_text(ask.question)}: no transfers by multicast DNS")
        if server.target.scheme in ("http", "https"):
            raise UsageError(f"{question_text(ask.question)} @{server.text}: no transfers over HTTP; use TCP or TLS")
        scheme = "tcp" if server.target.scheme == "udp" else server.target.scheme
        servers.append(replace(server, target=replace(server.target, scheme=scheme)))
    return replace(ask, servers=tuple(servers))


@dataclass(slots=True)
class Transfer:
    """One transfer: from the first server that begins one."""

    ask: Ask
    session: Session
    paper: Paper | None
    """Where records go as they come; None keeps them for JSON."""
    records: int = 0
    messages: int = 0
    size: int = 0
    kept: list[Record] | None = None
    rcode: int = 0
    server: str = ""
    seconds: float = 0.0
    incremental: bool = False

    async def run(self) -> None:
        """Transfer. Raises OSError when no server has the whole."""
        failures: list[str] = []
        for server in self.ask.servers:
            try:
                for address in await self.session.places(server):
                    try:
                        await self._from(address)
                        return
                    except OSError as error:
                        failures.append(reason(error))
                        if self.records:
                            raise OSError(f"{failures[-1]} (after {self.records} records)") from None
            except OSError as error:
                if self.records:
                    raise
                failures.append(reason(error))
        raise OSError("\n".join(dict.fromkeys(failures)) or "no server")

    async def _from(self, address: Address) -> None:
        from catenet.dns.client.transfer import TransferReader
        from catenet.wire.errors import Malformed

        loop = asyncio.get_running_loop()
        begun = loop.time()
        self.server = address.url
        options = replace(self.ask.options, edns=None, adflag=False, recurse=False)
        query = self.session.signed(replace(make_query(options, self.ask), cookies=False))
        reader = TransferReader(self.ask.serial is not None)
        messages = self.session.client.transfer(
            address.url, query, idle_timeout=options.time * options.tries, server_name=address.name
        )
        try:
            async with contextlib.aclosing(messages):
                async for message, may_be_last in messages:
                    self._take(message, reader)
                    if not self.rcode and not reader.done:
                        continue
                    if not may_be_last:
                        raise ConnectionError(f"{address.url}: the last message has no signature")
                    break
        except Malformed as error:
            raise ConnectionError(f"{address.url} sent no transfer ({error})") from None
        self.incremental = reader.is_incremental
        self.seconds = loop.time() - begun

    def _take(self, message: Message, reader: TransferReader) -> None:
        self.messages += 1
        self.size += len(message.data)
        if message.rcode:
            self.rcode = message.rcode
            return
        found = list(reader.read(message.answer))
        shown = found
        if self.ask.options.onesoa and reader.done and len(found) + self.records > 1:
            shown = found[:-1]
        self.records += len(found)
        if self.paper is None:
            self.kept = [*(self.kept or ()), *shown]
            return
        if self.ask.options.short:
            for record in shown:
                self.paper.line(data_text(record, self.ask.options))
        elif shown and self.ask.options.answer:
            for line in lines(shown, self.ask.options):
                self.paper.line(line)

    def print_end(self, paper: Paper) -> None:
        """Print what there is to say behind the records."""
        from catenet.wire.dns.numbers import rcode_to_text

        options = self.ask.options
        if self.rcode and not options.short:
            paper.line(f";; {question_text(self.ask.question)}: {rcode_to_text(self.rcode)}", HEAD)
        elif self.records == 1 and options.comments and not options.short:
            paper.line(f";; {question_text(self.ask.question)}: there is nothing newer", DOUBTFUL)
        if options.stats and not options.short:
            kind = ", incremental" if self.incremental else ""
            counts = f"{_count(self.records, 'record')} in {_count(self.messages, 'message')}{kind}"
            paper.line(f";; {self.server}, {self.seconds * 1000:.1f} ms, {counts}, {self.size} bytes", QUIET)

    def json(self) -> dict[str, Any]:
        """The transfer as an answer."""
        from catenet.wire.dns.numbers import rcode_to_text

        return {
            "question": question_json(self.ask.question),
            "rcode": rcode_to_text(self.rcode),
            "answer": [record_json(record) for record in self.kept or ()],
            "incremental": self.incremental,
            "server": self.server,
            "protocol": self.server.partition(":")[0],
            "ms": round(self.seconds * 1000, 3),
            "messages": self.messages,
            "bytes": self.size,
        }


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
