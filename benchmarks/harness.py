"""What all benchmarks share: contenders measured in turn, medians with their spread, tables in Markdown.

Every repetition runs all contenders one after the other before the next repetition begins, so that a change of the
machine's mood (frequency, neighbours) meets all of them alike. A contender that cannot run stays in the table with
the reason and the way to get it.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Sample: TypeAlias = dict[str, float]
"""What one run measured, by column key."""


class Unavailable(Exception):
    """A contender cannot run here; the text says what to install."""


class Failed(Exception):
    """A contender ran and did not finish its work; the text says why."""


@dataclass(frozen=True)
class Column:
    """One measured figure: its key in samples, its heading with the unit, and how many decimals to print."""

    key: str
    heading: str
    decimals: int = 0


@dataclass
class Contender:
    """One row: a name and a callable that measures once."""

    name: str
    run: Callable[[], Sample]
    samples: list[Sample] = field(default_factory=list)
    trouble: str = ""


@dataclass
class Table:
    """A titled table of contenders by columns, and what a reader must know to read it."""

    title: str
    columns: Sequence[Column]
    contenders: list[Contender]
    note: str = ""
    first: str = ""


@dataclass
class Report:
    """What one benchmark gives back: tables, and facts about the peers it met."""

    name: str
    summary: str
    tables: list[Table]
    versions: dict[str, str] = field(default_factory=dict)
    repetitions: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """All samples, for programs."""
        return {
            "name": self.name,
            "versions": self.versions,
            "repetitions": self.repetitions,
            "seconds": round(self.seconds, 1),
            "tables": [
                {
                    "title": table.title,
                    "rows": [
                        {"name": row.name, "samples": row.samples, "trouble": row.trouble} for row in table.contenders
                    ],
                }
                for table in self.tables
            ],
        }


def progress(text: str) -> None:
    """Tell whoever waits at the terminal what runs now."""
    print(f"  {text}", file=sys.stderr, flush=True)


def interleave(contenders: Sequence[Contender], repetitions: int) -> None:
    """Run every contender `repetitions` times, in turn; trouble is noted in the contender, which then sits out."""
    for repetition in range(repetitions):
        for contender in contenders:
            if contender.trouble:
                continue
            started = time.monotonic()
            try:
                contender.samples.append(contender.run())
            except Unavailable as error:
                contender.trouble = f"not installed: {error}"
            except Failed as error:
                contender.trouble = f"failed: {error}"
            spent = time.monotonic() - started
            progress(f"{repetition + 1}/{repetitions} {contender.name}: {contender.trouble or f'{spent:.1f} s'}")


def spread(values: Sequence[float], decimals: int) -> str:
    """Median, and the least and greatest value when they differ from it."""
    middle = f"{statistics.median(values):,.{decimals}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{decimals}f}-{max(values):,.{decimals}f})"


def cell(contender: Contender, column: Column) -> str:
    """Text of one table cell; NaN is a run that came to no end."""
    values = [sample[column.key] for sample in contender.samples if column.key in sample]
    there = [value for value in values if not math.isnan(value)]
    if len(there) == len(values):
        return spread(values, column.decimals) if values else ""
    finished = f"{len(there)} of {len(values)} finished"
    return f"{spread(there, column.decimals)}, {finished}" if there else f"*{finished}*"


def markdown(table: Table) -> str:
    """The table as Markdown; trouble takes the whole row."""
    lines = [f"### {table.title}", ""]
    lines.append("| " + " | ".join([table.first] + [column.heading for column in table.columns]) + " |")
    lines.append("| --- |" + " ---: |" * len(table.columns))
    for contender in table.contenders:
        cells = [cell(contender, column) for column in table.columns]
        if contender.trouble and not contender.samples:
            cells = [f"*{contender.trouble}*"] + [""] * (len(table.columns) - 1)
        elif contender.trouble:
            cells[-1] += f" *{contender.trouble}*"
        lines.append("| " + " | ".join([contender.name, *cells]) + " |")
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def document(report: Report, machine: Sequence[str]) -> str:
    """The whole report as Markdown."""
    lines = [f"# {report.name}", "", report.summary, ""]
    lines += [markdown(table) for table in report.tables]
    lines += ["## Machine and versions", ""]
    lines += [f"* {line}" for line in machine]
    lines += [f"* {name}: {version}" for name, version in sorted(report.versions.items())]
    lines += [
        f"* {report.repetitions} repetition(s) of all contenders in turn, {report.seconds:.0f} s; median (range)",
        "",
        f"Again: `python -m benchmarks {report.name}`",
    ]
    return "\n".join(lines) + "\n"
