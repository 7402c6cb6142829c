#!/bin/sh
# Runs protobuf's conformance suite against our codecs: binary and JSON both ways, recommended behaviour included.
#   tests/conformance/protojson/run.sh [options of the runner]
# Needs what runner.sh makes, in the folder "runner" beside this file or in CATENET_PROTOBUF_RUNNER.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
runner=${CATENET_PROTOBUF_RUNNER:-$here/runner}
[ -x "$runner/conformance_test_runner" ] || { echo "protobuf's conformance runner is missing: $here/runner.sh $runner" >&2; exit 2; }

# The runner starts a program without arguments.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
printf '#!/bin/sh\nexec "%s" "%s"\n' "${PYTHON:-$root/.venv/bin/python}" "$here/testee.py" >"$work/testee"
chmod +x "$work/testee"
export CATENET_DESCRIPTORS="$runner/descriptors.binpb"
"$runner/conformance_test_runner" --enforce_recommended "$@" "$work/testee"
