"""What a DHCPv6 server says, read with suspicion: associations, lifetimes, name servers (RFC 8415 18.2.10.1)."""

from __future__ import annotations

from typing import Final

from catenet.stack.dhcp.lease import HeldAddress, Information, Lease6
from catenet.wire.address import is_link_local, is_loopback, is_multicast, is_unspecified, is_v4_mapped
from catenet.wire.dhcp6 import Association, Dhcp6Message, LeasedAddress, OptionCode, parse_association
from catenet.wire.dns.name import split_names
from catenet.wire.errors import Malformed

__all__ = ["information", "read_association", "updated_lease"]

_INFINITE: Final = 0xFFFFFFFF
_MOST_ADDRESSES: Final = 8
_SHORTEST: Final = 10
"""Seconds between renewals, and of a new address's validity, at least: else a server could keep a client busy."""


def read_association(message: Dhcp6Message, identity: int) -> Association | None:
    """The association of ours in a message, without addresses that none of ours can be.

    None when there is none, or its times contradict each other: then it is as if it were not there (21.4).
    """
    for code, value in message.options:
        if code != OptionCode.IA_NA:
            continue
        try:
            found = parse_association(value)
        except Malformed:
            continue
        if found.identity != identity or found.renew > found.rebind > 0:
            continue
        return found._replace(addresses=tuple(filter(_is_plausible, found.addresses)))
    return None


def _is_plausible(leased: LeasedAddress) -> bool:
    address = leased.address
    wrong = is_unspecified(address) or is_multicast(address) or is_loopback(address) or is_v4_mapped(address)
    return not wrong and not is_link_local(address) and leased.preferred <= leased.valid


def updated_lease(old: Lease6 | None, given: Association, server: bytes, names: Information, now: float) -> Lease6:
    """The lease with what a Reply gives, and takes by a lifetime of 0; what it does not mention stays as it was."""
    held = {each.address: each for each in (old.addresses if old is not None else ()) if each.valid_until > now}
    for address, preferred, valid in given.addresses:
        if not valid:
            held.pop(address, None)
        elif address in held or (valid >= _SHORTEST and len(held) < _MOST_ADDRESSES):
            held[address] = HeldAddress(address, _until(preferred, now), _until(valid, now))
    renew, rebind = _times(given)
    renew_at, rebind_at = _until(renew, now), _until(rebind, now)
    return Lease6(tuple(held.values()), server, names.dns_servers, names.search, renew_at, max(renew_at, rebind_at))


def _times(given: Association) -> tuple[int, int]:
    """T1 and T2; where the server leaves them to us, half and four fifths of the shortest preferred lifetime (21.4)."""
    shortest = min((each.preferred for each in given.addresses if each.preferred), default=2 * _SHORTEST)
    forever = shortest == _INFINITE
    renew = given.renew or (_INFINITE if forever else shortest // 2)
    rebind = given.rebind or (_INFINITE if forever else max(renew, shortest * 4 // 5))
    return max(renew, _SHORTEST), max(rebind, _SHORTEST)


def information(message: Dhcp6Message) -> Information:
    """Name servers, and domains to complete names with; what is wrong is none."""
    servers = [each for each in message.addresses(OptionCode.DNS_SERVERS) if not is_unspecified(each)]
    names = split_names(message.find(OptionCode.DOMAIN_LIST) or b"") or ()
    return Information(tuple(each for each in servers if not is_multicast(each)), names[:32])


def _until(lifetime: int, now: float) -> float:
    return float("inf") if lifetime == _INFINITE else now + lifetime
