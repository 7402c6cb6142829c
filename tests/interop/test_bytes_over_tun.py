"""What a program behind a TUN device writes reaches the kernel byte for byte, however its blocks lie in the packets."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.interop.tun_host import ADDRESSES, start_behind_tun

if TYPE_CHECKING:
    from tests.conftest import Namespace

PROGRAM = Path(__file__).parent / "programs" / "blocks_server.py"
CLIENT = """
import hashlib, socket, sys, threading

def fetch(size, digests):
    digest = hashlib.sha256()
    with socket.create_connection((sys.argv[1], 8080), timeout=20) as connection:
        connection.sendall(b"%d\\n" % size)
        while data := connection.recv(65536):
            digest.update(data)
    digests[size] = digest.hexdigest()

digests = {}
threads = [threading.Thread(target=fetch, args=(int(size), digests)) for size in sys.argv[2:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*digests.values())
"""

pytestmark = pytest.mark.root


@pytest.mark.parametrize("address", ADDRESSES)
def test_blocks_of_many_sizes(namespace: Namespace, address: str) -> None:
    start_behind_tun(namespace, PROGRAM)
    sizes = ["1449", "4097", "30000", "65536", "1000000"]
    done = namespace.run(sys.executable, "-c", CLIENT, address, *sizes, timeout=60)
    expected = hashlib.sha256(random.Random(1).randbytes(20_000_000)).hexdigest()
    assert done.stdout.split() == [expected] * len(sizes)
