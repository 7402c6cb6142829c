"""The other end of a relay: a second URL, a program, a recording, or standard input and output; one per connection."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import io
import os
import sys
from dataclasses import dataclass
from typing import Final

from catenet.cli import UsageError
from catenet.cli.relay.executing import Program, command_of
from catenet.cli.relay.opening import Group, TlsTerms, open_end
from catenet.cli.relay.options import socket_options
from catenet.cli.relay.replaying import Recording, Replay, read_recording
from catenet.cli.relay.sessions import session_terms
from catenet.cli.relay.urls import STDIO, is_datagram, parse
from catenet.net.client import ConnectError
from catenet.net.ends import PipeEnd
from catenet.net.relay import End
from catenet.net.target import Target
from catenet.net.tls import TlsError, client_context

__all__ = ["Opened", "Other", "add_client_tls", "client_tls", "protocols"]

BEFORE_NEXT: Final = 0.5
"""Seconds for which standard input may be silent when a client has ended, before it is the next one's."""


@dataclass(slots=True)
class Opened:
    """An end, and what belongs to it."""

    end: End
    program: Program | None = None
    replay: Replay | None = None


class Other:
    """Makes the other end for each connection, by the command line. Raises `UsageError` when made.

    `sign`: the direction of what it says, `>` if it is the left end. `is_shared`: there is one for all connections.
    """

    def __init__(self, args: argparse.Namespace, url: str | None, sign: str, *, once: bool) -> None:
        self._args = args
        self._target = None if url is None else parse(url)
        self._command = command_of(args.exec, args.shell)
        self._recording: Recording | None = None if args.replay is None else read_recording(args.replay)
        self._options = socket_options(args)
        self._group = Group(args.interface, args.loopback)
        self._session = session_terms(args)
        self._tls = None if self._target is None or not self._target.tls else client_tls(args)
        self._sign = sign
        self._once = once
        self.is_shared = self._command is None and self._recording is None and self._target in (None, STDIO)
        self._output = -1
        if args.output is not None:
            try:
                self._output = os.open(args.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise UsageError(f"--output {args.output}: {str(error.strerror).lower()}") from None

    async def open(self, first: Target, peer: str, connection: int) -> Opened:
        """Return the end for a connection with `peer`. Raises `OSError`."""
        if self._command is not None:
            variables = {"CATENET_URL": first.url if first.unix or first.host else "", "CATENET_PEER": peer}
            try:
                program = await Program.start(self._command, variables)
            except OSError as error:
                raise ConnectError(f"cannot run {self._command[0]}: {error.strerror}") from None
            return Opened(program.end, program)
        if self._recording is not None:
            datagrams = is_datagram(first)
            replay = Replay(self._recording, connection - 1, self._sign, timed=self._args.timed, datagrams=datagrams)
            return Opened(replay, replay=replay)
        if self._target is not None and self._target is not STDIO:
            args = self._args
            return Opened(
                await open_end(
                    self._target,
                    self._options,
                    patience=args.timeout,
                    tls=self._tls,
                    group=self._group,
                    session=self._session,
                    datagram=args.datagram,
                )
            )
        return Opened(self._stdio())

    def _stdio(self) -> PipeEnd:
        is_real = _is_real(sys.stdin) and _is_real(sys.stdout)
        writes = 1 if sys.stdout is not None else -1
        if self._output >= 0:
            writes = self._output
        elif self._args.json:
            writes = -1  # the object stands alone there
        reads = 0 if sys.stdin is not None and not (is_real and _for_writing_only(0)) else -1
        return PipeEnd(
            asyncio.get_running_loop(),
            reads,
            writes,
            "standard input and output",
            keep_open=True,
            reopen=is_real,
            release=is_real and self._once and writes == 1 and not os.isatty(1),
            last_words=self._last_words(is_real and reads == 0 and os.isatty(0)),
        )

    def _last_words(self, is_terminal: bool) -> float | None:
        """Nobody types on to a server that has ended; and another client may wait for standard input."""
        if is_terminal:
            return 0.0
        return None if self._once else BEFORE_NEXT


def _is_real(stream: object) -> bool:
    """Whether a standard stream is the operating system's, not a simulated host's."""
    try:
        return isinstance(stream, io.TextIOBase) and stream.fileno() >= 0
    except (OSError, ValueError):
        return False


def _for_writing_only(descriptor: int) -> bool:
    """Whether nothing can come from it, as from a standard input that was closed: that is its end."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def add_client_tls(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Add what TLS as a client needs; `prefix` of certificate and key, where a server has its own."""
    group = parser.add_argument_group("TLS as a client (tls://)")
    group.add_argument("--ca", metavar="FILE", help="authorities to trust instead of the system's (PEM)")
    group.add_argument(f"--{prefix}cert", dest="own_cert", metavar="FILE", help="our certificate, if it is asked for")
    group.add_argument(f"--{prefix}key", dest="own_key", metavar="FILE", help="its key, if not in the same file")
    group.add_argument("--sni", metavar="NAME", help="what the certificate must name, instead of the host")
    group.add_argument("--alpn", metavar="NAMES", help="protocols to offer, or to choose from: h2,http/1.1")
    group.add_argument("--insecure", action="store_true", help="take any certificate")


def client_tls(args: argparse.Namespace) -> TlsTerms:
    """What the options of `add_client_tls` make. Raises `UsageError`."""
    try:
        context = client_context(
            args.ca, args.own_cert, args.own_key, verify=not args.insecure, alpn=protocols(args.alpn)
        )
    except TlsError as error:
        raise UsageError(f"TLS: {error}") from None
    return TlsTerms(context, args.sni)


def protocols(text: str | None) -> list[str]:
    """The names of `--alpn`. Raises `UsageError`."""
    names = [] if text is None else text.split(",")
    if any(not 1 <= len(name.encode()) <= 255 for name in names):
        raise UsageError(f"--alpn {text}: a protocol's name has 1 to 255 bytes")
    return names
