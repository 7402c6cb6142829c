"""catenet resolve: ask name servers, with dig's habits."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catenet.cli import Parser, UsageError
from catenet.cli.arguments import duration
from catenet.printable import complain, printable, printable_json, say
from catenet.wire.address import parse_address

if TYPE_CHECKING:
    from catenet.dns.client import Reply
    from catenet.wire.dns.message import Message, Question
    from catenet.wire.dns.record import Record

__all__ = ["Plan", "register", "run"]

NO_ANSWER: Final = 9
"""Exit status when no server answers, as dig's."""
SECTIONS: Final = ("answer", "authority", "additional")
SWITCHES: Final = ("short", "tcp", "dnssec", "norecurse", "cdflag", "noedns")
BOLD: Final = "\x1b[1m"
PLAIN: Final = "\x1b[0m"


@dataclass
class Plan:
    """What the command line asks for."""

    questions: list[Question] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    switches: set[str] = field(default_factory=set)


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.usage = "catenet resolve NAME [TYPE...] [NAME [TYPE...]...] [@SERVER[:PORT]] [+SWITCH...] [options]"
    parser.epilog = (
        f"switches: {', '.join('+' + one for one in SWITCHES)}. A server may be a URL: udp://, tcp://, tls://. "
        "Status: 0 answered (also that the name does not exist), 1 the server refused or failed, 9 no answer."
    )
    if isinstance(parser, Parser):
        parser.options_anywhere = True
    parser.add_argument("words", nargs="*", metavar="WORD", help="names, types, @server, +switches, in any order")
    parser.add_argument("-x", dest="reverse", metavar="ADDRESS", action="append", default=[], help="name of an address")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("-4", dest="version", action="store_const", const=4, help="servers with IPv4 addresses only")
    version.add_argument("-6", dest="version", action="store_const", const=6, help="servers with IPv6 addresses only")
    parser.add_argument("--tls", action="store_true", help="ask over TLS (port 853)")
    parser.add_argument("--timeout", type=duration, default=5.0, help="how long to wait for each attempt (5s)")
    parser.add_argument("--attempts", type=int, default=3, help="how often a datagram is sent (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    plan = _plan(args)
    status = 0
    results: list[dict[str, Any]] = []
    for question in plan.questions:
        try:
            reply = asyncio.run(_ask_one_of(plan, question, args))
        except OSError as error:
            if args.json:
                results.append({"question": _name_and_type(question), "error": _reason(error)})
            complain(f"catenet resolve: {' '.join(_name_and_type(question).values())}: {_reason(error)}")
            status = NO_ANSWER
            continue
        status = max(status, 0 if reply.message.rcode in (0, 3) else 1)
        if args.json:
            results.append(_as_json(question, reply))
        elif "short" in plan.switches:
            for record in reply.message.answer:
                say(_data(record))
        else:
            _print(question, reply)
    if args.json:
        whole = results[0] if len(plan.questions) == 1 else {"results": results}
        print(printable_json(json.dumps(whole, ensure_ascii=False)))
    return status


# The command line.


def _plan(args: argparse.Namespace) -> Plan:
    from catenet.wire.dns import numbers
    from catenet.wire.dns.message import Question
    from catenet.wire.dns.name import name_from_text

    plan = Plan()
    names: list[tuple[str, list[int]]] = []
    early: list[int] = []
    for word in args.words:
        if word.startswith("@"):
            plan.servers.append(_server(word[1:], args.tls))
        elif word.startswith("+"):
            plan.switches.add(_switch(word[1:]))
        elif (kind := _type(word)) is not None:
            (names[-1][1] if names else early).append(kind)
        else:
            names.append((word, []))
    for name, kinds in names:
        if not name:
            raise UsageError("an empty name; the root is '.'")
        try:
            wire = name_from_text(name)
        except ValueError as error:
            raise UsageError(str(error)) from None
        plan.questions += [Question(wire, kind) for kind in kinds or early or [numbers.A]]
    plan.questions += [Question(_reverse_name(text), numbers.PTR) for text in args.reverse]
    if not plan.questions:
        raise UsageError("no name to ask for; see 'catenet resolve --help'")
    if args.timeout <= 0:
        raise UsageError("--timeout: must be more than 0")
    if not 1 <= args.attempts <= 100:
        raise UsageError(f"--attempts: {args.attempts} is not from 1 to 100")
    if not plan.servers:
        plan.servers = _system_servers(args)
    if "tcp" in plan.switches and args.tls:
        raise UsageError("+tcp and --tls: TLS runs over TCP; give one of them")
    if "tcp" in plan.switches:
        plan.servers = ["tcp" + url.removeprefix("udp") if url.startswith("udp:") else url for url in plan.servers]
    return plan


def _server(text: str, tls: bool) -> str:
    from catenet.dns.client import SCHEMES
    from catenet.net import parse_target

    if text.count(":") > 1 and not text.startswith("[") and "://" not in text:
        text = f"[{text}]"
    try:
        target = parse_target(text, schemes=SCHEMES, default="tls" if tls else "udp")
    except ValueError as error:
        raise UsageError(f"@{text}: {error}") from None
    if tls and target.scheme != "tls":
        raise UsageError(f"@{text} and --tls: one says {target.scheme}, the other TLS")
    return target.url


def _system_servers(args: argparse.Namespace) -> list[str]:
    from catenet.dns.config import server_host, system_config

    found = [
        _server(f"[{server_host(server)}]", args.tls)
        for server in system_config().servers
        if args.version in (None, 4 if len(server.address) == 4 else 6)
    ]
    if not found:
        raise UsageError(f"/etc/resolv.conf names no server with an IPv{args.version} address; name one with @SERVER")
    return found


def _switch(word: str) -> str:
    if word in SWITCHES:
        return word
    near = difflib.get_close_matches(word, SWITCHES, 1)
    hint = f"did you mean +{near[0]}?" if near else f"choose from {', '.join('+' + one for one in SWITCHES)}"
    raise UsageError(f"no switch +{word}; {hint}")


def _type(word: str) -> int | None:
    """Number of a type that is named; what could be a name as well (`a.`, `mx.example`) has a dot."""
    from catenet.wire.dns.numbers import type_from_text

    try:
        return type_from_text(word)
    except ValueError as error:
        if re.fullmatch(r"(?i:type)\d+", word):
            raise UsageError(str(error)) from None
        return None


def _reverse_name(text: str) -> bytes:
    from catenet.wire.dns.name import reverse_name

    try:
        return reverse_name(parse_address(text))
    except ValueError as error:
        raise UsageError(f"-x: {error}") from None


# Asking.


async def _ask_one_of(plan: Plan, question: Question, args: argparse.Namespace) -> Reply:
    """Ask the servers in their order until one answers."""
    from catenet.dns.client import ask
    from catenet.wire.dns.edns import DNSSEC_OK, Edns
    from catenet.wire.dns.numbers import AD, CD, RD

    switches = plan.switches
    flags = AD | (0 if "norecurse" in switches else RD) | (CD if "cdflag" in switches else 0)
    edns = None if "noedns" in switches else Edns(flags=DNSSEC_OK if "dnssec" in switches else 0)
    failure: OSError = OSError("no server")
    for url in plan.servers:
        try:
            return await ask(
                url, question, flags=flags, edns=edns, attempt_timeout=args.timeout, attempts=args.attempts
            )
        except OSError as error:
            failure = error
    raise failure


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)) if error.errno is not None else str(error)


# Printing.


def _data(record: Record) -> str:
    from catenet.dns.text import data_to_text
    from catenet.wire.errors import Malformed

    try:
        return data_to_text(record)
    except Malformed as error:
        return f"({error})"


def _records(message: Message, section: str) -> list[Record]:
    from catenet.wire.dns.numbers import OPT

    return [record for record in getattr(message, section) if record.type != OPT]


def _print(question: Question, reply: Reply) -> None:
    from catenet.dns.errors import extended_errors
    from catenet.wire.dns.numbers import flags_to_text, rcode_to_text

    message = reply.message
    terminal = sys.stdout is not None and sys.stdout.isatty()
    bold, plain = (BOLD, PLAIN) if terminal and "NO_COLOR" not in os.environ else ("", "")
    head = f"{' '.join(_name_and_type(question).values())}: {rcode_to_text(message.rcode)}"
    print(f"{bold};; {printable(head)}{plain} ({flags_to_text(message.flags)})")
    for error in extended_errors(message.edns):
        say(f";; {error.meaning}{': ' if error.text else ''}{printable(error.text)}")
    for section in SECTIONS:
        records = _records(message, section)
        if records:
            print(f"{bold};; {section}{plain}")
            for line in _lines(records):
                say(line)
    say(f";; {reply.server}, {reply.seconds * 1000:.1f} ms, {len(message.data)} bytes")


def _lines(records: Sequence[Record]) -> Iterable[str]:
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import class_to_text, type_to_text

    heads = [
        (name_to_text(one.name), str(one.ttl), class_to_text(one.rclass), type_to_text(one.type)) for one in records
    ]
    widths = [max(len(head[column]) for head in heads) for column in range(4)]
    for record, head in zip(records, heads, strict=True):
        yield "  ".join([word.ljust(width) for word, width in zip(head, widths, strict=True)] + [_data(record)])


def _name_and_type(one: Question | Record) -> dict[str, str]:
    """Name and type in words, of what is asked or of what is answered."""
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import type_to_text

    return {"name": name_to_text(one.name), "type": type_to_text(one.type)}


def _as_json(question: Question, reply: Reply) -> dict[str, Any]:
    from catenet.dns.errors import extended_errors
    from catenet.wire.dns.numbers import flags_to_text, rcode_to_text

    message = reply.message
    whole: dict[str, Any] = {
        "question": _name_and_type(question),
        "rcode": rcode_to_text(message.rcode),
        "flags": flags_to_text(message.flags).split(),
    }
    for section in SECTIONS:
        whole[section] = [
            {**_name_and_type(one), "ttl": one.ttl, "data": _data(one)} for one in _records(message, section)
        ]
    whole["server"] = reply.server
    whole["protocol"] = reply.server.partition(":")[0]
    whole["ms"] = round(reply.seconds * 1000, 3)
    whole["dnssec"] = "indeterminate"
    whole["reason"] = "signatures are not checked; the AD flag is what the server says"
    whole["ede"] = [
        {"code": error.code, "text": error.text or error.meaning} for error in extended_errors(message.edns)
    ]
    return whole
