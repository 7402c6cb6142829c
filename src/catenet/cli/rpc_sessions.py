"""What catenet rpc says of sessions: a key that both ends have, and how long they wait for a connection."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.arguments import duration, session_key
from catenet.net.target import Scheme

if TYPE_CHECKING:
    from catenet.rpc import SessionOptions

__all__ = ["SESSION_SCHEMES", "add_session_arguments", "session_options"]

SESSION_SCHEMES: Final[Mapping[str, Scheme]] = {
    f"session+{name}": Scheme(tls=tls)
    for name, tls in (("grpc", False), ("grpcs", True), ("tcp", False), ("tls", True))
}
"""Those of `catenet.rpc.model.target`, which takes half a second to import."""


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of both ends."""
    group = parser.add_argument_group("sessions (session+grpc://, session+grpcs://)")
    group.add_argument("--session-key", type=Path, metavar="FILE", help="a key that both ends have, 16 bytes or more")
    group.add_argument(
        "--session-expiry", type=duration, metavar="TIME", help="how long one waits for a connection (24h)"
    )


def session_options(args: argparse.Namespace) -> SessionOptions:
    """Return what they amount to. Raises `UsageError`."""
    from catenet.rpc import SessionOptions

    key = session_key(args.session_key)
    usual = SessionOptions().expiry
    try:
        return SessionOptions(expiry=usual if args.session_expiry is None else args.session_expiry, key=key)
    except ValueError as error:
        raise UsageError(f"--session-{error}") from None
