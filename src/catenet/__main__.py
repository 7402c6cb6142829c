"""`python -m catenet` is the catenet command."""

import sys

from catenet.cli import main

if __name__ == "__main__":
    sys.exit(main())
