"""How many processors a process may use."""

from __future__ import annotations

import os

__all__ = ["processors"]


def processors() -> int:
    """How many processors may be used, by the machine and by the process's affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
