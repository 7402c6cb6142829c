"""The `+word[=value]` switches, as dig has them: which there are, and what each changes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from catenet.cli import UsageError
from catenet.cli.arguments import duration

__all__ = ["GLOBAL", "MOST_ATTEMPTS", "SWITCHES", "Options", "apply"]

MOST_PAYLOAD: Final = 65_535
MOST_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True)
class Options:
    """How one question is asked and shown. Times in seconds; the names are those of the switches."""

    # What is shown.
    short: bool = False
    question: bool = True
    answer: bool = True
    authority: bool = True
    additional: bool = True
    comments: bool = True
    stats: bool = True
    ttl: bool = True
    ttlunits: bool = False
    rclass: bool = True
    multiline: bool = False
    identify: bool = False
    qr: bool = False
    onesoa: bool = False
    unknownformat: bool = False
    yaml: bool = False
    # What is sent.
    recurse: bool = True
    aaflag: bool = False
    adflag: bool = True
    cdflag: bool = False
    zflag: bool = False
    dnssec: bool = False
    edns: int | None = 0
    ednsnegotiation: bool = True
    ednsflags: int = 0
    bufsize: int = 1232
    ednsopt: tuple[tuple[int, bytes], ...] = ()
    nsid: bool = False
    # None: sent, and not shown.
    cookie: bool | bytes | None = None
    subnet: bytes | None = None
    expire: bool = False
    keepalive: bool = False
    padding: int = 0
    opcode: int = 0
    qid: int | None = None
    header_only: bool = False
    # How.
    tcp: bool = False
    tls: bool = False
    quic: bool = False
    mdns: bool = False
    tls_ca: str | None = None
    tls_hostname: str | None = None
    https: str | None = None
    http: str | None = None
    get: bool = False
    ignore: bool = False
    fail: bool = True
    keepopen: bool = True
    time: float = 5.0
    tries: int = 3
    trace: bool = False
    nssearch: bool = False


Change = Callable[[Options, bool, str | None], Options]
"""What a switch does: to these options, whether it is meant (`+x`, not `+nox`), and its value."""


def _flag(name: str) -> Change:
    def change(options: Options, on: bool, value: str | None) -> Options:
        if value is not None:
            raise ValueError("takes no value")
        return _with(options, name, on)

    return change


def _value(name: str, read: Callable[[str], Any], bare: Any = None, off: Any = None) -> Change:
    """A switch with a value; `bare`: what it means without one, None: it must have one. `off`: what `+no…` sets."""

    def change(options: Options, on: bool, value: str | None) -> Options:
        if not on:
            return _with(options, name, getattr(Options(), name) if off is None else off[0])
        if value is None and bare is None:
            raise ValueError("needs a value, as in +word=value")
        return _with(options, name, bare if value is None else read(value))

    return change


def _with(options: Options, name: str, value: Any) -> Options:
    return replace(options, **{name: value})


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        base = 16 if text.lower().startswith("0x") else 10
        try:
            number = int(text, base)
        except ValueError:
            raise ValueError(f"{text!r} is no number") from None
        if not least <= number <= most:
            raise ValueError(f"{text} is not from {least} to {most}")
        return number

    return read


def _seconds(text: str) -> float:
    try:
        seconds = duration(text)
    except Exception as error:
        raise ValueError(str(error)) from None
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return seconds


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{text!r} is not hexadecimal") from None


def _cookie(text: str) -> bytes:
    data = _hex(text)
    if len(data) != 8 and not 16 <= len(data) <= 40:
        raise ValueError("a cookie has 8 bytes, or 16 to 40 with the server's (RFC 7873)")
    return data


def _subnet(text: str) -> bytes:
    from catenet.dns.options import client_subnet

    return client_subnet(text)


def _opcode(text: str) -> int:
    from catenet.wire.dns.numbers import OPCODES

    by_name = {name: number for number, name in OPCODES.items()}
    return by_name[text.upper()] if text.upper() in by_name else _whole(0, 15)(text)


def _all(options: Options, on: bool, value: str | None) -> Options:
    shown = ("question", "answer", "authority", "additional", "comments", "stats")
    changes: dict[str, Any] = dict.fromkeys(shown, on)
    return replace(options, **changes)


def _edns_option(options: Options, on: bool, value: str | None) -> Options:
    from catenet.dns.options import NAMES

    if not on:
        return replace(options, ednsopt=())
    name, _, data = (value or "").partition(":")
    by_name = {text: code for code, text in NAMES.items()}
    code = by_name[name.lower()] if name.lower() in by_name else _whole(0, 65_535)(name)
    return replace(options, ednsopt=(*options.ednsopt, (code, _hex(data))), edns=options.edns or 0)


def _dnssec(options: Options, on: bool, value: str | None) -> Options:
    return replace(options, dnssec=on, edns=0 if on and options.edns is None else options.edns)


def _tries(extra: int) -> Callable[[str], int]:
    return lambda text: _whole(1 - extra, MOST_ATTEMPTS - extra)(text) + extra


def _http(name: str, get: bool) -> Change:
    def change(options: Options, on: bool, value: str | None) -> Options:
        path = "/dns-query" if value is None else value
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is no path; it begins with /")
        return replace(_with(options, name, path if on else None), get=get)

    return change


SWITCHES: Final[dict[str, Change]] = {
    "aaflag": _flag("aaflag"),
    "aaonly": _flag("aaflag"),
    "additional": _flag("additional"),
    "adflag": _flag("adflag"),
    "all": _all,
    "answer": _flag("answer"),
    "authority": _flag("authority"),
    "bufsize": _value("bufsize", _whole(0, MOST_PAYLOAD), 1232),
    "cdflag": _flag("cdflag"),
    "class": _flag("rclass"),
    "cmd": _flag("comments"),
    "comments": _flag("comments"),
    "cookie": _value("cookie", _cookie, True, (False,)),
    "dnssec": _dnssec,
    "do": _dnssec,
    "edns": _value("edns", _whole(0, 255), 0, (None,)),
    "ednsnegotiation": _flag("ednsnegotiation"),
    "ednsflags": _value("ednsflags", _whole(0, 0xFFFF), 0),
    "ednsopt": _edns_option,
    "expire": _flag("expire"),
    "fail": _flag("fail"),
    "header-only": _flag("header_only"),
    "http-plain": _http("http", False),
    "http-plain-get": _http("http", True),
    "http-plain-post": _http("http", False),
    "https": _http("https", False),
    "https-get": _http("https", True),
    "https-post": _http("https", False),
    "identify": _flag("identify"),
    "ignore": _flag("ignore"),
    "keepalive": _flag("keepalive"),
    "keepopen": _flag("keepopen"),
    "multiline": _flag("multiline"),
    "nsid": _flag("nsid"),
    "nssearch": _flag("nssearch"),
    "onesoa": _flag("onesoa"),
    "opcode": _value("opcode", _opcode),
    "padding": _value("padding", _whole(0, 512), 128),
    "qid": _value("qid", _whole(0, 65_535)),
    "qr": _flag("qr"),
    "question": _flag("question"),
    "rdflag": _flag("recurse"),
    "recurse": _flag("recurse"),
    "retry": _value("tries", _tries(1)),
    "short": _flag("short"),
    "stats": _flag("stats"),
    "subnet": _value("subnet", _subnet),
    "tcp": _flag("tcp"),
    "time": _value("time", _seconds),
    "timeout": _value("time", _seconds),
    "tls": _flag("tls"),
    "tls-ca": _value("tls_ca", str, "", (None,)),
    "tls-hostname": _value("tls_hostname", str),
    "trace": _flag("trace"),
    "tries": _value("tries", _tries(0)),
    "ttlid": _flag("ttl"),
    "ttlunits": _flag("ttlunits"),
    "unknownformat": _flag("unknownformat"),
    "vc": _flag("tcp"),
    "yaml": _flag("yaml"),
    "zflag": _flag("zflag"),
}

GLOBAL: Final = frozenset(("short", "keepopen", "tls-ca", "tls-hostname"))
"""Switches that count for all questions wherever they stand."""


def apply(options: Options, word: str) -> tuple[str, Options]:
    """Carry out a switch (without its +); returns its whole name too. Raises UsageError."""
    text, equals, value = word.partition("=")
    name, on = _find(text)
    try:
        return name, SWITCHES[name](options, on, value if equals else None)
    except ValueError as error:
        raise UsageError(f"+{text}: {error}") from None


def _find(text: str) -> tuple[str, bool]:
    """The switch and whether it is meant; as with dig, the beginning of a name is enough if it is that of one only."""
    lower = text.lower()
    for name, on in ((lower, True), (lower.removeprefix("no"), False)):
        if (on or name != lower) and name in SWITCHES:
            return name, on
    for name, on in ((lower, True), (lower.removeprefix("no"), False)):
        if len(name) < 2 or (not on and name == lower):
            continue
        found = [one for one in SWITCHES if one.startswith(name)]
        changes = {id(SWITCHES[one]) for one in found}
        if len(found) == 1 or (found and len(changes) == 1):
            return found[0], on
        if found:
            raise UsageError(f"+{text} may be {', '.join('+' + one for one in found)}; write more of it")
    near = difflib.get_close_matches(lower, [*SWITCHES, *("no" + one for one in SWITCHES)], 1)
    raise UsageError(f"no switch +{text}; {f'did you mean +{near[0]}?' if near else 'see catenet resolve --help'}")
