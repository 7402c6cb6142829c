"""Tests of the package as `make compiled` installs it: beside an ordinary install there is nothing to compare."""

import importlib.util

found = importlib.util.find_spec("catenet.wire.ip")
collect_ignore = ["test_same_bytes.py"] if found is None or str(found.origin).endswith(".py") else []
