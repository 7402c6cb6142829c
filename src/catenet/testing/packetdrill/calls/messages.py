"""Ancillary data of recvmsg(2): what the script expects, as values to compare."""

from __future__ import annotations

import struct

from catenet.testing.packetdrill.calls.process import Process
from catenet.testing.packetdrill.symbols import evaluate
from catenet.testing.packetdrill.syntax import Ellipsis_, Expression, Items, Quoted, Structure

__all__ = ["compare"]

_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ERROR_FIELDS = ("ee_errno", "ee_origin", "ee_type", "ee_code", "ee_pad", "ee_info", "ee_data")


def compare(process: Process, expected: Expression, actual: list[tuple[int, int, bytes]]) -> None:
    """Complain about the first message that is not as expected."""
    if not isinstance(expected, Items):
        raise ValueError("msg_control: expected an array")
    process.complain("number of control messages", len(expected.values), len(actual))
    for want, (level, kind, data) in zip(expected.values, actual, strict=False):
        if not isinstance(want, Structure):
            raise ValueError("msg_control: expected {cmsg_level=…, cmsg_type=…, cmsg_data=…}")
        _compare_one(process, want, level, kind, data)


def _compare_one(process: Process, want: Structure, level: int, kind: int, data: bytes) -> None:
    for name, have in (("cmsg_level", level), ("cmsg_type", kind)):
        value = want.get(name)
        if value is not None:
            process.complain(name, evaluate(value), have)
    value = want.get("cmsg_data")
    if value is None or isinstance(value, Ellipsis_):
        return
    if isinstance(value, Structure):
        if value.get("scm_sec") is not None:
            _compare_time(process, value, data)
        else:
            _compare_error(process, value, data)
    elif isinstance(value, Quoted):
        process.complain("cmsg_data", value.value, data)
    else:
        have = int.from_bytes(data, "little", signed=True)
        process.complain("cmsg_data", evaluate(value), have)


def _compare_time(process: Process, value: Structure, data: bytes) -> None:
    """A timestamp counts from the beginning of the script and may be off by the tolerance."""
    seconds, nanoseconds = value.get("scm_sec"), value.get("scm_nsec")
    assert seconds is not None
    want = evaluate(seconds) * 1_000_000 + (0 if nanoseconds is None else evaluate(nanoseconds) // 1000)
    have_seconds, have_nanoseconds = struct.unpack_from("=qq", data)
    have = process.machine.usecs_of(have_seconds + have_nanoseconds / 1e9)
    if abs(have - want) > process.config.tolerance_usecs:
        process.complain("scm_timestamping in microseconds", want, have)


def _compare_error(process: Process, value: Structure, data: bytes) -> None:
    values = dict(zip(_ERROR_FIELDS, _EXTENDED_ERROR.unpack_from(data), strict=True))
    for one in value:
        if one.name in values and not isinstance(one.value, Ellipsis_):
            process.complain(one.name, _errno(one.value), values[one.name])


def _errno(value: Expression) -> int:
    """A number, or the number of an errno by name."""
    import errno

    name = getattr(value, "name", None)
    if isinstance(name, str) and hasattr(errno, name):
        return int(getattr(errno, name))
    return evaluate(value)
