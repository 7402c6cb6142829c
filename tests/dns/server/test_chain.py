"""From a query to its answer: what is answered, refused, dropped, and with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dns.server.running import ZONE

from catenet.dns.errors import extended_errors
from catenet.dns.response import ExtendedError, Response
from catenet.dns.rrset import RRset
from catenet.dns.server.access import Action
from catenet.dns.server.chain import PENDING, Chain
from catenet.dns.server.local import LocalData
from catenet.dns.server.request import HTTPS, TCP, TLS, UDP
from catenet.dns.server.settings import CookiePolicy, ServerSettings
from catenet.dns.zone import ZoneSet, read_zone
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AA, ANY, CD, CH, IN, QR, RA, RD, TC, TXT, A

SECRETS = (bytes(range(16)),)
WWW = name_from_text("www.example.org.")
ELSEWHERE = name_from_text("www.example.net.")
COOKIE, KEEPALIVE, PADDING, NSID = 10, 11, 12, 3


class Backend:
    """Keeps what it is asked, to be answered when a test says."""

    def __init__(self):
        self.asked = []

    is_personal = False

    def arm(self):
        pass

    def ask(self, request, question, done):
        self.asked.append((question, done))


def chain(backend=None, *, wall=lambda: 1_700_000_000.0, sources=(), **settings):
    made = Chain(
        ServerSettings(cookie_secrets=SECRETS, **settings), [*sources, ZoneSet([read_zone(ZONE)])], backend, wall
    )
    made.tick(1000.0)
    return made


def query(name=WWW, kind=A, flags=RD, rclass=IN, edns=None, number=77):
    return pack(number, flags, Question(name, kind, rclass), edns=edns)


def ask(server, data, transport=UDP, address="192.0.2.9", late=None):
    reply = server.receive(data, transport, address, 5353, (late if late is not None else []).append)
    return parse(reply) if reply else reply


def option(message, code):
    return next((data for number, data in message.edns.options if number == code), None)


def test_a_zone_is_answered_and_kept():
    server = chain()
    for _ in range(2):
        reply = ask(server, query())
        assert (reply.id, reply.flags, len(reply.answer)) == (77, QR | AA | RD, 1)
    assert server.lane("192.0.2.9").look_up(query()) is not None


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (query(flags=1 << 11), 4),
        (query(flags=6 << 11), 4),
        (query(kind=41), 1),
        (query(kind=250), 1),
        (query(kind=253), 4),
        (query(kind=252), 5),
        (query(rclass=4), 5),
        (query(rclass=255), 5),
        (query(edns=Edns(version=3)), 16),
        (query(ELSEWHERE), 5),
        (query(name_from_text("no.such.www.example.org.")), 3),
        (pack(77, RD, None), 1),
        (query(edns=Edns(options=((COOKIE, bytes(7)),))), 1),
        (query(edns=Edns(options=((COOKIE, bytes(12)),))), 1),
        (query(edns=Edns(options=((COOKIE, bytes(41)),))), 1),
        (query()[:-1], 1),
        (query()[:20], 1),
        (query() + b"x", 1),
        (query()[:4] + b"\0\2" + query()[6:] + query()[12:], 1),
        (query()[:12] + b"\xc0\x0c\0\1\0\1", 1),
        (query()[:12] + b"\xc0\x02\0\1\0\1", 1),
    ],
)
def test_what_is_wrong_gets_its_code(data, rcode):
    reply = ask(chain(), data)
    assert (reply.id, reply.rcode) == (77, rcode)
    assert reply.flags & QR and reply.opcode == parse(data[:4] + bytes(8)).opcode
    assert len(reply.data) <= len(data) + (50 if rcode == 3 else 40)  # the SOA, or a cookie: nothing is amplified


@pytest.mark.parametrize("data", [b"", b"x", query()[:11], query(flags=QR), query(flags=QR | 4 << 11)])
def test_what_is_no_query_gets_no_answer(data):
    server = chain()
    assert ask(server, data) is None
    assert server.counters.values["malformed"] == 1


def test_access_by_the_longest_prefix():
    actions = {
        "0.0.0.0/0": Action.DROP,
        "192.0.2.0/24": Action.ALLOW,
        "192.0.2.8/29": Action.REFUSE,
        "::/0": Action.DROP,
    }
    server = chain(actions=actions)
    assert ask(server, query(), address="192.0.2.1").rcode == 0
    refused = ask(server, query(), address="192.0.2.9")
    assert refused.rcode == 5
    assert ask(server, query(), address="198.51.100.1") is None
    assert ask(server, query(), address="fe80::1%eth0") is None
    assert ask(server, query(), address="::ffff:192.0.2.1").rcode == 0
    assert server.lane("192.0.2.9") is None and server.lane("192.0.2.1") is not None


def test_recursion_is_for_those_who_may_and_equal_questions_wait_together():
    backend, late = Backend(), []
    server = chain(backend)
    assert ask(server, query(ELSEWHERE)).rcode == 5
    assert not ask(server, query(ELSEWHERE)).flags & RA
    assert ask(server, query(ELSEWHERE, flags=0), address="127.0.0.1").rcode == 5
    assert ask(server, query(), address="127.0.0.1").flags & RA
    for number, name in ((1, "www.example.net."), (2, "WWW.example.NET.")):
        reply = ask(server, query(name_from_text(name), number=number), address="127.0.0.1", late=late)
        assert reply == PENDING
    assert len(backend.asked) == 1 and server.pending == 1
    question, done = backend.asked[0]
    done(Response(answer=[RRset(question.name, A, 100, (b"\1\2\3\4",))]))
    assert [parse(one).id for one in late] == [1, 2]
    assert parse(late[1]).answer[0].name == name_from_text("WWW.example.NET.")
    assert server.pending == 0
    server.tick(1050.0)
    kept = ask(server, query(ELSEWHERE), address="::1")
    assert kept.answer[0].ttl == 50
    assert ask(server, query(ELSEWHERE)).rcode == 5, "what is kept is not for all"
    assert ask(server, query(ELSEWHERE, flags=RD | CD), address="::1", late=late) == PENDING


@pytest.mark.parametrize("response", [Response(2), Response(errors=[ExtendedError(3, "stale")])])
def test_failures_and_stale_answers_are_not_kept(response):
    backend, late = Backend(), []
    server = chain(backend)
    for _ in range(2):
        assert ask(server, query(ELSEWHERE, edns=Edns()), address="127.0.0.1", late=late) == PENDING
        backend.asked.pop()[1](response)
    for one in map(parse, late):
        assert [error.code for error in extended_errors(one.edns)] == [error.code for error in response.errors]


def test_questions_that_wait_have_a_limit():
    server = chain(Backend(), most_pending=5)
    for number in range(5):
        assert ask(server, query(name_from_text(f"n{number}.net.")), address="127.0.0.1") == PENDING
    assert ask(server, query(name_from_text("more.net.")), address="127.0.0.1").rcode == 2
    late = []
    for _ in range(10):
        assert ask(server, query(name_from_text("n0.net.")), address="127.0.0.1", late=late) == PENDING


def test_an_answer_that_was_asked_for_before_a_reload_is_not_kept():
    backend, late = Backend(), []
    server = chain(backend)
    assert ask(server, query(ELSEWHERE), address="127.0.0.1", late=late) == PENDING
    server.forget()
    backend.asked.pop()[1](Response(answer=[RRset(ELSEWHERE, A, 100, (b"\1\2\3\4",))]))
    assert len(late) == 1
    assert ask(server, query(ELSEWHERE), address="127.0.0.1", late=late) == PENDING


def test_local_data_comes_first():
    local = LocalData([RRset(WWW, TXT, 5, (b"\2hi",))])
    server = chain(sources=[local])
    assert not ask(server, query()).answer and ask(server, query()).rcode == 0
    assert ask(server, query(kind=TXT)).answer[0].data == b"\2hi"
    assert ask(server, query(name_from_text("ns1.example.org."))).answer


@pytest.mark.parametrize(("transport", "most"), [(UDP, 1), (TCP, 40)])
def test_any_is_answered_whole_where_the_source_is_no_forgery(transport, most):
    reply = ask(chain(), query(kind=ANY), transport)
    assert len({record.type for record in reply.answer}) == (1 if transport is UDP else 2)


def test_cut_by_udp_and_whole_by_tcp():
    name = name_from_text("large.example.org.")
    server = chain()
    for edns in (None, Edns(payload=100), Edns(payload=60_000)):
        reply = ask(server, query(name, TXT, edns=edns))
        assert reply.flags & TC and not reply.answer
        assert len(reply.data) < 1232
    assert len(ask(server, query(name, TXT), TCP).answer) == 60


def test_what_a_server_says_of_itself():
    server = chain(version="nine", hostname="box", nsid=b"me")
    for name, text in (("version.bind.", b"\4nine"), ("ID.server.", b"\3box")):
        assert ask(server, query(name_from_text(name), TXT, rclass=CH)).answer[0].data == text
    assert ask(server, query(name_from_text("authors.bind."), TXT, rclass=CH)).rcode == 5
    assert ask(chain(version=""), query(name_from_text("version.bind."), TXT, rclass=CH)).rcode == 5
    assert option(ask(server, query(edns=Edns(options=((NSID, b""),)))), NSID) == b"me"
    assert option(ask(server, query(edns=Edns())), NSID) is None


def test_cookies():
    time = [1_700_000_000.0]
    server = chain(wall=lambda: time[0])
    first = option(ask(server, query(edns=Edns(options=((COOKIE, b"clientck"),)))), COOKIE)
    assert first[:16] == b"clientck" + b"\1\0\0\0" + (1_700_000_000).to_bytes(4, "big") and len(first) == 24

    def again(cookie, address="192.0.2.9"):
        return option(ask(server, query(edns=Edns(options=((COOKIE, cookie),))), address=address), COOKIE)

    assert again(first) == first and again(first) == first
    assert again(first, "192.0.2.10") != first, "a cookie is of one address"
    time[0] += 1801
    renewed = again(first)
    assert renewed != first and again(renewed) == renewed
    time[0] += 3601
    assert again(first) not in (first, renewed)


def test_cookies_that_are_required():
    server = chain(cookies=CookiePolicy.REQUIRED)
    assert server.lane("192.0.2.9") is None
    bare = ask(server, query())
    assert bare.flags & TC and not bare.answer
    bad = ask(server, query(edns=Edns(options=((COOKIE, b"clientck"),))))
    assert bad.rcode == 23 and not bad.answer
    good = ask(server, query(edns=Edns(options=((COOKIE, option(bad, COOKIE)),))))
    assert good.rcode == 0 and good.answer
    assert ask(server, query(), TCP).answer


def test_a_cookie_may_be_all_that_is_asked_for():
    reply = ask(chain(), pack(9, 0, None, edns=Edns(options=((COOKIE, b"clientck"),))))
    assert (reply.rcode, reply.question) == (0, None)
    assert len(option(reply, COOKIE)) == 24


def test_keepalive_and_padding():
    server = chain(idle_timeout=12.5)
    alive = Edns(options=((KEEPALIVE, b""),))
    assert option(ask(server, query(edns=alive), TCP), KEEPALIVE) == (125).to_bytes(2, "big")
    assert option(ask(server, query(edns=alive), UDP), KEEPALIVE) is None
    assert ask(server, query(edns=Edns(options=((KEEPALIVE, b"\0\1"),))), TCP).rcode == 1
    padded = Edns(options=((PADDING, bytes(40)),))
    for transport in (TLS, HTTPS):
        for name in (WWW, name_from_text("large.example.org.")):
            assert len(ask(server, query(name, TXT, edns=padded), transport).data) % 468 == 0
    assert option(ask(server, query(edns=padded), TCP), PADDING) is None


def test_dnssec_ok_comes_back():
    assert ask(chain(), query(edns=Edns(flags=DNSSEC_OK))).edns.flags == DNSSEC_OK


@given(st.binary(max_size=600), st.sampled_from([UDP, TCP, TLS, HTTPS]))
def test_nothing_that_comes_raises(data, transport):
    server = SERVER
    for one in (data, query()[:12] + data, query(edns=Edns(options=((COOKIE, bytes(8)),)))[:40] + data):
        reply = server.receive(one, transport, "127.0.0.1", 99, lambda _: None)
        if reply:
            assert parse(reply).flags & QR


@given(st.lists(st.tuples(st.integers(0, 79), st.integers(0, 255)), min_size=1, max_size=6))
def test_nothing_that_is_nearly_a_query_raises(changes):
    data = bytearray(query(edns=Edns(options=((COOKIE, bytes(8)), (NSID, b""), (PADDING, bytes(9))))))
    for at, value in changes:
        data[at % len(data)] = value
    reply = SERVER.receive(bytes(data), UDP, "127.0.0.1", 99, lambda _: None)
    if reply:
        assert parse(reply).flags & QR
        assert reply[:2] == bytes(data[:2])


SERVER = chain(Backend(), nsid=b"me", most_pending=50)
