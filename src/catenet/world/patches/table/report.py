"""Shows the table of patches as Markdown: `python -m catenet.world.patches.table.report docs/compatibility.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from catenet.world.patches.table import LIBRARIES, STANDARD_LIBRARY
from catenet.world.patches.table.row import Row, Treatment

__all__ = ["inserted"]

BEGIN: Final = "<!-- generated from catenet/world/patches/table -->"
END: Final = "<!-- end of what is generated -->"

HEADINGS: Final = (
    ("Refused", (Treatment.REFUSED, Treatment.REFUSED_WITHIN)),
    ("Patched", (Treatment.REPLACED, Treatment.IN_PLACE, Treatment.EXCHANGED)),
    ("Shared on purpose", (Treatment.SHARED,)),
    ("Harmless", (Treatment.HARMLESS,)),
)


def markdown() -> str:
    """Return the table, by treatment and module."""
    lines: list[str] = []
    for heading, treatments in HEADINGS:
        lines += [f"### {heading}", "", *(f"* {each.value}" for each in treatments), ""]
        several = len(treatments) > 1
        rows = [row for row in (*STANDARD_LIBRARY, *LIBRARIES) if row.treatment in treatments]
        lines += _table(rows, several, any(row.note for row in rows))
        lines.append("")
    return "\n".join(lines)


def _table(rows: Sequence[Row], several: bool, noted: bool) -> Iterator[str]:
    """Yield the lines of one table: with the treatment if there are several, with notes if there are any."""
    columns = ["module", *["how"] * several, "names", *["what, or what instead"] * noted]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        how = row.treatment.name.lower().replace("_", " ")
        names = " ".join(f"`{name}`" for name in row.names.split())
        cells = [f"`{row.module}`", *[how] * several, names, *[row.note] * noted]
        yield f"| {' | '.join(cells)} |"


def inserted(document: str) -> str:
    """Return a document with the table between its two marks; ValueError when it has no marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks the line {BEGIN if not begin else END!r}")
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


def main(path: str) -> None:
    """Bring a document up to date."""
    document = Path(path)
    document.write_text(inserted(document.read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
