"""A resolver for programs: names and types as text, answers as they like them, awaited or not.

`async with Resolver() as resolver: answer = await resolver.resolve("www.example.org", "AAAA")`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from catenet.dns.client import SCHEMES
from catenet.dns.config import system_config
from catenet.dns.dnssec import TrustAnchors
from catenet.dns.resolver.config import ForwardZone, ResolverConfig
from catenet.dns.resolver.hints import read_hints
from catenet.dns.resolver.recursor import Recursor
from catenet.dns.response import ExtendedError, Response, Security
from catenet.dns.rrset import RRset
from catenet.dns.text import data_to_text
from catenet.net import parse_target
from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, name_from_text, name_to_text
from catenet.wire.dns.numbers import AAAA, A, rcode_to_text, type_from_text, type_to_text
from catenet.wire.dns.record import make_record
from catenet.wire.dns.stub import Server

if TYPE_CHECKING:
    from dns.rdata import Rdata

__all__ = ["Resolver", "ResolverAnswer", "SyncResolver"]


@dataclass(frozen=True, slots=True)
class ResolverAnswer:
    """What became of a question.

    Attributes:
        name, type: what was asked.
        rcode: `NOERROR`, `NXDOMAIN`, `SERVFAIL`…
        canonical: the name that has the records, at the end of the aliases.
        sets: the record sets of the answer, aliases included.
        security: what validation found.
        reason: why it is not secure, or why there is no answer.
        errors: extended errors (RFC 8914).
    """

    name: str
    type: str
    rcode: str
    canonical: str
    sets: tuple[RRset, ...]
    security: Security
    reason: str
    errors: tuple[ExtendedError, ...]

    @property
    def ttl(self) -> int:
        """Seconds for which all of it holds; 0 without records."""
        return min((one.ttl for one in self.sets), default=0)

    @property
    def data(self) -> list[str]:
        """The records of the type that was asked for, as zone files have them."""
        return [
            data_to_text(make_record(one.name, one.type, one.ttl, data, one.rclass))
            for one in self._wanted()
            for data in one.data
        ]

    @property
    def rdatas(self) -> list[Rdata]:
        """The same as dnspython has them (the extra `dns`)."""
        import dns.rdata

        return [
            dns.rdata.from_wire(one.rclass, one.type, data, 0, len(data))  # type: ignore[arg-type]
            for one in self._wanted()
            for data in one.data
        ]

    def _wanted(self) -> Iterable[RRset]:
        return (one for one in self.sets if self.type == "ANY" or type_to_text(one.type) == self.type)


class Resolver:
    """Asks for names, on the running event loop, with a cache of its own.

    Args:
        servers: recursive servers to ask, as URLs (`udp://192.0.2.1`, `tls://192.0.2.1`); those of this machine's
            resolv.conf(5) without.
        recursive: ask the authorities itself, from the root on, instead.
        root_hints: file with the servers of another root.
        trust_anchors: file with what to trust; answers are validated then. A recursive resolver without trusts the
            public root.
        config: all other settings.

    Raises:
        ValueError: a URL is wrong, or a file is; its line is named.
    """

    def __init__(
        self,
        servers: Sequence[str] = (),
        *,
        recursive: bool = False,
        root_hints: Path | str | None = None,
        trust_anchors: Path | str | None = None,
        config: ResolverConfig | None = None,
    ) -> None:
        settings = ResolverConfig() if config is None else config
        if not recursive and not settings.forwards:
            settings = _forwarding(settings, servers)
        if root_hints is not None:
            settings = settings.replace(hints=read_hints(Path(root_hints)))
        anchors = None if trust_anchors is None else TrustAnchors.from_files([trust_anchors])
        if anchors is None and recursive and root_hints is None:
            anchors = TrustAnchors.root()
        self._recursor = Recursor(settings, anchors=anchors)

    async def resolve(self, name: str, type: str = "A") -> ResolverAnswer:
        """Ask for a name, which is complete with or without a dot at its end.

        Raises ValueError for what is no name or no type; what cannot be answered is told in the answer.
        """
        number = type_from_text(type)
        question = Question(name_from_text(name), number)
        response = await self._recursor.resolve(question, dnssec_ok=True)
        return _answer(question, response)

    async def addresses(self, name: str) -> list[str]:
        """The IPv6 and IPv4 addresses of a name, both asked for at once; none if it has none."""
        answers = await asyncio.gather(*(self.resolve(name, type_to_text(kind)) for kind in (AAAA, A)))
        return [
            format_address(data)
            for answer in answers
            for one in answer.sets
            if one.type in (A, AAAA)
            for data in one.data
        ]

    async def close(self) -> None:
        """Close all sockets."""
        await self._recursor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class SyncResolver:
    """The same for programs without an event loop; the arguments are those of `Resolver`. For one thread at a time."""

    def __init__(
        self,
        servers: Sequence[str] = (),
        *,
        recursive: bool = False,
        root_hints: Path | str | None = None,
        trust_anchors: Path | str | None = None,
        config: ResolverConfig | None = None,
    ) -> None:
        async def make() -> Resolver:
            return Resolver(
                servers, recursive=recursive, root_hints=root_hints, trust_anchors=trust_anchors, config=config
            )

        self._runner = asyncio.Runner()
        try:
            self._resolver = self._runner.run(make())
        except BaseException:
            self._runner.close()
            raise

    def resolve(self, name: str, type: str = "A") -> ResolverAnswer:
        """Ask for a name; see `Resolver.resolve`."""
        return self._runner.run(self._resolver.resolve(name, type))

    def addresses(self, name: str) -> list[str]:
        """The IPv6 and IPv4 addresses of a name."""
        return self._runner.run(self._resolver.addresses(name))

    def close(self) -> None:
        """Close all sockets."""
        self._runner.run(self._resolver.close())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _forwarding(config: ResolverConfig, urls: Sequence[str]) -> ResolverConfig:
    """The settings of who asks these servers for everything."""
    plain: list[Server] = list(system_config().servers) if not urls else []
    secure: list[Server] = []
    for url in urls:
        target = parse_target(url, schemes=SCHEMES, default="udp")
        try:
            server = Server(parse_address(target.host), target.port)
        except ValueError:
            raise ValueError(f"{url!r}: a name server is named by its address") from None
        (secure if target.tls else plain).append(server)
    if plain and secure:
        raise ValueError("servers with TLS and servers without cannot be asked for the same names")
    zone = ForwardZone(ROOT, tuple(secure or plain), tls="" if secure else None)
    return config.replace(forwards=(zone,), do_not_query=())


def _answer(question: Question, response: Response) -> ResolverAnswer:
    last = response.answer[-1].name if response.answer else question.name
    return ResolverAnswer(
        name_to_text(question.name),
        type_to_text(question.type),
        rcode_to_text(response.rcode),
        name_to_text(last),
        tuple(response.answer),
        response.security,
        response.reason,
        tuple(response.errors),
    )
