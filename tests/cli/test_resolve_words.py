"""The words of `catenet resolve`: what counts for which name, switches, servers, and what is wrong with them."""

from __future__ import annotations

import pytest

from catenet.cli import UsageError
from catenet.cli.resolve.asking import make_query
from catenet.cli.resolve.plan import make_plan
from catenet.cli.resolve.switches import SWITCHES, Options, apply
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import type_to_text


def plan(*words, version=None):
    return make_plan(words, Options(), version)


def asked(*words):
    """Name, type, servers of each question."""
    return [
        (name_to_text(ask.question.name), type_to_text(ask.question.type), [server.text for server in ask.servers])
        for ask in plan(*words).asks
    ]


def test_what_stands_before_the_first_name_counts_for_all():
    assert asked("@::1", "MX", "a.", "b.", "TXT") == [("a.", "MX", ["::1"]), ("b.", "TXT", ["::1"])]


def test_a_name_has_its_own_servers_and_types():
    assert asked("a.", "A", "AAAA", "@::1", "b.", "@::2") == [
        ("a.", "A", ["::1"]),
        ("a.", "AAAA", ["::1"]),
        ("b.", "A", ["::2"]),
    ]


def test_a_name_without_servers_takes_those_of_the_next_name_that_has_some():
    assert asked("a.", "b.", "@::1") == [("a.", "A", ["::1"]), ("b.", "A", ["::1"])]
    assert asked("a.", "@::1", "b.") == [("a.", "A", ["::1"]), ("b.", "A", ["::1"])]


def test_switches_count_for_the_name_before_them_and_short_for_all():
    first, second = plan("+norecurse", "@::1", "a.", "+tcp", "b.", "+recurse", "+short").asks
    assert (first.options.recurse, first.options.tcp, first.options.short) == (False, True, True)
    assert (second.options.recurse, second.options.tcp, second.options.short) == (True, False, True)
    assert [ask.servers[0].target.scheme for ask in (first, second)] == ["tcp", "udp"]


def test_a_type_alone_asks_for_the_root():
    assert asked("@::1", "NS") == [(".", "NS", ["::1"])]


def test_names_that_look_like_types_and_glued_options():
    assert asked("@::1", "-q", "mx", "-tTXT", "-q", "-x.example") == [
        ("mx.", "TXT", ["::1"]),
        ("-x.example.", "A", ["::1"]),
    ]
    assert asked("@::1", "-x192.0.2.1", "-x", "::1", "SOA")[0][:2] == ("1.2.0.192.in-addr.arpa.", "PTR")
    assert asked("@::1", "-x192.0.2.1", "-x", "::1", "SOA")[1][1] == "SOA"


def test_ixfr_has_its_serial():
    (ask,) = plan("@::1", "example.", "IXFR=4294967295").asks
    assert ask.serial == 4294967295
    with pytest.raises(UsageError, match="IXFR=SERIAL"):
        plan("@::1", "example.", "IXFR")
    with pytest.raises(UsageError, match="'4294967296' is no serial"):
        plan("@::1", "example.", "IXFR=4294967296")


def test_a_file_has_a_command_line_in_each_line(tmp_path):
    file = tmp_path / "batch"
    file.write_text("# two names\na. MX\n\nb. +tcp\n")
    assert asked("@::1", "-f", str(file)) == [("a.", "MX", ["::1"]), ("b.", "A", ["::1"])]
    file.write_text("a.\nb. +shrot\n")
    with pytest.raises(UsageError, match=r"batch:2: no switch \+shrot; did you mean \+short"):
        plan("@::1", "-f", str(file))
    with pytest.raises(UsageError, match="no such file"):
        plan("-f", str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("words", "watch"),
    [(["--watch"], 0.0), (["--watch", "5"], 5.0), (["--watch=200ms"], 0.2), (["--watch", "2s"], 2.0), ([], None)],
)
def test_watch_may_have_seconds(words, watch):
    assert plan("a.", "@::1", *words).watch == watch
    assert plan(*words, "a.", "@::1").watch == watch


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("::1", "udp://[::1]:53"),
        ("[::1]", "udp://[::1]:53"),
        ("[::1]:5353", "udp://[::1]:5353"),
        ("192.0.2.1", "udp://192.0.2.1:53"),
        ("192.0.2.1:5353", "udp://192.0.2.1:5353"),
        ("192.0.2.1#5353", "udp://192.0.2.1:5353"),
        ("::1#5353", "udp://[::1]:5353"),
        ("fe80::1%lo", "udp://[fe80::1%lo]:53"),
        ("[fe80::1%lo]:5353", "udp://[fe80::1%lo]:5353"),
        ("ns.example", "udp://ns.example:53"),
        ("ns.example:5353", "udp://ns.example:5353"),
        ("udp://ns.example", "udp://ns.example:53"),
        ("tcp://::1", "tcp://[::1]:53"),
        ("tls://ns.example", "tls://ns.example:853"),
        ("https://ns.example", "https://ns.example:443/dns-query"),
        ("https://ns.example/path{?dns}", "https://ns.example:443/path"),
        ("http://[::1]:8080/dns-query", "http://[::1]:8080/dns-query"),
    ],
)
def test_servers(text, url):
    (ask,) = plan("a.", f"@{text}").asks
    assert ask.servers[0].target.url == url


@pytest.mark.parametrize(
    ("words", "url"),
    [
        (["+tcp"], "tcp://[::1]:53"),
        (["+tls"], "tls://[::1]:853"),
        (["+https"], "https://[::1]:443/dns-query"),
        (["+https=/other"], "https://[::1]:443/other"),
        (["+http-plain", "-p", "80"], "http://[::1]:80/dns-query"),
        (["-p", "5300"], "udp://[::1]:5300"),
        (["-p5300", "+vc"], "tcp://[::1]:5300"),
    ],
)
def test_switches_choose_the_transport(words, url):
    (ask,) = plan("a.", "@::1", *words).asks
    assert ask.servers[0].target.url == url


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["@"], "@ names no server"),
        (["@[::1"], "bracket|no IPv6|no port"),
        (["@1.2.3"], "'1.2.3' is no IPv4 address"),
        (["@1.2.3.4.5"], "no IPv4 address"),
        (["@:::1"], "no IPv6 address"),
        (["@::1%lo%lo"], "no interface|no IPv6"),
        (["@fe80::1%nothing"], "no interface 'nothing' here"),
        (["@fe80::1%"], "an empty zone"),
        (["@ns.example%lo"], "only an IPv6 address has a zone"),
        (["@ns.example:"], "names no port"),
        (["@ns.example:0"], "port 0"),
        (["@ns.example:99999"], "'99999' is no port"),
        (["@ftp://ns.example"], "no scheme 'ftp'"),
        (["@htps://ns.example"], "do you mean https"),
        (["@tcp://ns.example/path"], "takes no path"),
        (["@udp://::1", "+tls"], "one says udp, the other TLS"),
        (["@::1", "+tls", "+https"], "give one of them"),
        (["@::1", "-p", "0"], "-p: '0' is no port"),
        (["@::1", "-p"], "-p needs a value: -p PORT"),
        (["@::1", "-t", "NOTYPE"], "-t: 'NOTYPE' is not a record type"),
        (["@::1", "-c", "NOCLASS"], "-c: 'NOCLASS' is not a class"),
        (["@::1", "CLASS65536"], "'CLASS65536' is not a class"),
        (["@::1", "+bufsize=70000"], r"\+bufsize: 70000 is not from 0 to 65535"),
        (["@::1", "+bufsize=x"], "'x' is no number"),
        (["@::1", "+subnet=1.2.3.4/33"], "a prefix length is from 0 to 32"),
        (["@::1", "+subnet"], "needs a value"),
        (["@::1", "+short=yes"], "takes no value"),
        (["@::1", "+cookie=12"], "a cookie has 8 bytes"),
        (["@::1", "+cookie=xx"], "not hexadecimal"),
        (["@::1", "+time=0"], "must be more than 0"),
        (["@::1", "+tries=0"], "not from 1 to 100"),
        (["@::1", "+opcode=16"], "not from 0 to 15"),
        (["@::1", "+ednsopt=9x"], "no number"),
        (["@::1", "+https=path"], "it begins with /"),
        (["@::1", "+co"], r"may be \+comments, \+cookie"),
        (["@::1", "+xyzzy"], "--help"),
        (["@::1", "--watch=0"], "must be more than 0"),
    ],
)
def test_mistakes(words, problem):
    with pytest.raises(UsageError, match=problem):
        plan("a.", *words)


def test_an_address_of_the_other_version_is_a_mistake():
    with pytest.raises(UsageError, match="@::1 and -4: the address is of IPv6"):
        plan("a.", "@::1", version=4)
    with pytest.raises(UsageError, match="-6: the address is of IPv4"):
        plan("a.", "@127.0.0.1", version=6)


def test_every_switch_can_be_said_whole_and_many_shortened():
    for name in SWITCHES:
        found, _ = apply(Options(), f"no{name}")
        assert found == name
    assert apply(Options(), "rec")[0] == "recurse"
    assert apply(Options(), "norec")[1].recurse is False
    assert apply(Options(), "NOALL")[1].answer is False


def query(*words):
    (ask,) = plan("a.", "@::1", *words).asks
    return make_query(ask.options, ask)


def test_switches_make_the_query():
    assert query().flags == 0x0120
    assert query("+norecurse", "+noadflag", "+cdflag", "+aaflag", "+zflag").flags == 0x0450
    assert query("+opcode=notify").flags == 0x2120
    assert query().edns == Edns()
    assert query("+noedns").edns is None
    assert query("+noedns", "+dnssec").edns == Edns(flags=0x8000)
    assert query("+bufsize=512", "+edns=3", "+ednsflags=1").edns == Edns(512, 1, version=3)
    options = query(
        "+nsid", "+subnet=2001:db8::/32", "+expire", "+keepalive", "+ednsopt=chain:00", "+ednsopt=77"
    ).edns.options
    assert options == ((3, b""), (8, bytes.fromhex("0002200020010db8")), (9, b""), (11, b""), (13, b"\0"), (77, b""))
    assert query("+subnet=0").edns.options == ((8, bytes.fromhex("00010000")),)
    assert query("+cookie=0011223344556677").edns.options == ((10, bytes.fromhex("0011223344556677")),)
    assert (query().cookies, query("+nocookie").cookies, query("+noedns").cookies) == (True, False, False)
    assert query("+header-only").question is None
    assert (query("+qid=7").number, query("+padding").padding, query("+ignore").take_cut) == (7, 128, True)
