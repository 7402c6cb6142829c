"""An assembler for what filters of system calls need of classic BPF (linux/filter.h, linux/seccomp.h).

A filter is a list of rules, each of which begins with one comparison of the call's number and ends by an answer, so
that no jump is longer than the rule. The kernel keeps a list of the calls that are always allowed (since 5.11), for
which it runs no filter.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from catenet.world.enclosure.kernel import Architecture

__all__ = ["ASK", "Rule", "answer", "assemble", "only", "refused", "unless", "when_null"]

LOAD: Final = 0x20
"""BPF_LD | BPF_W | BPF_ABS: a word of `struct seccomp_data` into the accumulator."""
AND: Final = 0x54
"""BPF_ALU | BPF_AND | BPF_K."""
IF_EQUAL: Final = 0x15
"""BPF_JMP | BPF_JEQ | BPF_K."""
IF_AT_LEAST: Final = 0x35
"""BPF_JMP | BPF_JGE | BPF_K."""
RETURN: Final = 0x06
"""BPF_RET | BPF_K."""

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Places in `struct seccomp_data`; an argument takes eight bytes, on both machines the low half first."""

ALLOW: Final = 0x7FFF_0000
REFUSE: Final = 0x0005_0000
"""SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO."""
ASK: Final = 0x7FC0_0000
"""SECCOMP_RET_USER_NOTIF: another process answers."""

Instruction = tuple[int, int, int, int]
"""Code, how many to skip when a comparison holds and when not, constant."""
Rule = Sequence[Instruction]


def answer(value: int) -> Instruction:
    """End the filter."""
    return (RETURN, 0, 0, value)


def refused(error: int) -> int:
    """Return the answer by which a call fails with an error."""
    return REFUSE | error


def _argument(index: int, high: bool = False) -> Instruction:
    return (LOAD, 0, 0, ARGUMENTS + 8 * index + 4 * high)


def only(index: int, values: Iterable[int], otherwise: int, mask: int = 0xFFFF_FFFF) -> Rule:
    """Allow a call whose argument, of 32 bits and behind a mask, is one of some values."""
    return _choose(index, values, mask, ALLOW, otherwise)


def unless(index: int, values: Iterable[int], refusal: int, mask: int = 0xFFFF_FFFF) -> Rule:
    """Refuse a call whose argument, of 32 bits and behind a mask, is one of some values."""
    return _choose(index, values, mask, refusal, ALLOW)


def _choose(index: int, values: Iterable[int], mask: int, found: int, otherwise: int) -> Rule:
    rule = [_argument(index), (AND, 0, 0, mask)]
    for value in values:
        rule += [(IF_EQUAL, 0, 1, value), answer(found)]
    return [*rule, answer(otherwise)]


def when_null(index: int, otherwise: int) -> Rule:
    """Allow a call whose argument is no address."""
    return [
        _argument(index),
        (IF_EQUAL, 0, 2, 0),
        _argument(index, high=True),
        (IF_EQUAL, 1, 0, 0),
        answer(otherwise),
        answer(ALLOW),
    ]


def assemble(machine: Architecture, rules: Iterable[tuple[str, Rule]]) -> bytes:
    """Return the program: what no rule is about is allowed, other calling conventions are not."""
    foreign = answer(refused(errno.ENOSYS))
    program: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, machine.audit), foreign]
    program.append((LOAD, 0, 0, NUMBER))
    if machine.foreign_from:
        program += [(IF_AT_LEAST, 0, 1, machine.foreign_from), foreign]
    for name, rule in rules:
        if (number := machine.numbers.get(name)) is not None:
            program += [(IF_EQUAL, 0, len(rule), number), *rule]
    program.append(answer(ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
