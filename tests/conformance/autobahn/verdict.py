"""Counts what Autobahn's reports say; status 1 if a case has failed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

FINE = ("OK", "NON-STRICT", "INFORMATIONAL")


def main(files: list[str]) -> int:
    """Print a line for each report, and one for each case that is not fine."""
    failed = 0
    for name in files:
        cases = next(iter(json.loads(Path(name).read_text()).values()))
        print(Path(name).parent.name, dict(Counter(case["behavior"] for case in cases.values())))
        for number, case in cases.items():
            if case["behavior"] not in FINE or case["behaviorClose"] not in FINE:
                print(f"  {number}: {case['behavior']}, closing {case['behaviorClose']}")
                failed = 1
    return failed


sys.exit(main(sys.argv[1:]))
