"""Hosts in processes of their own: what the command line says of it, and what cannot go with it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.world.scenario.worldfile import WorldPlan

__all__ = ["has_hosts_apart", "isolated", "workers"]


def isolated(args: argparse.Namespace, plan: WorldPlan) -> WorldPlan:
    """Return the plan with how its hosts are isolated. What is asked for must be possible."""
    return plan if plan.isolation else replace(plan, isolation="process")


def has_hosts_apart(plan: WorldPlan) -> bool:
    """Whether a host has a process of its own."""
    return "process" in (plan.isolation, *(host.isolation for host in plan.hosts))


def workers(text: str) -> int:
    """Read the number of `--workers`."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers: at least 1")
    return number
