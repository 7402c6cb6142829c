"""catenet resolve beside dig and delv, command line by command line, against the servers of others."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Namespace
from tests.dns.client.tree import Tree, missing
from tests.peers import environment

pytestmark = [pytest.mark.root, pytest.mark.peer("dig")]

RUNNER = [sys.executable, str(Path(__file__).parent / "resolve_many.py")]

AUTHORITY, UNBOUND, BIND, KNOT, ROOT = "@10.53.0.3", "@10.53.0.53", "@10.53.0.54", "@10.53.0.2", "@10.53.0.1"

ANSWERS = [
    f"www.good.example {AUTHORITY}",
    f"www.good.example AAAA {AUTHORITY}",
    f"{AUTHORITY} www.good.example -t AAAA",
    f"-t AAAA {AUTHORITY} www.good.example",
    f"-q www.good.example -tA {AUTHORITY}",
    f"-c IN -t MX -q good.example {AUTHORITY}",
    f"good.example MX {AUTHORITY}",
    f"good.example NS {AUTHORITY}",
    f"good.example SOA {AUTHORITY}",
    f"good.example CAA {AUTHORITY}",
    f"good.example DNSKEY {AUTHORITY}",
    f"good.example NSEC {AUTHORITY}",
    f"_sip._tcp.good.example SRV {AUTHORITY}",
    f"text.good.example TXT {AUTHORITY}",
    f"host.good.example SSHFP {AUTHORITY}",
    f"https.good.example HTTPS {AUTHORITY}",
    f"https.good.example TYPE65 {AUTHORITY}",
    f"naptr.good.example NAPTR {AUTHORITY}",
    f"loc.good.example LOC {AUTHORITY}",
    f"unknown.good.example TYPE731 {AUTHORITY}",
    f"odd\\.dot.good.example {AUTHORITY}",
    f"UPPER.case.GOOD.example {AUTHORITY}",
    f"x.y.wild.good.example TXT {AUTHORITY}",
    f"b.c.ent.good.example {AUTHORITY}",
    f"nothing.good.example {AUTHORITY}",
    f"alias.good.example {AUTHORITY}",
    f"alias.good.example CNAME {AUTHORITY}",
    f"chain.good.example AAAA {AUTHORITY}",
    f"dangling.good.example {AUTHORITY}",
    f"long.good.example TXT {AUTHORITY}",
    f"long.good.example TXT +tcp {AUTHORITY}",
    f"long.good.example TXT +vc {AUTHORITY}",
    f"long.good.example TXT +bufsize=4096 {AUTHORITY}",
    "www.good.example +tcp @fd53::3",
    "www.good.example @fd53::3",
    f"www.good.example ANY {AUTHORITY}",
    f"www.good.example +dnssec {AUTHORITY}",
    f"nothing.good.example +dnssec {AUTHORITY}",
    f"nothing.good.example +do +nocookie {AUTHORITY}",
    f"www.good.example +norecurse {AUTHORITY}",
    f"www.good.example +norec +noadflag {AUTHORITY}",
    f"www.good.example +noedns {AUTHORITY}",
    f"www.good.example +edns=1 {AUTHORITY}",
    f"www.good.example +cdflag {UNBOUND}",
    f"www.expired.example +cd {UNBOUND}",
    f"www.expired.example {UNBOUND}",
    f"www.expired.example {BIND}",
    f"www.plain.example {UNBOUND}",
    f"www.good.example {UNBOUND}",
    f"chain.good.example {BIND}",
    f"-x 192.0.2.1 {UNBOUND}",
    f"-x 192.0.2.99 {AUTHORITY}",
    f"-x 2001:db8::1 {ROOT}",
    f"good.example {KNOT}",
    f"www.good.example {KNOT}",
    f"good.example DS {KNOT}",
    f"good.example DS +dnssec {KNOT}",
    f"other.test {AUTHORITY}",
    f". NS {ROOT}",
    f". DNSKEY +dnssec {ROOT}",
    f"version.bind CH TXT {ROOT}",
    f"-c CH -t TXT version.bind {ROOT}",
    f"www.good.example +subnet=192.0.2.0/24 +nsid +padding=64 {AUTHORITY}",
    f"www.good.example +ednsopt=65001:abcd +zflag {AUTHORITY}",
    f"www.good.example +opcode=notify {ROOT}",
    f"www.good.example +opcode=2 {ROOT}",
    f"www.half.example {BIND}",
    f"www.good.example -4 -p 53 {AUTHORITY}",
    f"www.good.example +qid=77 {AUTHORITY}",
]
"""Compared: code, flags, and the records of each section."""

SHORT = [
    f"+short www.good.example {AUTHORITY}",
    f"+short www.good.example {AUTHORITY} alias.good.example {AUTHORITY} AAAA",
    f"{AUTHORITY} +short www.good.example A alias.good.example AAAA good.example MX",
    f"{AUTHORITY} AAAA www.good.example alias.good.example +short",
    f"{AUTHORITY} +short -x 192.0.2.1 www.good.example",
    f"{AUTHORITY} +short +dnssec www.good.example",
    f"{AUTHORITY} +short nothing.good.example",
    f"{AUTHORITY} +short text.good.example TXT",
    f"{AUTHORITY} +short +unknownformat good.example MX",
    "@10.53.0.9 +time=1 +tries=1 +short www.good.example",
    f"+short chain.good.example {UNBOUND}",
    f"+noall +answer www.good.example {AUTHORITY}",
    f"+noall +answer +nottlid +noclass www.good.example {AUTHORITY}",
    f"+noall +answer +ttlunits good.example SOA {AUTHORITY}",
    f"+noall +authority nothing.good.example {AUTHORITY}",
    f"+noall +answer +unknownformat www.good.example {AUTHORITY}",
    f"+nocomments +noquestion +nostats +nocmd www.good.example {AUTHORITY}",
]
"""Compared: the words of the output, line by line, and the status."""

TRANSFERS = [
    f"plain.example AXFR {AUTHORITY}",
    f"good.example AXFR {AUTHORITY}",
    f"-t axfr plain.example {AUTHORITY} +onesoa",
    f"example AXFR {KNOT}",
    f". AXFR {ROOT}",
    f"plain.example IXFR=2026010100 {AUTHORITY}",
    f"plain.example IXFR=1 {AUTHORITY}",
]


YAML = [
    f"www.good.example {AUTHORITY}",
    f"long.good.example TXT +tcp {AUTHORITY}",
    f"text.good.example TXT {AUTHORITY}",
    f"nothing.good.example +dnssec {AUTHORITY}",
    f"www.good.example +noedns {AUTHORITY}",
    f"www.good.example +subnet=192.0.2.0/24 {AUTHORITY}",
    f"www.plain.example {UNBOUND}",
    f"www.plain.example +norecurse {UNBOUND}",
    f"www.good.example +noall +answer {AUTHORITY}",
    f"www.good.example +nocookie +noadflag +qr {AUTHORITY}",
    "www.good.example @fd53::3",
    f"-b 10.53.0.3 www.good.example {AUTHORITY}",
    f"-b 10.53.0.3#5399 www.good.example {AUTHORITY} +tcp",
    f". NS {ROOT}",
    f"version.bind CH TXT {ROOT}",
]
"""Compared: every line, but for times, TTLs, ids, cookies and the order of records."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    if absent := missing():
        pytest.skip(f"needs {', '.join(absent)}")
    namespace = Namespace(f"catenet-{os.getpid()}-dig")
    try:
        namespace.create()
        started = Tree(namespace, tmp_path_factory.mktemp("tree"))
        started.begin()
        yield started
    finally:
        namespace.close()


def ours(tree: Tree, lines: list[list[str]]) -> list[tuple[int, str, str]]:
    done = tree.namespace.run(*RUNNER, input=json.dumps(lines), timeout=300, env=environment())
    found: list[tuple[int, str, str]] = json.loads(done.stdout)
    return found


def squeezed(data: str) -> str:
    """Data of a record without what programs write differently: blanks within keys, quotes, metres, and case."""
    return re.sub(r'\s+|"', "", re.sub(r"(\d)\.00m", r"\1m", data)).casefold()


def parsed(text: str) -> dict[str, Any]:
    """What dig prints: code, flags, records of the sections."""
    head = re.search(r"status: (\w+)", text)
    flags = re.search(r";; flags: ([a-z ]*);", text)
    found: dict[str, Any] = {
        "rcode": head[1] if head else None,
        "flags": sorted(flags[1].split()) if flags else None,
    }
    for section in ("answer", "authority", "additional"):
        body = re.search(rf"^;; {section.upper()} SECTION:\n(.*?)(?=^$|\Z)", text, re.M | re.S)
        records = [line.split(None, 4) for line in body[1].splitlines()] if body else []
        found[section] = sorted((name, kind, squeezed(data)) for name, _, _, kind, data in records)
    return found


def as_parsed(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"rcode": answer.get("rcode"), "flags": sorted(answer.get("flags", ()))}
    for section in ("answer", "authority", "additional"):
        found[section] = sorted((one["name"], one["type"], squeezed(one["data"])) for one in answer.get(section, ()))
    return found


def test_answers_are_those_of_dig(tree: Tree) -> None:
    lines = [line.split() for line in ANSWERS]
    results = ours(tree, [["--json", *words] for words in lines])
    different = {}
    for words, (_, output, errors) in zip(lines, results, strict=True):
        theirs = parsed(tree.run("dig", *words).stdout)
        mine = as_parsed(json.loads(output)) if output else {"errors": errors}
        if mine != theirs:
            different[" ".join(words)] = (mine, theirs)
    assert different == {}, "\n".join(f"{line}\n{both[0]}\n{both[1]}" for line, both in different.items())


def words_of(text: str) -> list[str]:
    return sorted(squeezed(line) for line in text.splitlines() if line and not line.startswith(";"))


def test_short_and_chosen_outputs_are_those_of_dig(tree: Tree) -> None:
    lines = [line.split() for line in SHORT]
    different = {}
    for words, (status, output, _) in zip(lines, ours(tree, lines), strict=True):
        theirs = tree.run("dig", *words)
        mine = status, words_of(output)
        if mine != (theirs.returncode, words_of(theirs.stdout)):
            different[" ".join(words)] = mine, (theirs.returncode, theirs.stdout)
    assert different == {}, "\n".join(f"{line}\n{both[0]}\n{both[1]}" for line, both in different.items())


def test_transfers_are_those_of_dig(tree: Tree) -> None:
    lines = [line.split() for line in TRANSFERS]
    for words, (status, output, errors) in zip(lines, ours(tree, lines), strict=True):
        theirs = words_of(tree.run("dig", *words).stdout)
        assert (status, errors) == (0, "")
        assert words_of(output) == theirs, words


SECURE, INSECURE, BOGUS, UNSURE = "secure", "insecure", "bogus", "indeterminate"
VERDICTS = {
    "www.good.example A": SECURE,
    "chain.good.example A": SECURE,
    "x.wild.good.example TXT": SECURE,
    "nothing.good.example A": SECURE,
    "www.good.example MX": SECURE,
    "long.good.example TXT": SECURE,
    "good.example DNSKEY": SECURE,
    ". SOA": SECURE,
    "nothing.example A": SECURE,
    "nothing A": SECURE,
    "www.plain.example A": INSECURE,
    "nothing.plain.example A": INSECURE,
    "plain.example DS": SECURE,
    "2.0.192.in-addr.arpa SOA": INSECURE,
    "www.expired.example A": BOGUS,
    "nothing.expired.example A": BOGUS,
}
DELV = {"fully validated": SECURE, "negative response, fully validated": SECURE, "unsigned answer": INSECURE}


@pytest.mark.parametrize("server", [UNBOUND, BIND])
def test_verdicts_are_those_of_delv(tree: Tree, server: str) -> None:
    anchor = str(tree.anchor)
    lines = [[*question.split(), server, "--trust-anchor", anchor, "--json"] for question in VERDICTS]
    name, _, _, _, *key = tree.anchor.read_text().replace(" IN ", " 3600 IN ").split()
    config = tree.folder / "delv.conf"
    config.write_text(f'trust-anchors {{ "{name}" static-key {key[0]} {key[1]} {key[2]} "{"".join(key[3:])}"; }};\n')
    for (question, expected), (status, output, _) in zip(VERDICTS.items(), ours(tree, lines), strict=True):
        answer = json.loads(output)
        assert (answer["dnssec"], status) == (expected, 10 if expected == BOGUS else 0), (question, answer["reason"])
        theirs = tree.run("delv", "-a", str(config), "+root=.", server, *question.split())
        text = theirs.stdout + theirs.stderr
        said = next((line[2:].strip() for line in text.splitlines() if line.startswith("; ")), "")
        verdict = DELV.get(said.replace("negative response, unsigned answer", "unsigned answer"), BOGUS)
        assert verdict == expected, (question, text)


def test_a_trace_shows_each_referral_and_what_signatures_say(tree: Tree) -> None:
    files = ["--root-hints", str(tree.hints), "--trust-anchor", str(tree.anchor)]
    names = "chain.good", "www.plain", "www.expired", "www.half", "dangling.good"
    lines = [[f"{name}.example", "--trace", "--json", "+time=1", "+tries=1", *files] for name in names]
    good, plain, expired, half, dangling = [json.loads(output) for _, output, _ in ours(tree, lines)]
    assert [(step.get("referral"), step.get("alias"), step.get("dnssec")) for step in good["trace"]] == [
        ("example.", None, SECURE),
        ("good.example.", None, SECURE),
        (None, "alias.good.example.", None),
        (None, "www.good.example.", None),
        (None, None, None),
    ]
    assert [step["server"] for step in good["trace"]] == [f"udp://10.53.0.{n}:53" for n in (1, 2, 3, 3, 3)]
    assert [one["type"] for one in good["answer"]] == ["CNAME", "CNAME", "A", "A"]
    assert {"name": "ns.good.example.", "type": "AAAA", "ttl": 3600, "data": "fd53::3"} in good["trace"][1]["records"]
    assert [answer["dnssec"] for answer in (good, plain, expired, half)] == [SECURE, INSECURE, BOGUS, INSECURE]
    assert half["rcode"] == "NOERROR"
    assert dangling["rcode"] == "NXDOMAIN"
    assert dangling["trace"][-2]["alias"] == "nothing.example."


def test_a_trace_passes_over_servers_that_do_not_answer(tree: Tree) -> None:
    hints = tree.folder / "some-dead"
    hints.write_text(
        "$TTL 60\n. NS a.dead.\n. NS b.here.\na.dead. A 10.53.0.77\na.dead. AAAA 2001:db8::7\nb.here. A 10.53.0.1\n"
    )
    words = ["www.good.example", "--trace", "--root-hints", str(hints), "+time=1", "+tries=1"]
    ((status, output, errors),) = ours(tree, [words])
    assert status == 0, errors
    assert re.search(r";; udp://10\.53\.0\.77:53 \(a\.dead\.\): (Connection refused|no answer)", output)
    assert "192.0.2.1" in output


@pytest.mark.parametrize("words", [["--tls"], ["--https"], ["+https-get"], ["+tcp"]])
def test_all_transports_bring_the_same(tree: Tree, words: list[str]) -> None:
    ca = ["--ca", str(tree.folder / "ca.pem")] if words != ["+tcp"] else []
    options = ["@10.53.0.54", *words, *ca, "--json", "--trust-anchor", str(tree.anchor)]
    ((status, output, errors),) = ours(tree, [[*options, "www.good.example", "long.good.example", "TXT"]])
    assert (status, errors) == (0, "")
    short, long = json.loads(output)["results"]
    assert sorted(one["data"] for one in short["answer"]) == ["192.0.2.1", "192.0.2.2"]
    assert len(long["answer"]) == 20
    assert {one["dnssec"] for one in (short, long)} == {SECURE}
    assert short["protocol"] == words[0].strip("-+").removesuffix("-get")
    flag = {"--tls": "+tls", "--https": "+https"}.get(words[0], words[0])
    theirs = tree.run("kdig", "+short", flag, "@10.53.0.54", "www.good.example", "long.good.example", "TXT")
    mine = [one["data"] for answer in (short, long) for one in answer["answer"]]
    assert words_of(theirs.stdout) == words_of("\n".join(mine))


def test_certificates_are_checked(tree: Tree) -> None:
    ca = ["--ca", str(tree.folder / "ca.pem")]
    question = ["www.good.example", "@10.53.0.54", "+short"]
    lines = [
        [*question, "--tls", *ca, "--tls-host", "resolver.example"],
        [*question, "--tls", *ca, "--tls-host", "other.example"],
        [*question, "--https"],
        ["www.good.example", "+short", *ca, "@https://10.53.0.54/elsewhere"],
    ]
    lines.append([*question, "+tls", f"+tls-ca={tree.folder / 'ca.pem'}", "+tls-hostname=resolver.example"])
    right, other, unknown, elsewhere, switches = ours(tree, lines)
    assert right[0] == switches[0] == 0
    assert "HTTP status 404" in elsewhere[2]
    assert other[0] == unknown[0] == 9
    assert "not valid for 'other.example'" in other[2]
    assert "certificate is not accepted" in unknown[2]
    assert other[2].count("\n") == unknown[2].count("\n") == 1


KEY = "hmac-sha512:transfer.key:c2VjcmV0LXNlY3JldA=="


def test_transfers_and_questions_are_signed(tree: Tree) -> None:
    file = tree.folder / "key"
    statement = 'key "transfer.key" {\n  algorithm hmac-sha512;\n  secret "c2VjcmV0LXNlY3JldA==";\n};\n'
    file.write_text(f"# made by hand\n{statement}")
    wrong = KEY.replace("c2Vj", "c2Vk")
    lines = [
        ["keyed.test", "AXFR", ROOT, "-y", KEY],
        ["keyed.test", "AXFR", ROOT, "-k", str(file), "+short"],
        ["keyed.test", "AXFR", ROOT],
        ["keyed.test", "AXFR", ROOT, "-y", wrong],
        ["keyed.test", "SOA", ROOT, "-y", KEY, "+short"],
        ["keyed.test", "SOA", ROOT, "-y", wrong, "+time=300ms", "+tries=1"],
        ["keyed.test", "SOA", ROOT, "-y", KEY.replace("transfer", "other"), "+tcp"],
    ]
    axfr, short, refused, bad, asked, forged, unknown = ours(tree, lines)
    theirs = tree.run("dig", "keyed.test", "AXFR", ROOT, "-y", KEY).stdout
    assert words_of(axfr[1]) == words_of(re.sub(r".*\tTSIG\t.*\n", "", theirs))
    assert [(found[0], found[2]) for found in (axfr, short, asked)] == [(0, "")] * 3
    assert (refused[0], refused[1].split(": ")[1].split()[0]) == (1, "REFUSED")
    assert [found[0] for found in (bad, forged, unknown)] == [9, 9, 9]
    assert "BADSIG" in bad[2]
    assert "BADSIG" in forged[2]
    assert "BADKEY" in unknown[2]


def test_the_versions_of_a_zone(tree: Tree) -> None:
    lines = [["+nssearch", "good.example", UNBOUND], ["+nssearch", "example", BIND, "--json"]]
    (status, output, _), top = ours(tree, lines)
    assert status == 0
    soa = "SOA ns.good.example. hostmaster.example. 2026010100 3600 900 604800 300 from server udp://10.53.0.3:53"
    assert output.startswith(soa)
    found = {server["server"]: server["serial"] for server in json.loads(top[1])["servers"]}
    assert found == {"udp://10.53.0.2:53": 2026010100}


def settled(text: str) -> list[str]:
    """Lines of YAML without what differs each time."""
    text = re.sub(r"!!timestamp \S+|(?<=  id: )\d+|(?<=COOKIE: )[0-9a-f]+|(?<=message_size: )\d+", "*", text)
    lines = [line for line in text.splitlines() if line]
    data = sorted(squeezed(re.sub(r" \d+ IN ", " IN ", line)) for line in lines if line.startswith("        - "))
    return [*data, *(line for line in lines if not line.startswith("        - "))]


def test_yaml_is_that_of_dig(tree: Tree) -> None:
    different = {}
    lines = [line.split() for line in YAML]
    for words, (_, output, errors) in zip(
        lines, ours(tree, [["--no-validate", "+yaml", *words] for words in lines]), strict=True
    ):
        theirs = tree.namespace.run("dig", "+yaml", *words, env=environment(), check=False).stdout
        if settled(output) != settled(theirs) or errors:
            different[" ".join(words)] = [*difflib.unified_diff(settled(theirs), settled(output), n=0)], errors
    assert not different
