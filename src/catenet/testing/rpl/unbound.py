"""Settings of unbound.conf(5) to those of our resolver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from catenet.dns.resolver.config import DO_NOT_QUERY, AuthZone, ForwardZone, PolicyZone, StubZone
from catenet.dns.server.access import Action
from catenet.dns.server.access import network as access_network
from catenet.testing.rpl.setup import (
    Builder,
    Clause,
    Setup,
    boolean,
    integer,
    name_of,
    network,
    server_of,
    timestamp,
)
from catenet.testing.rpl.syntax import Head, ScenarioError, Setting, Unsupported
from catenet.testing.rpl.words import expected
from catenet.wire.dns.name import name_from_text

__all__ = ["setup_unbound"]

_Reader = Callable[[Builder, Setting], None]

_FLAGS: Final = {
    "qname-minimisation": "minimise",
    "qname-minimisation-strict": "minimise_strict",
    "minimal-responses": "minimal_responses",
    "rrset-roundrobin": "rotate",
    "harden-glue": "harden_glue",
    "harden-below-nxdomain": "harden_below_nxdomain",
    "harden-referral-path": "harden_referral_path",
    "aggressive-nsec": "aggressive_nsec",
    "prefetch": "prefetch",
    "serve-expired": "serve_expired",
    "serve-original-ttl": "serve_original_ttl",
    "do-ip4": "ipv4",
    "do-ip6": "ipv6",
    "use-caps-for-id": "random_case",
    "deny-any": "any_minimal",
    "ede": "extended_errors",
}
"""Fields that are yes or no."""
_NUMBERS: Final = {
    "cache-max-ttl": "max_ttl",
    "cache-min-ttl": "min_ttl",
    "cache-max-negative-ttl": "max_negative_ttl",
    "serve-expired-ttl": "serve_expired_ttl",
    "serve-expired-reply-ttl": "serve_expired_reply_ttl",
    "num-queries-per-thread": "max_questions",
    "edns-buffer-size": "udp_payload",
}
_NETWORKS: Final = {"private-address": "private_addresses"}
_NAMES: Final = {"private-domain": "private_domains"}
_MEANINGLESS: Final = frozenset(
    [
        "verbosity",
        "log-time-ascii",
        "log-servfail",
        "log-queries",
        "log-replies",
        "val-log-level",
        "rpz-log",
        "rpz-log-name",
        "directory",
        "chroot",
        "username",
        "pidfile",
        "use-syslog",
        "msg-cache-slabs",
        "rrset-cache-slabs",
        "trust-anchor-signaling",
        "fake-sha1",
        "fake-dsa",
        "statistics-interval",
        "num-threads",
        "root-key-sentinel",
        "harden-algo-downgrade",
        "ede-serve-expired",
        "prefetch-key",
        "harden-dnssec-stripped",
        "hide-trustanchor",
        "port",
        "interface",
        "harden-large-queries",
        "harden-short-bufsize",
        "unwanted-reply-threshold",
        "control-enable",
    ]
)
"""What changes nothing that a scenario sees, or what is so here in any case."""


def setup_unbound(head: Head) -> Setup:
    """Make sense of the settings of a head in the form of unbound.conf.

    Raises:
        ScenarioError: a value is wrong, or a key is none.
        Unsupported: our resolver has nothing of the kind.
    """
    builder = Builder(head)
    builder.values["harden_referral_path"] = False  # as Unbound's default was when its scenarios were written
    builder.values["minimise"] = False  # the default when most were written, which do not say
    clauses: dict[int, Clause] = {}
    for setting in head.settings:
        if setting.section == "server":
            _server(builder, setting)
        else:
            clause = clauses.setdefault(setting.clause, Clause(setting.section, setting.line))
            clause.settings.setdefault(setting.key, []).append(setting)
    for clause in clauses.values():
        reader = _CLAUSES.get(clause.section)
        if reader is not None:
            reader(builder, clause)
        elif clause.section not in ("remote-control", "python", "dynlib"):
            raise Unsupported(clause.line, f"{clause.section}: is not among the settings of this resolver")
    builder.actions.setdefault("0.0.0.0/0", Action.REFUSE)
    builder.actions.setdefault("::/0", Action.REFUSE)
    builder.actions.setdefault("127.0.0.0/8", Action.ALLOW)
    return builder.finish()


def _server(builder: Builder, setting: Setting) -> None:
    key = setting.key
    if key in _FLAGS:
        builder.values[_FLAGS[key]] = boolean(setting)
    elif key in _NUMBERS:
        builder.values[_NUMBERS[key]] = integer(setting)
    elif key in _NETWORKS:
        builder.values[_NETWORKS[key]] = (*builder.values.get(_NETWORKS[key], ()), network(setting))
    elif key in _NAMES:
        builder.values[_NAMES[key]] = (*builder.values.get(_NAMES[key], ()), name_of(setting))
    elif key in _READERS:
        _READERS[key](builder, setting)
    elif key not in _MEANINGLESS:
        raise _unknown(setting)


def _unknown(setting: Setting) -> Unsupported:
    known = [*_FLAGS, *_NUMBERS, *_NETWORKS, *_NAMES, *_READERS, *_MEANINGLESS]
    error = expected(setting.key, known, setting.line, "setting")
    return Unsupported(setting.line, str(error))


def _do_not_query_localhost(builder: Builder, setting: Setting) -> None:
    if not boolean(setting):
        loopback = (b"\x7f\0\0\0", bytes(15) + b"\1")
        builder.values["do_not_query"] = tuple(one for one in DO_NOT_QUERY if one[0] not in loopback)


def _do_not_query_address(builder: Builder, setting: Setting) -> None:
    builder.values["do_not_query"] = (*builder.values.get("do_not_query", DO_NOT_QUERY), network(setting))


def _trust_anchor(builder: Builder, setting: Setting) -> None:
    builder.trust(setting.value, setting.line)


def _managed_anchors(builder: Builder, setting: Setting) -> None:
    name = setting.value
    builder.anchor_files[name] = "\n".join(builder.head.anchors.get(name, ())) + "\n"


def _domain_insecure(builder: Builder, setting: Setting) -> None:
    builder.anchors.add_negative(name_of(setting))


def _override_date(builder: Builder, setting: Setting) -> None:
    if setting.value == "-1":  # signatures hold at any time
        builder.policy = replace(builder.policy, least_skew=_FOREVER, most_skew=_FOREVER)
    else:
        builder.fixed_wall = timestamp(setting)


def _modules(builder: Builder, setting: Setting) -> None:
    modules = setting.value.split()
    builder.validating = "validator" in modules
    if "dns64" in modules:
        builder.values.setdefault("dns64_prefix", (bytes.fromhex("0064ff9b") + bytes(12), 96))


def _dns64_prefix(builder: Builder, setting: Setting) -> None:
    builder.values["dns64_prefix"] = network(setting)


def _client_timeout(builder: Builder, setting: Setting) -> None:
    builder.values["serve_expired_client_timeout"] = integer(setting) / 1000


def _target_policy(builder: Builder, setting: Setting) -> None:
    builder.values["extra_targets"] = tuple(int(word) for word in setting.value.split())


def _cache_size(builder: Builder, setting: Setting) -> None:
    """Unbound has two caches, of messages and of sets; ours is one."""
    size = integer(setting)
    builder.values["cache_bytes"] = min(size, builder.values.get("cache_bytes", size))


def _retries(builder: Builder, setting: Setting) -> None:
    builder.values["max_sends_per_server"] = max(integer(setting), 1)


def _iterations(builder: Builder, setting: Setting) -> None:
    """Sizes of keys, and most iterations for each; here the least holds for all, as RFC 9276 has it."""
    most = [int(word) for word in setting.value.split()[1::2] if word.isdecimal()]
    if not most:
        raise ScenarioError(setting.line, f"{setting.key}: takes pairs of a size of keys and a number of iterations")
    builder.policy = replace(builder.policy, most_iterations=min(most))


_FOREVER: Final = 1 << 40
"""Seconds, more than any signature is valid."""
_ACTIONS: Final = {
    "allow": Action.ALLOW,
    "allow_setrd": Action.ALLOW,
    "allow_snoop": Action.ALLOW,
    "refuse": Action.REFUSE,
    "refuse_non_local": Action.REFUSE,
    "deny": Action.DROP,
    "deny_non_local": Action.DROP,
}


def _access(builder: Builder, setting: Setting) -> None:
    if len(setting.words) != 2:
        raise ScenarioError(setting.line, "access-control: takes a network and an action")
    where, action = setting.words
    if action not in _ACTIONS:
        raise expected(action, _ACTIONS, setting.line, "action")
    try:
        text = str(access_network(where))
    except ValueError as error:
        raise ScenarioError(setting.line, f"access-control: {error}") from None
    builder.actions[text] = _ACTIONS[action]
    if action == "allow_snoop":
        builder.snoopers.append(text)


def _identity(builder: Builder, setting: Setting) -> None:
    for name in _ABOUT_US[setting.key]:
        builder.values.setdefault("chaos", {})[name_from_text(name)] = setting.value


def _hide(builder: Builder, setting: Setting) -> None:
    if boolean(setting):
        builder.hidden |= set(map(name_from_text, _ABOUT_US[setting.key.removeprefix("hide-")]))


def _local_zone(builder: Builder, setting: Setting) -> None:
    if len(setting.words) != 2:
        raise ScenarioError(setting.line, "local-zone: takes a name and a type")
    builder.local.zone(setting.words[0], setting.words[1], setting.line)


def _local_data(builder: Builder, setting: Setting) -> None:
    builder.local.data(setting.value, setting.line)


def _permit_digests(builder: Builder, setting: Setting) -> None:
    """Zones whose digest is wrong are used all the same: what is found is for a log."""
    builder.permits_digests = boolean(setting)


_ABOUT_US: Final = {"version": ("version.bind.", "version.server."), "identity": ("hostname.bind.", "id.server.")}


_READERS: Final[dict[str, _Reader]] = {
    "do-not-query-localhost": _do_not_query_localhost,
    "do-not-query-address": _do_not_query_address,
    "trust-anchor": _trust_anchor,
    "auto-trust-anchor-file": _managed_anchors,
    "domain-insecure": _domain_insecure,
    "val-override-date": _override_date,
    "module-config": _modules,
    "dns64-prefix": _dns64_prefix,
    "access-control": _access,
    "zonemd-permissive-mode": _permit_digests,
    "identity": _identity,
    "version": _identity,
    "hide-identity": _hide,
    "hide-version": _hide,
    "local-zone": _local_zone,
    "local-data": _local_data,
    "serve-expired-client-timeout": _client_timeout,
    "target-fetch-policy": _target_policy,
    "msg-cache-size": _cache_size,
    "rrset-cache-size": _cache_size,
    "outbound-msg-retry": _retries,
    "val-nsec3-keysize-iterations": _iterations,
}


def _forward(builder: Builder, clause: Clause) -> None:
    builder.forwards.append(
        ForwardZone(
            clause.name(),
            tuple(map(server_of, clause.values("forward-addr"))),
            first=clause.flag("forward-first"),
            keep=not clause.flag("forward-no-cache"),
        )
    )


def _stub(builder: Builder, clause: Clause) -> None:
    builder.stubs.append(
        StubZone(
            clause.name(),
            tuple(map(server_of, clause.values("stub-addr"))),
            tuple(map(name_of, clause.values("stub-host"))),
            prime=clause.flag("stub-prime"),
            first=clause.flag("stub-first"),
            keep=not clause.flag("stub-no-cache"),
        )
    )


def _auth(builder: Builder, clause: Clause) -> None:
    builder.fetch(clause)
    file = clause.one("zonefile")
    if file is None and clause.name() not in builder.primaries:
        raise Unsupported(clause.line, "auth-zone: without zonefile:")
    builder.auth_zones.append(
        AuthZone(
            clause.name(),
            None if file is None else builder.read_zone(file, clause.name()),
            fallback=clause.flag("fallback-enabled"),
            for_upstream=clause.flag("for-upstream", True),
            for_downstream=clause.flag("for-downstream", True),
            digest="" if builder.permits_digests else _digest(clause),
        )
    )


def _digest(clause: Clause) -> str:
    if clause.flag("zonemd-reject-absence"):
        return "require"
    return "check" if clause.flag("zonemd-check") else ""


def _policy(builder: Builder, clause: Clause) -> None:
    for setting in clause.values("tags")[:1]:
        raise Unsupported(setting.line, "rpz: with tags:")
    builder.fetch(clause)
    file = clause.one("zonefile")
    if file is None and clause.name() not in builder.primaries:
        raise Unsupported(clause.line, "rpz: without zonefile:")
    action, alias = clause.one("rpz-action-override"), clause.one("rpz-cname-override")
    builder.policies.append(
        PolicyZone(
            clause.name(),
            () if file is None else builder.read_sets(file, clause.name()),
            "" if action is None else action.value,
            b"" if alias is None else name_of(alias),
            clause.flag("rpz-signal-nxdomain-ra"),
        )
    )


_CLAUSES: Final[dict[str, Callable[[Builder, Clause], None]]] = {
    "forward-zone": _forward,
    "stub-zone": _stub,
    "auth-zone": _auth,
    "rpz": _policy,
}
