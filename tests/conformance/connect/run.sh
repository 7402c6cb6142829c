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

modes="server client"
case "${1:-}" in server | client) modes=$1; shift ;; esac
for mode in $modes; do
    echo "connect conformance: $mode"
    if "$runner" --conf "$here/config.yaml" --mode "$mode" "$@" -- "$python" "$here/$mode.py" >"$build/output" 2>&1; then
        tail -n 2 "$build/output"
    else
        cat "$build/output"
        exit 1
    fi
done
