"""A row of the table of patches: names of one module that are treated alike."""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ANOTHER_HOST",
    "EXCHANGED",
    "FILES",
    "HARMLESS",
    "HOST_FILES",
    "IN_PLACE",
    "MACHINE",
    "NO_PRIORITY",
    "NO_TERMINAL",
    "OTHER_PROGRAM",
    "OWN_PROCESS",
    "REFUSED",
    "REFUSED_WITHIN",
    "REPLACED",
    "SHARED",
    "USERS",
    "Row",
    "Treatment",
]


class Treatment(enum.Enum):
    """Treatment of a name while a world exists."""

    REPLACED = "replaced by a function that serves the running process"
    IN_PLACE = "patched in place: the object stays, its methods serve the running process"
    EXCHANGED = "exchanged: the value belongs to the running process or thread"
    REFUSED = "refused: raises `NotModelled` in a simulated program"
    REFUSED_WITHIN = "refused within: ends in something that is refused"
    SHARED = "shared on purpose with the interpreter or the machine"
    HARMLESS = "harmless: touches nothing outside of the program, or only by names of this table"


REPLACED: Final = Treatment.REPLACED
IN_PLACE: Final = Treatment.IN_PLACE
EXCHANGED: Final = Treatment.EXCHANGED
REFUSED: Final = Treatment.REFUSED
REFUSED_WITHIN: Final = Treatment.REFUSED_WITHIN
SHARED: Final = Treatment.SHARED
HARMLESS: Final = Treatment.HARMLESS

FILES: Final = "files are the machine's"
HOST_FILES: Final = "files are the machine's, but /etc/resolv.conf and /etc/hosts of a host with name servers"
MACHINE: Final = "facts about the machine"
USERS: Final = "users and groups are the machine's"

OTHER_PROGRAM: Final = "run it as a program of its own on a host of the world (Host.run)"
OWN_PROCESS: Final = 'give the host isolation = "process", or ' + OTHER_PROGRAM
"""What is refused with this note is refused on hosts that share a process with others, and nowhere else."""
NO_TERMINAL: Final = "programs have no terminals; use pipes or sockets"
ANOTHER_HOST: Final = "make another host of the world (World.host)"
NO_PRIORITY: Final = "programs of a host are infinitely fast; leave priorities as they are"

_NAME: Final = re.compile(r"([\w.]+)(?:(<|>=)3\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Row:
    """Names of a module. `note` says what they are about and, of refused names, what to use instead.

    In `names`, separated by blanks, `name>=3.12` exists from CPython 3.12 on and `name<3.12` before it. `Class.method`
    stands for a class of which only that method is treated so.
    """

    module: str
    treatment: Treatment
    note: str
    names: str

    def entries(self, version: tuple[int, int] | None = None) -> Iterator[str]:
        """Yield the names that a version of CPython, by default the running one, may have."""
        minor = (sys.version_info[:2] if version is None else version)[1]
        for text in self.names.split():
            found = _NAME.fullmatch(text)
            assert found, text
            name, relation, limit = found.groups()
            if relation is None or (minor < int(limit)) == (relation == "<"):
                yield name
