"""Run pairs of strangers: `python -m tests.world.strangers [NAME…]`, all of them without a name.

`--install` makes their environments. `--table FILE` writes what is known of all pairs between the marks of a file; what
was measured is kept in `build/strangers`, so that a run that is broken off, or of some, leaves the others' results.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from tests.world.strangers.environments import ENVIRONMENTS, ROOT, install
from tests.world.strangers.roster import PAIRS, Pair
from tests.world.strangers.running import Verdict, run_pair
from tests.world.strangers.table import write_table

RESULTS: Final = ROOT / "build" / "strangers" / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of real time for one run")
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    known = {pair.name: pair for pair in PAIRS}
    if unknown := [name for name in args.names if name not in known]:
        parser.error(f"no such pair: {', '.join(unknown)}; there are {', '.join(known)}")
    if args.install:
        for environment in ENVIRONMENTS:
            install(environment)
    chosen = [known[name] for name in args.names or known]
    failed = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        measured = {pool.submit(run_pair, pair, RESULTS / pair.name, args.limit): pair for pair in chosen}
        for number, done in enumerate(as_completed(measured), 1):
            pair, verdict = measured[done], done.result()
            failed += verdict.world == "fails"
            _keep(pair, verdict)
            _tell(f"{number}/{len(chosen)}", pair, verdict)
            if args.table is not None:
                write_table(args.table, RESULTS)
    return 1 if failed else 0


def _keep(pair: Pair, verdict: Verdict) -> None:
    (RESULTS / pair.name / "verdict.json").write_text(json.dumps(verdict._asdict()))


def _tell(number: str, pair: Pair, verdict: Verdict) -> None:
    same = f"traces {len(set(verdict.traces))}, shapes {len(set(verdict.shapes))}, runs {len(verdict.traces)}"
    words = (number, pair.name, f"kernel {verdict.kernel}", f"world {verdict.world}", same, verdict.reason)
    print("  ".join(word for word in words if word), f"  {verdict.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
