#!/usr/bin/env bash
# The conformance suites that are no tests of pytest: protobuf's conformance runner (binary and JSON, and both through
# XML), the Connect conformance suite, the suites of Starlette and FastAPI, public resolver scenarios, some of CPython's
# own tests (all of them: python -m tests.conformance.cpython). Our own scripts are part of `make test`, h2spec is part
# of `make interop`.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$(go env GOPATH 2>/dev/null || echo "$HOME/go")/bin:$PATH"
export PATH

echo "protobuf conformance"
tests/conformance/protojson/run.sh
CATENET_THROUGH_XML=1 tests/conformance/protojson/run.sh

tests/conformance/connect/run.sh

echo "ASGI: the suites of Starlette and FastAPI through our server, over HTTP/1.1 and HTTP/2"
.venv/bin/python -m tests.conformance.asgi.run

echo "resolver scenarios"
tests/conformance/rpl.sh

echo "CPython's own tests in a world"
.venv/bin/python -m tests.conformance.cpython --quick
