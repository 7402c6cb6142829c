"""The verb: its arguments, and what is wrong with them."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from catenet.cli import Parser, UsageError
from catenet.cli.arguments import duration
from catenet.cli.resolve.asking import make_client, unverified_client
from catenet.cli.resolve.plan import WATCH, WORD_OPTIONS, Plan, make_plan
from catenet.cli.resolve.running import Runner
from catenet.cli.resolve.switches import MOST_ATTEMPTS, SWITCHES, Options
from catenet.cli.resolve.transferring import is_transfer

__all__ = ["register", "run"]

EXAMPLES = """
examples:
  catenet resolve example.com MX AAAA             two questions to the servers of /etc/resolv.conf
  catenet resolve www.example.com @192.0.2.53:5353 +tcp
  catenet resolve example.com @dns.example.net --tls --explain
  catenet resolve example.com @https://dns.example.net/dns-query --json
  catenet resolve -x 2001:db8::1 +short
  catenet resolve example.com AXFR @ns1.example.com
  catenet resolve www.example.com --trace         from the root, one referral after another
  catenet resolve www.example.com --watch         again whenever the TTL has run out
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.usage = "catenet resolve NAME [TYPE...] [NAME [TYPE...]...] [@SERVER[:PORT]] [+SWITCH...] [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "What stands before the first name counts for all names, the rest for the name before it.\n"
        "A server may be a URL: udp://, tcp://, tls://, quic://, https://, http://.\n\n"
        f"switches (+noWORD turns off):{_wrapped(sorted(SWITCHES))}\n\n"
        "status: 0 answered (also that the name does not exist), 1 the server refused or failed, 9 no answer,\n"
        f"10 bogus, 2 wrong usage, 130 Ctrl-C\n{EXAMPLES}"
    )
    if isinstance(parser, Parser):
        parser.options_anywhere = True
        parser.word_options = frozenset((*WORD_OPTIONS, WATCH))
    parser.add_argument("words", nargs="*", metavar="WORD", help="names, types, classes, @server, +switches")
    for option, what in WORD_OPTIONS.items():
        parser.add_argument(option, dest=f"word{option[1:]}", metavar=what, help=_WORD_HELP[option])
    parser.add_argument(WATCH, metavar="SECONDS", nargs="?", help="ask again when TTLs have run out, or every SECONDS")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("-4", dest="version", action="store_const", const=4, help="reach servers over IPv4 only")
    version.add_argument("-6", dest="version", action="store_const", const=6, help="reach servers over IPv6 only")
    parser.add_argument("--tls", action="store_true", help="ask over TLS (port 853)")
    parser.add_argument("--quic", action="store_true", help="ask over QUIC (port 853)")
    parser.add_argument("--mdns", action="store_true", help="ask by multicast DNS, as names below local. always are")
    parser.add_argument("-b", dest="source", metavar="ADDRESS[#PORT]", type=_source, help="ask from this address")
    parser.add_argument("--https", action="store_true", help="ask over HTTPS (port 443, /dns-query)")
    parser.add_argument("--ddr", action="store_true", help="ask the encrypted resolvers that the servers designate")
    parser.add_argument("--tls-host", metavar="NAME", help="what the server's certificate must name")
    parser.add_argument("--ca", metavar="FILE", help="authorities to trust, instead of the system's (PEM)")
    parser.add_argument("--trace", action="store_true", help="walk from the root")
    parser.add_argument("--root-hints", metavar="FILE", type=Path, help="root servers, as a zone file")
    parser.add_argument("--trust-anchor", metavar="FILE", type=Path, help="DS or DNSKEY records, as a zone file")
    parser.add_argument("--no-validate", action="store_true", help="do not check signatures")
    parser.add_argument("--explain", action="store_true", help="draw the proof of the DNSSEC verdict")
    parser.add_argument("-y", dest="tsig", metavar="[HMAC:]NAME:KEY", help="sign with this key (TSIG)")
    parser.add_argument("-k", dest="keyfile", metavar="FILE", type=Path, help="sign with the key of a file (TSIG)")
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="how long to wait for each attempt (5s)")
    parser.add_argument("--attempts", type=int, metavar="COUNT", help="how often a datagram is sent (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")


_WORD_HELP = {
    "-x": "ask for the name of an address",
    "-q": "a name, also one that looks like a type",
    "-t": "a type",
    "-c": "a class",
    "-p": "the servers' port",
    "-f": "a file with a command line in each line; - is standard input",
}


def run(args: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    version, option = _version(args)
    plan = make_plan(args.words, _options(args), version, option)
    _check(args, plan)
    return asyncio.run(_run(args, plan))


def _source(text: str) -> tuple[str, int]:
    from catenet.wire.address import parse_address

    host, hash_sign, port = text.partition("#")
    try:
        parse_address(host.partition("%")[0])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if hash_sign and not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{port!r} is no port")
    return host, int(port or 0)


def _version(args: argparse.Namespace) -> tuple[int | None, str]:
    """The IP version of the servers, and the option that says so."""
    if args.source is None:
        return args.version, f"-{args.version}"
    version = 6 if ":" in args.source[0] else 4
    if args.version not in (None, version):
        raise UsageError(f"-b {args.source[0]} and -{args.version}: the address is of IPv{version}")
    args.version = version
    return version, f"-b {args.source[0]}"


async def _run(args: argparse.Namespace, plan: Plan) -> int:
    async with make_client(args, plan.asks) as client:
        if not args.ddr:
            return await Runner(args, plan, client).run()
        async with unverified_client() as other:
            return await Runner(args, plan, client, other).run()


def _options(args: argparse.Namespace) -> Options:
    usual = Options()
    if args.timeout is not None and args.timeout <= 0:
        raise UsageError("--timeout: must be more than 0")
    if args.attempts is not None and not 1 <= args.attempts <= MOST_ATTEMPTS:
        raise UsageError(f"--attempts: {args.attempts} is not from 1 to {MOST_ATTEMPTS}")
    return Options(
        tls=args.tls,
        quic=args.quic,
        mdns=args.mdns,
        https="/dns-query" if args.https else None,
        trace=args.trace,
        time=usual.time if args.timeout is None else args.timeout,
        tries=args.attempts or usual.tries,
    )


def _check(args: argparse.Namespace, plan: Plan) -> None:
    if args.ca is not None or args.tls_host is not None:
        schemes = {server.target.scheme for ask in plan.asks for server in ask.servers}
        if not schemes & {"tls", "quic", "https"} and not args.ddr:
            option = "--ca" if args.ca is not None else "--tls-host"
            raise UsageError(f"{option}: no server is asked over TLS; add --tls, --quic or --https")
    if args.ddr:
        for ask in plan.asks:
            if any(server.target.scheme not in ("udp", "tcp") for server in ask.servers):
                raise UsageError("--ddr: the server is asked with encryption anyway")
            if ask.options.trace:
                raise UsageError("--ddr and --trace: authorities designate nobody")
    if args.root_hints is not None and not any(ask.options.trace for ask in plan.asks):
        raise UsageError("--root-hints: only --trace begins at the root; servers have hints of their own")
    if (args.tsig is not None or args.keyfile is not None) and any(ask.options.trace for ask in plan.asks):
        raise UsageError("-y, -k and --trace: the servers on the way do not know the key")
    if plan.watch is not None and any(
        ask.options.trace or ask.options.nssearch or is_transfer(ask) for ask in plan.asks
    ):
        raise UsageError("--watch: only of plain questions; not with --trace, +nssearch or a transfer")
    if args.no_validate and args.explain:
        raise UsageError("--explain and --no-validate: there is nothing to explain without validation")


def _wrapped(words: list[str]) -> str:
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 100:
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\n ".join(["", *lines, line])
