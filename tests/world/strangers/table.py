"""What was measured, as a table between marks of a Markdown file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.world.strangers.roster import PAIRS, Pair
from tests.world.strangers.running import Verdict

__all__ = ["write_table"]

START: Final = "<!-- strangers -->"
END: Final = "<!-- end of strangers -->"


def write_table(path: Path, results: Path) -> None:
    """Write the table of all pairs whose verdicts are in a folder. Raises ValueError if the file has no marks."""
    text = path.read_text()
    before, start, rest = text.partition(START)
    if not start or END not in rest:
        raise ValueError(f"{path} has no {START} … {END}")
    path.write_text(f"{before}{START}\n{_table(_known(results))}\n{END}{rest.partition(END)[2]}")


def _known(results: Path) -> list[tuple[Pair, Verdict]]:
    files = [(pair, results / pair.name / "verdict.json") for pair in PAIRS]
    return [(pair, Verdict(**json.loads(file.read_text()))) for pair, file in files if file.exists()]


def _table(known: list[tuple[Pair, Verdict]]) -> str:
    rows = [f"| {pair.server} | {pair.client} | {verdict.kernel} | {_said(verdict)} |" for pair, verdict in known]
    counts = {word: sum(verdict.world == word for _, verdict in known) for word in ("works", "refused", "fails")}
    one = sum(len(verdict.traces) == 3 and len(set(verdict.traces)) == 1 for _, verdict in known)
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    head = f"{len(known)} pairs: {said}; {one} have one trace in three runs."
    return "\n".join((head, "", "| server | client | kernel | world |", "|---|---|---|---|", *rows))


def _said(verdict: Verdict) -> str:
    if verdict.world != "works":
        reason = verdict.reason.replace("|", "\\|").replace("\n", " ")
        return f"{verdict.world}: {reason}"
    if len(set(verdict.traces)) == 1:
        return "works, one trace"
    return f"works, {'times and lengths are the same' if len(set(verdict.shapes)) == 1 else 'lengths or times differ'}"
