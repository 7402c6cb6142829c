"""What happens to every public name of the modules by which a program reaches the operating system.

Nothing that a simulated program does reaches the real machine, except by what the table calls shared. A name needs no
row if it is a constant, an exception, an enumeration, a module, or comes from a module that touches nothing outside of
the program (`collections`, `typing`, `re` and their like), or if the same object has a row under another module.

`refusals.py` refuses what is refused here; the other patches are functions beside this package, and a test compares
what they replace with what is written here. `docs/compatibility.md` shows the table.
"""

from __future__ import annotations

from typing import Final

from catenet.world.patches.table import libraries, network, operating_system, processes
from catenet.world.patches.table.row import Row

__all__ = ["LIBRARIES", "STANDARD_LIBRARY", "Row"]

STANDARD_LIBRARY: Final[tuple[Row, ...]] = operating_system.ROWS + network.ROWS + processes.ROWS
LIBRARIES: Final[tuple[Row, ...]] = libraries.ROWS
