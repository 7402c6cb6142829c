#!/bin/sh
# The Autobahn test suite against the WebSocket core as a server, and against the client.
# It runs on Python 2.7 only: `virtualenv -p python2.7 DIR; DIR/bin/pip install autobahntestsuite`, WSTEST=DIR/bin/wstest.
# Groups 12 and 13 repeat their cases for 18 sizes; QUICK=1 leaves out all but two. Status 1 if a case fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
wstest=${WSTEST:-wstest}
work=$(mktemp -d)
children=
trap 'kill $children 2>/dev/null || true; rm -rf "$work"' EXIT

excluded=
if [ "${QUICK:-}" ]; then
    for group in 12.1 12.2 12.3 12.4 12.5 13.1 13.2 13.3 13.4 13.5 13.6 13.7; do
        for case in 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do excluded="$excluded\"$group.$case\","; done
    done
    excluded="${excluded%,}"
fi

"$python" "$root/tests/http/websocket/echo.py" >"$work/url" &
children="$children $!"
while ! [ -s "$work/url" ]; do sleep 0.1; done
url="ws$(sed 's/^tcp//;q' "$work/url")"
cat >"$work/client.json" <<END
{"outdir": "$work/server", "servers": [{"agent": "catenet", "url": "$url"}], "cases": ["*"],
 "exclude-cases": [$excluded], "exclude-agent-cases": {}}
END
"$wstest" -m fuzzingclient -s "$work/client.json" >"$work/log" 2>&1

port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/server.json" <<END
{"outdir": "$work/client", "url": "ws://127.0.0.1:$port", "cases": ["*"], "exclude-cases": [$excluded],
 "exclude-agent-cases": {}}
END
"$wstest" -m fuzzingserver -s "$work/server.json" >>"$work/log" 2>&1 &
children="$children $!"
"$python" "$here/client.py" "ws://127.0.0.1:$port"
"$python" "$here/verdict.py" "$work/server/index.json" "$work/client/index.json"
