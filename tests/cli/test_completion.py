"""The Tab key completes `catenet` in bash, zsh and fish: each shell is asked itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests import commands

FOLDER = Path(sys.executable).parent
BASH = """
source <(catenet --completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1) COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_python_argcomplete catenet "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
autoload -U compinit && compinit -u -D
source <(catenet --completion zsh)
print $_comps[catenet]
_describe() { print -l -- $completions }
BUFFER=$1 CURSOR=${#1} words=(${=1})
$_comps[catenet]
"""
FISH = "catenet --completion fish | source; complete -C $argv[1]"
LINES = pytest.mark.parametrize(
    ("line", "words"),
    [
        ("catenet res", {"resolve"}),
        ("catenet rpc ca", {"call"}),
        ("catenet run --isol", {"--isolation"}),
        ("catenet run --isolation sh", {"shared"}),
        ("catenet nothing --h", {"--help"}),
    ],
)


def ask(home: Path, *shell: str) -> set[str]:
    environment = {"PATH": f"{FOLDER}:/usr/bin:/bin", "HOME": str(home)}
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return {line.partition("\t")[0].partition(":")[0].strip() for line in done.stdout.splitlines()}


@LINES
def test_bash_completes(line, words, tmp_path):
    assert ask(tmp_path, "bash", "--norc", "-c", BASH, "bash", line) == words


@pytest.mark.peer("zsh")
@LINES
def test_zsh_completes(line, words, tmp_path):
    assert ask(tmp_path, "zsh", "-f", "-c", ZSH, "zsh", line) == {"_python_argcomplete", *words}


@pytest.mark.peer("fish")
@LINES
def test_fish_completes(line, words, tmp_path):
    assert ask(tmp_path, "fish", "--no-config", "-c", FISH, line) == words


def test_other_shells_are_refused():
    done = commands.run([*commands.CATENET, "--completion", "fsh"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "catenet: --completion: no 'fsh' here; did you mean 'fish'?\n"


def test_without_the_library_the_reason_is_given():
    program = "import sys; sys.modules['argcomplete'] = None; from catenet.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, "--completion", "zsh"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'catenet[completion]'" in done.stderr
    environment = {"_ARGCOMPLETE": "1", "COMP_LINE": "catenet ru", "COMP_POINT": "10"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
