"""What verbs about the way to an address are told alike: the address, and the version of IP."""

from __future__ import annotations

import argparse
import socket

__all__ = ["add_target"]


def add_target(parser: argparse.ArgumentParser, epilog: str) -> None:
    """Declare whom it is about; `epilog` is shown as it stands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = epilog
    parser.add_argument("host", metavar="HOST", help="a name or an address")
    family = parser.add_mutually_exclusive_group()
    family.add_argument("-4", dest="family", action="store_const", const=socket.AF_INET, help="over IPv4 only")
    family.add_argument("-6", dest="family", action="store_const", const=socket.AF_INET6, help="over IPv6 only")
