"""Libraries that list this machine's interfaces through libc (ifaddr, psutil): they show the simulated host's."""

from __future__ import annotations

import socket
import types
from typing import TYPE_CHECKING, Any

from catenet.stack.interface import Interface
from catenet.wire.address import format_address, is_link_local, mask
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]


def _patch_ifaddr(patcher: Patcher, module: types.ModuleType) -> None:
    def adapters(process: Process, include_unconfigured: bool = False) -> list[Any]:
        return [
            module.Adapter(interface.name, interface.name, _ifaddr_addresses(module, interface), index=interface.index)
            for interface in process.host.kernel.interfaces()
        ]

    patcher.function(module, "get_adapters", adapters)


def _ifaddr_addresses(module: Any, interface: Interface) -> list[Any]:
    found = []
    for entry in interface.addresses:
        text = format_address(entry.address)
        shown: Any = text
        if len(entry.address) == 16:
            shown = (text, 0, interface.index if is_link_local(entry.address) else 0)
        found.append(module.IP(shown, entry.length, interface.name))
    return found


def _patch_psutil(patcher: Patcher, module: types.ModuleType) -> None:
    homes = [getattr(module, name, None) for name in ("_ntuples", "_common")]
    common: Any = next((home for home in homes if hasattr(home, "snicaddr")), module)

    def addresses(process: Process) -> dict[str, list[Any]]:
        return {
            interface.name: [_psutil_address(common, entry.address, entry.length) for entry in interface.addresses]
            for interface in process.host.kernel.interfaces()
        }

    def stats(process: Process) -> dict[str, Any]:
        return {
            interface.name: common.snicstats(interface.up, 2, 0, interface.mtu, "up,running" if interface.up else "")
            for interface in process.host.kernel.interfaces()
        }

    patcher.function(module, "net_if_addrs", addresses)
    patcher.function(module, "net_if_stats", stats)


def _psutil_address(common: Any, address: bytes, length: int) -> Any:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    netmask = format_address(mask(b"\xff" * len(address), length))
    return common.snicaddr(family, format_address(address), netmask, None, None)


def apply(patcher: Patcher) -> None:
    """Patch the libraries when they are, or will be, loaded."""
    patcher.on_import("ifaddr", _patch_ifaddr, again=True)
    patcher.on_import("psutil", _patch_psutil)
