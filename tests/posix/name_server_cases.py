"""What is asked of name servers, and what they answer: for our stub and for glibc's."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CASES", "Case"]

INET, INET6, ANY = int(socket.AF_INET), int(socket.AF_INET6), 0
STREAM = int(socket.SOCK_STREAM)
CANON, MAPPED, ALL, CONFIG = (
    int(flag) for flag in (socket.AI_CANONNAME, socket.AI_V4MAPPED, socket.AI_ALL, socket.AI_ADDRCONFIG)
)
NAMEREQD, NOFQDN, NUMERICHOST = int(socket.NI_NAMEREQD), int(socket.NI_NOFQDN), int(socket.NI_NUMERICHOST)


@dataclass(frozen=True)
class Case:
    """One call.

    In all texts `$` stands for a label of the case's own and `%` for its domain, so that its queries are known.
    """

    name: str
    call: tuple[Any, ...]
    rules: dict[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = ("10.0.0.53",)
    search: str = ""
    options: str = "timeout:1 attempts:1"

    @property
    def label(self) -> str:
        return self.name.replace(" ", "-").replace(",", "").lower()

    def filled(self, text: str) -> str:
        return text.replace("%", f"{self.label}.test").replace("$", self.label)

    @property
    def arguments(self) -> list[Any]:
        return [self.filled(each) if isinstance(each, str) else each for each in self.call]

    @property
    def script(self) -> dict[str, str]:
        return {self.filled(key): self.filled(value) for key, value in self.rules.items()}

    @property
    def resolv_conf(self) -> str:
        lines = [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append(f"search {self.filled(self.search)}")
        return "\n".join([*lines, f"options {self.options}", ""])


def info(name: str, family: int = ANY, flags: int = 0) -> tuple[Any, ...]:
    return ("getaddrinfo", name, 80, family, STREAM, 0, flags)


FOUR, SIX = "@ A 192.0.2.1", "@ AAAA 2001:db8::1"
BOTH = {"www.% A": FOUR, "www.% AAAA": SIX}
SEARCHED = {"$.% A": FOUR, "$.% AAAA": SIX}
ALIAS = {"a.% *": "@ CNAME www.%; www.% A 192.0.2.1", "a.% AAAA": "@ CNAME www.%; www.% AAAA 2001:db8::1"}
CHAIN = "@ CNAME b.%; b.% CNAME c.%; c.% A 192.0.2.1; c.% A 192.0.2.2"
TWO = ("10.0.0.53", "10.0.0.54")
THREE = (*TWO, "10.0.0.55")
CLOSED = "10.0.0.99"
"""A server's address on which nothing listens."""

CASES = [
    # Families.
    Case("both", info("www.%"), BOTH),
    Case("both, IPv4 wanted", info("www.%", INET), BOTH),
    Case("both, IPv6 wanted", info("www.%", INET6), BOTH),
    Case("IPv4 alone", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "NODATA"}),
    Case("IPv6 alone", info("www.%"), {"www.% A": "NODATA", "www.% AAAA": SIX}),
    Case("IPv4 alone, IPv6 wanted", info("www.%", INET6), {"www.% A": FOUR, "www.% AAAA": "NODATA"}),
    Case("IPv6 alone, IPv4 wanted", info("www.%", INET), {"www.% A": "NODATA", "www.% AAAA": SIX}),
    Case("absolute", info("www.%."), BOTH, search="other.test"),
    Case("no name", info("none.%")),
    Case("no name, IPv4 wanted", info("none.%", INET)),
    Case("no data", info("www.%"), {"www.% *": "NODATA"}),
    Case("no data, IPv6 wanted", info("www.%", INET6), {"www.% *": "NODATA"}),
    # Flags.
    Case("canonical", info("www.%", flags=CANON), BOTH),
    Case("canonical of an alias", info("a.%", flags=CANON), ALIAS),
    Case("canonical of a searched name", info("$", flags=CANON), SEARCHED, search="%"),
    Case("mapped", info("www.%", INET6, MAPPED), {"www.% A": FOUR, "www.% AAAA": "NODATA"}),
    Case("mapped not needed", info("www.%", INET6, MAPPED), BOTH),
    Case("mapped and all", info("www.%", INET6, MAPPED | ALL), BOTH),
    Case("mapped, no name", info("none.%", INET6, MAPPED)),
    Case("mapped, a server fails", info("www.%", INET6, MAPPED), {"www.% A": FOUR, "www.% AAAA": "SERVFAIL"}),
    Case("configured", info("www.%", flags=CONFIG), BOTH),
    # Orders.
    Case(
        "several addresses",
        info("www.%", INET),
        {"www.% A": "@ A 192.0.2.9; @ A 198.51.100.1; @ A 192.0.2.1"},
    ),
    Case("the own network first", info("www.%", INET), {"www.% A": "@ A 192.0.2.9; @ A 10.0.0.200; @ A 10.0.0.3"}),
    Case("several of both", info("www.%"), {"www.% A": "@ A 192.0.2.9; @ A 10.0.0.7", "www.% AAAA": "@ AAAA fd00::9"}),
    Case("unreachable last", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "@ AAAA fe80::1; @ AAAA fd00::7"}),
    Case(
        "longest match",
        info("www.%", INET6),
        {"www.% AAAA": "@ AAAA 2001:db8::1; @ AAAA fd00:0:0:1::1; @ AAAA fd00::5"},
    ),
    Case("an address twice", info("www.%", INET), {"www.% A": "@ A 192.0.2.1; @ A 192.0.2.1"}),
    # Search lists.
    Case("searched", info("$"), SEARCHED, search="%"),
    Case("searched in vain", info("$"), search="a.% b.%"),
    Case("second of the list", info("$"), {"$.b.% A": FOUR, "$.b.% AAAA": "NODATA"}, search="a.% b.%"),
    Case("dots first", info("$.b"), {"$.b.% A": FOUR}, search="a.% %"),
    Case("more dots than ndots", info("$.b"), {"$.b.% A": FOUR}, search="%", options="ndots:2 timeout:1 attempts:1"),
    Case("ndots 0", info("$"), {"$.% A": FOUR}, search="%", options="ndots:0 timeout:1 attempts:1"),
    Case("no data in the list", info("$"), {"$.a.% *": "NODATA"}, search="a.% b.%"),
    Case("a failure in the list", info("$"), {"$.a.% *": "SERVFAIL", "$.b.% A": FOUR}, search="a.% b.%"),
    Case("a refusal in the list", info("$"), {"$.a.% *": "REFUSED", "$.b.% A": FOUR}, search="a.% b.%"),
    Case("a wrong format in the list", info("$"), {"$.a.% *": "FORMERR", "$.b.% A": FOUR}, search="a.% b.%"),
    Case("silence in the list", info("$"), {"$.a.% *": "SILENT", "$.b.% A": FOUR}, search="a.% b.%"),
    Case("closed, searched", info("$"), search="a.% b.%", servers=(CLOSED,)),
    # Codes.
    Case("failure", info("www.%"), {"www.% *": "SERVFAIL"}),
    Case("refusal", info("www.%"), {"www.% *": "REFUSED"}),
    Case("not implemented", info("www.%"), {"www.% *": "NOTIMP"}),
    Case("wrong format", info("www.%"), {"www.% *": "FORMERR"}),
    Case("lame", info("www.%"), {"www.% *": "LAME"}),
    Case("failure of IPv6", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "SERVFAIL"}),
    Case("failure of IPv4", info("www.%"), {"www.% A": "SERVFAIL", "www.% AAAA": SIX}),
    Case("failure beside no data", info("www.%"), {"www.% A": "NODATA", "www.% AAAA": "SERVFAIL"}),
    Case("failure of IPv4 beside no data", info("www.%"), {"www.% A": "SERVFAIL", "www.% AAAA": "NODATA"}),
    Case("silence about IPv4 beside no data", info("www.%"), {"www.% A": "SILENT", "www.% AAAA": "NODATA"}),
    Case("failure of IPv4 beside an alias", info("a.%"), {"a.% A": "SERVFAIL", "a.% AAAA": "@ CNAME www.%"}),
    Case("silence about IPv4 beside an alias", info("a.%"), {"a.% A": "SILENT", "a.% AAAA": "@ CNAME www.%"}),
    Case("failure beside no name", info("www.%"), {"www.% A": "NXDOMAIN", "www.% AAAA": "SERVFAIL"}),
    Case("no name beside failure", info("www.%"), {"www.% A": "SERVFAIL", "www.% AAAA": "NXDOMAIN"}),
    Case("no name for IPv6", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "NXDOMAIN"}),
    Case("no name beside no data", info("www.%"), {"www.% A": "NXDOMAIN", "www.% AAAA": "NODATA"}),
    Case("no data beside no name", info("www.%"), {"www.% A": "NODATA", "www.% AAAA": "NXDOMAIN"}),
    Case("wrong format of IPv6", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "FORMERR"}),
    Case("refusal of IPv6", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "REFUSED"}),
    # Servers.
    Case("second server after a failure", info("www.%"), {"www.% A @54": FOUR, "www.% * @53": "SERVFAIL"}, TWO),
    Case("second server after a refusal", info("www.%"), {**BOTH, "www.% * @53": "REFUSED"}, TWO),
    Case("second server after silence", info("www.%"), {"www.% A @54": FOUR, "www.% * @53": "SILENT"}, TWO),
    Case("second server after a closed port", info("www.%"), BOTH, (CLOSED, "10.0.0.54")),
    Case("first server has no such name", info("www.%"), {"www.% A @54": FOUR, "www.% * @53": "NXDOMAIN"}, TWO),
    Case("three fail", info("www.%"), {"www.% *": "SERVFAIL"}, THREE, options="timeout:1 attempts:2"),
    Case("all are closed", info("www.%"), {}, (CLOSED, "10.0.0.98")),
    Case("silence", info("www.%"), {"www.% *": "SILENT"}, options="timeout:1 attempts:3"),
    Case("silence of two", info("www.%"), {"www.% *": "SILENT"}, TWO, options="timeout:1 attempts:2"),
    Case("silence, IPv4 wanted", info("www.%", INET), {"www.% *": "SILENT"}, options="timeout:1 attempts:2"),
    Case("silence about IPv6", info("www.%"), {"www.% A": FOUR, "www.% AAAA": "SILENT"}),
    Case("silence about IPv4", info("www.%"), {"www.% A": "SILENT", "www.% AAAA": SIX}),
    Case("silence beside failure", info("www.%"), {"www.% A": "SILENT", "www.% AAAA": "SERVFAIL"}, TWO),
    Case("over IPv6", info("www.%"), BOTH, ("fd00::53",)),
    # TCP.
    Case("cut", info("www.%"), {"www.% * udp": "TC", "www.% A": FOUR, "www.% AAAA": SIX}),
    Case("cut for IPv6", info("www.%"), {"www.% AAAA udp": "TC", "www.% A": FOUR, "www.% AAAA": SIX}),
    Case("cut, IPv4 wanted", info("www.%", INET), {"www.% * udp": "TC", "www.% A": FOUR}),
    Case("cut, then no name", info("www.%"), {"www.% * udp": "TC"}, search="%"),
    Case("cut, then failure", info("www.%"), {"www.% * udp": "TC", "www.% * tcp": "SERVFAIL"}, TWO),
    Case("cut, then closed", info("www.%"), {"www.% * udp": "TC", "www.% * tcp": "SILENT"}, TWO),
    Case("TCP from the beginning", info("www.%"), BOTH, options="use-vc timeout:1"),
    # Aliases.
    Case("alias", info("a.%"), ALIAS),
    Case("chain", info("a.%", INET, CANON), {"a.% A": CHAIN}),
    Case("alias to nowhere", info("a.%"), {"a.% *": "NXDOMAIN @ CNAME none.%"}, search="%"),
    Case("alias without addresses", info("a.%"), {"a.% *": "@ CNAME none.%"}),
    Case("alias without addresses, IPv4 wanted", info("a.%", INET), {"a.% *": "@ CNAME none.%"}),
    Case("alias without addresses, searched", info("a.$"), {"a.$.% *": "@ CNAME none.%", "a.$ A": FOUR}, search="%"),
    Case("alias without addresses, dots first", info("a.$"), {"a.$ *": "@ CNAME none.%", "a.$.% A": FOUR}, search="%"),
    Case("alias without addresses by name", ("gethostbyname_ex", "a.%"), {"a.% *": "@ CNAME none.%"}),
    Case("alias, IPv6 without", info("a.%"), {"a.% A": CHAIN, "a.% AAAA": "@ CNAME b.%; b.% CNAME c.%"}),
    Case("addresses of another name", info("www.%", INET), {"www.% A": "other.% A 192.0.2.1"}),
    # Older calls.
    Case("gethostbyname", ("gethostbyname", "www.%"), BOTH),
    Case("gethostbyname of none", ("gethostbyname", "none.%")),
    Case("gethostbyname_ex", ("gethostbyname_ex", "a.%"), {"a.% A": CHAIN}),
    Case("gethostbyname_ex searched", ("gethostbyname_ex", "$"), SEARCHED, search="%"),
    Case("gethostbyname_ex of none", ("gethostbyname_ex", "none.%")),
    Case("gethostbyname_ex, failure", ("gethostbyname_ex", "www.%"), {"www.% *": "SERVFAIL"}),
    Case("gethostbyname_ex, no data", ("gethostbyname_ex", "www.%"), {"www.% *": "NODATA"}),
    Case("gethostbyname_ex, a number", ("gethostbyname_ex", "192.0.2.1")),
    Case("gethostbyaddr", ("gethostbyaddr", "192.0.2.61"), {"61.2.0.192.in-addr.arpa PTR": "@ PTR www.%"}),
    Case(
        "gethostbyaddr, IPv6",
        ("gethostbyaddr", "2001:db8::61"),
        {f"1.6.{'0.' * 22}8.b.d.0.1.0.0.2.ip6.arpa PTR": "@ PTR www.%"},
    ),
    Case("gethostbyaddr of none", ("gethostbyaddr", "192.0.2.62")),
    Case("gethostbyaddr, failure", ("gethostbyaddr", "192.0.2.63"), {"63.2.0.192.in-addr.arpa PTR": "SERVFAIL"}),
    Case("gethostbyaddr, no data", ("gethostbyaddr", "192.0.2.64"), {"64.2.0.192.in-addr.arpa PTR": "NODATA"}),
    Case("gethostbyaddr, refusal", ("gethostbyaddr", "192.0.2.65"), {"65.2.0.192.in-addr.arpa PTR": "FORMERR"}),
    Case(
        "gethostbyaddr of a name",
        ("gethostbyaddr", "www.%"),
        {"www.% A": "@ A 192.0.2.66", "66.2.0.192.in-addr.arpa PTR": "@ PTR a.%"},
    ),
    Case(
        "gethostbyaddr, several",
        ("gethostbyaddr", "192.0.2.67"),
        {"67.2.0.192.in-addr.arpa PTR": "@ PTR www.%; @ PTR a.%"},
    ),
    Case(
        "gethostbyaddr by alias",
        ("gethostbyaddr", "192.0.2.68"),
        {"68.2.0.192.in-addr.arpa PTR": "@ CNAME 68.%; 68.% PTR www.%"},
    ),
    Case("getnameinfo", ("getnameinfo", ("192.0.2.71", 80), 0), {"71.2.0.192.in-addr.arpa PTR": "@ PTR www.%"}),
    Case("getnameinfo of none", ("getnameinfo", ("192.0.2.72", 80), 0)),
    Case("getnameinfo of none, required", ("getnameinfo", ("192.0.2.73", 80), NAMEREQD)),
    Case(
        "getnameinfo, failure",
        ("getnameinfo", ("192.0.2.74", 80), NAMEREQD),
        {"74.2.0.192.in-addr.arpa PTR": "SERVFAIL"},
    ),
    Case("getnameinfo, silence", ("getnameinfo", ("192.0.2.75", 80), 0), {"75.2.0.192.in-addr.arpa PTR": "SILENT"}),
    Case("getnameinfo, no data", ("getnameinfo", ("192.0.2.78", 80), 0), {"78.2.0.192.in-addr.arpa PTR": "NODATA"}),
    Case("getnameinfo, refusal", ("getnameinfo", ("192.0.2.79", 80), 0), {"79.2.0.192.in-addr.arpa PTR": "FORMERR"}),
    Case(
        "getnameinfo of an alias",
        ("getnameinfo", ("192.0.2.80", 80), 0),
        {"80.2.0.192.in-addr.arpa PTR": "@ CNAME a.%"},
    ),
    Case("getnameinfo, own address", ("getnameinfo", ("10.0.0.1", 80), 0)),
    Case("getnameinfo, numbers", ("getnameinfo", ("192.0.2.76", 80), NUMERICHOST)),
    Case(
        "getnameinfo, short",
        ("getnameinfo", ("192.0.2.77", 80), NOFQDN),
        {"77.2.0.192.in-addr.arpa PTR": "@ PTR www.%"},
    ),
    # Not asked for.
    Case("localhost", info("localhost")),
    Case("own name", info("client")),
    Case("a number", info("192.0.2.1")),
]
