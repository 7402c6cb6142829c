"""What options say about a run: IP version, addresses, ports, tolerance, definitions.

Defaults are packetdrill's, and for addresses and the MTU of IPv6 those that its own test runner passes, since public
scripts are written for them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from catenet.wire.address import format_address, parse_address

__all__ = [
    "IP_VERSIONS",
    "Config",
    "apply_options",
    "version_of_addresses",
    "versions_with",
    "with_version",
]

IP_VERSIONS: Final = ("ipv4", "ipv6", "ipv4-mapped-ipv6")

_ADDRESSES = {
    4: ("192.168.0.2", "192.168.0.1", "192.0.2.1"),
    6: ("fd3d:fa7b:d17d::", "fd3d:fa7b:d17d:8888::", "2001:db8::1"),
}
# The IPv6 header is 20 octets longer: with 20 more octets of MTU a script's `mss 1460` holds for both versions.
_MTU = {4: 1500, 6: 1520}


@dataclass
class Config:
    """Options of a run; addresses and MTU None until `with_version` fills them."""

    ip_version: str = "ipv4"
    local_ip: bytes | None = None
    gateway_ip: bytes | None = None
    remote_ip: bytes | None = None
    bind_port: int = 8080
    connect_port: int = 8080
    mtu: int | None = None
    mss: int = 0
    tolerance_usecs: int = 4000
    tolerance_percent: float = 12.5
    tcp_ts_tick_usecs: int = 0
    tcp_ts_ecr_scaled: bool = False
    strict_segments: bool = False
    code_sockopt: str = ""
    non_fatal: tuple[str, ...] = ()
    init_scripts: tuple[str, ...] = ()
    defines: dict[str, str] = field(default_factory=dict)

    @property
    def wire_version(self) -> int:
        """Version of the packets: 4 or 6."""
        return 6 if self.ip_version == "ipv6" else 4

    @property
    def socket_version(self) -> int:
        """Version of the sockets: 6 also for IPv4-mapped addresses."""
        return 4 if self.ip_version == "ipv4" else 6


def with_version(config: Config) -> Config:
    """Fill in what depends on the IP version and was not given."""
    version = config.wire_version
    local, gateway, remote = (parse_address(text) for text in _ADDRESSES[version])
    config.local_ip = config.local_ip or local
    config.gateway_ip = config.gateway_ip or gateway
    config.remote_ip = config.remote_ip or remote
    config.mtu = config.mtu or _MTU[version]
    for address in (config.local_ip, config.remote_ip):
        if (len(address) == 4) != (version == 4):
            raise ValueError(f"{format_address(address)} is not an address of {config.ip_version}")
    level, kind = ("SOL_IP", "IP_RECVERR") if config.ip_version == "ipv4" else ("SOL_IPV6", "IPV6_RECVERR")
    config.defines.setdefault("CMSG_LEVEL_IP", level)
    config.defines.setdefault("CMSG_TYPE_RECVERR", kind)
    config.defines.setdefault("CODE", "host_unreachable" if version == 4 else "address_unreachable")
    return config


def version_of_addresses(config: Config) -> str | None:
    """IP version that a script's own addresses speak of; None when it names none."""
    for address in (config.local_ip, config.remote_ip, config.gateway_ip):
        if address is not None:
            return "ipv4" if len(address) == 4 else "ipv6"
    return None


def versions_with(version: str) -> tuple[str, ...]:
    """Values of --ip_version whose packets are of that version."""
    return ("ipv4", "ipv4-mapped-ipv6") if version == "ipv4" else ("ipv6",)


def _version(config: Config, value: str) -> None:
    if value not in IP_VERSIONS:
        raise ValueError(f"--ip_version={value}: one of {', '.join(IP_VERSIONS)}")
    config.ip_version = value


def _define(config: Config, value: str) -> None:
    name, equals, meaning = value.partition("=")
    if not equals:
        raise ValueError(f"--define={value}: expected NAME=VALUE")
    config.defines[name] = meaning


def _number(name: str, kind: type[int] | type[float] = int) -> Callable[[Config, str], None]:
    def apply(config: Config, value: str) -> None:
        try:
            setattr(config, name, kind(value))
        except ValueError:
            raise ValueError(f"--{name}={value}: not a number") from None

    return apply


def _address(name: str) -> Callable[[Config, str], None]:
    def apply(config: Config, value: str) -> None:
        setattr(config, name, parse_address(value.partition("/")[0]))

    return apply


def _flag(name: str) -> Callable[[Config, str], None]:
    def apply(config: Config, value: str) -> None:
        setattr(config, name, value not in ("0", "false"))

    return apply


def _words(name: str) -> Callable[[Config, str], None]:
    def apply(config: Config, value: str) -> None:
        setattr(config, name, tuple(word for word in value.replace(",", " ").split() if word))

    return apply


def _text(name: str) -> Callable[[Config, str], None]:
    def apply(config: Config, value: str) -> None:
        setattr(config, name, value)

    return apply


def _nothing(config: Config, value: str) -> None:
    """Accept an option that means nothing in virtual time or within one process."""


_OPTIONS: Final[dict[str, Callable[[Config, str], None]]] = {
    "ip_version": _version,
    "local_ip": _address("local_ip"),
    "gateway_ip": _address("gateway_ip"),
    "remote_ip": _address("remote_ip"),
    "bind_port": _number("bind_port"),
    "connect_port": _number("connect_port"),
    "mtu": _number("mtu"),
    "mss": _number("mss"),
    "tolerance_usecs": _number("tolerance_usecs"),
    "tolerance_percent": _number("tolerance_percent", float),
    "tcp_ts_tick_usecs": _number("tcp_ts_tick_usecs"),
    "tcp_ts_ecr_scaled": _flag("tcp_ts_ecr_scaled"),
    "strict_segments": _flag("strict_segments"),
    "code_sockopt": _text("code_sockopt"),
    "non_fatal": _words("non_fatal"),
    "init_scripts": _words("init_scripts"),
    "define": _define,
    "D": _define,
    **dict.fromkeys(
        (
            "netmask_ip", "speed", "code_command", "code_format", "send_omit_free", "is_anyip", "debug", "verbose",
            "dry_run", "so_filename", "so_flags", "wire_client", "wire_server", "wire_server_ip", "wire_server_at",
            "wire_server_port", "wire_client_dev", "wire_server_dev",
        ),
        _nothing,
    ),
}  # fmt: skip


def apply_options(config: Config, options: Iterable[tuple[str, str | None]]) -> None:
    """Take options as (name, value) in their order, later ones winning.

    Raises:
        ValueError: an unknown option or a bad value; names the option.
    """
    for name, value in options:
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            raise ValueError(f"unknown option --{name}" + (f" (did you mean --{near[0]}?)" if near else ""))
        _OPTIONS[name](config, "" if value is None else value)
