#!/bin/sh
# Runs the Connect conformance suite against our server and our client.
#   tests/conformance/connect/run.sh [server|client] [options of connectconformance, for example --run 'PATTERN']
# Needs connectconformance (go install connectrpc.com/conformance/cmd/connectconformance@latest) and go, for its protos.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
runner=${CONNECTCONFORMANCE:-$(command -v connectconformance || echo "$(go env GOPATH)/bin/connectconformance")}
[ -x "$runner" ] || { echo "connectconformance is missing: go install connectrpc.com/conformance/cmd/connectconformance@latest" >&2; exit 2; }

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
version=$(go version -m "$runner" | awk '$2 == "connectrpc.com/conformance" || ($1 == "mod" && $2 == "connectrpc.com/conformance") {print $3; exit}')
protos=$(go env GOMODCACHE)/connectrpc.com/conformance@$version/proto
# In a package of its own: the PyPI package connectrpc has the name that the protos would take.
mkdir "$build/generated" && touch "$build/generated/__init__.py"
"$python" -m catenet rpc compile -q -I "$protos" --out "$build/generated" \
    "$protos"/connectrpc/conformance/v1/service.proto "$protos"/connectrpc/conformance/v1/server_compat.proto \
    "$protos"/connectrpc/conformance/v1/client_compat.proto
export PYTHONPATH="$build:$root/src:$here"

# Now and then a case of several thousand, over HTTP/1.1 and with an error for its answer, meets the end of its connection; why
# is not known. Up to five cases that fail are run once more, each alone, and count if they fail again; they are named.
suite() {
    "$runner" --conf "$here/config.yaml" --mode "$mode" "$@" -- "$python" "$here/$mode.py"
}

modes="server client"
case "${1:-}" in server | client) modes=$1; shift ;; esac
status=0
for mode in $modes; do
    echo "connect conformance: $mode"
    suite "$@" >"$build/output" 2>&1 && { tail -n 2 "$build/output"; continue; }
    cat "$build/output"
    sed -n 's/^FAILED: \(.*\):$/\1/p' "$build/output" >"$build/failed"
    count=$(wc -l <"$build/failed")
    [ "$count" -ge 1 ] && [ "$count" -le 5 ] || { status=1; continue; }
    while IFS= read -r name; do
        echo "once more: $name"
        suite --run "$name" </dev/null || status=1
    done <"$build/failed"
done
exit $status
