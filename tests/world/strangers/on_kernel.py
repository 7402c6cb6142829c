"""A pair on the kernel's loopback, in a network namespace of its own: the oracle. Exits with the client's status.

Run as a script by a process without network (`unshare --net`): `on_kernel.py PROGRAM NAME`. The server is killed and
started again between two runs of the client.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

TRIES = 3


def main(program: str, name: str) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for _ in range(2):
        server = subprocess.Popen([sys.executable, program, "serve", name], start_new_session=True)
        try:
            time.sleep(1.5)
            status = subprocess.run([sys.executable, program, "ask", name, "127.0.0.1"]).returncode
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
