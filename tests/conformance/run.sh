#!/bin/sh
# Runs every conformance suite: each is a folder beside this file with a run.sh of its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
status=0
for suite in "$here"/*/run.sh; do
    "$suite" || status=1
done
exit $status
