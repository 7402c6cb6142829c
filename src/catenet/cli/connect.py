"""catenet connect: standard input and output, a program or another server, to what a URL names."""

from __future__ import annotations

import argparse

from catenet.cli import UsageError, logs
from catenet.cli.relay.opening import Group, open_end
from catenet.cli.relay.options import add_arguments, check, relay_options, socket_options
from catenet.cli.relay.other import Other, add_client_tls, client_tls
from catenet.cli.relay.session import Sessions
from catenet.cli.relay.sessions import session_terms
from catenet.cli.relay.urls import STDIO, check_two_words, parse
from catenet.net.client import ConnectError
from catenet.net.target import Target
from catenet.net.workers import NoLoop, run_loop

__all__ = ["register", "run"]

EPILOG = """\
URLs: tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT, unix:PATH, unix-datagram:PATH, mcast://GROUP:PORT,
session+tcp://HOST:PORT, session+tls://HOST:PORT, and - for standard input and output. A second URL is connected to the
first, instead of them.

  catenet connect tcp://localhost:7                      what is typed goes there, what comes is printed
  catenet connect tls://example.org:443 --crlf -v        with newlines as HTTP has them
  catenet connect udp://127.0.0.1:53 --hex < query.bin   and what passes, in hexadecimal
  catenet connect mcast://239.1.2.3:5000 --interface eth0
  catenet connect tcp://one:80 tcp://other:8080          between two servers
  catenet connect session+tls://example.org:7000         goes on when the network has changed or this machine has slept
  catenet connect tcp://localhost:7 --exec 'date -u'

status: 0 both directions have ended, 1 not connected or broken off, 2 wrong usage, 130 Ctrl-C
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("urls", nargs="+", metavar="URL", help="where to connect; a second one, instead of - ")
    add_client_tls(parser)
    add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Connect, relay, and return the exit status."""
    if len(args.urls) > 2:
        raise UsageError(f"{args.urls[2]}: a relay has two ends")
    check_two_words(args.urls, "connect")
    check(args, len(args.urls))
    target = parse(args.urls[0])
    if target is STDIO:
        raise UsageError("the first URL is where to connect; - is the other end anyhow")
    # The first URL is the left end if there is a second.
    is_left = len(args.urls) == 2
    second = args.urls[1] if is_left else None
    other = Other(args, second, "<" if is_left else ">", once=True)
    sessions = Sessions(args, "connect", args.urls, other, relay_options(args, url_is_left=is_left))
    try:
        return run_loop(_connect(args, target, sessions, is_left=is_left), args.loop)
    except NoLoop as error:
        raise UsageError(f"--loop {error}") from None
    finally:
        sessions.finish()


async def _connect(args: argparse.Namespace, target: Target, sessions: Sessions, *, is_left: bool) -> int:
    logs.configure(args, several=False)
    tls = client_tls(args) if target.tls else None
    try:
        end = await open_end(
            target,
            socket_options(args),
            patience=args.timeout,
            tls=tls,
            group=Group(args.interface, args.loopback),
            session=session_terms(args),
            datagram=args.datagram,
        )
    except ConnectError as error:
        sessions.fail(str(error))
        return 1
    await sessions.run(end, target, is_left=is_left)
    return sessions.status
