"""What the actions of catenet rpc print for programs: a line of JSON for each thing, or a document of YAML."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from catenet.printable import printable_json, say

__all__ = ["add_forms", "show"]


def add_forms(parser: Any) -> None:
    """Add `--json` and `--yaml`."""
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each")
    parser.add_argument("--yaml", action="store_true", help="print YAML, a document for each")


def show(value: Any, args: argparse.Namespace) -> None:
    """Print a value of JSON in the form that was asked for."""
    if args.yaml:
        from catenet.cli.yaml_text import dump_yaml

        say(dump_yaml(value).rstrip("\n"), keep="\n")
        return
    line = json.dumps(value, ensure_ascii=False)
    say(printable_json(line) if sys.stdout.isatty() else line)
