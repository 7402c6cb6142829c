"""catenet rpc compile: from .proto files to Python modules."""

from __future__ import annotations

import argparse

from catenet.cli import UsageError
from catenet.printable import complain, say

__all__ = ["register", "run"]

EPILOG = """\
For hiscore.proto it writes hiscore_pb2.py and .pyi (messages) and hiscore_rpc.py (services to implement, clients
to call). Files that are imported from a folder given with -I are compiled too.

  catenet rpc compile hiscore.proto
  catenet rpc compile --xsd hiscore.proto
  catenet rpc compile protos/shop/v1/*.proto -I protos --out src/shop/gen
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("protos", nargs="+", metavar="FILE", help=".proto file")
    parser.add_argument(
        "-I", dest="includes", action="append", default=[], metavar="DIR", help="folder to search for imports (repeat)"
    )
    parser.add_argument("--out", default=".", metavar="DIR", help="folder to write to (default: this one)")
    parser.add_argument(
        "--imports",
        choices=("relative", "absolute"),
        help="how generated modules import each other (default: relative if DIR has an __init__.py)",
    )
    parser.add_argument(
        "--name",
        dest="names",
        action="append",
        default=[],
        metavar="PACKAGE.SERVICE[/METHOD]=NAME",
        help="call a method (in lower case) or a service NAME in Python (repeat)",
    )
    parser.add_argument("--xsd", action="store_true", help="write XML Schemas instead, for application/xml")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not name the files written")


def run(args: argparse.Namespace) -> int:
    """Compile; the compiler's complaints, with file and line, go to standard error."""
    from catenet.rpc.compile import CompileError, compile_protos, write_schemas

    if args.xsd and (args.imports or args.names):
        raise UsageError("--xsd writes no modules: --imports and --name do not go with it")
    relative = None if args.imports is None else args.imports == "relative"
    given = dict(_name(text) for text in args.names)
    try:
        if args.xsd:
            written = write_schemas(args.protos, args.includes, args.out)
        else:
            written = compile_protos(args.protos, args.includes, args.out, relative, given)
    except CompileError as error:
        for line in str(error).splitlines():
            complain(f"catenet: {line}")
        return 2
    except OSError as error:
        raise UsageError(f"{error.filename or args.out}: {error.strerror}") from None
    if not args.quiet:
        for path in written:
            say(str(path))
    return 0


def _name(text: str) -> tuple[str, str]:
    key, equals, name = text.partition("=")
    if not equals:
        raise UsageError(f"--name {text!r}: write PACKAGE.SERVICE/METHOD=NAME")
    return key, name
