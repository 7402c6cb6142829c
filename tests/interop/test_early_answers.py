"""The kernel as the client of a program behind a TUN device that answers early and goes: the answer arrives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Namespace

PROGRAM = Path(__file__).parent / "programs" / "early_answer.py"
ADDRESSES = ["10.9.0.2", "fd09::2"]
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
    words = ["-m", "catenet", "run", "--net", "tun", "--address", "10.9.0.2/24", "--address", "fd09::2/64"]
    program = namespace.start(sys.executable, *words, str(PROGRAM), "20")
    assert program.stdout is not None
    for line in program.stdout:
        if "listening" in line:
            break
    done = namespace.run(sys.executable, "-c", CLIENT, address, "21")
    assert done.stdout.split() == ["53"] * 20 + ["10000"]
