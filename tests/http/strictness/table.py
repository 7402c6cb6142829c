"""All cases against ours and the peers; what is kept of it; the page that is made of that."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.http.strictness import libraries, ours, servers
from tests.http.strictness.answers import ANSWERS
from tests.http.strictness.case import Case
from tests.http.strictness.downgrades import DOWNGRADES
from tests.http.strictness.requests import REQUESTS
from tests.peers import environment, program

__all__ = ["EXPECTED", "KINDS", "PAGE", "PEERS", "Kept", "letter", "load", "page", "record", "version"]

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"
PAGE = HERE.parents[2] / "docs" / "http-strictness.md"
PEERS = (
    "h11",
    "httptools",
    "h2",
    "aiohttp",
    "uvicorn",
    "hypercorn",
    "gunicorn",
    "waitress",
    "nginx",
    "haproxy",
    "Apache",
)
KINDS: dict[str, tuple[Sequence[Case], Callable[[bytes], str]]] = {
    "requests": (REQUESTS, ours.request),
    "answers": (ANSWERS, ours.answer),
    "downgrades": (DOWNGRADES, ours.downgrade),
}
_LIBRARIES = {"requests": libraries.REQUESTS, "answers": libraries.ANSWERS, "downgrades": libraries.DOWNGRADES}

Kept = dict[str, dict[str, str]]
"""Of each kind: by the case, our outcome, then a letter for each of `PEERS`, `-` for one that does not take part."""


def key(case: Case) -> str:
    """The name of a case among those of its kind."""
    return f"{case.group}: {case.name}"


def letter(mine: str, theirs: str) -> str:
    """Return what a peer's outcome is beside ours: R, A, W, or S for accepted but read otherwise."""
    if theirs[0] == "A" and mine[0] == "A" and mine != theirs and not _same_head(mine, theirs):
        return "S"
    return theirs[0]


def _same_head(mine: str, theirs: str) -> bool:
    return mine.startswith("A HEAD") and theirs.startswith("A HEAD")


def version(peer: str) -> str:
    """Return the version of a peer, empty if it is not there."""
    if peer not in servers.PROXIES:
        return importlib.metadata.version(peer)
    binary = program(servers.PROXIES[peer])
    if binary is None:
        return ""
    said = subprocess.run([binary, "-v"], env=environment(), capture_output=True, text=True, check=False)
    line = (said.stdout + said.stderr).splitlines()[0]
    return next((word.rpartition("/")[2] for word in line.split() if word.rpartition("/")[2][:1].isdigit()), line)


async def record() -> tuple[dict[str, str], Kept]:
    """Run everything; return versions and outcomes."""
    mine = {kind: [serve(case.data) for case in cases] for kind, (cases, serve) in KINDS.items()}
    found: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
    for kind, known in _LIBRARIES.items():
        for peer, serve in known.items():
            found[kind][peer] = [await _in_thread(serve, case.data) for case in KINDS[kind][0]]
    data = {kind: [case.data for case in cases] for kind, (cases, _) in KINDS.items()}
    for peer, start in servers.SERVERS.items():
        async with start() as address:
            found["requests"][peer] = await servers.play(address, data["requests"])
            if peer == "hypercorn":
                found["downgrades"][peer] = await servers.downgrade_through(address, data["downgrades"])
    for peer, name in servers.PROXIES.items():
        async with servers.proxy(name) as started:
            if started is not None:
                (one, two, before), back = started
                found["requests"][peer] = await servers.play(one, data["requests"])
                found["answers"][peer] = await servers.answers_through(before, back, data["answers"])
                found["downgrades"][peer] = await servers.downgrade_through(two, data["downgrades"])
    kept: Kept = {}
    for kind, (cases, _) in KINDS.items():
        kept[kind] = {}
        for at, case in enumerate(cases):
            letters = [letter(mine[kind][at], found[kind][p][at]) if p in found[kind] else "-" for p in PEERS]
            kept[kind][key(case)] = f"{mine[kind][at]} | {''.join(letters)}"
    return {peer: version(peer) for peer in PEERS}, kept


async def _in_thread(serve: Callable[[bytes], str], data: bytes) -> str:
    import asyncio

    return await asyncio.to_thread(serve, data)  # one of them has an event loop of its own


def load() -> tuple[dict[str, str], Kept]:
    """Return what was kept: versions and outcomes."""
    whole = json.loads(EXPECTED.read_text())
    return whole["versions"], whole["outcomes"]


_HEAD = """# How strict HTTP is read

A message that two readers take in two ways is how requests are smuggled. These are {total} messages of our own
making: {counts}. Each was given
to our machines and to the parsers, servers and proxies that are around, a request over HTTP/1.1 always with a well-formed one
behind it on the same connection. The proxies stand in front of an echo, so for them the table says what they forward.
`python -m tests.http.strictness --write` makes this page; {kept} has all outcomes, and the tests
hold ours to it.

`R` refused (4xx, 5xx, or closed without an answer), `A` accepted, and what follows is a message of its own, `S` accepted and
read otherwise than by us, or the rest taken for part of it, for more messages or for an error, `W` waits for more. `-` does
not take part. Servers refuse also what they do not serve (nginx and Apache: paths outside of their root).

| | {peers} |
|---|{rule}|
| version | {versions} |
| refuses what we refuse | {both} |
| accepts what we refuse | {laxer} |
| refuses what we accept | {stricter} |
| reads otherwise what we accept | {other} |

Below are the cases in which somebody differs from us. Where we accept what another refuses, the reason stands beside it.
"""


def page() -> str:
    """Return the page that is made of what was kept."""
    versions, kept = load()
    rows = [row for kind in KINDS for row in kept[kind].values()]
    split = [(row.partition(" | ")[0][0], row.partition(" | ")[2]) for row in rows]

    def count(at: int, mine: str, theirs: str) -> int:
        return sum(ours in mine and letters[at] in theirs for ours, letters in split)

    def line(mine: str, theirs: str) -> str:
        return " | ".join(str(count(at, mine, theirs)) for at in range(len(PEERS)))

    counts = ", ".join(f"{len(kept[kind])} {name}" for kind, name in _NAMES.items())
    text = _HEAD.format(
        total=len(rows), counts=counts, kept="`tests/http/strictness/expected.json`", peers=" | ".join(PEERS),
        rule="---|" * (len(PEERS) - 1) + "---", versions=" | ".join(versions[peer] or "-" for peer in PEERS),
        both=line("R", "R"), laxer=line("R", "AS"), stricter=line("A", "R"), other=line("A", "SW"),
    )  # fmt: skip
    for kind, (cases, _) in KINDS.items():
        text += f"\n## {_TITLES[kind]}\n"
        for group in dict.fromkeys(case.group for case in cases):
            text += _group(group, [case for case in cases if case.group == group], kept[kind])
    return text


_NAMES = {
    "requests": "requests over HTTP/1.1",
    "answers": "answers over HTTP/1.1",
    "downgrades": "requests over HTTP/2",
}
_TITLES = {
    "requests": "Requests over HTTP/1.1",
    "answers": "Answers over HTTP/1.1",
    "downgrades": "Requests over HTTP/2",
}


def _group(group: str, cases: Iterable[Case], kept: dict[str, str]) -> str:
    lines, same = [], 0
    for case in cases:
        mine, _, letters = kept[key(case)].partition(" | ")
        if set(letters) <= {mine[0], "-"}:
            same += 1
            continue
        why = case.why if mine[0] != "R" and "R" in letters else ""
        lines.append(f"| {case.name.replace('|', '&#124;')} | **{mine[0]}** | {' | '.join(letters)} | {why} |\n")
    alike = f"{same} cases alike everywhere.\n" if same else ""
    if not lines:
        return f"\n### {group}\n\n{alike}"
    head = f"| case | ours | {' | '.join(PEERS)} | why |\n|---|---|{'---|' * len(PEERS)}---|\n"
    return f"\n### {group}\n\n{alike}{chr(10) if alike else ''}{head}{''.join(lines)}"
