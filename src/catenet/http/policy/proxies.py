"""Which proxy a request goes through, by the variables of the environment that curl and requests read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from catenet.http.url import Url, UrlError

__all__ = ["Proxies", "parse_proxy"]

SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def parse_proxy(text: str) -> Url:
    """Return the URL of a proxy; without a scheme it is an HTTP proxy. Raises `UrlError`.

    A port that is not named is the scheme's, as requests has it; curl takes 1080 for `http://` too.
    """
    return Url.absolute(text if "://" in text else f"http://{text}", SCHEMES)


@dataclass(frozen=True, slots=True)
class Proxies:
    """`by_scheme`: proxies for `http`, `https` and others, `all` for the rest. `bypass`: the entries of `no_proxy`."""

    by_scheme: Mapping[str, Url] = field(default_factory=dict)
    bypass: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Read `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`; in lower case first, then in upper case.

        `HTTP_PROXY` does not count where `REQUEST_METHOD` is set: in a CGI program it is a field of the request
        (httpoxy). Raises `UrlError` that names the variable.
        """
        found = {}
        for scheme in ("http", "https", "ws", "wss", "ftp", "all"):
            name = f"{scheme}_proxy"
            text = environment.get(name)
            if text is None and not (scheme == "http" and "REQUEST_METHOD" in environment):
                text = environment.get(name.upper())
            if text and text.strip():
                try:
                    found[scheme] = parse_proxy(text.strip())
                except UrlError as error:
                    raise UrlError(f"{name}: {error}") from None
        bypass = environment.get("no_proxy", environment.get("NO_PROXY", ""))
        return cls(found, tuple(part.strip().lower() for part in bypass.replace(" ", ",").split(",") if part.strip()))

    def for_url(self, url: Url) -> Url | None:
        """Return the proxy for a request to `url`, None to connect directly."""
        if not self.by_scheme:
            return None
        scheme = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
        proxy = self.by_scheme.get(url.scheme) or self.by_scheme.get(scheme) or self.by_scheme.get("all")
        return None if proxy is None or self.bypasses(url) else proxy

    def bypasses(self, url: Url) -> bool:
        """Whether `no_proxy` names the host: itself, a domain above it, its address or network, or `*`."""
        host = (url.host or "").partition("%")[0].rstrip(".")
        address = _address(host)
        return any(_matches(entry, host, address, url.effective_port) for entry in self.bypass)


def _matches(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted = _with_port(entry)
    if wanted is not None and wanted != port:
        return False
    if address is not None:
        try:
            return address in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _with_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    else:
        name, port = entry, ""
    return name, int(port) if port.isascii() and port.isdigit() else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
