"""What stands between a request and its handler: who calls, whether it may, how much of it, whether it is valid."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Literal, Protocol

from catenet.rpc.identity.tokens import Tokens
from catenet.rpc.model.context import Peer
from catenet.rpc.model.failures import logger
from catenet.rpc.model.identity import Identity
from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.policy import rules
from catenet.rpc.policy.audit import Audit, AuditFailed, identity_record, objects_record, request_record, status_name
from catenet.rpc.policy.authenticate import CHALLENGE, Authenticator
from catenet.rpc.policy.details import exhausted, refusal
from catenet.rpc.policy.limits import Exceeded, Lease, Limit, Limiter, caller_key
from catenet.rpc.policy.objects import HasOwners, check_field, objects_in
from catenet.rpc.policy.rules import Decision, MethodRules, Policy, RuleFailed
from catenet.rpc.policy.validate import validator
from catenet.rpc.protocols.protocol import AnyMethod

__all__ = ["Gate", "Guard", "GuardedContext"]

Steps = Generator[Awaitable[Any], Any, None]


class GuardedContext(Protocol):
    """A call, as its gate sees it."""

    peer: Peer
    lease: Lease | None
    number: int
    """Of the call in the audit log; 0: it has none yet."""
    decided: bool
    """Whether the head was enough."""

    @property
    def method(self) -> AnyMethod:
        """The method that was called."""

    @property
    def metadata(self) -> Metadata:
        """What the caller sent beside its messages."""

    @property
    def protocol(self) -> str:
        """The wire in use."""


class Guard:
    """Decides which calls reach their handlers. What is None is not asked for.

    Args:
        policy: what callers may do.
        tokens: whose bearer tokens are believed.
        limits: what each caller may use.
        audit: where decisions and ends of calls are written.
        validate: whether requests are held against the `buf.validate` annotations of their .proto.
        enforce: False: a dry run, in which policy and limits are decided and written, and every call goes on.
        clock: seconds since 1970; `monotonic`: of a clock for rates.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        tokens: Tokens | None = None,
        limits: Sequence[Limit] = (),
        audit: Audit | None = None,
        validate: bool = False,
        enforce: bool = True,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self.audit = audit
        self.enforce = enforce
        self.clock = clock
        self.monotonic = monotonic
        self.authenticator = None if tokens is None else Authenticator(tokens, clock)
        self.limiter = Limiter(limits) if limits else None
        self.validate = validate
        self.numbers = itertools.count(1)

    def inherit(self, before: Guard | None) -> None:
        """Take over what still holds: what callers have used of the same limits, keys that were fetched."""
        if before is None:
            return
        if self.limiter is not None:
            self.limiter.inherit(before.limiter)
        if self.authenticator is not None and before.authenticator is not None:
            self.authenticator.tokens.inherit(before.authenticator.tokens)

    def gate(self, method: AnyMethod, implementation: object) -> Gate | None:
        """Return what every call of a method passes; None: nothing. Raises `ValueError` for a rule that cannot be."""
        plan = None
        if self.policy is not None:
            plan = self.policy.plan(method.full_name, implementation, method.attribute)
            if plan is None:
                return None  # what is exempt costs and tells nothing
        gate = Gate(self, method, plan, implementation)
        return gate if gate.needed else None


class Gate:
    """What the calls of one method pass."""

    def __init__(self, guard: Guard, method: AnyMethod, plan: MethodRules | None, implementation: object) -> None:
        self._guard = guard
        self._method = method
        self._rules = plan
        self._authenticator = guard.authenticator
        descriptor = getattr(method.request, "DESCRIPTOR", None)
        self._late = [] if plan is None else plan.late
        self._objects = [] if plan is None else plan.objects
        for path in self._objects:
            source = next(rule.source for rule in self._late if rule.object == path)
            check_field(path, descriptor, source)
            if not isinstance(implementation, HasOwners):
                kind = type(implementation).__name__
                raise ValueError(f"{source}: {kind} has no method owner_of(name), which says to whom objects belong")
        self._owners = implementation if isinstance(implementation, HasOwners) else None
        self._check = validator(descriptor) if guard.validate and descriptor is not None else None
        self.inspects = bool(self._late) or self._check is not None
        """Whether messages are looked at."""

    @property
    def needed(self) -> bool:
        """Whether there is anything to pass."""
        guard = self._guard
        parts = (self._rules, self._authenticator, guard.limiter, guard.audit, self._check)
        return any(part is not None for part in parts)

    # The head.

    def admit(self, call: GuardedContext) -> Awaitable[None] | None:
        """Find out who calls, and whether the call may begin; None if that is known at once. Raises `RpcError`."""
        return _run(self._admit(call))

    def _admit(self, call: GuardedContext) -> Steps:
        if self._authenticator is not None:
            try:
                found = self._authenticator.authenticate(call.peer, call.metadata)
                call.peer = found if isinstance(found, Peer) else (yield found)
            except RpcError:
                self._record(call, Decision(False, "tokens", "head", "the token is not accepted"), enforced=True)
                raise
        identity = call.peer.identity
        call.decided = False
        if self._rules is not None:
            decision = self._rules.at_head(identity)
            if decision is not None and not isinstance(decision, Decision):
                decision = yield from self._asked(call, "head", decision)
            if decision is not None:
                self._settle(call, decision)
        limiter = self._guard.limiter
        if limiter is not None:
            key = caller_key(identity, call.peer.address)
            try:
                call.lease = limiter.enter(self._method.full_name, identity, key, self._guard.monotonic())
            except Exceeded as limit:
                self._record(call, Decision(False, f"limit of {limit.what}", "head", "over the limit"))
                if self._guard.enforce:
                    raise exhausted(limit.what, limit.wait) from None

    def _asked(self, call: GuardedContext, stage: Literal["head", "request"], steps: rules.Steps) -> rules.Steps:
        """Let rules decide; one that fails refuses, whatever the others say, also in a dry run."""
        try:
            return (yield from steps)
        except RuleFailed as failed:
            cause = failed.__cause__
            reason = f"raised {type(cause).__name__}" if not isinstance(cause, RpcError) else cause.code.name
            self._record(call, Decision(False, str(failed), stage, reason), enforced=True)
            if isinstance(cause, RpcError):
                raise cause from None
            logger.error("%s failed", failed, exc_info=cause)
            raise refusal(Code.INTERNAL, "the policy cannot decide", "POLICY_FAILED") from None

    def _settle(self, call: GuardedContext, decision: Decision, more: Mapping[str, object] | None = None) -> None:
        """Write a decision down, and raise what it means. Nothing else is asked of the call's later messages."""
        self._record(call, decision, more)
        call.decided = decision.stage == "head"
        if not decision.allowed and self._guard.enforce:
            raise self._refusal(call.peer.identity)

    def _refusal(self, identity: Identity) -> RpcError:
        if identity.authenticated:
            return refusal(Code.PERMISSION_DENIED, "the caller may not do this", "POLICY_DENIED")
        metadata = (("www-authenticate", CHALLENGE),) if self._authenticator is not None else ()
        return refusal(Code.UNAUTHENTICATED, "who calls is not known", "CREDENTIALS_MISSING", metadata=metadata)

    # Messages.

    def waits(self, call: GuardedContext) -> bool:
        """Whether nothing may begin before a message has been looked at."""
        return bool(self._late) and not call.decided

    def refuse_empty(self, call: GuardedContext) -> None:
        """A stream that names nothing has ended. Raises `RpcError`."""
        self._settle(call, Decision(False, "policy, no rule", "request", "no message came"))

    def inspect(self, call: GuardedContext, message: Any) -> Awaitable[None] | None:
        """Decide whether a message may reach the handler; None if that is known at once. Raises `RpcError`."""
        return _run(self._inspect(call, message))

    def _inspect(self, call: GuardedContext, message: Any) -> Steps:
        if self._rules is not None and self._late and not call.decided:
            named = {path: objects_in(message, path) for path in self._objects}
            owners: dict[str, list[str | None]] = {path: [] for path in named}
            for path, names in named.items():
                for name in names:
                    owner: Any = self._owners.owner_of(name) if self._owners is not None else None
                    owners[path].append(owner if owner is None or isinstance(owner, str) else (yield owner))
            steps = self._rules.at_request(call.peer.identity, message, owners)
            decision = yield from self._asked(call, "request", steps)
            assert decision is not None
            self._settle(call, decision, self._looked_at(message, named, owners))
        if self._check is not None:
            try:
                self._check(message)
            except RpcError as error:
                self._record(call, Decision(False, "validation", "request", error.message), enforced=True)
                raise

    def _looked_at(
        self, message: Any, named: Mapping[str, list[str]], owners: Mapping[str, list[str | None]]
    ) -> dict[str, object]:
        audit = self._guard.audit
        if audit is None:
            return {}
        found: dict[str, object] = {}
        if named:
            found["objects"] = {path: objects_record(names, owners[path]) for path, names in named.items()}
        if audit.requests:
            found["request"] = request_record(message)
        return found

    # The log.

    def _record(
        self,
        call: GuardedContext,
        decision: Decision,
        more: Mapping[str, object] | None = None,
        enforced: bool = False,
    ) -> None:
        audit = self._guard.audit
        if audit is None:
            return
        if not call.number:
            call.number = next(self._guard.numbers)
        fields = {
            "time": self._guard.clock(), "call": call.number, "method": self._method.full_name,
            "protocol": call.protocol, "peer": call.peer.address, "caller": identity_record(call.peer.identity),
            "stage": decision.stage, "allowed": decision.allowed, "enforced": enforced or self._guard.enforce,
            "rule": decision.rule, "reason": decision.reason, **(more or {}),
        }  # fmt: skip
        try:
            audit.record("decision", fields)
        except AuditFailed as error:
            logger.error("%s", error)
            raise refusal(Code.UNAVAILABLE, "the call cannot be recorded", "AUDIT_FAILED") from None

    def charge(self, call: GuardedContext, size: int) -> None:
        """Count bytes of a call. Raises `RpcError` if it is to end."""
        if call.lease is None:
            return
        try:
            call.lease.charge(size, self._guard.monotonic())
        except Exceeded as limit:
            if self._guard.enforce:
                raise exhausted(limit.what, limit.wait) from None

    def ended(self, call: GuardedContext, code: Code | None, seconds: float, received: int, sent: int) -> None:
        """The call is over."""
        if call.lease is not None:
            call.lease.release()
        audit = self._guard.audit
        if audit is None or not call.number:
            return
        fields = {
            "time": self._guard.clock(), "call": call.number, "method": self._method.full_name,
            "status": status_name(code), "seconds": round(seconds, 6), "received": received, "sent": sent,
        }  # fmt: skip
        try:
            audit.record("end", fields)
        except AuditFailed as error:
            logger.error("%s", error)


def _run(steps: Steps) -> Awaitable[None] | None:
    """Run as far as nothing has to be awaited; return what does the rest, if there is any."""
    try:
        pending = next(steps)
    except StopIteration:
        return None
    return _rest(steps, pending)


async def _rest(steps: Steps, pending: Awaitable[Any]) -> None:
    while True:
        raised: BaseException | None = None
        value = None
        try:
            value = await pending
        except BaseException as error:
            raised = error
        try:
            pending = steps.send(value) if raised is None else steps.throw(raised)
        except StopIteration:
            return
