"""catenet addrs: interfaces and addresses of this machine, or of the simulated host that the command runs on."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from catenet.printable import say
from catenet.tables import make_table, show
from catenet.wire.address import format_address, is_link_local, is_loopback

if TYPE_CHECKING:
    from catenet.link.netlink import Interface as KernelInterface
    from catenet.stack.interface import Interface as StackInterface

__all__ = ["AddressRow", "InterfaceRow", "register", "run"]

INTERFACE_FLAGS: Final = {
    0x1: "UP",
    0x2: "BROADCAST",
    0x8: "LOOPBACK",
    0x10: "POINTOPOINT",
    0x40: "RUNNING",
    0x80: "NOARP",
    0x100: "PROMISC",
    0x200: "ALLMULTI",
    0x1000: "MULTICAST",
    0x10000: "LOWER_UP",
}
"""Bits of netdevice(7)."""

ADDRESS_FLAGS: Final = {
    0x01: "temporary",
    0x04: "optimistic",
    0x08: "dadfailed",
    0x10: "home",
    0x20: "deprecated",
    0x40: "tentative",
    0x80: "permanent",
    0x100: "mngtmpaddr",
    0x200: "noprefixroute",
}
"""Bits of IFA_FLAGS (linux/if_addr.h)."""

KERNEL_SCOPES: Final = {0: "global", 200: "site", 253: "link", 254: "host"}


@dataclass(slots=True)
class AddressRow:
    """One address of an interface."""

    address: str
    prefix_length: int
    version: int
    scope: str
    flags: list[str]


@dataclass(slots=True)
class InterfaceRow:
    """One interface; `mtu` is None where the system does not tell it."""

    index: int | None
    name: str
    flags: list[str]
    mtu: int | None
    hardware: str = ""
    addresses: list[AddressRow] = field(default_factory=list)


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument(
        "-1", "--one-line", action="store_true", help="print a line for each address, with the name of its interface"
    )


def run(args: argparse.Namespace) -> int:
    """Print the interfaces and return 0."""
    rows = _interfaces()
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    elif args.one_line:
        for row in rows:
            for one in row.addresses:
                say(" ".join([row.name, f"{one.address}/{one.prefix_length}", one.scope, *one.flags]))
    else:
        _print_table(rows)
    return 0


def _interfaces() -> list[InterfaceRow]:
    from catenet.world.engine.current import current_host

    host = current_host()
    if host is not None:
        return [_of_stack(interface) for interface in host.stack.interfaces.values()]
    if hasattr(socket, "AF_NETLINK"):
        from catenet.link.netlink import interfaces

        return [_of_kernel(interface) for interface in interfaces()]
    return _of_any_system()


def _of_kernel(interface: KernelInterface) -> InterfaceRow:
    addresses = [
        AddressRow(
            format_address(one.address),
            one.prefix_length,
            4 if len(one.address) == 4 else 6,
            KERNEL_SCOPES.get(one.scope, str(one.scope)),
            _names(one.flags, ADDRESS_FLAGS),
        )
        for one in interface.addresses
    ]
    flags = _names(interface.flags, INTERFACE_FLAGS)
    hardware = interface.hardware.hex(":") if any(interface.hardware) else ""
    return InterfaceRow(interface.index, interface.name, flags, interface.mtu, hardware, addresses)


def _of_stack(interface: StackInterface) -> InterfaceRow:
    """An interface of a simulated host."""
    addresses = [
        AddressRow(
            format_address(one.address),
            one.length,
            4 if len(one.address) == 4 else 6,
            _scope(one.address),
            [one.state.value if one.state.value != "preferred" else "permanent"],
        )
        for one in interface.addresses
    ]
    kind = ["LOOPBACK"] if interface.loopback else ["BROADCAST", "MULTICAST"]
    flags = ["UP", *kind, "RUNNING"] if interface.up else kind
    return InterfaceRow(
        interface.index, interface.name, flags, interface.mtu, interface.link_address.hex(":"), addresses
    )


def _of_any_system() -> list[InterfaceRow]:
    """What ifaddr finds where there is no rtnetlink; it knows neither flags nor MTU."""
    import ifaddr

    rows = []
    for adapter in ifaddr.get_adapters():
        row = InterfaceRow(adapter.index, adapter.nice_name, [], None)
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            packed = socket.inet_pton(socket.AF_INET if ip.is_IPv4 else socket.AF_INET6, text)
            version = 4 if ip.is_IPv4 else 6
            row.addresses.append(AddressRow(text, ip.network_prefix, version, _scope(packed), []))
        rows.append(row)
    return rows


def _scope(address: bytes) -> str:
    if is_loopback(address):
        return "host"
    return "link" if is_link_local(address) else "global"


def _names(bits: int, table: dict[int, str]) -> list[str]:
    return [name for bit, name in table.items() if bits & bit]


def _print_table(rows: Iterable[InterfaceRow]) -> None:
    columns = ("interface", "mtu", "flags", "hardware", "address", "scope", "address flags")
    show(make_table(columns, _lines(rows)), sys.stdout)


def _lines(rows: Iterable[InterfaceRow]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        head = (row.name, "" if row.mtu is None else str(row.mtu), " ".join(row.flags), row.hardware)
        if not row.addresses:
            yield *head, "", "", ""
        for number, one in enumerate(row.addresses):
            shown = head if number == 0 else ("", "", "", "")
            yield *shown, f"{one.address}/{one.prefix_length}", one.scope, " ".join(one.flags)
