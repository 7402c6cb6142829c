"""The kernel as the client of a program behind a TUN device that answers early and goes: the answer arrives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.interop.tun_host import ADDRESSES, start_behind_tun

if TYPE_CHECKING:
    from tests.conftest import Namespace

PROGRAM = Path(__file__).parent / "programs" / "early_answer.py"
CLIENT = """
import socket, sys
for _ in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 8080), timeout=10) as connection:
        connection.sendall(bytes(5000))
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:
            print(len(answer))
"""

pytestmark = pytest.mark.root


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_answer_comes_before_the_reset(namespace: Namespace, address: str) -> None:
    start_behind_tun(namespace, PROGRAM, "20")
    done = namespace.run(sys.executable, "-c", CLIENT, address, "21")
    assert done.stdout.split() == ["53"] * 20 + ["10000"]
