"""The interpreter that runs the benchmarks: how it was built, how fast it is, and virtual environments of its own.

All Python contenders run on the interpreter that `python -m benchmarks` runs on. Builds of one version differ by half:
one made with profile-guided optimisation, as distributions and installers make it, from one compiled on the spot.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Unavailable

TURNS = 1_000_000
ROUNDS = 7


def key() -> str:
    """Short name of this interpreter and build, for what is built for it alone."""
    told = [sys.version, sys.base_prefix, str(sysconfig.get_config_var("CONFIG_ARGS")), platform.machine()]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
    return f"{sys.implementation.name}-{platform.python_version()}-{digest}"


def build() -> str:
    """What sysconfig tells of the optimisation of this interpreter."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    if sysconfig.get_config_var("PGO_PROF_USE_FLAG") == "":
        # Debian's build is by profile, and it takes these flags out of what extensions are compiled with.
        return "with PGO, whether with LTO is not recorded"
    with_profile = "with" if "--enable-optimizations" in arguments else "without"
    flags = str(sysconfig.get_config_var("PY_CORE_LDFLAGS") or "")
    with_link = "with" if "--with-lto" in arguments or "-flto" in flags else "without"
    return f"{with_profile} PGO, {with_link} LTO"


def turns(count: int) -> int:
    """A plain loop, to tell interpreters apart by."""
    total = 0
    for number in range(count):
        total += number & 7
    return total


def pace() -> float:
    """Turns of a plain loop per CPU second; the best of a few rounds."""
    least = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        turns(TURNS)
        least = min(least, time.process_time() - started)
    return TURNS / least


def describe() -> str:
    """Version, compiler, kind of build and pace, in a line."""
    return (
        f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()}, {build()}; "
        f"{pace() / 1e6:.0f} million turns of a plain loop per CPU second)"
    )


def call(*words: str | Path, **options: object) -> str:
    """Run a builder; Unavailable with the end of its complaint when it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=1800, **options)  # type: ignore[call-overload]
    if done.returncode:
        complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Unavailable(f"{words[0]} failed: {' '.join(complaint)}")
    return str(done.stdout)


def make_venv(target: Path, packages: Sequence[str], *options: str) -> Path:
    """Make a virtual environment of this interpreter with some packages; return its python.

    The pip at hand installs into it, so that ensurepip, which Debian packages apart, is needed only without a pip.
    """
    python = target / "bin" / "python"
    if importlib.util.find_spec("pip"):
        call(sys.executable, "-m", "venv", "--clear", "--without-pip", target)
        installer: tuple[str | Path, ...] = (sys.executable, "-m", "pip", "--python", python)
    elif importlib.util.find_spec("ensurepip"):
        call(sys.executable, "-m", "venv", "--clear", target)
        installer = (python, "-m", "pip")
    else:
        raise Unavailable("neither pip nor ensurepip: apt-get install python3-pip (or python3-venv)")
    # What the caller put on the path is not in there.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = ("install", "--quiet", "--disable-pip-version-check")
    call(*installer, *quiet, *options, *packages, env=environment)
    return python
