"""setuptools' build backend, which brings mypy where the package is to be compiled (`CATENET_COMPILE=1`)."""

from __future__ import annotations

import os
from typing import Any

from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return what `setup.py` needs beside setuptools.

    Not asked of setuptools, which would run `setup.py` before mypy is there.
    """
    return ["mypy>=1.20"] if os.environ.get("CATENET_COMPILE") == "1" else []


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return the same for an installation that uses the checkout."""
    return get_requires_for_build_wheel(config_settings)


def get_requires_for_build_sdist(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return nothing: what is not built needs no compiler."""
    return []
