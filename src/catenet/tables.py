"""Tables whose cells are data: no markup, no emoji codes, no highlighting, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from catenet.printable import printable, write

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["make_table", "show"]

UNBOUNDED: Final = 1 << 24
"""Columns of what is no terminal: a line of a file is as long as it is."""


def console(file: TextIO) -> Console:
    """Return a console of rich that prints texts as they are; as wide as the terminal, or as a file can be."""
    from rich.console import Console

    return Console(
        file=file,
        width=None if file.isatty() else UNBOUNDED,
        markup=False,
        emoji=False,
        highlight=False,
    )


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", numbers: bool = False
) -> Table:
    """Return a table; control characters in its cells are escaped, as a cell is one line.

    Where the terminal is narrow a cell is folded, never cut. `numbers`: all columns but the first are aligned to the
    right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)) if title else None, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if numbers and number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def show(table: Table, file: TextIO) -> None:
    """Print a table; what the encoding of `file` has not is escaped."""
    out = console(file)
    with out.capture() as text:
        out.print(table)
    write(text.get(), file)
