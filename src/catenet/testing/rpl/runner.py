"""A file to a result: read, set up, played."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from catenet.testing.rpl.play import Failed, Play
from catenet.testing.rpl.reader import read_scenario
from catenet.testing.rpl.subject import Subject
from catenet.testing.rpl.syntax import Scenario, ScenarioError, Unsupported

__all__ = ["Result", "run_file", "run_text"]

Verdict: TypeAlias = Literal["pass", "fail", "unsupported"]
Maker: TypeAlias = Callable[[Scenario], Subject]
"""Makes the resolver that a scenario asks for; raises Unsupported when there is none such."""


@dataclass(slots=True)
class Result:
    """What came of a scenario.

    Attributes:
        path: the file.
        verdict: `unsupported` when it asks for what there is not.
        step: number of the step that failed, None when none was taken.
        line: of the file, 0 for none.
        message: the first difference, or what is wrong with the file.
        wrong: the file cannot be read, or is no scenario.
        seconds: of real time.
        log: what happened, when that was asked for.
    """

    path: str
    verdict: Verdict = "pass"
    step: int | None = None
    line: int = 0
    message: str = ""
    wrong: bool = False
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)


def run_file(path: Path, make: Maker, verbose: bool = False) -> Result:
    """Play the scenario in a file; a file that cannot be read is one that fails."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Result(str(path), "fail", message=f"cannot be read: {error.strerror}", wrong=True)
    return run_text(text, str(path), make, verbose)


def run_text(text: str, path: str, make: Maker, verbose: bool = False) -> Result:
    """Play a scenario.

    Args:
        text: the scenario.
        path: what to call it.
        make: makes the resolver.
        verbose: whether the result tells what happened.
    """
    began = time.perf_counter()
    result = Result(path)
    try:
        scenario = read_scenario(text)
        Play(scenario, make(scenario), result.log if verbose else None).run()
    except Failed as failed:
        result.verdict, result.message = "fail", str(failed)
        result.step, result.line = failed.step.number, failed.step.line
    except Unsupported as error:
        result.verdict, result.line, result.message = "unsupported", error.line, str(error)
    except ScenarioError as error:
        result.verdict, result.line, result.message, result.wrong = "fail", error.line, str(error), True
    result.seconds = time.perf_counter() - began
    return result
