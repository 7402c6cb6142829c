"""A small DHCPv4 server (RFC 2131 4.3): addresses of one pool, a router, name servers; no relays.

`respond` is pure: a message and the time in, an answer out. The server is the only one of its network, so it refuses
what it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.dhcp.exchange import DhcpSocket
from catenet.stack.endpoint import ANY4, Address, Name
from catenet.wire import dhcp
from catenet.wire.address import ANY, BROADCAST, is_unspecified
from catenet.wire.dhcp import DhcpMessage, Option
from catenet.wire.errors import Malformed

if TYPE_CHECKING:
    from catenet.stack.dhcp.pool import ServerConfig
    from catenet.stack.stack import Stack

__all__ = ["Dhcp4Responder", "Dhcp4Server"]

_DECLINED: Final = 3600.0


class Dhcp4Responder:
    """What a server answers."""

    def __init__(self, config: ServerConfig, server: Address) -> None:
        self.config = config
        self.server = server

    def respond(self, message: DhcpMessage, now: float) -> DhcpMessage | None:
        """The answer to a message, None for one that gets none."""
        if message.reply or not is_unspecified(message.relay):
            return None
        client = message.options.get(Option.CLIENT_IDENTIFIER) or message.client_link
        named = message.addresses(Option.SERVER_IDENTIFIER)
        if not client or (named and named != [self.server]):
            return None
        wanted = next(iter(message.addresses(Option.REQUESTED_ADDRESS)), None)
        pool = self.config.pool
        if message.type == dhcp.DHCPDISCOVER:
            address = pool.offer(client, wanted, now)
            return None if address is None else self._answer(message, dhcp.DHCPOFFER, address)
        if message.type == dhcp.DHCPREQUEST:
            asked = message.client if wanted is None else wanted
            new = bool(named) or pool.holds(client, asked, now)
            if new and pool.extend(client, asked, now + self.config.lifetime, now):
                return self._answer(message, dhcp.DHCPACK, asked)
            return self._answer(message, dhcp.DHCPNAK, ANY[4])
        if message.type == dhcp.DHCPRELEASE:
            pool.release(client, message.client)
        elif message.type == dhcp.DHCPDECLINE and wanted is not None:
            pool.decline(client, wanted, now + _DECLINED)
        elif message.type == dhcp.DHCPINFORM:
            return self._answer(message, dhcp.DHCPACK, ANY[4])
        return None

    def _answer(self, message: DhcpMessage, kind: int, address: Address) -> DhcpMessage:
        options = {Option.SERVER_IDENTIFIER: self.server}
        identifier = message.options.get(Option.CLIENT_IDENTIFIER)
        if identifier is not None:
            options[Option.CLIENT_IDENTIFIER] = identifier  # RFC 6842
        if kind != dhcp.DHCPNAK:
            options |= self._options(leased=not is_unspecified(address))
        refused = kind == dhcp.DHCPNAK
        return DhcpMessage(
            kind,
            message.transaction,
            message.client_link,
            reply=True,
            broadcast=message.broadcast or refused,
            client=ANY[4] if refused else message.client,
            yours=address,
            options=options,
        )

    def _options(self, *, leased: bool) -> dict[int, bytes]:
        config = self.config
        options = {}
        if leased:
            renewal = config.renewal or config.lifetime // 2
            options[Option.LEASE_TIME] = config.lifetime.to_bytes(4, "big")
            options[Option.RENEWAL_TIME] = renewal.to_bytes(4, "big")
            options[Option.REBINDING_TIME] = max(renewal, config.lifetime * 7 // 8).to_bytes(4, "big")
        length = config.prefix.length
        options[Option.SUBNET_MASK] = ((0xFFFFFFFF << 32 - length) & 0xFFFFFFFF).to_bytes(4, "big")
        known = {
            Option.ROUTERS: b"".join(config.routers),
            Option.DNS_SERVERS: b"".join(config.dns_servers),
            Option.DOMAIN_SEARCH: b"".join(config.search),
        }
        return options | {code: value for code, value in known.items() if value}


class Dhcp4Server:
    """The server on one interface of a stack."""

    def __init__(self, stack: Stack, index: int, config: ServerConfig, server: Address) -> None:
        """Begin to serve, known as `server`, an address of the interface; StackError when the port is taken."""
        self._stack = stack
        self.responder = Dhcp4Responder(config, server)
        self._socket = DhcpSocket(stack, index, Name(ANY4, dhcp.SERVER_PORT), self._receive)

    def _receive(self, datagram: Datagram) -> None:
        try:
            message = dhcp.parse(datagram.data)
        except Malformed:
            return
        answer = self.responder.respond(message, self._stack.now)
        if answer is not None:
            # Who has no address yet is reached by all: there is no neighbour to send to before it has one (4.1).
            direct = not is_unspecified(answer.client) and not answer.broadcast
            target = answer.client if direct else BROADCAST
            self._socket.send(dhcp.build(answer), Name(target, dhcp.CLIENT_PORT))

    def close(self) -> None:
        """Serve nobody any more."""
        self._socket.close()
