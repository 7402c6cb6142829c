"""catenet serve asgi: an ASGI application (Starlette, FastAPI, Django, …), HTTP/1.1, HTTP/2 and WebSocket."""

from __future__ import annotations

import argparse
from typing import Final

from catenet.cli.http_app import add_app_arguments, http_kind, serve_app

__all__ = ["register", "run"]

EPILOG: Final = """\
  catenet serve asgi shop.main:app --reload
  catenet serve asgi shop.main:make_app --factory --workers 4 --listen http://[::]:8000 --access-log
  catenet serve asgi shop --listen https://[::]:443 --cert shop.pem --sni admin.pem --listen unix:/run/shop.sock
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    add_app_arguments(parser, http_kind("asgi"))
    parser.add_argument(
        "--lifespan",
        choices=("auto", "on", "off"),
        default="auto",
        help="tell it of start and end (auto: if it asks)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    return serve_app(args, http_kind("asgi"), lifespan=args.lifespan)
