"""`python -m benchmarks.peers [NAME...]`: build the peers that can be built here."""

import sys

from benchmarks.harness import Unavailable
from benchmarks.peers import BUILDERS, build


def main() -> int:
    failures = 0
    for name in sys.argv[1:] or BUILDERS:
        if name not in BUILDERS:
            print(f"benchmarks.peers: no peer {name!r}; there are {', '.join(BUILDERS)}", file=sys.stderr)
            return 2
        try:
            print(f"{name}: {build(name)}")
        except Unavailable as error:
            print(f"{name}: not built: {error}")
            failures = 1
    return failures


sys.exit(main())
