"""catenet rpc policy: what a policy file says, before and after it is used."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.printable import say

if TYPE_CHECKING:
    from catenet.rpc.policy.explain import Explained, Replayed
    from catenet.rpc.policy.rules import Decision
    from catenet.rpc.policy.table import PolicyFile

__all__ = ["register", "run"]

EPILOG = """\
  catenet rpc policy explain containers.v1.Containers/Remove --as uid:1000 --owner uid:1000
  catenet rpc policy check --policy policy.toml containers.proto
  catenet rpc policy replay audit.jsonl --policy newer.toml

explain and replay end with 1 if the call is refused, or a decision would be another one now.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--policy", default="policy.toml", metavar="FILE", help="default policy.toml")
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    explain = actions.add_parser("explain", parents=[shared], help="say what would become of a call, and why")
    explain.add_argument("method", metavar="METHOD", help="package.Service/Method")
    explain.add_argument(
        "--as",
        dest="names",
        action="append",
        metavar="NAME",
        help="of the caller: uid:1000, gid:5, spiffe://… (repeat)",
    )
    explain.add_argument("--owner", metavar="NAME", help="of the object that the request names")
    check = actions.add_parser("check", parents=[shared], help="look for what is wrong with a policy file")
    check.add_argument("protos", nargs="*", metavar="FILE.proto", help="whose methods the rules are for")
    check.add_argument("-I", dest="includes", action="append", default=[], metavar="DIR", help="search for imports")
    replay = actions.add_parser("replay", parents=[shared], help="make the decisions of an audit log again")
    replay.add_argument("log", metavar="FILE", help="audit log; - is standard input")


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    from catenet.rpc.policy.table import PolicyError, read_policy

    _refuse_others(args)
    try:
        file = read_policy(args.policy)
    except PolicyError as error:
        raise UsageError(str(error)) from None
    return {"explain": _explain, "check": _check, "replay": _replay}[args.what](args, file)


def _refuse_others(args: argparse.Namespace) -> None:
    """The words of `check` are .proto files; that of a policy file is an option."""
    for name in getattr(args, "protos", ()):
        if not name.endswith(".proto"):
            hint = f"; do you mean --policy {name}?" if name.endswith(".toml") else ""
            raise UsageError(f"{name}: a .proto file is expected{hint}")


def _explain(args: argparse.Namespace, file: PolicyFile) -> int:
    from catenet.rpc.policy.explain import caller_named, explain

    try:
        identity = caller_named(args.names or ["anyone"])
    except ValueError as error:
        raise UsageError(f"--as: {error}") from None
    method = args.method.removeprefix("/")
    if "/" not in method:
        raise UsageError(f"{args.method!r}: write package.Service/Method")
    found = explain(file.policy, method, identity, args.owner)
    if args.json:
        say(json.dumps(_explained(method, identity.name, found)))
    else:
        _print_explained(f"{method} for {identity.name}", found)
    return 0 if found is None or (found.decision is not None and found.decision.allowed) else 1


def _explained(method: str, caller: str, found: Explained | None) -> dict[str, Any]:
    told: dict[str, Any] = {"method": method, "caller": caller, "exempt": found is None}
    if found is None:
        return {**told, "allowed": True, "rules": []}
    rules = [{"source": rule.source, "rule": rule.describe(), "matches": matched} for rule, matched in found.rules]
    return {**told, **_decided(found.decision), "rules": rules}


def _decided(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {"allowed": None, "rule": None, "reason": "cannot be decided here"}
    return {"allowed": decision.allowed, "rule": decision.rule, "stage": decision.stage, "reason": decision.reason}


def _print_explained(head: str, found: Explained | None) -> None:
    say(head)
    if found is None:
        say("allowed: the method is exempt")
        return
    for rule, matched in found.rules:
        word = {True: "matches", False: "does not match", None: "is a function"}[matched]
        say(f"  {rule.source}: {rule.describe()}: {word}")
    decision = found.decision
    if decision is None:
        say("not known: a function needs the request, the claims of a token, or something else")
    elif decision.allowed:
        say(f"allowed by {decision.rule}, {_WHEN[decision.stage]}")
    else:
        say(f"refused by {decision.rule}, {_WHEN[decision.stage]}")


_WHEN = {"head": "before the message is decoded", "request": "once the message is decoded"}


def _check(args: argparse.Namespace, file: PolicyFile) -> int:
    methods: list[str] = []
    if args.protos:
        methods = _methods(args)
        try:
            file.policy.check_methods(methods)
        except ValueError as error:
            raise UsageError(str(error)) from None
    plans = {method: file.policy.plan(method) for method in methods}
    bare = [
        method
        for method, plan in plans.items()
        if plan is not None and not any(rule.effect == "allow" for rule in plan.rules)
    ]
    if args.json:
        counts = {"rules": len(file.policy.rules), "limits": len(file.limits), "methods": len(methods)}
        say(json.dumps({**counts, "not_allowed": bare}))
        return 0
    say(f"{len(file.policy.rules)} rules, {len(file.limits)} limits")
    for method in bare:
        say(f"{method}: no rule allows it (a decorator of its handler may)")
    return 0


def _methods(args: argparse.Namespace) -> list[str]:
    from catenet.cli.rpc_load import importable

    with importable(args.protos, args.includes) as services:
        return [method.full_name for service in services for method in service.methods]


def _replay(args: argparse.Namespace, file: PolicyFile) -> int:
    from catenet.rpc.policy.explain import replay

    counts = {"same": 0, "changed": 0, "unknown": 0}
    changes = []
    try:
        with sys.stdin if args.log == "-" else open(args.log, encoding="utf-8", errors="replace") as lines:
            for found in replay(file.policy, lines):
                counts["unknown" if found.decision is None else "changed" if found.changed else "same"] += 1
                if found.changed and args.json:
                    changes.append(_change(found))
                elif found.changed:
                    _print_change(found)
    except OSError as error:
        raise UsageError(f"{args.log}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{args.log}: {error}") from None
    if args.json:
        say(json.dumps({**counts, "changes": changes}))
    else:
        say(f"{counts['same']} as before, {counts['changed']} changed, {counts['unknown']} cannot be decided again")
    return 1 if counts["changed"] else 0


def _change(found: Replayed) -> dict[str, Any]:
    record = found.record
    return {
        "line": found.line, "method": record["method"], "caller": record["caller"]["name"], "was": record["allowed"],
        **_decided(found.decision),
    }  # fmt: skip


def _print_change(found: Replayed) -> None:
    record, decision = found.record, found.decision
    assert decision is not None
    words = ("refused", "allowed")
    text = f"{record['method']} for {record['caller']['name']}: was {words[record['allowed']]}"
    say(f"line {found.line}: {text}, is {words[decision.allowed]} by {decision.rule}")
