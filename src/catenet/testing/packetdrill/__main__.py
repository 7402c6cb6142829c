"""Run scripts from the command line."""

import sys

from catenet.testing.packetdrill.cli import main

sys.exit(main())
