"""Where a host's names come from: first its table, then its name servers, as `hosts: files dns` in nsswitch.conf(5).

A host without name servers has its table alone, and nothing here takes time.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.posix.stub import ask
from catenet.stack.endpoint import Address
from catenet.wire.address import LOOPBACK
from catenet.wire.dns.name import fold, name_from_text, name_to_text, reverse_name
from catenet.wire.dns.numbers import AAAA, PTR, A
from catenet.wire.dns.record import Record
from catenet.wire.dns.stub import Answer, Outcome, follow_aliases

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["Entry", "NameService", "NotFound"]

SIZES: Final = {A: 4, AAAA: 16}
LOCAL: Final = ("localhost", "ip6-localhost", "localhost.localdomain")


class Entry(NamedTuple):
    """A host as gethostbyname(3) describes it."""

    name: str
    aliases: list[str]
    addresses: list[Address]
    from_servers: bool = False
    """Whether name servers were asked."""


class NotFound(Exception):
    """Nothing was found; `outcome` says whether there is no name, no address, no answer, or nobody to ask."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


class NameService:
    """Names of one host."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def known(self, name: str) -> list[Address]:
        """What the table has for a name; `localhost` and all below it are in every table (RFC 6761 6.3)."""
        plain = name.rstrip(".").lower()
        if plain in LOCAL or plain.endswith(".localhost"):
            return [LOOPBACK[6], LOOPBACK[4]]
        return self._kernel.names.addresses_of(plain)

    def forward(self, name: str, family: int, call: str, mapped: bool = False, all_: bool = False) -> Entry:
        """Addresses of a name.

        Args:
            name: as a program writes it.
            family: AF_INET, AF_INET6 or AF_UNSPEC.
            call: what the program has called, for reports.
            mapped: for AF_INET6: whether IPv4 addresses will do where there are no others.
            all_: whether they will also where there are.

        Raises:
            NotFound: with NO_DATA when there are addresses of another family.
        """
        found = self.known(name)
        fitting = [address for address in found if _fits(address, family)]
        if not fitting and mapped and family == socket.AF_INET6:
            fitting = found
        if fitting:
            return Entry(name, [], fitting)
        if self._kernel.name_service is None:
            raise NotFound(Outcome.NO_DATA if found else Outcome.NO_NAME)
        if family != socket.AF_INET6 or not mapped:
            return self._ask_forward(name, family, call)
        return self._ask_mapped(name, call, all_)

    def _ask_mapped(self, name: str, call: str, all_: bool) -> Entry:
        """IPv6 addresses of a name, and those of IPv4, if there are none or all are wanted."""
        entry, missing = None, None
        try:
            entry = self._ask_forward(name, socket.AF_INET6, call)
            if not all_:
                return entry
        except NotFound as error:
            missing = error
        try:
            other = self._ask_forward(name, socket.AF_INET, call)
        except NotFound:
            if entry is not None:
                return entry
            assert missing is not None
            raise missing from None
        return other._replace(addresses=other.addresses + (entry.addresses if entry else []))

    def _ask_forward(self, name: str, family: int, call: str) -> Entry:
        types = (A, AAAA) if family == socket.AF_UNSPEC else (A if family == socket.AF_INET else AAAA,)
        answer = self._ask(name, types, call)
        if answer.outcome is Outcome.NO_DATA:
            # Aliases that lead nowhere: of two questions getaddrinfo of glibc says that the name is not known.
            raise NotFound(Outcome.NO_DATA if len(types) == 1 else Outcome.NO_NAME)
        chain = follow_aliases(answer.name, answer.records)
        addresses = [
            record.data
            for kind in types
            for record in _records_of(answer, kind)
            if len(record.data) == SIZES[kind] and fold(record.name) in map(fold, chain)
        ]
        if not addresses:
            raise NotFound(Outcome.NO_DATA)
        names = [_text(link) for link in chain]
        return Entry(names[-1], names[:-1], addresses, True)

    def backward(self, address: Address, call: str) -> Entry:
        """Name of the host with an address. Raises NotFound."""
        if address in (LOOPBACK[4], LOOPBACK[6]):
            return Entry("localhost", [], [address])
        known = self._kernel.names.name_of(address)
        if known is not None:
            return Entry(known, [], [address])
        if self._kernel.name_service is None:
            raise NotFound(Outcome.NO_NAME)
        answer = self._ask(reverse_name(address), (PTR,), call)
        records = _records_of(answer, PTR)
        if not records:
            raise NotFound(Outcome.NO_DATA)
        return Entry(_text(records[0].data), [], [address], True)

    def _ask(self, name: str | bytes, types: tuple[int, ...], call: str) -> Answer:
        """Ask the name servers; NotFound when they have nothing, not even aliases."""
        config = self._kernel.name_service
        assert config is not None
        if isinstance(name, bytes):
            wire, absolute = name, True
        else:
            absolute = name.endswith(".")
            try:
                wire = name_from_text(name)
            except ValueError:
                raise NotFound(Outcome.NO_NAME) from None
        answer = ask(self._kernel, call, config, wire, absolute, types)
        if answer.outcome is not Outcome.ANSWER and not answer.records:
            raise NotFound(answer.outcome)
        return answer


def _records_of(answer: Answer, kind: int) -> Sequence[Record]:
    return [record for record in answer.records if record.type == kind]


def _text(name: bytes) -> str:
    return name_to_text(name).rstrip(".")


def _fits(address: Address, family: int) -> bool:
    return family == socket.AF_UNSPEC or (len(address) == 4) == (family == socket.AF_INET)
