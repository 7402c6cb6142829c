"""Where a measurement was made: processor, kernel, Python, and how busy the machine was meanwhile."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

from benchmarks import interpreter

PROCESSOR_FIELD = "model name"


def processor() -> str:
    """Name of the processor as the kernel tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(PROCESSOR_FIELD):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit() -> str:
    """Commit of this checkout, marked when the tree differs from it."""
    here = Path(__file__).parent
    try:
        revision = subprocess.run(["git", "-C", here, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(
            ["git", "-C", here, "status", "--porcelain", "--", "../src"], capture_output=True, text=True
        )
    except FileNotFoundError:
        return "unknown"
    return revision.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def others_load(before: tuple[float, float], after: tuple[float, float], own: float) -> str:
    """Share of the machine's processor time that neither idled nor was ours, between two `processor_times`."""
    busy, total = after[0] - before[0], after[1] - before[1]
    return f"{max(0.0, busy - own) / total:.0%}" if total else "unknown"


def processor_times() -> tuple[float, float]:
    """(busy, total) seconds of all processors since boot."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    tick = os.sysconf("SC_CLK_TCK")
    total = sum(fields[:8]) / tick
    return total - (fields[3] + fields[4]) / tick, total


def describe(load: str) -> list[str]:
    """Lines for the foot of a report."""
    return [
        f"{datetime.date.today().isoformat()}, {processor()}, {os.cpu_count()} processors",
        f"Linux {platform.release()}",
        interpreter.describe(),
        f"catenet {commit()}",
        f"share of the processors that other work on the machine took meanwhile: {load}",
    ]
