"""Rules, and what they decide. No I/O: what a rule has to ask elsewhere is yielded as an awaitable.

Of all rules for a method, one that denies and matches decides; then one that allows and matches; what no rule allows is
refused. Their order does not matter. Rules that need no message are asked before it is decoded.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from catenet.rpc.model.identity import Identity
from catenet.rpc.policy.terms import OWNER, Terms, matches, may_hold, parse_terms, show_terms, uses
from catenet.rpc.protocols.protocol import AnyMethod

__all__ = ["HEALTH", "Decision", "MethodRules", "Policy", "Rule", "RuleFailed", "Steps", "allowed", "covers"]

Check = Callable[..., bool | Awaitable[bool]]
"""`check(identity)` or `check(identity, request)`."""

F = TypeVar("F", bound=Callable[..., Any])

HEALTH: Final = ("grpc.health.v1.Health/*",)
"""Methods that are no policy's concern unless it says so: load balancers ask, and learn nothing else."""

_DECORATED: Final = "__catenet_rules__"


class RuleFailed(Exception):
    """A function of a rule has raised: the cause; the text is the rule's source."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and by which rule; `stage`: before (`head`) or after the message was decoded (`request`)."""

    allowed: bool
    rule: str
    stage: Literal["head", "request"]
    reason: str = ""


Steps = Generator[Awaitable[Any], Any, Decision | None]
"""Yields what is to be awaited, and returns a decision; None: the message is needed for it."""


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule.

    Attributes:
        method: `package.Service/Method`, `package.Service/*` or `*`.
        effect: what happens if it matches.
        who: callers for whom it matches.
        object: the field of the request that names the object, whose owner is the `owner` in `who`; `a.b` is a field of
            a field.
        check: a function, instead of `who`.
        takes_request: whether it takes the request too.
        source: where it is written, for logs and people.
    """

    method: str
    effect: Literal["allow", "deny"]
    who: Terms = ()
    object: str = ""
    check: Check | None = None
    takes_request: bool = False
    source: str = "a rule"

    def __post_init__(self) -> None:
        owned = uses(self.who, (OWNER,))
        if owned and not self.object:
            raise ValueError(f"{self.source}: `owner` needs the field that names the object")
        if self.object and not owned:
            raise ValueError(f"{self.source}: an object without `owner` in the rule")

    @property
    def late(self) -> bool:
        """Whether it needs the message."""
        return self.takes_request or bool(self.object)

    def describe(self) -> str:
        """The rule in a line."""
        what = f"{self.check.__name__}()" if self.check is not None else show_terms(self.who)
        return f"{self.effect} {what}" + (f" of {self.object!r}" if self.object else "")


def covers(pattern: str, method: str) -> bool:
    """Whether a rule's method is, or includes, that one."""
    return pattern in ("*", method) or (pattern.endswith("/*") and method.startswith(pattern[:-1]))


class Policy:
    """Rules for the methods of a server. What no rule allows is refused.

    `exempt`: methods that need no rule. `name`: how rules call it where they are named.
    """

    def __init__(self, rules: Iterable[Rule] = (), *, exempt: Sequence[str] = HEALTH, name: str = "policy") -> None:
        self.rules = list(rules)
        self.exempt = tuple(exempt)
        self.name = name

    def allow(self, method: str | AnyMethod, *who: str | Sequence[str], object: str = "") -> None:
        """Allow callers a method; `who` as in a table. Raises `ValueError`."""
        self._add(method, "allow", who, object)

    def deny(self, method: str | AnyMethod, *who: str | Sequence[str], object: str = "") -> None:
        """Deny callers a method, whatever else allows it. Raises `ValueError`."""
        self._add(method, "deny", who, object)

    def allow_if(self, method: str | AnyMethod) -> Callable[[F], F]:
        """Decorate `def check(identity) -> bool` or `def check(identity, request) -> bool`: allow if it is true.

        It may be a coroutine function. One that raises refuses the call (an `RpcError` with its own status).
        """
        return lambda check: self._add_check(method, "allow", check)

    def deny_if(self, method: str | AnyMethod) -> Callable[[F], F]:
        """The same: deny if it is true."""
        return lambda check: self._add_check(method, "deny", check)

    def plan(self, method: str, implementation: object = None, attribute: str = "") -> MethodRules | None:
        """Return the rules for a method, with those that decorate its handler; None: the method is exempt."""
        handler = getattr(implementation, attribute, None) if attribute else None
        decorated: list[Rule] = getattr(handler, _DECORATED, [])
        rules = [rule for rule in self.rules if covers(rule.method, method)] + decorated
        if not rules and any(covers(pattern, method) for pattern in self.exempt):
            return None
        return MethodRules(rules, self.name)

    def check_methods(self, methods: Iterable[str]) -> None:
        """Raise `ValueError` for a rule that is for none of these methods: what it denies would be allowed."""
        every = list(methods)
        for rule in self.rules:
            if not any(covers(rule.method, method) for method in every):
                near = difflib.get_close_matches(rule.method, every, n=1, cutoff=0.5)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise ValueError(f"{rule.source}: there is no method {rule.method}{hint}")

    def _add(
        self, method: str | AnyMethod, effect: Literal["allow", "deny"], who: Sequence[str | Sequence[str]], object: str
    ) -> None:
        source = f"{self.name}, rule {len(self.rules) + 1}"
        try:
            terms = parse_terms(list(who))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        self.rules.append(Rule(_name_of(method), effect, terms, object, source=source))

    def _add_check(self, method: str | AnyMethod, effect: Literal["allow", "deny"], check: F) -> F:
        parameters = len(inspect.signature(check).parameters)
        source = f"{check.__module__}.{check.__qualname__}"
        if parameters not in (1, 2):
            raise ValueError(f"{source}: takes the identity, or the identity and the request")
        self.rules.append(Rule(_name_of(method), effect, (), "", check, parameters == 2, source))
        return check


def allowed(*who: str | Sequence[str], object: str = "") -> Callable[[F], F]:
    """Decorate a handler: allow its method to these callers. Counts where the server has a guard with a policy."""
    terms = parse_terms(list(who))

    def decorate(handler: F) -> F:
        rules = [*getattr(handler, _DECORATED, [])]
        rules.append(Rule("*", "allow", terms, object, source=f"{handler.__qualname__}, decorator {len(rules) + 1}"))
        setattr(handler, _DECORATED, rules)
        return handler

    return decorate


def _name_of(method: str | AnyMethod) -> str:
    name = method if isinstance(method, str) else method.full_name
    return name.removeprefix("/")


class MethodRules:
    """The rules for one method: those that deny first."""

    def __init__(self, rules: Sequence[Rule], name: str) -> None:
        ordered = sorted(rules, key=lambda rule: rule.effect != "deny")
        self.rules = ordered
        self.early = [rule for rule in ordered if not rule.late]
        self.late = [rule for rule in ordered if rule.late]
        grants = [rule for rule in self.early if rule.effect == "allow"]
        self._at_request = sorted([*grants, *self.late], key=lambda rule: rule.effect != "deny")
        self._name = name
        self._pure = not any(rule.check or uses(rule.who, ("claim:",)) for rule in self.early)
        self._kept: dict[frozenset[str], Decision | None] = {}

    @property
    def objects(self) -> list[str]:
        """Fields that name objects."""
        return sorted({rule.object for rule in self.late if rule.object})

    def at_head(self, identity: Identity) -> Decision | Steps | None:
        """Decide by what is known before the message; what only names decide is remembered."""
        if not self._pure:
            return self._at_head(identity)
        try:
            return self._kept[identity.principals]
        except KeyError:
            pass
        try:
            next(steps := self._at_head(identity))
        except StopIteration as done:
            found: Decision | None = done.value
        else:
            steps.close()
            raise AssertionError("names decide at once")
        if len(self._kept) >= 1024:
            self._kept.clear()
        self._kept[identity.principals] = found
        return found

    def _at_head(self, identity: Identity) -> Steps:
        grant: Decision | None = None
        for rule in self.early:
            if not (yield from _matches(rule, identity, None)):
                continue
            if rule.effect == "deny":
                return Decision(False, rule.source, "head", "denied")
            grant = Decision(True, rule.source, "head")
            break
        hopeful = [rule for rule in self.late if rule.check is not None or may_hold(rule.who, identity)]
        if grant is not None:
            return grant if not any(rule.effect == "deny" for rule in hopeful) else None
        if any(rule.effect == "allow" for rule in hopeful):
            return None
        return Decision(False, f"{self._name}, no rule", "head", "no rule allows it")

    def at_request(self, identity: Identity, request: Any, owners: Mapping[str, Sequence[str | None]]) -> Steps:
        """Decide once the message is there; `owners` of the objects that it names, by field.

        Early rules that deny have been asked. A rule with an object allows if it holds for all that its field names.
        """
        for rule in self._at_request:
            if rule.object:
                named = [matches(rule.who, identity, owner) for owner in owners.get(rule.object, ())]
                found = any(named) if rule.effect == "deny" else bool(named) and all(named)
            else:
                found = yield from _matches(rule, identity, request)
            if found:
                reason = "" if rule.effect == "allow" else "denied"
                return Decision(rule.effect == "allow", rule.source, "request", reason)
        return Decision(False, f"{self._name}, no rule", "request", "no rule allows it")


def _matches(rule: Rule, identity: Identity, request: Any) -> Generator[Awaitable[Any], Any, bool]:
    if rule.check is None:
        return matches(rule.who, identity)
    try:
        found = rule.check(identity, request) if rule.takes_request else rule.check(identity)
        if inspect.isawaitable(found):
            found = yield found
    except Exception as error:
        raise RuleFailed(rule.source) from error
    return found is True
