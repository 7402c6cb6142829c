"""What `buf breaking` says of the cases, recorded in verdicts.json.

`python -m tests.rpc.compat.buf` records it anew; the tests that run buf compare.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.rpc.compat.corpus import Case, cases, write

HERE = Path(__file__).parent
RECORDED = HERE / "verdicts.json"
NODE_MODULES = Path(os.environ.get("CATENET_NODE_MODULES", HERE.parent / "interop" / "node_modules"))
BUF = NODE_MODULES / ".bin" / "buf"
CONFIG = '{"version": "v2", "breaking": {"use": ["FILE", "PACKAGE", "WIRE_JSON", "WIRE"]}}'

Verdict = list[str]
"""`RULE file:line`, sorted; the line is 0 and the file empty where buf names none."""


def recorded() -> dict[str, Verdict]:
    """Verdicts by the slugs of the cases."""
    found: dict[str, Verdict] = json.loads(RECORDED.read_text())
    return found


def judged(found: list[Case], root: Path) -> dict[str, Verdict]:
    """Run buf once over all cases, each in a package of its own."""
    old, new = write(found, root)
    command = [str(BUF), "breaking", str(new), "--against", str(old), "--config", CONFIG, "--against-config", CONFIG]
    done = subprocess.run([*command, "--error-format", "json"], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 100), done.stderr
    verdicts: dict[str, Verdict] = {case.slug: [] for case in found}
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        slug, file = _place(finding, new, verdicts)
        known = (finding["start_line"], finding["start_column"]) != (1, 1)
        verdicts[slug].append(f"{finding['type']} {file}:{finding['start_line'] if known else 0}")
    return {slug: sorted(verdict) for slug, verdict in verdicts.items()}


def _place(finding: dict[str, str], new: Path, slugs: Iterable[str]) -> tuple[str, str]:
    if "path" in finding:
        slug, _, file = finding["path"].removeprefix(f"{new}/").partition("/")
        return slug, file
    # Of what has no place any more the message names the file or package.
    names = finding["message"].replace("/", '"').replace(".", '"').split('"')
    return next(slug for slug in slugs if slug in names), ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        verdicts = judged(cases(), Path(scratch))
    RECORDED.write_text(json.dumps(verdicts, indent=0) + "\n")
