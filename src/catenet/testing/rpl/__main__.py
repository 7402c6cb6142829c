"""`python -m catenet.testing.rpl`."""

import sys

from catenet.testing.rpl.cli import main

if __name__ == "__main__":
    sys.exit(main())
