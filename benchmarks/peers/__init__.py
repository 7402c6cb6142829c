"""The other stacks and simulators: how to build each from public packages, and whether it is here.

`python -m benchmarks.peers [NAME...]` builds those whose packages are installed, into `$XDG_CACHE_HOME` (by default
`~/.cache/catenet-benchmarks`); Python ones for the interpreter that runs this, and once for each. What Debian packages
is for the reader to install; the hints say which package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import interpreter, machine
from benchmarks.harness import Unavailable
from benchmarks.interpreter import call, make_venv

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "catenet-benchmarks"

GVISOR = "v0.0.0-20250205023644-9414b50a5633"
PYTCP = "pmd-pytcp==0.3.8"
SIMLOOP = "simloop==0.2.2"
COMPILERS = ("mypy", "setuptools")


def need(program: str, hint: str) -> str:
    """Path of a program, or Unavailable with the way to get it."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(hint)
    return path


def build_gvisor(target: Path) -> None:
    """Build gVisor's netstack in a Go program, through the Go module proxy."""
    go = need("go", "apt-get install golang (1.25 or newer)")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / "gvisor" / "main.go", folder)
        call(go, "mod", "init", "catenet.example/netstack-service", cwd=folder)
        call(go, "get", f"gvisor.dev/gvisor@{GVISOR}", cwd=folder)
        call(go, "mod", "tidy", cwd=folder)
        call(go, "build", "-o", target, ".", cwd=folder)


def build_lwip(target: Path) -> None:
    """Build the service on lwIP as Debian builds it."""
    if not Path("/usr/include/lwip/lwipopts.h").exists():
        raise Unavailable("apt-get install liblwip-dev")
    gcc = need("gcc", "apt-get install gcc")
    call(gcc, "-O2", "-o", target, HERE / "lwip_service.c", "-I/usr/include/lwip", "-llwip", "-lpthread")


def build_ns3(target: Path) -> None:
    """Build the scenarios on ns-3 as Debian builds it."""
    if not Path("/usr/include/ns3").exists():
        raise Unavailable("apt-get install libns3-dev")
    modules = ("core", "network", "internet", "point-to-point", "applications")
    gxx = need("g++", "apt-get install g++")
    call(gxx, "-O2", "-std=c++17", "-o", target, HERE / "ns3_world.cc", *[f"-lns3-{name}" for name in modules])


def build_venv(target: Path, requirement: str, *options: str) -> None:
    """Make a virtual environment with one package from PyPI."""
    make_venv(target, [requirement], *options)


def build_compiled(target: Path) -> None:
    """Compile this checkout's hot modules with mypyc, in a copy of it (setup.py), for this interpreter."""
    need("gcc", "apt-get install gcc")
    if not (Path(sysconfig.get_config_var("INCLUDEPY")) / "Python.h").exists():
        raise Unavailable("no Python.h: apt-get install python3-dev")
    root = HERE.parents[1]
    python = make_venv(target / "venv", COMPILERS, "--constraint", str(root / "requirements-dev.txt"))
    shutil.copytree(root / "src", target / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (root / name).exists():
            shutil.copy(root / name, target)
    environment = {**os.environ, "CATENET_COMPILE": "1", "MYPYPATH": "src"}
    call(python, "setup.py", "build_ext", "--inplace", cwd=target, env=environment)
    (target / "COMMIT").write_text(machine.commit())
    shutil.rmtree(target / "build")
    shutil.rmtree(target / "venv")


BUILDERS: dict[str, Callable[[Path], None]] = {
    "compiled": build_compiled,
    "gvisor": build_gvisor,
    "lwip": build_lwip,
    "ns3": build_ns3,
    "pytcp": lambda target: build_venv(target, PYTCP),
    # It asks for Python 3.12, of which it uses one small method (simloop_world.py).
    "simloop": lambda target: build_venv(target, SIMLOOP, "--ignore-requires-python"),
}
OF_INTERPRETER = ("compiled", "pytcp", "simloop")
"""Peers that are built for one interpreter, and once for each."""


def place(name: str) -> Path:
    """Where a peer is built."""
    return CACHE / (f"{name}-{interpreter.key()}" if name in OF_INTERPRETER else name)


def mark(target: Path) -> Path:
    """File that says that a peer was built to the end."""
    return target.with_name(target.name + ".built")


def built(name: str) -> Path:
    """What `build` has made of a peer, or Unavailable with the way to make it."""
    target = place(name)
    if not mark(target).exists():
        raise Unavailable(f"python -m benchmarks.peers {name}")
    return target


def build(name: str) -> Path:
    """Build one peer unless it is there (Catenet itself: of this very commit); Unavailable says what is missing."""
    target = place(name)
    if not mark(target).exists() or (name == "compiled" and compiled_commit() != machine.commit()):
        shutil.rmtree(target, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        # What was cut short must not look built; a venv cannot be moved, so a mark says that it is whole.
        mark(target).unlink(missing_ok=True)
        BUILDERS[name](target)
        mark(target).touch()
    return target


def package_version(package: str) -> str:
    """Version of an installed Debian package, or "not installed"."""
    if shutil.which("dpkg-query") is None:
        return "unknown"
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return done.stdout or "not installed"


def compiled_commit() -> str:
    """Commit of the Catenet that is compiled."""
    file = place("compiled") / "COMMIT"
    return file.read_text() if file.exists() else "not built"


def gvisor_version() -> str:
    """Version of gVisor that is built."""
    return GVISOR
