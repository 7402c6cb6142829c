"""Control messages (mode 6, RFC 9327): what a server says of itself to `ntpq -c rv` on its own host. Read only. Pure.

Answers are longer than requests, so nobody else gets any: `catenet.ntp.responder` asks this for the loopback only, and
only if it is told to.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from catenet.ntp.packet import Mode

__all__ = ["answer_control"]

_HEADER: Final = struct.Struct(">BBHHHHH")
_RESPONSE, _ERROR = 0x80, 0x40
_OPERATION: Final = 0x1F
_READ_STATUS, _READ_VARIABLES = 1, 2
_BAD_FORMAT, _BAD_OPERATION, _UNKNOWN_ASSOCIATION, _UNKNOWN_VARIABLE = 2, 3, 4, 5
_MOST_DATA: Final = 468


def answer_control(data: bytes, status: int, variables: Mapping[str, str]) -> bytes | None:
    """Return the answer to a control message; None for what is none, or is an answer itself.

    `status`: the system status word; `variables`: what may be read of it. There are no associations to be seen.
    """
    if len(data) < _HEADER.size:
        return None
    first, second, sequence, _, association, offset, count = _HEADER.unpack_from(data)
    if first & 7 != Mode.CONTROL or second & (_RESPONSE | _ERROR):
        return None
    operation = second & _OPERATION
    said, error = b"", 0
    if len(data) < _HEADER.size + count or offset:
        error = _BAD_FORMAT
    elif operation not in (_READ_STATUS, _READ_VARIABLES):
        error = _BAD_OPERATION
    elif association:
        error = _UNKNOWN_ASSOCIATION
    elif operation == _READ_VARIABLES:
        found = _read(data[_HEADER.size : _HEADER.size + count], variables)
        said, error = (b"", _UNKNOWN_VARIABLE) if found is None else (found, 0)
    second = _RESPONSE | (_ERROR if error else 0) | operation
    header = _HEADER.pack(first & 0x3F, second, sequence, error << 8 or status, association, 0, len(said))
    return header + said + bytes(-len(said) % 4)


def _read(names: bytes, variables: Mapping[str, str]) -> bytes | None:
    """The variables that are named, or all; None for a name that is none."""
    wanted = [name.strip() for name in names.decode("ascii", "replace").split(",") if name.strip(" \0\r\n")]
    if not all(name in variables for name in wanted):
        return None
    text = ", ".join(f"{name}={variables[name]}" for name in wanted or variables)
    return text.encode("ascii", "replace")[:_MOST_DATA]
