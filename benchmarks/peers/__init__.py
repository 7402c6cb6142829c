"""The other stacks and simulators: how to build each from public packages, and whether it is here.

`python -m benchmarks.peers [NAME...]` builds those whose packages are installed, into `$XDG_CACHE_HOME` (by default
`~/.cache/catenet-benchmarks`). What Debian packages is for the reader to install; the hints say which package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine
from benchmarks.harness import Unavailable

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "catenet-benchmarks"

GVISOR = "v0.0.0-20250205023644-9414b50a5633"
PYTCP = "pmd-pytcp==0.3.8"
SIMLOOP = "simloop==0.2.2"
SIMLOOP_PYTHON = (3, 12)


def call(*words: str | Path, **options: object) -> str:
    """Run a builder; Unavailable with the end of its complaint when it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=1800, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise Unavailable(f"{words[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return str(done.stdout)


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


def build_venv(target: Path, requirement: str, minimum: tuple[int, int] = (3, 9)) -> None:
    """Make a virtual environment with one package from PyPI."""
    if sys.version_info[:2] >= minimum:
        python: str = sys.executable
    else:
        version = ".".join(map(str, minimum))
        python = need_python(minimum, f"{requirement} needs Python {version} or newer")
    call(python, "-m", "venv", target)
    call(target / "bin" / "python", "-m", "pip", "install", "--quiet", requirement)


def need_python(minimum: tuple[int, int], hint: str) -> str:
    """A Python of at least the version, from PATH or pyenv."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob("*/bin/python3"))
    on_path = [Path(path) for minor in range(20, minimum[1] - 1, -1) if (path := shutil.which(f"python3.{minor}"))]
    for candidate in [*on_path, *pyenv]:
        test = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {minimum})"
        if not subprocess.run([candidate, "-c", test], capture_output=True).returncode:
            return str(candidate)
    raise Unavailable(hint)


def build_compiled(target: Path) -> None:
    """Compile this checkout's hot modules with mypyc, in a copy of it (setup.py)."""
    need("gcc", "apt-get install gcc")
    root = HERE.parents[1]
    shutil.copytree(root / "src", target / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (root / name).exists():
            shutil.copy(root / name, target)
    environment = {**os.environ, "CATENET_COMPILE": "1", "MYPYPATH": "src"}
    call(sys.executable, "setup.py", "build_ext", "--inplace", cwd=target, env=environment)
    (target / "COMMIT").write_text(machine.commit())
    shutil.rmtree(target / "build")


BUILDERS: dict[str, Callable[[Path], None]] = {
    "compiled": build_compiled,
    "gvisor": build_gvisor,
    "lwip": build_lwip,
    "ns3": build_ns3,
    "pytcp": lambda target: build_venv(target, PYTCP),
    "simloop": lambda target: build_venv(target, SIMLOOP, SIMLOOP_PYTHON),
}


def mark(target: Path) -> Path:
    """File that says that a peer was built to the end."""
    return target.with_name(target.name + ".built")


def built(name: str) -> Path:
    """What `build` has made of a peer, or Unavailable with the way to make it."""
    target = CACHE / name
    if not mark(target).exists():
        raise Unavailable(f"python -m benchmarks.peers {name}")
    return target


def build(name: str) -> Path:
    """Build one peer unless it is there (Catenet itself: of this very commit); Unavailable says what is missing."""
    target = CACHE / name
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
    file = CACHE / "compiled" / "COMMIT"
    return file.read_text() if file.exists() else "not built"


def gvisor_version() -> str:
    """Version of gVisor that is built."""
    return GVISOR
