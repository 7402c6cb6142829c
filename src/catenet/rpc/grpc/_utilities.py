"""What generated code asks of `grpc._utilities`."""

from __future__ import annotations

import re


def first_version_is_lower(version1: str, version2: str) -> bool:
    """Whether the first version is older than the second; what is no version is older than all."""
    first, second = _numbers(version1), _numbers(version2)
    return first < second


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()
