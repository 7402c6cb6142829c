"""Name resolution as programs call it: getaddrinfo(3), getnameinfo(3) and older calls (RFC 3493, RFC 6724).

Where names come from is `name_service.py`'s business: a table, handed in as `Names` (in a world its hosts), which takes
no time, and the host's name servers, which take the time that they take.
"""

from __future__ import annotations

import _socket
import errno
import operator
import os
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from catenet.posix.address import BROADCAST, show_name
from catenet.posix.arguments import c_int, check_function, is_plain_text
from catenet.posix.errors import os_error
from catenet.posix.name_service import Entry, NameService, NotFound
from catenet.posix.services import getservbyport, numeric_port, port_of
from catenet.stack.datagram.membership import is_scoped
from catenet.stack.endpoint import ANY4, ANY6, Address, Name, StackError
from catenet.stack.ip.routes import sort_destinations
from catenet.wire.address import (
    LOOPBACK,
    common_prefix_length,
    format_address,
    is_link_local,
    is_multicast,
    is_v4_mapped,
    parse_address,
    to_v4_mapped,
)
from catenet.wire.dns.stub import Outcome

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["Names", "NoNames", "Resolver"]

Answer: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]

UDPLITE: Final = 136
SCTP: Final = 132
DCCP: Final = 33
SOCK_DCCP: Final = 6

KINDS: Final = (
    (int(socket.SOCK_STREAM), socket.IPPROTO_TCP, "tcp"),
    (int(socket.SOCK_DGRAM), socket.IPPROTO_UDP, "udp"),
    (SOCK_DCCP, DCCP, "dccp"),
    (int(socket.SOCK_DGRAM), UDPLITE, "udplite"),
    (int(socket.SOCK_STREAM), SCTP, "sctp"),
    (int(socket.SOCK_SEQPACKET), SCTP, "sctp"),
    (int(socket.SOCK_RAW), 0, ""),
)
"""Type, protocol and its name; the last takes any protocol, and has no services. The table of glibc."""
DEFAULT_KINDS: Final = (KINDS[0], KINDS[1], KINDS[-1])

KNOWN_FLAGS: Final = 0x7FF
NAME_FLAGS: Final = 0xFF
"""Flags of getaddrinfo(3), and of getnameinfo(3): those of internationalized names change nothing here."""


class Names(Protocol):
    """A source of host names."""

    def addresses_of(self, name: str) -> list[Address]:
        """Addresses of a host; empty when there is none of this name."""

    def name_of(self, address: Address) -> str | None:
        """Return the name of the host with this address; None when there is none."""

    def entries(self) -> Iterable[tuple[str, list[Address]]]:
        """All names, with their addresses."""


class NoNames:
    """No names but localhost."""

    def addresses_of(self, name: str) -> list[Address]:
        """None."""
        return []

    def name_of(self, address: Address) -> str | None:
        """None."""
        return None

    def entries(self) -> Iterable[tuple[str, list[Address]]]:
        """None."""
        return []


class Resolver:
    """The resolver of one host."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._service = NameService(kernel)

    # Forward.

    def getaddrinfo(
        self, host: object, port: object, family: Any = 0, kind: Any = 0, protocol: Any = 0, flags: Any = 0
    ) -> list[Answer]:
        """As `socket.getaddrinfo`; gaierror with the codes that glibc gives, in its order."""
        family, kind, protocol, flags = c_int(family), c_int(kind), c_int(protocol), c_int(flags)
        name, service = _host(host), _service(port)
        if name is None and service is None:
            raise gaierror(socket.EAI_NONAME)
        if flags & ~KNOWN_FLAGS or (flags & socket.AI_CANONNAME and name is None):
            raise gaierror(socket.EAI_BADFLAGS)
        if flags & socket.AI_ADDRCONFIG:
            family = self._configured(family)
        service = service or None
        number = None if service is None else numeric_port(service)
        if number is None and service is not None and flags & socket.AI_NUMERICSERV:
            raise gaierror(socket.EAI_SERVICE if _NEGATIVE.fullmatch(service) else socket.EAI_NONAME)
        if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
            raise gaierror(socket.EAI_FAMILY)
        kinds = _kinds(kind, protocol, service, number)
        addresses, scope, canonical = self._addresses(name, family, flags)
        if not flags & socket.AI_CANONNAME:
            canonical = ""
        answers: list[Answer] = []
        for address in addresses:
            shown = socket.AF_INET if len(address) == 4 else socket.AF_INET6
            for type_, proto, where in kinds:
                sockaddr = show_name(shown, Name(address, where, 0))
                if scope and shown == socket.AF_INET6:
                    sockaddr = (*sockaddr[:3], scope)
                answers.append((shown, _socket_kind(type_), proto, canonical, sockaddr))
                canonical = ""
        return answers

    def _configured(self, family: int) -> int:
        """AI_ADDRCONFIG: only families of which an interface has an address that is no loopback one."""
        seen = {
            len(entry.address)
            for interface in self._kernel.interfaces()
            for entry in interface.addresses
            if entry.address not in (LOOPBACK[4], LOOPBACK[6])
        }
        if family == socket.AF_UNSPEC and len(seen) == 1:
            return socket.AF_INET if 4 in seen else socket.AF_INET6
        if (family == socket.AF_INET and 4 not in seen) or (family == socket.AF_INET6 and 16 not in seen):
            raise gaierror(socket.EAI_NONAME)
        return family

    def _addresses(self, name: str | None, family: int, flags: int) -> tuple[list[Address], int, str]:
        """(addresses, scope, canonical name) of a host; of None those to listen on or to reach oneself."""
        if name is None:
            passive = flags & socket.AI_PASSIVE
            four, six = (ANY4, ANY6) if passive else (LOOPBACK[4], LOOPBACK[6])
            both = [four, six] if passive else [six, four]
            return [address for address in both if _fits(address, family)], 0, ""
        base, percent, zone = name.partition("%")
        numeric = _numeric(base)
        if numeric is None or (percent and len(numeric) == 4):
            if flags & socket.AI_NUMERICHOST or not name or percent:
                raise gaierror(socket.EAI_NONAME)
            return self._found(name, family, flags)
        address = numeric
        if not _fits(address, family):
            if len(address) == 4 and flags & socket.AI_V4MAPPED:
                address = to_v4_mapped(address)
            elif is_v4_mapped(address):
                address = address[12:]
            else:
                raise gaierror(socket.EAI_ADDRFAMILY)
        return [address], self._scope(numeric, zone) if percent else 0, name

    def _scope(self, address: Address, zone: str) -> int:
        """Scope of a zone (RFC 4007 section 11): any number, but names only where links tell addresses apart."""
        if zone.isascii() and zone.isdigit():
            number = int(zone)
            if number <= 0xFFFFFFFF:
                return number
        elif len(address) == 16 and is_scoped(address):
            for interface in self._kernel.interfaces():
                if interface.name == zone:
                    return interface.index
        raise gaierror(socket.EAI_NONAME)

    def _found(self, name: str, family: int, flags: int) -> tuple[list[Address], int, str]:
        """(addresses, scope, canonical name) of a name that is no address, the best address first (RFC 6724 6)."""
        entry = self._lookup(name, family, flags)
        pairs = [(address, self._source(address)) for address in entry.addresses]
        if entry.from_servers:  # the order of the table stays
            pairs.sort(key=lambda pair: -self._shared(*pair))
        addresses = sort_destinations(pairs)
        if family == socket.AF_INET6:
            addresses = [to_v4_mapped(address) if len(address) == 4 else address for address in addresses]
        return addresses, 0, entry.name

    def _shared(self, destination: Address, source: Address | None) -> int:
        """Bits that an IPv4 address shares with the own one, if they are of one subnet (rule 9, as glibc has it)."""
        if source is None or len(destination) != 4:
            return 0
        for interface in self._kernel.interfaces():
            entry = interface.find(source)
            if entry is not None and destination in entry.prefix:
                return common_prefix_length(destination, source)
        return 0

    def _lookup(self, name: str, family: int, flags: int) -> Entry:
        """What a name that is no address stands for; gaierror when it stands for nothing."""
        mapped = bool(flags & socket.AI_V4MAPPED)
        try:
            return self._service.forward(name, family, "getaddrinfo", mapped, bool(flags & socket.AI_ALL))
        except NotFound as error:
            if error.outcome is Outcome.NO_DATA and self._kernel.name_service is None:
                raise gaierror(socket.EAI_ADDRFAMILY) from None
            raise gaierror(FAILURES[error.outcome]) from None

    def _source(self, address: Address) -> Address | None:
        if is_link_local(address):  # without its link nobody can be reached by it
            return None
        try:
            return self._kernel.stack.output.route(address).source
        except StackError:
            return None

    def resolve(self, host: str, family: int) -> Address:
        """One address for a host in a socket address, as CPython's `bind` and `connect` find it."""
        numeric = _numeric(host) if "%" not in host else None
        if numeric is not None and len(numeric) == (4 if family == socket.AF_INET else 16):
            return numeric
        return self._addresses(host, family, 0)[0][0]

    def gethostbyname(self, *args: Any) -> str:
        """First IPv4 address of a name as text."""
        return format_address(self._one_address(_old_host("gethostbyname", args), socket.AF_INET))

    def gethostbyname_ex(self, *args: Any) -> tuple[str, list[str], list[str]]:
        """(name, aliases, IPv4 addresses)."""
        name = _old_host("gethostbyname_ex", args)
        first = self._one_address(name, socket.AF_INET)
        if name in WILDCARDS or _numeric(name) is not None or ":" in name:
            return name, [], [format_address(first)]
        try:
            entry = self._service.forward(name, socket.AF_INET, "gethostbyname")
        except NotFound as error:
            raise herror(error.outcome) from None
        return entry.name, entry.aliases, [format_address(address) for address in entry.addresses]

    def _one_address(self, name: str, family: int) -> Address:
        """As CPython's `setipaddr`: the empty name is the unspecified address."""
        if not name:
            if family == socket.AF_UNSPEC:
                raise OSError("wildcard resolved to multiple address")
            return ANY4
        return BROADCAST if name in WILDCARDS else self._addresses(name, family, 0)[0][0]

    # Backward.

    def getnameinfo(self, *args: Any) -> tuple[str, str]:
        """As `socket.getnameinfo`."""
        if len(args) != 2:
            raise TypeError(f"getnameinfo expected 2 arguments, got {len(args)}")
        sockaddr, flags = args[0], c_int(args[1])
        host, port, scope = _numeric_sockaddr(sockaddr)
        number = numeric_port(str(port))
        if number is None:
            raise gaierror(socket.EAI_SERVICE)
        address = self._addresses(host, socket.AF_UNSPEC, socket.AI_NUMERICHOST)[0][0]
        if len(address) == 4 and len(sockaddr) != 2:
            raise OSError("IPv4 sockaddr must be 2 tuple")
        if flags & ~NAME_FLAGS:
            raise gaierror(socket.EAI_BADFLAGS)
        name = None if flags & socket.NI_NUMERICHOST else self._name_of(address)
        if name is None:
            if flags & socket.NI_NAMEREQD:
                raise gaierror(socket.EAI_NONAME)
            name = format_address(address) + (f"%{self._zone(address, scope)}" if scope and len(address) == 16 else "")
        known = None if flags & socket.NI_NUMERICSERV else _service_of(number, flags)
        return name, str(number) if known is None else known

    def _zone(self, address: Address, scope: int) -> str:
        """Name of an interface after a link-local address; the number of any other scope."""
        if is_link_local(address) or (is_multicast(address) and address[1] & 0x0F == 2):
            for interface in self._kernel.interfaces():
                if interface.index == scope:
                    return interface.name
        return str(scope)

    def _name_of(self, address: Address) -> str | None:
        plain = address[12:] if is_v4_mapped(address) else address
        try:
            return self._service.backward(plain, "getnameinfo").name
        except NotFound as error:
            if error.outcome is Outcome.TRY_AGAIN:
                raise gaierror(socket.EAI_AGAIN) from None
            return None

    def gethostbyaddr(self, *args: Any) -> tuple[str, list[str], list[str]]:
        """Return (name, aliases, addresses) of the host with an address; herror when there is none."""
        address = self._one_address(_old_host("gethostbyaddr", args), socket.AF_UNSPEC)
        plain = address[12:] if is_v4_mapped(address) else address
        try:
            entry = self._service.backward(plain, "gethostbyaddr")
        except NotFound as error:
            raise herror(error.outcome) from None
        return entry.name, entry.aliases, [format_address(address)]

    def getfqdn(self, name: str = "") -> str:
        """Name of a host by its name or address, the first with a dot; unknown ones as they are."""
        if not name or name in ("0.0.0.0", "::"):
            name = self._kernel.hostname
        try:
            canonical, aliases, _ = self.gethostbyaddr(name)
        except (OSError, ValueError):
            return name
        return next((each for each in (canonical, *aliases) if "." in each), canonical)

    # Services, protocols, interfaces.

    def interface_index(self, name: Any) -> int:
        """As `socket.if_nametoindex`."""
        if not is_plain_text(name):
            check_function(_if_nametoindex, name)
        text = os.fsdecode(name)
        for interface in self._kernel.interfaces():
            if interface.name == text:
                return interface.index
        raise OSError("no interface with this name")

    def interface_name(self, index: Any) -> str:
        """As `socket.if_indextoname`; OSError(ENXIO) when there is none."""
        if index.__class__ is not int or not 0 <= index < 1 << 64:
            check_function(_if_indextoname, index)
        for interface in self._kernel.interfaces():
            if interface.index == index:
                return interface.name
        raise os_error(errno.ENXIO)


_if_nametoindex = _socket.if_nametoindex
_if_indextoname = _socket.if_indextoname
"""Functions of the module before it is patched; they raise the errors of wrong arguments."""

WILDCARDS: Final = ("<broadcast>", "255.255.255.255")
_NEGATIVE: Final = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")


def _host(host: object) -> str | None:
    """The host given to getaddrinfo; "*" is none."""
    if host is None:
        return None
    if isinstance(host, str):
        text = host.encode("idna").decode("ascii")
    elif isinstance(host, bytes):
        text = host.decode("latin-1")
    else:
        raise TypeError("getaddrinfo() argument 1 must be string or None")
    text = text.partition("\0")[0]
    return None if text == "*" else text


def _service(port: object) -> str | None:
    """The port given to getaddrinfo, as text; "*" is none."""
    if port is None:
        return None
    if port.__class__ is int:
        assert isinstance(port, int)
        if not -1 << 63 <= port < 1 << 63:
            raise OverflowError("Python int too large to convert to C long")
        return str(port)
    if isinstance(port, str):
        text = port.encode().decode()
    elif isinstance(port, bytes):
        text = port.decode("latin-1")
    else:
        raise OSError("Int or String expected")
    text = text.partition("\0")[0]
    return None if text == "*" else text


def _old_host(call: str, args: tuple[Any, ...]) -> str:
    """The one argument of the calls that are older than getaddrinfo."""
    if len(args) != 1:
        raise TypeError(f"{call}() takes exactly 1 argument ({len(args)} given)")
    host = args[0]
    if isinstance(host, str):
        text = host.encode("idna").decode("ascii")
    elif isinstance(host, bytes | bytearray):
        text = bytes(host).decode("latin-1")
    else:
        raise TypeError(f"{call}() argument 1 must be str, bytes or bytearray, not {_kind_name(host)}")
    if "\0" in text:
        raise TypeError(f"{call}() argument 1 must be encoded string without null bytes, not {_kind_name(host)}")
    return text


def _kind_name(thing: object) -> str:
    return "None" if thing is None else type(thing).__name__


def _numeric_sockaddr(sockaddr: Any) -> tuple[str, int, int]:
    """(host, port, scope) of what getnameinfo is given."""
    if not isinstance(sockaddr, tuple):
        raise TypeError("getnameinfo() argument 1 must be a tuple")
    if not 2 <= len(sockaddr) <= 4 or not isinstance(sockaddr[0], str):
        raise TypeError("getnameinfo(): illegal sockaddr argument")
    host = sockaddr[0].encode().decode()
    if "\0" in host:
        raise ValueError("embedded null character")
    port = c_int(sockaddr[1])
    flow, scope = [operator.index(number) & 0xFFFFFFFF for number in (*sockaddr[2:], 0, 0)[:2]]
    if flow > 0xFFFFF:
        raise OverflowError("getnameinfo(): flowinfo must be 0-1048575.")
    return host, port, scope


def _service_of(port: int, flags: int) -> str | None:
    try:
        return getservbyport(port, "udp" if flags & socket.NI_DGRAM else "tcp")
    except OSError:
        return None


def _numeric(text: str) -> Address | None:
    """Address of a numeric host; the short forms of inet_aton(3) such as "127.1" too."""
    try:
        return parse_address(text)
    except ValueError:
        pass
    if ":" in text or not text[:1].isdigit() or text.split() != [text]:
        return None
    try:
        return socket.inet_aton(text)
    except OSError:
        return None


def _fits(address: Address, family: int) -> bool:
    return family == socket.AF_UNSPEC or (len(address) == 4) == (family == socket.AF_INET)


def _kinds(kind: int, protocol: int, service: str | None, number: int | None) -> list[tuple[int, int, int]]:
    """(type, protocol, port) of the sockets that an answer is for; EAI_SOCKTYPE, EAI_SERVICE."""
    chosen: tuple[tuple[int, int, str], ...] = DEFAULT_KINDS
    if kind or protocol:
        chosen = tuple(
            (type_, protocol if type_ == socket.SOCK_RAW else own, name)
            for type_, own, name in KINDS
            if kind in (0, type_) and (protocol in (0, own) or type_ == socket.SOCK_RAW)
        )[:1]
        if not chosen:
            raise gaierror(socket.EAI_SOCKTYPE if kind else socket.EAI_SERVICE)
        if service is not None and chosen[0][0] == socket.SOCK_RAW:
            raise gaierror(socket.EAI_SERVICE)
    if service is None or number is not None:
        return [(type_, proto, number or 0) for type_, proto, _ in chosen]
    found = [(type_, proto, port_of(service, name)) for type_, proto, name in chosen]
    named = [(type_, proto, port) for type_, proto, port in found if port is not None]
    if not named:
        raise gaierror(socket.EAI_SERVICE)
    return named


def _socket_kind(number: int) -> socket.SocketKind:
    """The member of an enumeration that a number is; the number itself, as CPython has it, when it is none."""
    try:
        return socket.SocketKind(number)
    except ValueError:
        return number  # type: ignore[return-value]


FAILURES: Final = {
    Outcome.NO_NAME: socket.EAI_NONAME,
    Outcome.NO_DATA: socket.EAI_NODATA,
    Outcome.TRY_AGAIN: socket.EAI_AGAIN,
    Outcome.FAILED: socket.EAI_NONAME,
}
"""What getaddrinfo(3) of glibc makes of a lookup that found nothing."""
MESSAGES: Final = {
    socket.EAI_BADFLAGS: "Bad value for ai_flags",
    socket.EAI_ADDRFAMILY: "Address family for hostname not supported",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
    socket.EAI_FAMILY: "ai_family not supported",
    socket.EAI_NODATA: "No address associated with hostname",
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_SERVICE: "Servname not supported for ai_socktype",
    socket.EAI_SOCKTYPE: "ai_socktype not supported",
}
HOST_ERRORS: Final = {
    Outcome.NO_NAME: (1, "Unknown host"),
    Outcome.TRY_AGAIN: (2, "Host name lookup failure"),
    Outcome.FAILED: (3, "Unknown server error"),
    Outcome.NO_DATA: (4, "No address associated with name"),
}
"""Numbers and texts of h_errno."""


def gaierror(code: int) -> socket.gaierror:
    return socket.gaierror(code, MESSAGES[code])


def herror(outcome: Outcome) -> socket.herror:
    return socket.herror(*HOST_ERRORS[outcome])
