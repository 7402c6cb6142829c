#!/usr/bin/env bash
# All conformance suites: our packetdrill scripts in both IP versions, h2spec, protobuf's
# conformance runner (binary and JSON), the Connect conformance suite, public resolver scenarios.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
PATH="$(go env GOPATH 2>/dev/null || echo "$HOME/go")/bin:$PATH"
export PATH

echo "packetdrill scripts"
for version in ipv4 ipv6; do
  "$python" -m catenet.testing.packetdrill --ip_version "$version" -q tests/packetdrill/scripts
done

echo "h2spec"
CATENET_NO_SKIP=1 "$python" -m pytest -q tests/http/test_h2spec.py

echo "protobuf conformance"
tests/conformance/protojson/run.sh

tests/conformance/connect/run.sh

echo "resolver scenarios"
tests/conformance/rpl.sh
