"""A rule of extensions that is ours: one that keeps its name keeps its number and the message that it extends."""

from __future__ import annotations

from collections.abc import Iterator

from catenet.rpc.compat.model import Version
from catenet.rpc.compat.rules import Finding

__all__ = ["extension_findings"]

_EXTENDEE, _NUMBER = 2, 3


def extension_findings(before: Version, after: Version) -> Iterator[Finding]:
    """Compare extensions by their names; by their numbers they are compared as fields."""
    there = {extension.full: extension for extension in after.extensions}
    for old in before.extensions:
        new = there.get(old.full)
        if new is None or (old.owner, old.number) == (new.owner, new.number):
            continue
        text = f"extension {old.full} was {old.number} of {old.owner}, is {new.number} of {new.owner}"
        place = new.place((_NUMBER,) if old.number != new.number else (_EXTENDEE,))
        yield Finding("EXTENSION_SAME_NUMBER", place, old.full, "number", text, old.file.package)
