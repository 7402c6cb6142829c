"""catenet serve wsgi: a WSGI application (Flask, Django, …) on threads, HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import argparse
from typing import Final

from catenet.cli import UsageError
from catenet.cli.http_app import add_app_arguments, http_kind, serve_app

__all__ = ["register", "run"]

EPILOG: Final = """\
  catenet serve wsgi shop.wsgi:application --reload
  catenet serve wsgi shop:create_app --factory --workers 4 --threads 16 --listen unix:/run/shop.sock
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    add_app_arguments(parser, http_kind("wsgi"))
    parser.add_argument("--threads", type=int, default=40, metavar="N", help="requests that run at once (40)")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    if args.threads < 1:
        raise UsageError(f"--threads {args.threads}: at least 1")
    return serve_app(args, http_kind("wsgi"), threads=args.threads, multiprocess=args.workers > 1)
