"""A small DHCPv6 server (RFC 8415): addresses of one pool, name servers; no relays, prefixes, or reconfiguration.

`respond` is pure: a message and the time in, an answer out. It listens to the group of servers alone: what is sent to
an address of its own is ignored, as the protocol's revision has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.dhcp.exchange import DhcpSocket
from catenet.stack.endpoint import ANY6, Name
from catenet.wire import dhcp6
from catenet.wire.address import is_link_local
from catenet.wire.dhcp6 import (
    Association,
    Dhcp6Message,
    LeasedAddress,
    MessageType,
    OptionCode,
    Status,
    StatusCode,
    build_association,
    build_status,
    parse_association,
)
from catenet.wire.errors import Malformed

if TYPE_CHECKING:
    from catenet.stack.dhcp.pool import ServerConfig
    from catenet.stack.stack import Stack

__all__ = ["Dhcp6Responder", "Dhcp6Server"]

_MOST_ASSOCIATIONS: Final = 4
"""Associations of one client that are answered."""
_DECLINED: Final = 3600.0
_TO_US: Final = (MessageType.REQUEST, MessageType.RENEW, MessageType.RELEASE, MessageType.DECLINE)
"""Messages that name the server that they are for; others must not, but for information requests (16)."""


class Dhcp6Responder:
    """What a server answers."""

    def __init__(self, config: ServerConfig, duid: bytes) -> None:
        self.config = config
        self.duid = duid
        self._answers: dict[int, Callable[[Dhcp6Message, bytes, float], Dhcp6Message | None]] = {
            MessageType.SOLICIT: self._solicit,
            MessageType.REQUEST: self._request,
            MessageType.CONFIRM: self._confirm,
            MessageType.RENEW: self._renew,
            MessageType.REBIND: self._renew,
            MessageType.RELEASE: self._release,
            MessageType.DECLINE: self._release,
            MessageType.INFORMATION_REQUEST: self._inform,
        }

    def respond(self, message: Dhcp6Message, now: float) -> Dhcp6Message | None:
        """The answer to a message, None for one that gets none (16, 18.3)."""
        client = message.duid(OptionCode.CLIENT_ID)
        server = message.find(OptionCode.SERVER_ID)
        kind = message.type
        answer = self._answers.get(kind)
        if answer is None or (server != self.duid if kind in _TO_US else server not in (None, self.duid)):
            return None
        if kind in (MessageType.SOLICIT, MessageType.CONFIRM, MessageType.REBIND) and server is not None:
            return None
        if client is None and kind != MessageType.INFORMATION_REQUEST:
            return None
        try:
            return answer(message, client or b"", now)
        except Malformed:
            return None

    def _reply(
        self, message: Dhcp6Message, options: list[tuple[int, bytes]], kind: int = MessageType.REPLY
    ) -> Dhcp6Message:
        head = [(OptionCode.SERVER_ID, self.duid)]
        client = message.find(OptionCode.CLIENT_ID)
        if client is not None:
            head.append((OptionCode.CLIENT_ID, client))
        return Dhcp6Message(kind, message.transaction, (*head, *options))

    # Addresses.

    def _solicit(self, message: Dhcp6Message, client: bytes, now: float) -> Dhcp6Message | None:
        rapid = self.config.rapid and message.find(OptionCode.RAPID_COMMIT) is not None
        options = self._give(message, client, now, keep=rapid)
        if rapid:
            return self._reply(message, [(OptionCode.RAPID_COMMIT, b""), *options])
        if self.config.preference:
            options.insert(0, (OptionCode.PREFERENCE, bytes((self.config.preference,))))
        return self._reply(message, options, MessageType.ADVERTISE)

    def _request(self, message: Dhcp6Message, client: bytes, now: float) -> Dhcp6Message | None:
        for each in _associations(message):
            if any(leased.address not in self.config.prefix for leased in each.addresses):
                status = Association(each.identity, status=Status(StatusCode.NOT_ON_LINK, "another link"))
                return self._reply(message, [(OptionCode.IA_NA, build_association(status))])
        return self._reply(message, self._give(message, client, now, keep=True))

    def _give(self, message: Dhcp6Message, client: bytes, now: float, *, keep: bool) -> list[tuple[int, bytes]]:
        """One address for each association, kept for the client if it is not only offered."""
        options = []
        for each in _associations(message):
            key = _key(client, each)
            wanted = each.addresses[0].address if each.addresses else None
            address = self.config.pool.offer(key, wanted, now)
            if address is None:
                given = Association(each.identity, status=Status(StatusCode.NO_ADDRESSES, "no address is left"))
            else:
                if keep:
                    self.config.pool.extend(key, address, now + self.config.lifetime, now)
                given = self._association(each, (self._leased(address),))
            options.append((OptionCode.IA_NA, build_association(given)))
        return options + self._information(message)

    def _renew(self, message: Dhcp6Message, client: bytes, now: float) -> Dhcp6Message | None:
        """Longer lifetimes; addresses that are none of ours any more end, and another takes their place (18.3.4)."""
        pool = self.config.pool
        options = []
        for each in _associations(message):
            key = _key(client, each)
            ends = now + self.config.lifetime
            may_bind = message.type == MessageType.REBIND
            kept, ended = [], []
            for leased in each.addresses:
                known = may_bind or pool.holds(key, leased.address, now)
                if known and pool.extend(key, leased.address, ends, now):
                    kept.append(self._leased(leased.address))
                elif leased.address not in pool:
                    ended.append(LeasedAddress(leased.address))
            if not kept and ended and (address := pool.offer(key, None, now)) is not None:
                pool.extend(key, address, ends, now)
                kept.append(self._leased(address))
            if kept or ended:
                given = self._association(each, (*kept, *ended))
            elif may_bind:
                continue  # another server may know it (18.3.5)
            else:
                given = Association(each.identity, status=Status(StatusCode.NO_BINDING, "not known here"))
            options.append((OptionCode.IA_NA, build_association(given)))
        return self._reply(message, options + self._information(message)) if options else None

    def _leased(self, address: bytes) -> LeasedAddress:
        return LeasedAddress(address, self._preferred(), self.config.lifetime)

    def _preferred(self) -> int:
        return self.config.preferred or self.config.lifetime * 5 // 8

    def _association(self, asked: Association, addresses: tuple[LeasedAddress, ...]) -> Association:
        renewal = self.config.renewal or self._preferred() // 2
        return Association(asked.identity, renewal, max(renewal, self._preferred() * 4 // 5), addresses)

    # What changes nothing, or takes back.

    def _confirm(self, message: Dhcp6Message, client: bytes, now: float) -> Dhcp6Message | None:
        addresses = [leased.address for each in _associations(message) for leased in each.addresses]
        if not addresses:
            return None
        on_link = all(address in self.config.prefix for address in addresses)
        status = Status(StatusCode.SUCCESS) if on_link else Status(StatusCode.NOT_ON_LINK, "another link")
        return self._reply(message, [(OptionCode.STATUS, build_status(status))])

    def _release(self, message: Dhcp6Message, client: bytes, now: float) -> Dhcp6Message | None:
        pool = self.config.pool
        options = [(OptionCode.STATUS, build_status(Status(StatusCode.SUCCESS)))]
        for each in _associations(message):
            key = _key(client, each)
            for leased in each.addresses:
                if message.type == MessageType.RELEASE:
                    known = pool.release(key, leased.address)
                else:
                    known = pool.decline(key, leased.address, now + _DECLINED)
                if not known:
                    none = Association(each.identity, status=Status(StatusCode.NO_BINDING, "not known here"))
                    options.append((OptionCode.IA_NA, build_association(none)))
                    break
        return self._reply(message, options)

    def _inform(self, message: Dhcp6Message, client: bytes, now: float) -> Dhcp6Message | None:
        return None if _associations(message) else self._reply(message, self._information(message))

    def _information(self, message: Dhcp6Message) -> list[tuple[int, bytes]]:
        """What was asked for and is known."""
        wanted = message.find(OptionCode.OPTION_REQUEST) or b""
        codes = {int.from_bytes(wanted[at : at + 2], "big") for at in range(0, len(wanted), 2)}
        known = {
            OptionCode.DNS_SERVERS: b"".join(self.config.dns_servers),
            OptionCode.DOMAIN_LIST: b"".join(self.config.search),
        }
        return [(code, value) for code, value in known.items() if value and code in codes]


def _associations(message: Dhcp6Message) -> list[Association]:
    values = [value for code, value in message.options if code == OptionCode.IA_NA]
    return [parse_association(value) for value in values[:_MOST_ASSOCIATIONS]]


def _key(client: bytes, association: Association) -> bytes:
    return association.identity.to_bytes(4, "big") + client


class Dhcp6Server:
    """The server on one interface of a stack."""

    def __init__(self, stack: Stack, index: int, config: ServerConfig, duid: bytes) -> None:
        """Begin to serve; StackError when the port is taken."""
        self._stack = stack
        self._index = index
        self.responder = Dhcp6Responder(config, duid)
        self._socket = DhcpSocket(stack, index, Name(ANY6, dhcp6.SERVER_PORT), self._receive)
        self._socket.endpoint.join(dhcp6.ALL_SERVERS, index)

    def _receive(self, datagram: Datagram) -> None:
        if datagram.destination.address != dhcp6.ALL_SERVERS or not is_link_local(datagram.source.address):
            return
        try:
            message = dhcp6.parse(datagram.data)
        except Malformed:
            return
        answer = self.responder.respond(message, self._stack.now)
        if answer is not None:
            source = datagram.source
            self._socket.send(dhcp6.build(answer), Name(source.address, source.port, self._index))

    def close(self) -> None:
        """Serve nobody any more."""
        self._socket.close()
