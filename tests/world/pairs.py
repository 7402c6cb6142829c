"""Pairs of programs that others have written: three runs in different surroundings have one trace.

`python -m tests.world.pairs 1 30 --jobs 2` runs each pair by itself; the five of CI share one world.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tests.long_runs import run_many

__all__ = ["FEW", "PAIRS", "Pair", "run_pairs", "surroundings"]

PROGRAMS: Final = Path(__file__).parent / "programs"
SERVERS: Final = ("aiohttp", "uvicorn", "hypercorn", "waitress", "werkzeug", "flask", "starlette", "fastapi", "django")
CLIENTS: Final = ("requests", "httpx", "httpx_async", "aiohttp", "urllib3", "niquests")
NOBODY: Final = 65534
PATIENCE: Final = 300
"""Seconds that a busy machine may take for a run."""


class Pair(NamedTuple):
    """A server and a client, by the names that their programs have for them."""

    server: str
    client: str


PAIRS: Final = (
    *(Pair(server, client) for server, client in itertools.product(SERVERS, CLIENTS)),
    Pair("websockets", "websockets"),
    Pair("xmlrpc", "xmlrpc_client"),
)
FEW: Final = (
    Pair("aiohttp", "httpx_async"),
    Pair("uvicorn", "requests"),
    Pair("waitress", "urllib3"),
    Pair("hypercorn", "niquests"),
    Pair("websockets", "websockets"),
)


def run_pairs(pairs: Sequence[Pair], folder: Path) -> list[str]:
    """Run some pairs in one world three times, and return the trace of each run. Raises AssertionError."""
    return [_trace(pairs, place, surroundings) for place, surroundings in surroundings(folder)]


def surroundings(folder: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    """Three places and what `subprocess.run` makes a different run of: environment, user, processor."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    yield folder / "here", {"env": base}
    other = {"HOME": "/home/somebody", "USER": "somebody", "LOGNAME": "somebody", "PATH": os.environ["PATH"]}
    more = {f"VARIABLE_{secrets.token_hex(2)}": secrets.token_hex(number) for number in range(30)}
    yield folder / "another-place" / "deeper", {"env": {**more, **other}, **_as_nobody(folder)}
    yield folder / "x", {"env": dict(reversed(list(base.items()))) | {"LONG": "x" * 5000}, "umask": 0o077}


def _as_nobody(folder: Path) -> dict[str, object]:
    """Another user's rights, where they are enough to run the interpreter."""
    if os.geteuid() != 0:
        return {}
    rights: dict[str, object] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        done = subprocess.run([sys.executable, "-c", "import catenet"], capture_output=True, cwd=folder, **rights)  # type: ignore[call-overload]
    except OSError:
        return {}
    return {} if done.returncode else rights


def _trace(pairs: Sequence[Pair], place: Path, surroundings: dict[str, object]) -> str:
    """The trace of one run in a folder of its own."""
    place.mkdir(parents=True)
    place.chmod(0o755)
    names = ["pair_server.py", "pair_client.py"]
    for name in secrets.SystemRandom().sample(names, len(names)):  # in the order in which the folder is filled
        shutil.copy(PROGRAMS / name, place)
    hosts = [_hosts(number, pair) for number, pair in enumerate(pairs)]
    (place / "world.toml").write_text('[link]\nlatency = "5ms"\njitter = "1ms"\nloss = "1%"\n' + "".join(hosts))
    words = [sys.executable, "-m", "catenet", "run", "world.toml", "--seed", "7", "--json", "-"]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=PATIENCE, **surroundings)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{pairs}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    figures = json.loads(done.stdout)
    assert figures["packets_sent"] > 20 * len(pairs)
    return str(figures["trace_sha256"])


def _hosts(number: int, pair: Pair) -> str:
    return (
        f'[hosts.s{number}]\nrun = "pair_server.py {pair.server}"\nservice = true\n'
        f'address = "10.0.0.{10 + number}/16"\n'
        f'[hosts.c{number}]\nrun = "pair_client.py {pair.client} s{number}"\nstart = "1s"\n'
        f'address = "10.0.1.{10 + number}/16"\n'
    )


@dataclass
class Outcome:
    """What came of one pair."""

    pair: Pair
    faults: list[str] = field(default_factory=list)


def _run(number: int) -> Outcome:
    pair = PAIRS[number - 1]
    outcome = Outcome(pair)
    with tempfile.TemporaryDirectory(prefix="pairs-") as folder:
        Path(folder).chmod(0o755)
        try:
            traces = run_pairs([pair], Path(folder))
        except AssertionError as error:
            outcome.faults.append(f"{pair}: {error}")
        else:
            if len(set(traces)) > 1:
                outcome.faults.append(f"{pair}: traces {', '.join(trace[:12] for trace in traces)}")
    return outcome


def _table(outcomes: Sequence[Outcome], seconds: float) -> str:
    same = [outcome.pair for outcome in outcomes if not outcome.faults]
    return "\n".join(
        (
            "| | |",
            "|---|---|",
            f"| pairs, three runs each | {len(outcomes)} |",
            f"| one trace | {len(same)} |",
            f"| servers | {', '.join(dict.fromkeys(outcome.pair.server for outcome in outcomes))} |",
            f"| clients | {', '.join(dict.fromkeys(outcome.pair.client for outcome in outcomes))} |",
            f"| wall time | {seconds:,.0f} s |",
        )
    )


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "pairs", _run, _table))
