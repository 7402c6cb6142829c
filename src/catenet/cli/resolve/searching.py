"""`+nssearch`: which version of a zone each of its servers has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from catenet.cli.resolve.as_json import question_json
from catenet.cli.resolve.asking import Session, make_query, reason
from catenet.cli.resolve.paper import BAD, Paper
from catenet.cli.resolve.records import data_text, section
from catenet.cli.resolve.servers import Address

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.wire.dns.message import Message

__all__ = ["Version", "print_versions", "search_servers", "versions_json"]

MOST_SERVERS = 40
"""Addresses that are asked."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a server says: its SOA record as text, or what went wrong; `ms` is how long that took."""

    address: Address
    soa: str = ""
    problem: str = ""
    ms: float = 0.0

    @property
    def serial(self) -> int | None:
        """The number of the version."""
        words = self.soa.split()
        return int(words[2]) if len(words) == 7 and words[2].isdecimal() else None


async def search_servers(ask: Ask, session: Session, port: int) -> list[Version]:
    """Ask each server of a zone for its SOA record. Raises OSError when nobody names the servers."""
    from catenet.net.target import host_and_port
    from catenet.wire.address import format_address
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import AAAA, NS, A

    async def answer(name: bytes, kind: int) -> Message:
        question = ask.question._replace(name=name, type=kind)
        return (await session.ask(replace(ask, question=question))).reply.message

    names = [one.data for one in (await answer(ask.question.name, NS)).answer if one.type == NS]
    if not names:
        raise OSError("the name is no zone: it has no NS records")
    places: list[Address] = []
    for name in names:
        for kind, version in ((A, 4), (AAAA, 6)):
            if session.version not in (None, version):
                continue
            for one in (await answer(name, kind)).answer:
                if one.type == kind and len(places) < MOST_SERVERS:
                    host = host_and_port(format_address(one.data), port)
                    places.append(Address(f"{'tcp' if ask.options.tcp else 'udp'}://{host}", name_to_text(name)))
    return [await _version(ask, session, place) for place in places]


async def _version(ask: Ask, session: Session, place: Address) -> Version:
    from catenet.wire.dns.numbers import SOA, rcode_to_text

    options = replace(ask.options, recurse=False)
    query = make_query(options, replace(ask, question=ask.question._replace(type=SOA)))
    try:
        reply = await session.ask_at(replace(place, name=None), query, options)
    except OSError as error:
        return Version(place, problem=reason(error))
    found = next((one for one in section(reply.message, "answer") if one.type == SOA), None)
    ms = round(reply.seconds * 1000, 3)
    if found is None:
        return Version(place, problem=f"no SOA record ({rcode_to_text(reply.message.rcode)})", ms=ms)
    return Version(place, data_text(found), ms=ms)


def print_versions(paper: Paper, versions: list[Version]) -> None:
    """A line for each server, as dig has it, and whether they agree."""
    for one in versions:
        if one.soa:
            paper.line(f"SOA {one.soa} from server {one.address.url} ({one.address.name}) in {one.ms:.1f} ms.")
        else:
            paper.line(f";; {one.address.url} ({one.address.name}): {one.problem}", BAD)
    serials = {one.serial for one in versions if one.soa}
    if len(serials) > 1:
        paper.line(f";; the servers have {len(serials)} versions: {', '.join(map(str, serials))}", BAD)


def versions_json(ask: Ask, versions: list[Version]) -> dict[str, Any]:
    """The versions as `servers [{server, name, soa, serial, ms, problem}]`."""
    servers = [
        {
            "server": one.address.url,
            "name": one.address.name,
            "soa": one.soa,
            "serial": one.serial,
            "ms": one.ms,
            "problem": one.problem,
        }
        for one in versions
    ]
    return {"question": question_json(ask.question), "servers": servers}
