"""`python -m benchmarks.rpc.peers`: build the peers of the RPC benchmarks that can be built here."""

import sys

from benchmarks.harness import Unavailable
from benchmarks.rpc.peers import connect_messages, cpp_server, go_server, node_modules, python, tonic_server


def main() -> int:
    failures = 0
    for build in (python, connect_messages, node_modules, cpp_server, go_server, tonic_server):
        try:
            print(f"{build.__name__}: {build()}", flush=True)
        except Unavailable as error:
            print(f"{build.__name__}: not built: {error}", flush=True)
            failures = 1
    return failures


sys.exit(main())
