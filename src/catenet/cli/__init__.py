"""The catenet command, one file per verb."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from catenet import __version__
from catenet.printable import complain

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["Parser", "UsageError", "main"]

VERBS = {
    "run": "run a world or one program on a network",
    "addrs": "this machine's interfaces and addresses",
    "ss": "sockets of a running world or stack",
    "settings": "what can be set in the stack of a host",
    "resolve": "ask name servers",
    "discover": "what is on the local network: devices by SSDP, services by multicast DNS",
    "ping": "whether an address answers, and how long that takes",
    "trace": "the routers on the way to an address, and its path MTU",
    "ntp": "what time it is by servers, and which of them are wrong",
    "get": "fetch what a URL names",
    "put": "send a file to a URL",
    "serve": "serve files and applications over HTTP, or names",
    "connect": "connect to a server: TCP, UDP, TLS, Unix sockets, multicast",
    "listen": "wait for clients, and relay to standard input, a program or another server",
    "bridge": "join two TUN devices through a faulty link",
    "rpc": "remote procedure calls: compile, compat, serve, call, list, describe",
}
"""Each verb is a module of this package with `register(parser)` and `run(args) -> int`; imported when it is used.

`prepare(args)`, if there is one, is called first when the command line is that of the process.
"""


OUTPUT_FAILURES = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""What a file system says that takes no more."""


class UsageError(Exception):
    """The arguments cannot be carried out as written; the message is one line, the exit status 2."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest valid choice."""

    options_anywhere = False
    """Whether options may stand between the words of one list."""
    word_options: frozenset[str] = frozenset()
    """Of these, which the verb reads itself, because their place counts; `-x` may have its value glued to it."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse, which takes the words of a list in one run only."""
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(self._options_first(words) if self.options_anywhere else words, namespace)

    def _options_first(self, words: Sequence[str]) -> list[str]:
        options: list[str] = []
        rest: list[str] = []
        left = iter(words)
        for word in left:
            if word == "--":
                rest += left
                break
            if not word.startswith("-") or word == "-":
                rest.append(word)
                continue
            name = word.partition("=")[0] if word.startswith("--") else word[:2]
            if name in self.word_options:
                rest.append(word)
                if word == name and not word.startswith("--"):
                    rest += [value for value in [next(left, None)] if value is not None]
                continue
            options.append(word)
            action = self._option_string_actions.get(word) or self._last_of_letters(word)
            if action is not None and action.nargs is None:
                options += [value for value in [next(left, None)] if value is not None]
        return [*options, "--", *rest] if rest else options

    def _last_of_letters(self, word: str) -> argparse.Action | None:
        """The last option of several in one word (`-sSLo`), unless one before it takes the rest of the word."""
        *flags, last = (self._option_string_actions.get(f"-{letter}") for letter in word[1:])
        return last if all(flag is not None and flag.nargs == 0 for flag in flags) else None

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Print help or the version; argparse says nothing of what cannot be written."""
        out = sys.stderr if file is None else file
        if message and out is not None:
            out.write(message)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the message, and with the choice that is nearest if there are choices."""
        wrong = re.fullmatch(r"argument (.+): invalid (int|float) value: (.*)", message)
        if wrong is not None:
            kind = "whole number" if wrong[2] == "int" else "number"
            raise UsageError(f"{wrong[1]}: {wrong[3]} is no {kind}; see '{self.prog} --help'")
        if message.startswith("unrecognized arguments: "):
            raise _unrecognized(self, argparse.Namespace(), message.partition(": ")[2].split())
        found = re.fullmatch(r"argument (.+): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found is None:
            raise UsageError(f"{message}; see '{self.prog} --help'")
        choices = [choice.strip(" '") for choice in found[3].split(",")]
        near = difflib.get_close_matches(found[2], choices, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(choices)}"
        raise UsageError(f"{found[1]}: no {found[2]!r} here; {hint}")


def _version() -> str:
    """Which catenet this is; `compiled` when its hot modules are (docs/benchmarks.md)."""
    found = importlib.util.find_spec("catenet.wire.ip")
    compiled = found is not None and not str(found.origin).endswith(".py")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"catenet {__version__}, {'compiled' if compiled else 'pure Python'}, {python}"


def _parser(words: Sequence[str]) -> Parser:
    """The parser, with all verbs, and what the chosen one takes."""
    parser = Parser(
        prog="catenet", description="The whole network in one Python package: from packet to procedure call."
    )
    parser.add_argument("--version", action="version", version=_version() if "--version" in words else "")
    parser.add_argument(
        "--completion",
        choices=("bash", "zsh", "fish"),
        help="print what the shell reads so that the Tab key completes: `source <(catenet --completion bash)`",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    chosen = next((word for word in words if not word.startswith("-")), None)
    for verb, summary in VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == chosen:
            importlib.import_module(f"catenet.cli.{verb}").register(sub)
    return parser


def _unrecognized(parser: argparse.ArgumentParser, args: argparse.Namespace, unknown: Sequence[str]) -> UsageError:
    """What to say of words that the verb does not take, with its option that is nearest to the first one."""
    while (
        below := next((act for act in parser._actions if isinstance(act, argparse._SubParsersAction)), None)
    ) is not None:
        chosen = getattr(args, below.dest)
        if chosen is None:
            break
        parser = below.choices[chosen]
    option = unknown[0].partition("=")[0]
    options = [name[2:] for name in parser._option_string_actions if name.startswith("--")]
    near = difflib.get_close_matches(option[2:], options, 1) if option.startswith("--") else []
    hint = f"did you mean --{near[0]}? " if near else ""
    return UsageError(f"unrecognized arguments: {' '.join(unknown)}; {hint}see '{parser.prog} --help'")


def _run(parser: Parser, words: Sequence[str], own: bool) -> int:
    """Run a verb. `own`: the words are this process's command line."""
    if not words:
        parser.print_help()
        return 0
    args, unknown = parser.parse_known_args(words)
    if unknown:
        raise _unrecognized(parser, args, unknown)
    if args.completion is not None:
        from catenet.cli.completion import shell_code

        print(shell_code(args.completion), end="")
        return 0
    verb = importlib.import_module(f"catenet.cli.{args.verb}")
    if own and hasattr(verb, "prepare"):
        verb.prepare(args)
    return int(verb.run(args))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status (0 done, 1 failed, 2 bad usage, 130 interrupted)."""
    from catenet.cli.standard_streams import open_closed

    closed = open_closed()
    if argv is None and "_ARGCOMPLETE" in os.environ:
        from catenet.cli.completion import answer_shell

        answer_shell(_parser)
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser(words)
    except KeyboardInterrupt:  # while the verb's modules are loaded
        return 130
    try:
        try:
            return _run(parser, words, argv is None)
        finally:  # also after --help, which raises SystemExit
            if sys.stdout is not None:
                sys.stdout.flush()
    except UsageError as error:
        complain(f"catenet: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter would write what is left at its end, and say again that it cannot
        return 0
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG and isinstance(error.filename, str):
            # Whoever asks whether there is a file of this name, anywhere: `Path.exists` does not say no.
            complain(f"catenet: {error.filename}: {str(error.strerror).lower()}")
            return 2
        if error.errno not in OUTPUT_FAILURES and not (error.errno == errno.EBADF and 1 in closed):
            raise
        complain(f"catenet: cannot write the output: {str(error.strerror).lower()}")
        sys.stdout = None
        return 1
