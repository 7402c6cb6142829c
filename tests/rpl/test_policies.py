"""Rules of Knot Resolver's policy module: those that are about names, and those that are programs."""

from __future__ import annotations

import pytest

from catenet.testing.rpl.policies import read_policy
from catenet.testing.rpl.setup import Builder
from catenet.testing.rpl.syntax import Head, Setting, Unsupported
from catenet.wire.dns.name import name_to_text


def read(rule: str) -> Builder:
    builder = Builder(Head())
    read_policy(builder, Setting(7, "", 0, "feature-list", (f"policy=policy:add({rule})",)))
    return builder


@pytest.mark.parametrize(
    ("rule", "owners", "target"),
    [
        ("policy.all(policy.DENY)", ["\\*.policy.", "*.policy."], "."),
        ("policy.suffix(policy.DENY, {todname('a.b')})", ["a.b.policy.", "*.a.b.policy."], "."),
        ("policy.pattern(policy.PASS, todname('a.b'))", ["a.b.policy.", "*.a.b.policy."], "rpz-passthru."),
        ("policy.suffix(policy.TC, {todname('a')})", ["a.policy.", "*.a.policy."], "rpz-tcp-only."),
        (
            "policy.suffix_common(policy.DENY, policy.todnames({'a.z', 'b.z'}), todname('z'))",
            ["a.z.policy.", "*.a.z.policy.", "b.z.policy.", "*.b.z.policy."],
            ".",
        ),
    ],
)
def test_rules(rule: str, owners: list[str], target: str) -> None:
    [zone] = read(rule).policies
    assert {name_to_text(one.name) for one in zone.sets} <= set(owners)
    assert {name_to_text(data) for one in zone.sets for data in one.data} == {target}


def test_a_forwarder() -> None:
    [zone] = read("policy.suffix(policy.FORWARD('192.0.2.1'), {todname('A.b')})").forwards
    assert zone.name == b"\1a\1b\0" and zone.servers[0].address == bytes((192, 0, 2, 1))


@pytest.mark.parametrize(
    "rule", ["policy.suffix(policy.DROP, {todname('a')})", "policy.pattern(policy.DENY, '\\8a[0-8]')", "print(1)"]
)
def test_programs(rule: str) -> None:
    with pytest.raises(Unsupported):
        read(rule)
