"""python -m tests.conformance.cpython [options] [MODULE…]"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .modules import MODULES, QUICK, reason
from .runs import kernel_command, run_module, world_command
from .table import DOCUMENT, listed, read_results, table, write_table

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "catenet" / "cpython"


def _version(python: str) -> str:
    return subprocess.check_output(
        [python, "-c", "import platform; print(platform.python_version())"], text=True
    ).strip()


def _on_kernel(python: str, version: str, module: str) -> dict[str, str]:
    """Returns what the kernel says; it is asked once, since it does not change."""
    kept = CACHE / version / f"{module}.json"
    if not kept.exists():
        found = run_module(kernel_command, python, module)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found.of, indent=1))
    of: dict[str, str] = json.loads(kept.read_text())
    return of


def main(words: Sequence[str]) -> int:
    """Run the modules, say how many of their tests pass, and fail when one does not that is not listed as failing."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.cpython", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has Catenet and CPython's tests")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kernel-only", action="store_true", help="say what passes on the kernel")
    parser.add_argument("--quick", action="store_true", help="some modules, in minutes")
    parser.add_argument("--report-only", action="store_true", help="of the results of runs before")
    parser.add_argument("--write", action="store_true", help="write the table of docs/compatibility.md")
    parser.add_argument("--out", type=Path, default=CACHE / "results", help="where results and outputs go")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    options = parser.parse_args(words)
    version = _version(options.python)
    out = options.out / version
    out.mkdir(parents=True, exist_ok=True)

    def measure(module: str) -> None:
        kernel = _on_kernel(options.python, version, module)
        passing = {name for name, kind in kernel.items() if kind == "ok"}
        if options.kernel_only:
            print(f"{module}: {len(passing)} of {len(kernel)} pass on the kernel", flush=True)
            return
        skip = [name for name in kernel if name not in passing or reason(name)]
        world = run_module(world_command, options.python, module, skip=skip)
        (out / f"{module}.json").write_text(json.dumps({"kernel": kernel, "world": world.of}, indent=1))
        (out / f"{module}.txt").write_text("\n######\n".join(world.outputs))
        ok = sum(world.of.get(name) == "ok" for name in passing)
        print(f"{module}: {ok} of {len(passing)}", flush=True)

    modules = options.modules or (QUICK if options.quick else MODULES)
    if not options.report_only:
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(measure, modules))
    results = [result for result in read_results(out) if result.module in modules]
    text = table(version, results)
    if options.write:
        write_table(text)
    print(text)
    known = listed(DOCUMENT.read_text())
    new = [name for result in results for name in result.failing if name.removeprefix("test.") not in known]
    for name in new:
        print(f"not listed as failing: {name}")
    heard = {result.module for result in results if result.ok or result.out_of_reach}
    unheard = [module for module in modules if module not in heard]
    for module in unheard:
        print(f"nothing of {module} passes")
    return 1 if (new or unheard) and not options.kernel_only else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
