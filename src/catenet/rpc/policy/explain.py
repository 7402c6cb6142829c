"""Why a call would be allowed or refused; and decisions of an audit log, made again by other rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catenet.net.local_peer import LocalPeer
from catenet.rpc.model.identity import Identity, identity_of
from catenet.rpc.policy.audit import identity_from_record
from catenet.rpc.policy.rules import Decision, MethodRules, Policy, Rule, RuleFailed, Steps
from catenet.rpc.policy.terms import matches, parse_terms, uses

__all__ = ["Explained", "Replayed", "caller_named", "explain", "replay"]


@dataclass(frozen=True)
class Explained:
    """One decision, with all rules for the method and whether they match (None: the request or a program decides)."""

    decision: Decision | None
    rules: list[tuple[Rule, bool | None]]


@dataclass(frozen=True)
class Replayed:
    """A recorded decision, and what the rules say now; None: it needs what the record has not."""

    line: int
    record: Mapping[str, Any]
    decision: Decision | None

    @property
    def changed(self) -> bool:
        """Whether it would be another one now."""
        return self.decision is not None and self.decision.allowed is not self.record["allowed"]


def caller_named(names: Iterable[str]) -> Identity:
    """Return a caller that has these names; its own name is the first. Raises `ValueError`."""
    terms = parse_terms(list(names))
    every = [name for alternative in terms for name in alternative]
    if every == ["anyone"]:
        return identity_of()
    uids = [int(name[4:]) for name in every if name.startswith("uid:")]
    gids = [int(name[4:]) for name in every if name.startswith("gid:")]
    local = LocalPeer(None, uids[0], gids[0] if gids else None, tuple(gids)) if uids else None
    return Identity("unix" if uids else "token", every[0], local, principals=frozenset((*every, "authenticated")))


def explain(policy: Policy, method: str, identity: Identity, owner: str | None = None) -> Explained | None:
    """Return what the rules say of a call; `owner`: of the objects that it names. None: the method is exempt."""
    plan = policy.plan(method)
    if plan is None:
        return None
    rules = [(rule, None if rule.check is not None else matches(rule.who, identity, owner)) for rule in plan.rules]
    return Explained(_decide(plan, identity, {path: [owner] for path in plan.objects}), rules)


def _decide(plan: MethodRules, identity: Identity, owners: Mapping[str, list[str | None]]) -> Decision | None:
    """Decide without a request; None: it cannot be without one, or without claims, or something has to be asked."""
    if any(rule.takes_request or uses(rule.who, ("claim:",)) for rule in plan.rules):
        return None
    try:
        head = plan.at_head(identity)
        found = head if head is None or isinstance(head, Decision) else _finish(head)
        if found is None and set(plan.objects) <= owners.keys():
            found = _finish(plan.at_request(identity, None, owners))
    except (RuleFailed, _Asks):
        return None
    return found


class _Asks(Exception):
    """A rule waits for something."""


def _finish(steps: Steps) -> Decision | None:
    try:
        pending = next(steps)
    except StopIteration as done:
        found: Decision | None = done.value
        return found
    close = getattr(pending, "close", None)
    if close is not None:
        close()
    steps.close()
    raise _Asks


def replay(policy: Policy, lines: Iterable[str]) -> Iterator[Replayed]:
    """Make the decisions of an audit log again, by the owners that it has. Raises `ValueError` that names the line.

    Refusals by tokens, limits and validation are no rules', and are passed over.
    """
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if record["event"] != "decision" or record["rule"] in ("tokens", "validation"):
                continue
            if record["rule"].startswith("limit of "):
                continue
            identity = identity_from_record(record["caller"])
            plan = policy.plan(record["method"])
            objects = record.get("objects", {})
            owners = {path: [owner for _, owner in pairs] for path, pairs in objects.items()}
            if not isinstance(record["allowed"], bool):
                raise ValueError("allowed")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(f"line {number}: no record of an audit log") from None
        decision = Decision(True, "exempt", "head") if plan is None else _decide(plan, identity, owners)
        yield Replayed(number, record, decision)
