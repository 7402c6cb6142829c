"""What of a capture does not depend on keys: when each packet was at which port, and how long it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from catenet.wire.pcapng import read_pcapng

__all__ = ["shape_of"]


def shape_of(path: Path) -> str:
    """A digest over port, time and length of all packets of a capture."""
    digest = hashlib.sha256()
    for packet in read_pcapng(path.read_bytes()):
        digest.update(f"{packet.interface_name} {packet.time:.9f} {packet.original_length}\n".encode())
    return digest.hexdigest()
