"""The kernel is the oracle for every call in every state (`states.py`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World

sys.path.insert(0, str(Path(__file__).parent))
import states

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs Linux for a reference"), pytest.mark.slow(40)]


@pytest.mark.parametrize("kind", states.STATES)
def test_every_call_in_every_state(kind: str) -> None:
    sequences = states.sequences(kind)
    got: list[Any] = []
    with World() as world:
        world.host("host").run(lambda: got.extend(states.run(kind, *sequence) for sequence in sequences))
        world.run(1e6)
    assert len(got) == len(sequences)
    assert list(_differences(kind, sequences, got)) == []


def _differences(kind: str, sequences: list[tuple[str, ...]], got: list[Any]) -> Iterator[Any]:
    for sequence, ours in zip(sequences, got, strict=True):
        if states.run(kind, *sequence) != ours:
            theirs = states.run(kind, *sequence, pause=0.05)  # a busy machine's loopback may take its time
            if theirs != ours:
                yield sequence, theirs, ours
