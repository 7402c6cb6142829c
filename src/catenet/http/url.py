"""URLs as clients of HTTP read, resolve and compare them (RFC 3986, with the rules of RFC 9110 section 4.2 for http).

Strict about what would let two readers see two servers (controls, blanks, backslashes in an authority, ports that are
no numbers, user names that hold an `@`), lenient about what browsers mend without doubt: blanks and characters beyond
ASCII in a path, query or fragment are percent-encoded as UTF-8.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["Url", "UrlError", "percent_encode"]

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ftps": 990, "sftp": 22, "tftp": 69}
DEFAULT_PORTS |= {"dns": 53, "ntp": 123, "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080}
"""Ports that an authority need not name."""

MAX_LENGTH = 65536
"""Characters that a URL may have: what no server takes, and what bounds the work on a redirect."""

MAX_PORT = 65535
MAX_NAME = 253

_UNRESERVED = "A-Za-z0-9\\-._~"
_SUB_DELIMS = "!$&'()*+,;="
_ALLOWED = {
    "path": f"{_UNRESERVED}{_SUB_DELIMS}:@/",
    "query": f"{_UNRESERVED}{_SUB_DELIMS}:@/?",
    "userinfo": f"{_UNRESERVED}{_SUB_DELIMS}:",
    "component": _UNRESERVED,
}
# A percent sign that begins no escape is encoded itself, so that the result is always a URL.
_FOREIGN = {part: re.compile(f"%(?![0-9A-Fa-f]{{2}})|[^%{allowed}]+") for part, allowed in _ALLOWED.items()}
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):").match
_SPLIT = re.compile(r"(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL).fullmatch
_REG_NAME = re.compile(rf"(?:[{_UNRESERVED}{_SUB_DELIMS}])+").fullmatch
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?").fullmatch
_ZONE = re.compile(rf"(?:[{_UNRESERVED}]|%[0-9A-Fa-f]{{2}})+").fullmatch
_FUTURE = re.compile(rf"[vV][0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB_DELIMS}:]+").fullmatch
# What programs that follow WHATWG take for an IPv4 address and RFC 3986 for a name: 0x7f.1, 017700000001, 2130706433.
_ODD_IPV4 = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?").fullmatch


class UrlError(ValueError):
    """The text is no URL, or not one of the kind that is needed; the message names the text and the place."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL, or a reference to one (`scheme` or `host` empty), by its parts.

    Parts are as they are sent: percent-encoded, `host` in lower case and ASCII (IDNA), IPv6 addresses without brackets
    and in their shortest form. `port` is None where the text names none, and where it names the scheme's default.
    `query` and `fragment` are None where there is no `?` or `#`. `host` is None where there is no authority.
    """

    scheme: str = ""
    userinfo: str | None = None
    host: str | None = None
    port: int | None = None
    path: str = ""
    query: str | None = None
    fragment: str | None = None

    @staticmethod
    def parse(text: str | Url) -> Url:
        """Return the URL or reference that `text` is; blanks around it do not count. Raises `UrlError`."""
        return text if isinstance(text, Url) else _parse(text)

    @staticmethod
    def absolute(text: str | Url, schemes: tuple[str, ...] = ("http", "https")) -> Url:
        """Return the URL; raise `UrlError` if it has none of `schemes`, or no host."""
        url = Url.parse(text)
        if url.scheme not in schemes:
            known = " or ".join(f"{scheme}://" for scheme in schemes)
            named = f"no scheme {url.scheme!r} here" if url.scheme else "it has no scheme"
            raise UrlError(f"URL {str(url)!r}: {named}; write {known}")
        if not url.host:
            raise UrlError(f"URL {str(url)!r} names no host")
        return url

    def __str__(self) -> str:
        parts = [f"{self.scheme}:"] if self.scheme else []
        if self.host is not None:
            parts.append(f"//{self.userinfo}@{self.authority}" if self.userinfo is not None else f"//{self.authority}")
        parts.append(_apart(self.host, self.path))
        if self.query is not None:
            parts.append(f"?{self.query}")
        if self.fragment is not None:
            parts.append(f"#{self.fragment}")
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Url({str(self.without_password())!r})"

    # What a client needs to connect and to ask.

    @property
    def authority(self) -> str:
        """`host[:port]` as Host and `:authority` have it: no user, no default port, IPv6 in brackets, no zone."""
        host = self.host or ""
        if ":" in host:
            host = f"[{host.partition('%')[0]}]"
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """The origin form of a request target: path and query (RFC 9112 section 3.2.1)."""
        path = self.path or "/"
        return path if self.query is None else f"{path}?{self.query}"

    @property
    def effective_port(self) -> int:
        """The port to connect to; raise `UrlError` if neither the URL nor its scheme names one."""
        port = self.port if self.port is not None else DEFAULT_PORTS.get(self.scheme)
        if port is None:
            raise UrlError(f"URL {str(self)!r} names no port")
        return port

    @property
    def tls(self) -> bool:
        """Whether the scheme says that the connection begins with TLS."""
        return self.scheme in ("https", "wss", "ftps")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what has to be equal for two URLs to be of one origin (RFC 6454 section 4)."""
        return self.scheme, self.host or "", self.effective_port

    @property
    def user(self) -> str | None:
        """The user name, decoded; None: there is none."""
        return None if self.userinfo is None else unquote(self.userinfo.partition(":")[0])

    @property
    def password(self) -> str | None:
        """The password, decoded; None: there is none."""
        _, colon, password = (self.userinfo or "").partition(":")
        return unquote(password) if colon else None

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address."""
        return _address(self.host or "") is not None

    # Changed copies.

    def with_query(self, pairs: dict[str, str] | list[tuple[str, str]]) -> Url:
        """Return the URL with these parameters after those it has (`application/x-www-form-urlencoded`, `+` as %2B)."""
        items = pairs.items() if isinstance(pairs, dict) else pairs
        added = "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in items)
        return replace(self, query="&".join(part for part in (self.query, added) if part) if added else self.query)

    def without_userinfo(self) -> Url:
        """Return the URL without user and password."""
        return self if self.userinfo is None else replace(self, userinfo=None)

    def without_password(self) -> Url:
        """Return the URL with `***` in place of a password, as logs and messages should have it."""
        if self.userinfo is None or ":" not in self.userinfo:
            return self
        return replace(self, userinfo=f"{self.userinfo.partition(':')[0]}:***")

    def without_fragment(self) -> Url:
        """Return the URL without its fragment."""
        return self if self.fragment is None else replace(self, fragment=None)

    def join(self, reference: str | Url) -> Url:
        """Return what `reference` means at this URL (RFC 3986 section 5.2, strict); raise `UrlError` if it is none."""
        other = Url.parse(reference)
        if other.scheme:
            return replace(other, path=_apart(other.host, _without_dots(other.path)))
        if other.host is not None:
            return _without_default(replace(other, scheme=self.scheme, path=_without_dots(other.path)))
        path, query = self.path, other.query
        if not other.path:
            query = self.query if other.query is None else other.query
        elif other.path.startswith("/"):
            path = _without_dots(other.path)
        else:
            path = _without_dots(self._merged(other.path))
        return replace(self, path=_apart(self.host, path), query=query, fragment=other.fragment)

    def normalise(self) -> Url:
        """Return the URL by which to compare: escapes in upper case or gone, no dots (RFC 3986 section 6.2.2).

        An `http` URL without a path has the path `/` (section 6.2.3).
        """
        path = _without_dots(_plain_escapes(self.path)) if self.host is not None or self.scheme else self.path
        if not path and self.host is not None:
            path = "/"
        query = None if self.query is None else _plain_escapes(self.query)
        fragment = None if self.fragment is None else _plain_escapes(self.fragment)
        return replace(self, path=_apart(self.host, path), query=query, fragment=fragment)

    def _merged(self, path: str) -> str:
        if self.host is not None and not self.path:
            return f"/{path}"
        return self.path[: self.path.rfind("/") + 1] + path


def percent_encode(text: str, part: str = "component") -> str:
    """Return `text` with everything escaped that may not stand in `part` (component, path, query, userinfo).

    Escapes that are there stay, except in a `component`, where a percent sign is one.
    """
    if part == "component":
        text = text.replace("%", "%25")
    return _FOREIGN[part].sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Url:
    text = text.strip(" \t\r\n\f")
    if len(text) > MAX_LENGTH:
        raise UrlError(f"a URL of {len(text)} characters; {MAX_LENGTH} are the most")
    if found := _CONTROLS.search(text):
        raise UrlError(f"URL {text!r} has a control character at {found.start()}")
    scheme, rest = "", text
    if match := _SCHEME(text):
        scheme, rest = match[1].lower(), text[match.end() :]
    split = _SPLIT(rest)
    if split is None:  # pragma: no cover - everything matches
        raise UrlError(f"URL {text!r} cannot be split")
    authority, path, query, fragment = split.groups()
    userinfo, host, port = (None, None, None) if authority is None else _split_authority(text, authority)
    if authority is None and not scheme and ":" in path.partition("/")[0]:
        raise UrlError(f"URL {text!r}: {path.partition(':')[0]!r} is no scheme")
    if scheme in ("http", "https", "ws", "wss") and host == "":
        raise UrlError(f"URL {text!r} names no host")
    return _without_default(
        Url(
            scheme,
            userinfo,
            host,
            port,
            percent_encode(path, "path"),
            None if query is None else percent_encode(query, "query"),
            None if fragment is None else percent_encode(fragment, "query"),
        )
    )


def _split_authority(text: str, authority: str) -> tuple[str | None, str, int | None]:
    if "\\" in authority:
        raise UrlError(f"URL {text!r} has a backslash before its path; a path begins with /")
    userinfo, at, rest = authority.rpartition("@")
    if "@" in userinfo:
        raise UrlError(f"URL {text!r} has two @; in a user name or password write %40")
    host, port = rest, ""
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise UrlError(f"URL {text!r}: an IPv6 address stands in brackets, [::1]:PORT")
        host, port = _ip_literal(text, host), port[1:]
    else:
        host, _, port = rest.partition(":")
        if ":" in port:
            raise UrlError(f"URL {text!r}: {rest!r} is no host; an IPv6 address stands in brackets, [::1]:PORT")
        host = _name(text, host)
    return percent_encode(userinfo, "userinfo") if at else None, host, _port(text, port)


def _port(text: str, port: str) -> int | None:
    if not port:
        return None
    if not (port.isascii() and port.isdigit()) or len(port.lstrip("0")) > 5 or int(port[-5:]) > MAX_PORT:
        raise UrlError(f"URL {text!r}: {port!r} is no port; ports are numbers up to {MAX_PORT}")
    return int(port[-5:])  # zeros before it may be any number (RFC 3986 section 3.2.3)


def _ip_literal(text: str, host: str) -> str:
    if _FUTURE(host):
        raise UrlError(f"URL {text!r}: addresses of IP version {host[1:].partition('.')[0]} are not known")
    address, percent, zone = host.partition("%")
    zone = zone.removeprefix("25") if len(zone) > 2 else zone  # RFC 6874 writes %25, people write %
    try:
        found = ipaddress.IPv6Address(address).compressed
    except ValueError:
        raise UrlError(f"URL {text!r}: [{host}] is no IPv6 address") from None
    if percent and not _ZONE(zone):
        raise UrlError(f"URL {text!r}: {zone!r} is no zone of an IPv6 address")
    return f"{found}%{unquote(zone)}" if percent else found


def _name(text: str, host: str) -> str:
    if not host:
        return ""
    try:
        name = unquote(host, errors="strict") if "%" in host and _ESCAPE.search(host) else host
    except UnicodeDecodeError:
        raise UrlError(f"URL {text!r}: {host!r} is no host name: its escapes are no UTF-8") from None
    name = name.lower() if name.isascii() else _to_ascii(text, name)
    if not _REG_NAME(name):
        wrong = next((character for character in name if not _REG_NAME(character)), "")
        raise UrlError(f"URL {text!r}: {wrong!r} may not stand in a host name")
    if _ODD_IPV4(name) and _address(name) is None:
        raise UrlError(f"URL {text!r}: {name!r} is neither a name nor an IPv4 address; write it as 192.0.2.1")
    if len(name.rstrip(".")) > MAX_NAME or any(len(label) > 63 for label in name.split(".")):
        raise UrlError(f"URL {text!r}: a host name has at most {MAX_NAME} characters, a label 63")
    return name


def _to_ascii(text: str, name: str) -> str:
    """IDNA 2008 with the mapping of UTS 46, as browsers have it; without `idna` the codec of the standard library."""
    try:
        try:
            import idna
        except ImportError:
            return name.encode("idna").decode("ascii").lower()
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except UnicodeError as error:
        raise UrlError(f"URL {text!r}: {name!r} is no host name: {error}") from None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _without_default(url: Url) -> Url:
    if url.port is not None and url.port == DEFAULT_PORTS.get(url.scheme):
        return replace(url, port=None)
    return url


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 section 5.2.4), an escaped dot counting as one, as WHATWG has it."""
    if "." not in path and "%2" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    last = len(segments) - 1
    for at, segment in enumerate(segments):
        plain = segment.replace("%2e", ".").replace("%2E", ".") if "%2" in segment else segment
        if plain == ".." or plain == ".":
            if plain == ".." and (len(kept) > 1 or (kept and kept[0] != "")):
                kept.pop()
            if at == last:
                kept.append("")
        else:
            kept.append(segment)
    joined = "/".join(kept)
    return f"/{joined}" if path.startswith("/") and not joined.startswith("/") else joined


def _apart(host: str | None, path: str) -> str:
    """A path that begins with // would read as an authority where there is none (RFC 3986 section 3.3)."""
    return f"/.{path}" if host is None and path.startswith("//") else path


def _plain_escapes(text: str) -> str:
    """Escapes of unreserved characters become those, the rest upper case (RFC 3986 section 6.2.2.1 and 6.2.2.2)."""

    def plain(found: re.Match[str]) -> str:
        character = chr(int(found[0][1:], 16))
        return character if character.isascii() and (character.isalnum() or character in "-._~") else found[0].upper()

    return _ESCAPE.sub(plain, text) if "%" in text else text
