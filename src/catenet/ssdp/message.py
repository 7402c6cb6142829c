"""Messages of SSDP: heads as HTTP has them, each in a datagram (UPnP Device Architecture 2.0, sections 1.1 to 1.3).

`parse` raises `Malformed` for what is no message, and is liberal where devices are: white space around names and
values, lines that end with LF alone, fields that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

__all__ = [
    "ALL",
    "GROUP4",
    "GROUPS6",
    "PORT",
    "ROOT",
    "Advertisement",
    "Malformed",
    "Search",
    "build_advertisement",
    "build_search",
    "check_target",
    "parse",
]

GROUP4: Final = "239.255.255.250"
GROUPS6: Final = ("ff02::c", "ff05::c")
PORT: Final = 1900
ALL: Final = "ssdp:all"
ROOT: Final = "upnp:rootdevice"

LONGEST: Final = 4096
"""Octets of a message that is read; one that is multicast has to fit into a packet."""
MOST_FIELDS: Final = 64
LONGEST_AGE: Final = 86_400
"""Seconds that an advertisement is believed at most, whatever it says; also what one without `max-age` is not."""
DEFAULT_AGE: Final = 1800
LARGEST_WAIT: Final = 5
"""Seconds of MX that are used at most (section 1.3.3)."""

Kind: TypeAlias = Literal["alive", "update", "byebye", "response"]

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_AGE: Final = re.compile(r"max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_TARGET: Final = re.compile(
    r"ssdp:all|upnp:rootdevice|uuid:[^\s:]{1,128}|urn:[A-Za-z0-9.-]{1,128}:(device|service):[\w.-]{1,64}:\d{1,9}"
)
_ANY_TARGET: Final = re.compile(r"[!-~]{1,256}")

_LOCATION: Final = re.compile(r"[!-~]{1,2048}")


class Malformed(ValueError):
    """A datagram that is no message of SSDP; says why."""


@dataclass(frozen=True, slots=True)
class Search:
    """M-SEARCH: who is `target`? `wait` is within how many seconds to answer, None in a unicast search."""

    target: str
    wait: int | None = None
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """NOTIFY, or a response to a search: `usn` is a `target` and described at `location`.

    `max_age` is for how many seconds. Numbers that are not there are None (UPnP 1.0 has none of them).
    """

    kind: Kind
    target: str
    usn: str
    location: str = ""
    max_age: int = DEFAULT_AGE
    server: str = ""
    boot_id: int | None = None
    config_id: int | None = None
    next_boot_id: int | None = None
    search_port: int | None = None
    other: Mapping[str, str] = field(default_factory=dict)
    """Fields that are not of these, by their names in lower case."""


def check_target(text: str) -> str:
    """A search target (section 1.3.2); ValueError for what is none."""
    if not _TARGET.fullmatch(text):
        example = "urn:schemas-upnp-org:device:MediaServer:1"
        raise ValueError(f"{text!r} is nothing to search for; write {ALL}, {ROOT}, uuid:..., or as {example}")
    return text


# Reading.


def parse(data: bytes) -> Search | Advertisement:
    """Read a datagram; `Malformed`."""
    if len(data) > LONGEST:
        raise Malformed(f"{len(data)} octets, more than {LONGEST}")
    start, fields = _split(data)
    words = start.split()
    if words[:2] == [b"M-SEARCH", b"*"] and _is_http(words[2:]):
        return _search(fields)
    if words[:2] == [b"NOTIFY", b"*"] and _is_http(words[2:]):
        return _notify(fields)
    if words and _is_http(words[:1]) and words[1:2] == [b"200"]:
        return _advertisement("response", fields, fields.get("st", ""))
    raise Malformed("neither M-SEARCH, NOTIFY nor a response")


def _is_http(words: list[bytes]) -> bool:
    return len(words) == 1 and words[0] in (b"HTTP/1.1", b"HTTP/1.0")


def _split(data: bytes) -> tuple[bytes, dict[str, str]]:
    """The start line, and the fields by names in lower case; of two that are equal the first counts."""
    head = data.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    start, *lines = head.split(b"\n")
    if len(lines) > MOST_FIELDS:
        raise Malformed(f"{len(lines)} fields, more than {MOST_FIELDS}")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.strip()
        if not line.strip():
            continue
        if not colon or not _NAME.fullmatch(name):
            raise Malformed("a line that is no field")
        if _CONTROL.search(value):
            raise Malformed("a control character in a field")
        fields.setdefault(name.decode().lower(), value.strip().decode("utf-8", "replace"))
    return start, fields


def _search(fields: dict[str, str]) -> Search:
    if fields.get("man", "").strip('"') != "ssdp:discover":
        raise Malformed('a search without MAN: "ssdp:discover"')
    target = fields.get("st", "")
    if not _ANY_TARGET.fullmatch(target):
        raise Malformed("a search for nothing")
    wait = _number(fields, "mx")
    return Search(target, None if wait is None else min(wait, LARGEST_WAIT), fields.get("user-agent", ""))


def _notify(fields: dict[str, str]) -> Advertisement:
    kinds: dict[str, Kind] = {"ssdp:alive": "alive", "ssdp:update": "update", "ssdp:byebye": "byebye"}
    kind = kinds.get(fields.get("nts", ""))
    if kind is None:
        raise Malformed("a notification of nothing known")
    return _advertisement(kind, fields, fields.get("nt", ""))


def _advertisement(kind: Kind, fields: dict[str, str], target: str) -> Advertisement:
    usn = fields.get("usn", "")
    if not _ANY_TARGET.fullmatch(usn) or not _ANY_TARGET.fullmatch(target):
        raise Malformed("no USN, or no target")
    location = fields.get("location", fields.get("al", ""))
    if location and not _LOCATION.fullmatch(location):
        raise Malformed("a location that is no URL")
    age = _AGE.search(fields.get("cache-control", ""))
    known = ("cache-control", "ext", "host", "location", "nt", "nts", "server", "st", "usn", "date")
    numbers = ("bootid.upnp.org", "configid.upnp.org", "nextbootid.upnp.org", "searchport.upnp.org")
    return Advertisement(
        kind=kind,
        target=target,
        usn=usn,
        location=location,
        max_age=DEFAULT_AGE if age is None else min(int(age[1]), LONGEST_AGE),
        server=fields.get("server", ""),
        boot_id=_number(fields, numbers[0]),
        config_id=_number(fields, numbers[1]),
        next_boot_id=_number(fields, numbers[2]),
        search_port=_number(fields, numbers[3]),
        other={name: value for name, value in fields.items() if name not in (*known, *numbers)},
    )


def _number(fields: dict[str, str], name: str) -> int | None:
    """A number of up to 31 bits, None for what is none."""
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 11 and int(text) < 1 << 31 else None


# Writing.


def build_search(search: Search, host: str) -> bytes:
    """M-SEARCH to a group, or to one device; ValueError for what no line can say."""
    fields = {"HOST": host, "MAN": '"ssdp:discover"', "ST": search.target}
    if search.wait is not None:
        fields["MX"] = str(search.wait)
    if search.user_agent:
        fields["USER-AGENT"] = search.user_agent
    return _build("M-SEARCH * HTTP/1.1", fields)


def build_advertisement(one: Advertisement, host: str) -> bytes:
    """NOTIFY to a group, or a response; ValueError for what no line can say."""
    if one.kind == "response":
        start = "HTTP/1.1 200 OK"
        fields = {"CACHE-CONTROL": f"max-age={one.max_age}", "EXT": "", "LOCATION": one.location, "SERVER": one.server}
        fields |= {"ST": one.target, "USN": one.usn}
    else:
        start = "NOTIFY * HTTP/1.1"
        fields = {"HOST": host}
        if one.kind == "alive":
            fields["CACHE-CONTROL"] = f"max-age={one.max_age}"
        if one.kind != "byebye":
            fields["LOCATION"] = one.location
        fields |= {"NT": one.target, "NTS": f"ssdp:{one.kind}", "USN": one.usn}
        if one.kind == "alive":
            fields["SERVER"] = one.server
    numbers = {"BOOTID": one.boot_id, "CONFIGID": one.config_id, "NEXTBOOTID": one.next_boot_id}
    numbers |= {"SEARCHPORT": one.search_port}
    fields |= {f"{name}.UPNP.ORG": str(value) for name, value in numbers.items() if value is not None}
    return _build(start, {**fields, **one.other})


def _build(start: str, fields: Mapping[str, str]) -> bytes:
    lines = [start, *(f"{name}: {value}".rstrip() for name, value in fields.items())]
    if any(not line.isprintable() for line in lines):
        raise ValueError("a field has a control character")
    return "\r\n".join([*lines, "", ""]).encode()
