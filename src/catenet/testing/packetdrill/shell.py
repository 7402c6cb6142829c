"""Commands in backquotes: what they change in the stack, without a shell.

Understood are the commands that scripts for TCP use: `sysctl`, `set_sysctls.py`, a shell file beside the script (its
lines are read the same way), `ip route` with metrics, `ip link … mtu`, `ip tcp_metrics flush`, `tc qdisc` with fq or
without room (`limit 0`), and `dd` from /dev/zero, which makes a file that `open` and `sendfile` then find. `ethtool`,
`nstat` and the like change or show nothing that exists here: they are skipped, and a note says so. Nothing is ever
executed.
"""

from __future__ import annotations

import ast
import operator
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

__all__ = ["Effects", "run_commands"]

DEFAULTS: Final = """
sysctl -q net.ipv4.tcp_rmem="4096 540000 15728640" net.ipv4.tcp_wmem="4096 262144 4194304"
sysctl -q net.ipv4.tcp_timestamps=1 net.ipv4.tcp_syn_retries=5 net.ipv4.tcp_synack_retries=5
sysctl -q net.ipv4.tcp_frto=2 net.ipv4.tcp_sack=1 net.ipv4.tcp_dsack=1 net.ipv4.tcp_fack=0 net.ipv4.tcp_reordering=3
sysctl -q net.ipv4.tcp_congestion_control=cubic net.ipv4.tcp_slow_start_after_idle=0
sysctl -q net.ipv4.tcp_early_retrans=4 net.ipv4.tcp_recovery=1 net.ipv4.tcp_tso_win_divisor=3 net.ipv4.tcp_ecn=0
sysctl -q net.ipv4.tcp_pacing_ss_ratio=200 net.ipv4.tcp_pacing_ca_ratio=120 net.ipv4.tcp_notsent_lowat=4294967295
sysctl -q net.ipv4.tcp_fastopen=0x70403 net.ipv4.tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4
sysctl -q net.ipv4.tcp_syncookies=1
"""
"""Settings that scripts expect of `defaults.sh`, for a script without that file beside it."""

_IGNORED: Final = frozenset(
    (
        "ethtool", "nstat", "grep", "egrep", "rm", "sleep", "echo", "true", ":", "test", "[", "cat", "modprobe",
        "iptables", "ip6tables", "nft", "ss", "ifconfig", "chmod", "awk", "sed", "date", "uname", "ls", "set", "export",
        "umask", "ulimit", "python", "python3", "bash", "sh", "head", "tail", "wc", "kill",
    )
)  # fmt: skip
_ARITHMETIC = re.compile(r"\$\(\(((?:[^()]|\([^()]*\))*)\)\)")
_ROUTE_METRICS: Final = frozenset(
    (
        "advmss", "mtu", "initcwnd", "initrwnd", "quickack", "rto_min", "window", "ssthresh", "cwnd", "reordering",
        "hoplimit", "rtt", "rttvar", "features", "congctl", "fastopen_no_cookie",
    )
)  # fmt: skip
_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}


class Effects(Protocol):
    """The effects that a command may have."""

    def set_sysctl(self, name: str, value: str) -> None:
        """Set `net.ipv4.tcp_sack` and the like (dots)."""

    def set_route(self, metrics: dict[str, str]) -> None:
        """Set metrics of the route to the peer (`mtu` may be `lock 1400`); none: back to the defaults."""

    def set_link_mtu(self, mtu: int) -> None:
        """Change the MTU of the interface."""

    def set_qdisc(self, kind: str, full: bool) -> None:
        """Change the queueing discipline of the interface, "" for the default; `full`: it has no room for anything."""

    def forget_metrics(self) -> None:
        """Forget what was learnt about peers: Fast Open cookies."""

    def make_file(self, path: str, size: int) -> None:
        """Make a file of zeros."""

    def note(self, text: str) -> None:
        """Say that a command was skipped."""


def run_commands(text: str, directory: Path, effects: Effects) -> None:
    """Do what the commands of a text say; paths of shell files are taken from `directory`.

    Raises:
        ValueError: a command that is understood but wrong.
    """
    for words in _commands(text):
        _run(words, directory, effects)


def _commands(text: str) -> Iterator[list[str]]:
    text = _ARITHMETIC.sub(lambda match: str(_calculate(match.group(1))), text.replace("\\\n", " "))
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        piped = False
        for word in lexer:
            if set(word) <= set("|&;"):
                if words and not piped:
                    yield words
                words, piped = [], word == "|"
            else:
                words.append(word)
        if words and not piped:
            yield words


def _calculate(expression: str) -> int:
    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        raise ValueError(f"cannot calculate $(({expression}))")

    try:
        return value(ast.parse(expression.strip(), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"cannot calculate $(({expression}))") from None


def _run(words: list[str], directory: Path, effects: Effects) -> None:
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
        words = words[1:]  # VAR=value command
    words = _without_redirection(words, effects)
    if not words:
        return
    name = words[0].rpartition("/")[2]
    if name == "sysctl":
        _sysctl(words[1:], effects)
    elif name == "set_sysctls.py":
        for word in words[1:]:
            path, equals, value = word.partition("=")
            if equals:
                effects.set_sysctl(_dotted(path), value)
    elif name == "ip":
        _ip(words, effects)
    elif name == "dd":
        _dd(words, effects)
    elif name == "tc":
        _tc(words, effects)
    elif name.startswith("sysctl_restore_"):
        pass  # the stack ends with the script: there is nothing to restore
    elif name.endswith(".sh") or words[0] in ("source", "."):
        _shell_file(words[0] if name.endswith(".sh") else words[1], directory, effects)
    elif name in _IGNORED:
        effects.note(f"skipped: {' '.join(words)}")
    else:
        effects.note(f"skipped, unknown command: {' '.join(words)}")


def _without_redirection(words: list[str], effects: Effects) -> list[str]:
    """Take `> file` off; `echo 1 > /proc/sys/…` is a sysctl."""
    if not any(set(word) <= set("<>&") for word in words):
        return words
    where = next(index for index, word in enumerate(words) if set(word) <= set("<>&"))
    kept, target = words[:where], words[where + 1 :]
    if kept and kept[-1].isdigit() and kept[0] != "echo":
        kept = kept[:-1]  # the 2 of 2>&1
    if kept and kept[0] == "echo" and target and target[0].startswith("/proc/sys/"):
        effects.set_sysctl(_dotted(target[0]), " ".join(kept[1:]))
        return []
    return kept


def _dotted(path: str) -> str:
    return path.removeprefix("/proc/sys/").replace("/", ".")


def _sysctl(words: list[str], effects: Effects) -> None:
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            effects.set_sysctl(_dotted(name.strip()), value.strip())
        elif not word.startswith("-"):
            effects.note(f"skipped: sysctl {word} (only settings are done)")


def _ip(words: list[str], effects: Effects) -> None:
    arguments = [word for word in words[1:] if not word.startswith("-")]
    if arguments[:1] == ["link"] and "mtu" in arguments[:-1]:
        effects.set_link_mtu(int(arguments[arguments.index("mtu") + 1]))
    elif arguments[:1] in (["route"], ["ro"], ["r"]) and arguments[1:2] != ["show"]:
        effects.set_route(_metrics(arguments[2:]))
    elif arguments[0:1] in (["tcp_metrics"], ["tcpmetrics"]) and arguments[1:2] in (["flush"], ["delete"]):
        effects.forget_metrics()
    else:
        effects.note(f"skipped: {' '.join(words)}")


def _metrics(words: list[str]) -> dict[str, str]:
    metrics: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word in _ROUTE_METRICS:
            value = next(rest, "")
            metrics[word] = f"lock {next(rest, '')}" if value == "lock" else value
    return metrics


def _tc(words: list[str], effects: Effects) -> None:
    """The queueing discipline of the interface; those without a meaning here are skipped."""
    if words[1:2] != ["qdisc"] or words[2:3] not in (["add"], ["replace"], ["change"], ["delete"], ["del"]):
        effects.note(f"skipped: {' '.join(words)}")
        return
    rest = words[words.index("root") + 1 :] if "root" in words and not words[2].startswith("del") else []
    effects.set_qdisc(rest[0] if rest else "", rest[1:] == ["limit", "0"])


def _dd(words: list[str], effects: Effects) -> None:
    options = dict(word.partition("=")[::2] for word in words[1:])
    size = int(options.get("bs", "512")) * int(options.get("count", "1"))
    if options.get("if") == "/dev/zero" and "of" in options:
        effects.make_file(options["of"], size)
    else:
        effects.note(f"skipped: {' '.join(words)}")


def _shell_file(path: str, directory: Path, effects: Effects) -> None:
    found = directory / path
    if found.is_file():
        run_commands(found.read_text(), found.parent, effects)
    elif found.name == "defaults.sh":
        effects.note(f"{path} is not there: the usual defaults instead")
        run_commands(DEFAULTS, directory, effects)
    else:
        raise ValueError(f"{path}: no such file beside the script")
