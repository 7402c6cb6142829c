"""Names of callers, rules, and what they decide; without a server."""

import asyncio
import os

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from catenet.net.local_peer import LocalPeer
from catenet.rpc import Code, RpcError
from catenet.rpc.model.identity import NOBODY, Certificate, Token, identity_of
from catenet.rpc.policy.objects import HasOwners, Owners, check_field, objects_in
from catenet.rpc.policy.rules import Decision, Policy, RuleFailed, allowed
from catenet.rpc.policy.terms import matches, parse_terms

ALICE = identity_of(LocalPeer(5, 1000, 100, (27, 44)))
BOB = identity_of(LocalPeer(6, 1001, 100))
WEB = identity_of(None, Certificate("CN=web", "ab", ("web.example",), spiffe="spiffe://example.org/web/1"))
TOKEN = identity_of(
    token=Token("https://i", "carol", ("a",), 0.0, ("read",), claims={"role": ["admin", 5], "level": 3, "root": True})
)
STRANGER = identity_of(LocalPeer(None, None, 100, (27,)))
METHOD = "box.v1.Boxes/Open"


@pytest.mark.parametrize(
    ("who", "caller", "holds"),
    [
        (["uid:1000"], ALICE, True),
        (["uid:01000"], ALICE, True),
        (["uid:1000"], BOB, False),
        (["gid:100"], BOB, True),
        (["gid:44"], ALICE, True),
        (["uid:1000", "uid:1001"], BOB, True),
        ([["uid:1000", "gid:44"]], ALICE, True),
        ([["uid:1001", "gid:44"]], BOB, False),
        (["authenticated"], ALICE, True),
        (["authenticated"], NOBODY, False),
        (["anyone"], NOBODY, True),
        (["gid:27"], STRANGER, False),
        (["authenticated"], STRANGER, False),
        (["dns:web.example"], WEB, True),
        (["spiffe://example.org/web/1"], WEB, True),
        (["spiffe://example.org/*"], WEB, True),
        (["spiffe://example.org/web/*"], WEB, True),
        (["spiffe://example.or/*"], WEB, False),
        (["spiffe://example.org/we/*"], WEB, False),
        (["token:https://i#carol"], TOKEN, True),
        (["token:https://i#*"], TOKEN, True),
        (["iss:https://i"], TOKEN, True),
        (["scope:read"], TOKEN, True),
        (["scope:write"], TOKEN, False),
        (["claim:role=admin"], TOKEN, True),
        (["claim:role=adm"], TOKEN, False),
        (["claim:level=3"], TOKEN, True),
        (["claim:root=true"], TOKEN, True),
        (["claim:role=admin"], ALICE, False),
        (["user:root"], identity_of(LocalPeer(1, 0, 0)), True),
        (["owner"], ALICE, False),
    ],
)
def test_names(who, caller, holds):
    assert matches(parse_terms(who), caller) is holds


@pytest.mark.parametrize(
    ("who", "hint"),
    [
        ([], "list of names"),
        ("", "no name"),
        ([""], "no name"),
        ([[]], "list of names"),
        ([5], "a name"),
        (["uid"], "uid"),
        (["sope:5"], "did you mean 'scope'"),
        (["uid:-1"], "is a number"),
        (["uid:alice"], "user:NAME"),
        (["uid:٣"], "is a number"),
        (["uid:4294967295"], "is a number"),
        (["user:no-such-user"], "no such user"),
        (["group:no-such-group"], "no such group"),
        (["ownr"], "did you mean 'owner'"),
        (["spiffe://"], "no name"),
        (["spiffe://example.org*"], "`*` ends"),
        (["uid:*"], "is a number"),
        (["dns:*.example"], "`*` ends"),
        (["token:*"], "`*` ends"),
        (["scope:*"], "`*` ends"),
        (["spiffe://*/a"], "`*` ends"),
        (["claim:role"], "claim:NAME=VALUE"),
        ({"a": 1}, "list of names"),
        (None, "list"),
    ],
)
def test_names_that_are_none(who, hint):
    with pytest.raises(ValueError) as caught:
        parse_terms(who)
    assert hint in str(caught.value)


def decide(policy, caller, method=METHOD, request=None, **owners):
    """What the rules say: at the head, or else at the request."""
    plan = policy.plan(method)
    found = plan.at_head(caller)
    if found is not None and not isinstance(found, Decision):
        found = finish(found)
    return found or finish(plan.at_request(caller, request, owners))


def finish(steps):
    async def main():
        value = None
        try:
            while True:
                value = await steps.send(value)
        except StopIteration as done:
            return done.value

    return asyncio.run(main())


def test_what_no_rule_allows_is_refused():
    assert decide(Policy(), ALICE) == Decision(False, "policy, no rule", "head", "no rule allows it")
    policy = Policy()
    policy.allow("box.v1.Boxes/Close", "anyone")
    assert not decide(policy, ALICE).allowed


@pytest.mark.parametrize("pattern", ["*", "box.v1.Boxes/*", METHOD, "/" + METHOD])
def test_methods(pattern):
    policy = Policy()
    policy.allow(pattern, "uid:1000")
    assert decide(policy, ALICE) == Decision(True, "policy, rule 1", "head")
    assert not decide(policy, BOB).allowed
    if pattern != "*":
        assert not decide(policy, ALICE, "box.v1.BoxesAdmin/Open").allowed
        assert not decide(policy, ALICE, "box.v1.Boxes2/Open").allowed


@pytest.mark.parametrize("order", [1, -1])
def test_denial_wins_whatever_the_order(order):
    policy = Policy()
    for effect in ("allow", "deny")[::order]:
        getattr(policy, effect)("*", "gid:100") if effect == "allow" else policy.deny("*", "uid:1001")
    assert decide(policy, ALICE).allowed
    assert decide(policy, BOB).reason == "denied"


def test_owners():
    policy = Policy()
    policy.allow(METHOD, "owner", object="id")
    assert decide(policy, ALICE, id=["uid:1000"]) == Decision(True, "policy, rule 1", "request")
    for owners in (["uid:1001"], [None], [], ["uid:1000", "uid:1001"], ["uid:1000", None]):
        assert not decide(policy, ALICE, id=owners).allowed
    assert decide(policy, NOBODY, id=["anonymous"]).stage == "head", "nobody owns anything; the message is not needed"


def test_an_owner_with_a_scope_too():
    policy = Policy()
    policy.allow(METHOD, ["owner", "gid:44"], object="id")
    assert decide(policy, ALICE, id=["uid:1000"]).allowed
    assert decide(policy, BOB, id=["uid:1001"]).stage == "head"


def test_denied_to_an_owner():
    policy = Policy()
    policy.allow(METHOD, "anyone")
    policy.deny(METHOD, "owner", object="id")
    assert not decide(policy, ALICE, id=["uid:1001", "uid:1000"]).allowed
    assert decide(policy, ALICE, id=["uid:1001"]) == Decision(True, "policy, rule 1", "request")


def test_functions():
    policy = Policy()

    @policy.allow_if(METHOD)
    def members(identity):
        return "gid:44" in identity.principals

    @policy.allow_if(METHOD)
    async def small(identity, request):
        await asyncio.sleep(0)
        return len(request.value) < 3

    @policy.deny_if("*")
    async def nobody(identity):
        return not identity.authenticated

    assert decide(policy, ALICE).stage == "head"
    assert decide(policy, BOB, request=StringValue(value="ab")).rule.endswith("small")
    assert not decide(policy, BOB, request=StringValue(value="abc")).allowed
    assert decide(policy, NOBODY).rule.endswith("nobody")


@pytest.mark.parametrize("answer", [None, 1, "yes", [True]])
def test_only_true_is_true(answer):
    policy = Policy()
    policy.allow_if("*")(lambda identity: answer)
    assert not decide(policy, ALICE).allowed


def test_a_function_that_raises_decides_nothing():
    policy = Policy()
    policy.allow("*", "anyone")

    @policy.deny_if("*")
    def broken(identity):
        raise KeyError("secret")

    with pytest.raises(RuleFailed, match="broken"):
        decide(policy, ALICE)


@pytest.mark.parametrize("check", [lambda: True, lambda a, b, c: True])
def test_functions_of_another_shape(check):
    with pytest.raises(ValueError, match="takes the identity"):
        Policy().allow_if("*")(check)


def test_decorators():
    class Boxes:
        @allowed("uid:1000")
        @allowed("gid:100")
        async def open(self, request, context): ...

    plan = Policy().plan(METHOD, Boxes(), "open")
    assert plan.at_head(BOB).allowed
    assert plan.at_head(ALICE).rule.startswith("test_decorators")
    assert not plan.at_head(NOBODY).allowed


def test_health_is_exempt_unless_there_is_a_rule():
    assert Policy().plan("grpc.health.v1.Health/Check") is None
    assert Policy().plan("grpc.reflection.v1.ServerReflection/ServerReflectionInfo") is not None
    assert Policy(exempt=()).plan("grpc.health.v1.Health/Check") is not None
    policy = Policy()
    policy.deny("*", "uid:1000")
    assert not decide(policy, ALICE, "grpc.health.v1.Health/Check").allowed


def test_rules_for_no_method():
    policy = Policy()
    policy.deny("box.v1.Boxes/Opne", "uid:1000")
    with pytest.raises(ValueError, match=r"rule 1: there is no method .*did you mean box.v1.Boxes/Open"):
        policy.check_methods([METHOD])


@pytest.mark.parametrize("give", [{"object": ""}, {"who": "uid:1", "object": "id"}])
def test_owner_and_object_go_together(give):
    with pytest.raises(ValueError, match="owner"):
        Policy().allow(METHOD, give.get("who", "owner"), object=give["object"])


def test_decisions_are_remembered_within_bounds():
    policy = Policy()
    policy.allow("*", "gid:100")
    plan = policy.plan(METHOD)
    for uid in range(3000):
        assert plan.at_head(identity_of(LocalPeer(1, uid, 100))).allowed
    assert len(plan._kept) <= 1024


@given(
    st.lists(st.tuples(st.sampled_from(["allow", "deny"]), st.sampled_from(["uid:1000", "gid:100", "anyone", "uid:7"])))
)
def test_order_does_not_matter(rules):
    def outcome(order):
        policy = Policy()
        for effect, who in order:
            (policy.allow if effect == "allow" else policy.deny)("*", who)
        return decide(policy, ALICE).allowed

    hits = {effect for effect, who in rules if who != "uid:7"}
    assert outcome(rules) is outcome(rules[::-1]) is (hits == {"allow"})


class TestObjects:
    def test_owners(self):
        owners = Owners(most=2)
        owners.add("a", ALICE)
        owners.add("b", ALICE)
        for name, caller, code in (
            ("a", BOB, Code.ALREADY_EXISTS),
            ("c", ALICE, Code.RESOURCE_EXHAUSTED),
            ("d", NOBODY, Code.UNAUTHENTICATED),
            ("d", STRANGER, Code.UNAUTHENTICATED),
        ):
            with pytest.raises(RpcError) as caught:
                owners.add(name, caller)
            assert caught.value.code is code
        assert owners.of(ALICE) == ["a", "b"]
        owners.remove("a")
        owners.remove("a")
        owners.add("c", ALICE)
        assert (owners.owner_of("a"), owners.owner_of("c")) == (None, "uid:1000")
        assert isinstance(owners, HasOwners)

    def test_fields(self):
        from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

        descriptor = FileDescriptorProto.DESCRIPTOR
        for path in ("name", "dependency", "public_dependency", "options.java_package"):
            check_field(path, descriptor, "here")
        for path, hint in (
            ("nmae", "did you mean 'name'"),
            ("options", "neither"),
            ("name.a", "no single message"),
            ("message_type.name", "no single"),
            ("", "no field"),
            ("options.deprecated", "neither"),
        ):
            with pytest.raises(ValueError, match="here: ") as caught:
                check_field(path, descriptor, "here")
            assert hint in str(caught.value)
        assert objects_in(FileDescriptorProto(dependency=["a", ""]), "dependency") == ["a", ""]
        assert objects_in(DescriptorProto(), "name") == [""]


def test_nobody_is_no_name():
    assert os.geteuid() >= 0
    assert NOBODY.principals == frozenset()
    assert not matches(parse_terms(["uid:0"]), NOBODY)
