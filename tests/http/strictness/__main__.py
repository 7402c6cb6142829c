"""`python -m tests.http.strictness --write | --table PAGE`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from pathlib import Path

from tests.http.strictness import table

parser = argparse.ArgumentParser(prog="python -m tests.http.strictness", description=__doc__)
parser.add_argument("--write", action="store_true", help="run all cases against ours and every peer, keep the outcomes")
parser.add_argument("--table", type=Path, metavar="PAGE", default=table.PAGE, help="write the page there")
options = parser.parse_args()
if options.write:
    logging.disable(logging.CRITICAL)
    versions, outcomes = asyncio.run(table.record())
    table.EXPECTED.write_text(json.dumps({"versions": versions, "outcomes": outcomes}, indent=1) + "\n")
options.table.write_text(table.page())
