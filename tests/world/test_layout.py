"""The interpreter of a run: hash seed and addresses are the same each time, and all else is as it was."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.__main__ import _is_simulation
from catenet.world.engine.layout import ASK, _personality

pytestmark = pytest.mark.slow(6)

SCRIPT = """
class Thing: pass
things = {Thing() for _ in range(20)}
numbered = {thing: number for number, thing in enumerate(sorted(things, key=id))}
print([numbered[thing] for thing in things], [hex(id(thing)) for thing in things])
print(set("abcdefgh"), hash("text"), object(), [hex(id(make())) for make in (list, dict, set, object)])
"""

STATE = """
import json, os, resource, signal, sys
from catenet.world.engine.layout import _personality, settle, settled
settle()
print(json.dumps({
    "environment": [*os.environ.items()], "argv": sys.argv, "original": sys.orig_argv, "pid": os.getpid(),
    "ignored": signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN, "descriptors": sorted(os.listdir("/proc/self/fd")),
    "stack": resource.getrlimit(resource.RLIMIT_STACK), "personality": _personality(0xffffffff),
    "input": sys.stdin.read(), "kept": os.getenvb(b"ODD", b"").hex(), "fixed": settled().describe(),
    "child": os.popen("echo $SECOND").read(),
}))
os.kill(os.getpid(), signal.SIGTERM) if "signal" in sys.argv else sys.exit(7)
"""


def run(*words: str, cwd: Path | None = None, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, text=True, capture_output=True, timeout=60, **more)


def state(*words: str, environment: dict[str, str], **more: object) -> dict[str, object]:
    done = run(*words, "-c", STATE, "a", "b c", env=environment, input="typed", **more)
    assert done.returncode == 7, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def lasting(tmp_path: Path) -> dict[str, str]:
    """Variables for a cache of bytecode of the test's own, warm: compiling moves addresses."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "sets.py").write_text(SCRIPT)
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": ""}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    run("-m", "catenet", "run", "-v", "sets.py", cwd=tmp_path / "programs", env=kept | variables)
    return variables


def test_sets_of_strings_and_of_objects_are_the_same_in_every_environment(
    tmp_path: Path, lasting: dict[str, str]
) -> None:
    environments = [
        {"HOME": "/root", **{f"SHORT{number}": "x" for number in range(9)}},
        {"HOME": "/home/a-longer-name", "USER": "somebody", "TERM": "dumb", **{f"V{n}": n * "long" for n in range(40)}},
    ]
    printed = []
    for environment in environments:
        done = run("-m", "catenet", "run", "-v", "sets.py", cwd=tmp_path / "programs", env=environment | lasting)
        assert done.returncode == 0, done.stderr
        printed.append([line for line in done.stdout.splitlines() if line.startswith("host  | ")][:2])
        assert "hash seed 0" in done.stderr
        if "forbidden" in done.stderr:
            pytest.skip("this system forbids a fixed layout")
    assert printed[0] == printed[1]
    assert "0x" in printed[0][0]


def test_what_a_program_has_been_given_is_kept() -> None:
    given = {
        "PATH": os.environ["PATH"],
        "SECOND": "2",
        "ODD": "\udce4=",
        "FIRST": "1",
        "EMPTY": "",
        "LC_ALL": "C.UTF-8",
    }
    with open(os.devnull) as spare:
        descriptor = os.dup(spare.fileno())
        os.set_inheritable(descriptor, True)
        ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        try:
            found = state(environment=given, pass_fds=[descriptor])
        finally:
            signal.signal(signal.SIGUSR1, ignored)
            os.close(descriptor)
    assert found["environment"] == [[*entry] for entry in given.items()]
    assert found["argv"] == ["-c", "a", "b c"]
    assert found["original"] == [sys.executable, "-c", STATE, "a", "b c"]
    assert found["ignored"] and found["input"] == "typed" and found["kept"] == "e43d" and found["child"] == "2\n"
    assert str(descriptor) in found["descriptors"]
    assert len(found["descriptors"]) == 5  # 0 to 2, the one passed on, the one that lists
    assert found["stack"] == [*resource.getrlimit(resource.RLIMIT_STACK)]
    assert found["personality"] == _personality(ASK)
    assert str(found["fixed"]).startswith("hash seed 0; addresses ")


def test_a_signal_ends_the_one_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", STATE, "signal"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGTERM
    assert json.loads(out)["pid"] == child.pid


def test_a_hash_seed_that_is_set_stays() -> None:
    found = state(environment={"PYTHONHASHSEED": "77", "LC_ALL": "C.UTF-8"})
    assert found["environment"] == [["PYTHONHASHSEED", "77"], ["LC_ALL", "C.UTF-8"]]
    assert str(found["fixed"]).startswith("hash seed 77; ")
    assert "PYTHONHASHSEED is set" in str(found["fixed"])
    drawn = state(environment={"PYTHONHASHSEED": "random"})
    assert str(drawn["fixed"]).startswith("hash seed drawn anew in each run; ")
    deaf = state("-E", environment={})
    assert "Python ignores it" in str(deaf["fixed"])


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("import sys; sys.settrace(lambda *_: None)", "a debugger or profiler is at work"),
        ("import sys; sys.argv = ['catenet', 'run']", "the command line is not the interpreter's"),
        ("import _thread, time; _thread.start_new_thread(time.sleep, (60,))", "the interpreter has threads"),
        ("import os; os.environ['CATENET_LAYOUT'] = 'nonsense'", "CATENET_LAYOUT is not ours"),
        ("import sys; sys.executable = '/nowhere/python'", "/nowhere/python: No such file or directory"),
    ],
)
def test_where_it_cannot_be_executed_again_the_interpreter_goes_on(before: str, reason: str) -> None:
    after = "from catenet.world.engine.layout import settle, settled; settle(); print(settled().describe())"
    done = run("-c", f"{before}\n{after}")
    assert reason in done.stdout, done.stderr


def test_only_simulations_are_settled_at_a_glance() -> None:
    assert _is_simulation(["run", "-v", "world.toml"])
    assert _is_simulation(["run", "-m", "http.server"])
    assert not _is_simulation(["run", "--net", "sim", "world.toml"])  # later, when the arguments are read
    assert not _is_simulation(["run", "--ne=tun", "world.toml"])
    assert not _is_simulation(["get", "http://localhost"])
    assert not _is_simulation([])
