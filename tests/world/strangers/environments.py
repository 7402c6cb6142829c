"""Environments in which strangers are installed: one for each file of requirements, below `build/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["ENVIRONMENTS", "REQUIREMENTS", "ROOT", "install", "interpreter"]

REQUIREMENTS: Final = Path(__file__).parent / "requirements"
ROOT: Final = Path(__file__).parents[3]
ENVIRONMENTS: Final = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def interpreter(environment: str) -> Path:
    """The interpreter of an environment."""
    return ROOT / "build" / "strangers" / environment / "bin" / "python"


def install(environment: str) -> None:
    """Make an environment as its file says, with this checkout of Catenet, or bring it up to date."""
    python = interpreter(environment)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(REQUIREMENTS / f"{environment}.txt")], check=True)
    subprocess.run([*pip, "--no-deps", "--editable", str(ROOT)], check=True)
