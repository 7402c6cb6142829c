"""Name resolution as programs call it: getaddrinfo(3), getnameinfo(3) and their elders (RFC 3493, RFC 6724).

Where names come from is handed in as `Names`: in a world its hosts. Answers take no time; questions on the wire are the
business of a resolver that a program brings along.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from catenet.posix.address import show_name
from catenet.posix.errors import os_error
from catenet.stack.endpoint import ANY4, ANY6, Address, Name, StackError
from catenet.stack.routes import sort_destinations
from catenet.wire.address import LOOPBACK, format_address, is_v4_mapped, parse_address, to_v4_mapped

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["Names", "NoNames", "Resolver"]

SERVICES: Final = {
    "echo": (7, "tcp udp"),
    "discard": (9, "tcp udp"),
    "daytime": (13, "tcp udp"),
    "ftp-data": (20, "tcp"),
    "ftp": (21, "tcp"),
    "ssh": (22, "tcp"),
    "telnet": (23, "tcp"),
    "smtp": (25, "tcp"),
    "time": (37, "tcp udp"),
    "domain": (53, "tcp udp"),
    "bootps": (67, "udp"),
    "bootpc": (68, "udp"),
    "tftp": (69, "udp"),
    "gopher": (70, "tcp"),
    "finger": (79, "tcp"),
    "http": (80, "tcp"),
    "kerberos": (88, "tcp udp"),
    "pop3": (110, "tcp"),
    "sunrpc": (111, "tcp udp"),
    "nntp": (119, "tcp"),
    "ntp": (123, "udp"),
    "imap2": (143, "tcp"),
    "imap": (143, "tcp"),
    "snmp": (161, "tcp udp"),
    "bgp": (179, "tcp"),
    "ldap": (389, "tcp udp"),
    "https": (443, "tcp udp"),
    "submission": (587, "tcp"),
    "ldaps": (636, "tcp udp"),
    "imaps": (993, "tcp"),
    "pop3s": (995, "tcp"),
    "mysql": (3306, "tcp"),
    "postgresql": (5432, "tcp"),
    "amqp": (5672, "tcp"),
    "redis": (6379, "tcp"),
    "http-alt": (8080, "tcp udp"),
}
"""Port and protocols by service name (IANA registry), so that worlds do not depend on the machine's /etc/services."""

PROTOCOLS: Final = {"ip": 0, "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6": 41, "ipv6-icmp": 58, "icmpv6": 58}

Answer: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]

KINDS: Final = (
    (socket.SOCK_STREAM, socket.IPPROTO_TCP, "tcp"),
    (socket.SOCK_DGRAM, socket.IPPROTO_UDP, "udp"),
    (socket.SOCK_RAW, 0, ""),
)


class Names(Protocol):
    """Where host names come from."""

    def addresses_of(self, name: str) -> list[Address]:
        """Addresses of a host; empty when there is none of this name."""

    def name_of(self, address: Address) -> str | None:
        """Name of the host that has this address; None when nobody has it."""


class NoNames:
    """No names but localhost."""

    def addresses_of(self, name: str) -> list[Address]:
        """None."""
        return []

    def name_of(self, address: Address) -> str | None:
        """None."""
        return None


class Resolver:
    """The resolver of one host."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    # Forward.

    def getaddrinfo(
        self, host: object, port: object, family: int = 0, kind: int = 0, protocol: int = 0, flags: int = 0
    ) -> list[Answer]:
        """As `socket.getaddrinfo`; gaierror with the codes that glibc gives."""
        if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
            raise _gaierror(socket.EAI_FAMILY)
        name = _text(host)
        if name is None and port is None:
            raise _gaierror(socket.EAI_NONAME)
        kinds = _kinds(kind, protocol)
        services = self._ports(port, kinds, flags)
        addresses, scope = self._addresses(name, family, flags)
        canonical = (name or "") if flags & socket.AI_CANONNAME else ""
        answers: list[Answer] = []
        for address in addresses:
            shown = socket.AF_INET if len(address) == 4 else socket.AF_INET6
            for (number, proto, _), service in zip(kinds, services, strict=True):
                if service is not None:
                    sockaddr = show_name(shown, Name(address, service, scope))
                    answers.append((shown, socket.SocketKind(number), proto, canonical, sockaddr))
                    canonical = ""
        if not answers:
            raise _gaierror(socket.EAI_SERVICE)
        return answers

    def _addresses(self, name: str | None, family: int, flags: int) -> tuple[list[Address], int]:
        if not name:
            passive = flags & socket.AI_PASSIVE
            four, six = (ANY4, ANY6) if passive else (LOOPBACK[4], LOOPBACK[6])
            both = [four, six] if passive else [six, four]
            return [address for address in both if _fits(address, family)], 0
        base, _, zone = name.partition("%")
        numeric = _numeric(base)
        if numeric is not None:
            if len(numeric) == 4 and family == socket.AF_INET6:
                if not flags & socket.AI_V4MAPPED:
                    raise _gaierror(socket.EAI_ADDRFAMILY)
                numeric = to_v4_mapped(numeric)
            if not _fits(numeric, family):
                raise _gaierror(socket.EAI_ADDRFAMILY)
            return [numeric], self.interface_index(zone) if zone else 0
        if flags & socket.AI_NUMERICHOST:
            raise _gaierror(socket.EAI_NONAME)
        return self._lookup(name, family, flags), 0

    def _lookup(self, name: str, family: int, flags: int) -> list[Address]:
        found = self._known(name.rstrip(".").lower())
        if not found:
            raise _gaierror(socket.EAI_NONAME)
        fitting = [address for address in found if _fits(address, family)]
        if not fitting and flags & socket.AI_V4MAPPED and family == socket.AF_INET6:
            fitting = [to_v4_mapped(address) for address in found]
        if flags & socket.AI_ADDRCONFIG:
            fitting = [address for address in fitting if self._source(address) is not None] or fitting
        if not fitting:
            raise _gaierror(socket.EAI_ADDRFAMILY)
        return sort_destinations((address, self._source(address)) for address in fitting)

    def _known(self, name: str) -> list[Address]:
        if name in ("localhost", "ip6-localhost", "localhost.localdomain") or name.endswith(
            ".localhost"
        ):  # RFC 6761 6.3
            return [LOOPBACK[6], LOOPBACK[4]]
        return self._kernel.names.addresses_of(name)

    def _source(self, address: Address) -> Address | None:
        try:
            return self._kernel.stack.route(address).source
        except StackError:
            return None

    def _ports(self, port: object, kinds: list[tuple[int, int, str]], flags: int) -> list[int | None]:
        """The port number for each kind of socket; None where the service does not exist for it."""
        if port is None:
            return [0] * len(kinds)
        if isinstance(port, int):
            return [port & 0xFFFF] * len(kinds)
        text = _text(port)
        if text is None:
            raise OSError("Int or String expected")
        if text.isascii() and text.isdigit():
            return [int(text) & 0xFFFF] * len(kinds)
        if text == "":
            return [0] * len(kinds)
        if flags & socket.AI_NUMERICSERV or text not in SERVICES:
            raise _gaierror(socket.EAI_NONAME if flags & socket.AI_NUMERICSERV else socket.EAI_SERVICE)
        number, protocols = SERVICES[text]
        return [number if protocol in protocols.split() else None for _, _, protocol in kinds]

    def resolve(self, host: str, family: int) -> Address:
        """One address for a host in a socket address, as CPython's `bind` and `connect` find it."""
        numeric = _numeric(host)
        if numeric is not None:
            if len(numeric) == (4 if family == socket.AF_INET else 16):
                return numeric
            raise _gaierror(socket.EAI_ADDRFAMILY)
        address: Address = parse_address(self.getaddrinfo(host, None, family)[0][4][0].partition("%")[0])
        return address

    def gethostbyname(self, name: str) -> str:
        """First IPv4 address of a name as text."""
        return format_address(self.resolve(name, socket.AF_INET)) if name else format_address(ANY4)

    def gethostbyname_ex(self, name: str) -> tuple[str, list[str], list[str]]:
        """(name, aliases, IPv4 addresses)."""
        answers = self.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
        return name, [], [answer[4][0] for answer in answers]

    # Backward.

    def getnameinfo(self, sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
        """As `socket.getnameinfo`."""
        if not isinstance(sockaddr, tuple):
            raise TypeError("getnameinfo() argument 1 must be a tuple")
        text, zone = sockaddr[0].partition("%")[::2]
        address = _numeric(text)
        if address is None:
            raise _gaierror(socket.EAI_NONAME)
        scope = sockaddr[3] if len(sockaddr) > 3 else (self.interface_index(zone) if zone else 0)
        host = None if flags & socket.NI_NUMERICHOST else self._name_of(address)
        if host is None:
            if flags & socket.NI_NAMEREQD:
                raise _gaierror(socket.EAI_NONAME)
            host = format_address(address) + (f"%{self.interface_name(scope)}" if scope else "")
        service = str(sockaddr[1]) if flags & socket.NI_NUMERICSERV else self._service(sockaddr[1], flags)
        return host, service

    def _service(self, port: int, flags: int) -> str:
        try:
            return self.getservbyport(port, "udp" if flags & socket.NI_DGRAM else "tcp")
        except OSError:
            return str(port)

    def _name_of(self, address: Address) -> str | None:
        plain = address[12:] if is_v4_mapped(address) else address
        return "localhost" if plain in (LOOPBACK[4], LOOPBACK[6]) else self._kernel.names.name_of(plain)

    def gethostbyaddr(self, host: str) -> tuple[str, list[str], list[str]]:
        """(name, aliases, addresses) of the host that has an address; herror when nobody has it."""
        address = _numeric(host)
        if address is None:
            address = parse_address(self.getaddrinfo(host, None)[0][4][0])
        name = self._name_of(address)
        if name is None:
            raise socket.herror(1, "Unknown host")
        return name, [], [format_address(address)]

    def getfqdn(self, name: str = "") -> str:
        """Name of a host by its name or address; unknown ones as they are."""
        if not name or name in ("0.0.0.0", "::"):
            return self._kernel.hostname
        try:
            return self.gethostbyaddr(name)[0]
        except (OSError, ValueError):
            return name

    # Services, protocols, interfaces.

    @staticmethod
    def getservbyname(name: str, protocol: str | None = None) -> int:
        """Port of a service; OSError when there is none."""
        port, protocols = SERVICES.get(name, (0, ""))
        if not port or (protocol is not None and protocol not in protocols.split()):
            raise OSError("service/proto not found")
        return port

    @staticmethod
    def getservbyport(port: int, protocol: str | None = None) -> str:
        """Service of a port; OSError when there is none."""
        if not 0 <= port <= 0xFFFF:
            raise OverflowError("getservbyport: port must be 0-65535.")
        for name, (number, protocols) in SERVICES.items():
            if number == port and (protocol is None or protocol in protocols.split()):
                return name
        raise OSError("port/proto not found")

    @staticmethod
    def getprotobyname(name: str) -> int:
        """Number of an IP protocol; OSError when unknown."""
        if name not in PROTOCOLS:
            raise OSError("protocol not found")
        return PROTOCOLS[name]

    def interface_index(self, zone: str) -> int:
        """Index of an interface by its name or number (RFC 4007 section 11); gaierror when there is none."""
        for interface in self._kernel.interfaces():
            if interface.name == zone or str(interface.index) == zone:
                return interface.index
        raise _gaierror(socket.EAI_NONAME)

    def interface_name(self, index: int) -> str:
        """Name of an interface; OSError(ENXIO) when there is none."""
        for interface in self._kernel.interfaces():
            if interface.index == index:
                return interface.name
        raise os_error(6)


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("ascii")
    if isinstance(value, str):
        return value if value.isascii() else value.encode("idna").decode("ascii")
    raise TypeError("getaddrinfo() argument 1 must be string or None")


def _numeric(text: str) -> Address | None:
    """Address of a numeric host; the short forms of inet_aton(3) such as "127.1" too."""
    try:
        return parse_address(text)
    except ValueError:
        pass
    if ":" in text or not text[:1].isdigit():
        return None
    try:
        return socket.inet_aton(text)
    except OSError:
        return None


def _fits(address: Address, family: int) -> bool:
    return family == socket.AF_UNSPEC or (len(address) == 4) == (family == socket.AF_INET)


def _kinds(kind: int, protocol: int) -> list[tuple[int, int, str]]:
    kind &= 0xF
    chosen: list[tuple[int, int, str]] = [
        (number, protocol or default, text)
        for number, default, text in KINDS
        if kind in (0, number) and (protocol in (0, default) or number == socket.SOCK_RAW)
    ]
    if not chosen:
        code = socket.EAI_SOCKTYPE if kind not in (0, 1, 2, 3) or not protocol else socket.EAI_SERVICE
        raise _gaierror(code)
    return chosen


MESSAGES: Final = {
    socket.EAI_ADDRFAMILY: "Address family for hostname not supported",
    socket.EAI_FAMILY: "ai_family not supported",
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_SERVICE: "Servname not supported for ai_socktype",
    socket.EAI_SOCKTYPE: "ai_socktype not supported",
}


def _gaierror(code: int) -> socket.gaierror:
    return socket.gaierror(code, MESSAGES[code])
