"""Addresses that a DHCP server gives, and who has them; of both versions of IP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from catenet.stack.endpoint import Address
from catenet.wire.address import Prefix

__all__ = ["AddressPool", "ServerConfig"]

_MOST: Final = 4096
"""Bindings of one pool: clients that nobody knows may invent themselves."""
_OFFERED: Final = 60.0
"""Seconds for which what was offered is kept for who was offered it."""


@dataclass(slots=True)
class _Binding:
    client: bytes
    address: Address
    until: float


class AddressPool:
    """Addresses from `first` to `last`; a client that comes back gets what it had, if nobody else needed it."""

    def __init__(self, first: Address, last: Address, most: int = _MOST) -> None:
        """Make a pool of which at most `most` addresses are given at a time."""
        if len(first) != len(last) or first > last:
            raise ValueError("a pool goes from an address to a higher one of the same version")
        self._first, self._last = int.from_bytes(first, "big"), int.from_bytes(last, "big")
        self._size = len(first)
        self._most = most
        self._by_client: dict[bytes, _Binding] = {}
        self._by_address: dict[Address, _Binding] = {}
        self._reserved: dict[Address, None] = {}
        self._promised: dict[bytes, Address] = {}
        self._former: dict[Address, bytes] = {}
        """Who had what before the last move, and uses it until it renews."""

    def __len__(self) -> int:
        """How many addresses are given or kept."""
        return len(self._by_address)

    def __contains__(self, address: object) -> bool:
        """Whether an address is one that this pool gives."""
        if not isinstance(address, bytes) or len(address) != self._size or address in self._reserved:
            return False
        return self._first <= int.from_bytes(address, "big") <= self._last

    def reserve(self, address: Address) -> None:
        """Never give this address: somebody has it otherwise."""
        self._reserved[address] = None

    def move(self, first: Address, last: Address) -> None:
        """Give other addresses from now on: none is renewed that is not among them."""
        self._first, self._last = int.from_bytes(first, "big"), int.from_bytes(last, "big")
        lost = [each for each in self._by_address.values() if each.address not in self]
        self._former = {each.address: each.client for each in lost if each.client}
        for binding in lost:
            self._forget(binding)

    def withdraw(self, address: Address, instead: Address | None = None) -> None:
        """Give this address to nobody any more, nor renew it; who has it gets `instead`, if that is free then."""
        self.reserve(address)
        binding = self._by_address.get(address)
        client = self._former.get(address, b"") if binding is None else binding.client
        if binding is not None:
            self._forget(binding)
        if client and instead is not None:
            self._promised[client] = instead

    def memory(self) -> tuple[Any, ...]:
        """Who has what, as plain values, for a pool that takes over."""
        bindings = [(each.client, each.address, each.until) for each in self._by_address.values()]
        ends = self._first, self._last
        return ends, bindings, list(self._reserved), dict(self._promised), dict(self._former)

    def remember(self, memory: tuple[Any, ...]) -> None:
        """Take over what `memory` has told."""
        (self._first, self._last), bindings, reserved, promised, former = memory
        self._reserved, self._promised, self._former = dict.fromkeys(reserved), dict(promised), dict(former)
        self._by_client.clear()
        self._by_address = {address: _Binding(client, address, until) for client, address, until in bindings}
        self._by_client |= {each.client: each for each in self._by_address.values() if each.client}

    def holds(self, client: bytes, address: Address, now: float) -> bool:
        """Whether a client has this address."""
        binding = self._by_client.get(client)
        return binding is not None and binding.address == address and binding.until > now

    def offer(self, client: bytes, wanted: Address | None, now: float) -> Address | None:
        """An address for a client: its own, the one that it wants, or the first free one; None without any."""
        binding = self._by_client.get(client)
        if binding is None:
            wanted = self._promised.pop(client, wanted)
            address = wanted if wanted is not None and self._is_free(wanted, now) else self._find_free(now)
            if address is None:
                return None
            binding = self._bind(client, address)
        binding.until = max(binding.until, now + _OFFERED)
        return binding.address

    def extend(self, client: bytes, address: Address, until: float, now: float) -> bool:
        """Give a client the address that it names until a time; whether it may have it."""
        binding = self._by_client.get(client)
        if binding is None or binding.address != address:
            if binding is not None or not self._is_free(address, now):
                return False
            binding = self._bind(client, address)
        binding.until = until
        return True

    def release(self, client: bytes, address: Address) -> bool:
        """Take an address back; whether the client had it."""
        binding = self._by_client.get(client)
        if binding is None or binding.address != address:
            return False
        self._forget(binding)
        return True

    def decline(self, client: bytes, address: Address, until: float) -> bool:
        """Give an address to nobody for a while, as somebody has it who should not; whether the client had it."""
        if not self.release(client, address):
            return False
        self._by_address[address] = _Binding(b"", address, until)
        return True

    def _is_free(self, address: Address, now: float) -> bool:
        other = self._by_address.get(address)
        return address in self and (other is None or other.until <= now)

    def _find_free(self, now: float) -> Address | None:
        if len(self._by_address) >= self._most:
            for binding in [each for each in self._by_address.values() if each.until <= now]:
                self._forget(binding)
            if len(self._by_address) >= self._most:
                return None
        unused = next((each for each in self._range() if each in self and each not in self._by_address), None)
        return unused or next((each for each in self._by_address if self._is_free(each, now)), None)

    def _range(self) -> Iterator[Address]:
        return (number.to_bytes(self._size, "big") for number in range(self._first, self._last + 1))

    def _bind(self, client: bytes, address: Address) -> _Binding:
        other = self._by_address.get(address)
        if other is not None:
            self._forget(other)
        binding = self._by_client[client] = self._by_address[address] = _Binding(client, address, 0.0)
        return binding

    def _forget(self, binding: _Binding) -> None:
        self._by_client.pop(binding.client, None)
        self._by_address.pop(binding.address, None)


@dataclass
class ServerConfig:
    """What a DHCP server says."""

    prefix: Prefix
    """The network that its clients are on."""
    pool: AddressPool
    lifetime: int = 3600
    """Seconds for which an address is given."""
    preferred: int = 0
    """Seconds after which it is deprecated (DHCPv6); 0: five eighths of its lifetime."""
    renewal: int = 0
    """Seconds after which clients renew; 0: half of the (preferred) lifetime."""
    routers: tuple[Address, ...] = ()
    """Ways to everywhere else (DHCPv4; IPv6 has advertisements for that)."""
    dns_servers: tuple[Address, ...] = ()
    search: tuple[bytes, ...] = field(default=())
    """Domains to complete names with, in wire format."""
    rapid: bool = True
    """Whether addresses are given in one exchange to who asks for that (DHCPv6)."""
    preference: int = 0
    """With 255 clients of DHCPv6 wait for no other server."""
