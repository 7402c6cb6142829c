"""Forwarding in the exact path: what is sent, what is believed, who gets the answer, when others are asked."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.dns.server.fast.answers import Answers
from catenet.dns.server.fast.form import Forms
from catenet.dns.server.fast.forward import MOST_FORGED, TRIES, USES, ForwardTable, is_plain_question
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, is_same_question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AA, AD, CD, QR, RA, RD, TC, A
from catenet.wire.dns.record import make_record

NAME = name_from_text("wWw.example.net.")
FORMS = Forms(1232, 1232)


class Upstream:
    """Recursive servers on sockets, and the table that asks them."""

    def __init__(self, count=1, most=1000):
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for sock in self.sockets:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(20)
        self.answers = Answers(FORMS, 1 << 20, 1 << 20)
        self.ports, self.streams = [], []
        self.table = ForwardTable(
            [sock.getsockname() for sock in self.sockets],
            self.answers,
            most,
            self.ports.append,
            self.ports.remove,
            self.streams.append,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.table.close()
        assert not self.ports
        for sock in self.sockets:
            sock.close()

    def take(self, data, told, now=0.0):
        return self.table.take(data, self.answers.form_of(data, FORMS), told.append, now)

    def asked(self, server=0):
        return self.sockets[server].recvfrom(4096)

    def reply(self, data, client, server=0, now=0.0):
        self.sockets[server].sendto(data, client)
        for port in list(self.ports):
            if port.sock.getsockname() == client:
                port.sock.setblocking(True)
                port.sock.settimeout(20)
                data = port.sock.recv(4096, socket.MSG_PEEK)
                port.sock.setblocking(False)
                self.table.receive(port, now)


def query(number=7, name=NAME, flags=RD, edns=None):
    return pack(number, flags, Question(name, A), edns=edns)


def answer_to(data, rcode=0, flags=QR | RD | RA, ttl=300, **more):
    message = parse(data)
    records = [make_record(message.question.name, A, ttl, b"\1\2\3\4")] if not rcode else []
    return pack(message.id, flags | rcode, message.question, records, edns=Edns(), **more)


def test_one_query_for_all_who_ask_the_same():
    with Upstream() as up:
        told = []
        assert up.take(query(1), told)
        assert up.take(query(2, name_from_text("www.EXAMPLE.net.")), told)
        data, client = up.asked()
        message = parse(data)
        assert is_same_question(message.question, Question(NAME, A)) and message.question.name == NAME
        assert message.flags == RD and message.edns.payload == 1232
        up.reply(answer_to(data, flags=QR | RD | RA | AA | AD), client)
        first, second = map(parse, told)
        assert (first.id, second.id) == (1, 2)
        assert first.flags == QR | RD | RA, "nobody here is an authority, or has validated"
        assert second.answer[0].name == name_from_text("www.EXAMPLE.net.")
        assert first.edns is None
        assert up.answers.look_up(query(9)) is not None
        assert len(up.table) == 0


@pytest.mark.parametrize(
    "forge",
    [
        lambda data: bytes((data[0] ^ 1,)) + data[1:],
        lambda data: data[:2] + bytes((data[2] & 0x7F,)) + data[3:],
        lambda data: data.replace(b"wWw", b"www"),
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data[:4] + b"\0\2" + data[6:],
    ],
)
def test_what_answers_something_else_is_passed_over(forge):
    with Upstream() as up:
        told = []
        assert up.take(query(), told)
        data, client = up.asked()
        up.reply(forge(answer_to(data)), client)
        assert not told and len(up.table) == 1
        up.reply(answer_to(data), client)
        assert len(told) == 1


def test_a_socket_to_which_somebody_guesses_is_given_up():
    with Upstream() as up:
        told = []
        assert up.take(query(), told)
        data, client = up.asked()
        for _ in range(MOST_FORGED):
            up.reply(answer_to(bytes((data[0] ^ 1,)) + data[1:]), client)
        (port,) = up.ports
        up.reply(answer_to(data), client)
        assert told and port not in up.ports and port.sock.fileno() < 0


def test_sockets_change_and_ports_and_ids_are_drawn():
    with Upstream() as up:
        told, places = [], set()
        for number in range(USES * 20):
            assert up.take(query(number % 65536, name_from_text(f"n{number}.net.")), told)
            data, client = up.asked()
            places.add(client)
            up.reply(answer_to(data), client)
            if len(places) > 24:
                break
        assert len(places) > 24, "of 16 at a time"
        assert len(up.ports) <= 16


def test_failures_and_silence_lead_to_the_next_server_and_end():
    with Upstream(2) as up:
        told = []
        assert up.take(query(), told)
        data, client = up.asked(0)
        up.reply(answer_to(data, rcode=2), client, 0)
        data, client = up.asked(1)
        up.reply(answer_to(data, rcode=5), client, 1)
        assert parse(told.pop()).rcode == 5
        assert up.take(query(3), told)
        now = 0.0
        for _ in range(TRIES):
            assert not told
            now = up.table.next_deadline()
            up.table.handle_timeout(now)
        assert parse(told[0]).rcode == 2 and parse(told[0]).id == 3
        assert len(up.table) == 0
        up.table.handle_timeout(now + 100)


def test_a_cut_answer_is_asked_for_by_stream():
    with Upstream() as up:
        told = []
        assert up.take(query(), told)
        data, client = up.asked()
        up.reply(answer_to(data, flags=QR | RD | RA | TC), client)
        (waiting,) = up.streams
        assert not told
        message = up.table.message(waiting)
        up.table.deliver(waiting, answer_to(message), 0.0)
        assert parse(told[0]).answer


def test_bits_go_along():
    with Upstream() as up:
        told = []
        assert up.take(query(flags=RD | CD, edns=Edns(flags=0x8000)), told)
        message = parse(up.asked()[0])
        assert message.flags == RD | CD and message.edns.flags == 0x8000
        assert up.take(query(flags=RD), told)
        assert parse(up.asked()[0]).flags == RD, "another question"


def test_questions_on_their_way_have_a_limit():
    with Upstream(most=5) as up:
        told = []
        for number in range(5):
            assert up.take(query(name=name_from_text(f"n{number}.net.")), told)
        assert not up.take(query(name=name_from_text("more.net.")), told)
        ended = []
        up.table.ask(b"\1\4more\0\0\1\0\1", b"\4more\0\0\1\0\1", ended.append, 0.0)
        assert ended == [None]


def test_a_record_of_edns_may_be_anywhere():
    with Upstream() as up:
        told = []
        assert up.take(query(), told)
        data, client = up.asked()
        whole = answer_to(data)
        opt = whole[-11:]
        extra = make_record(b"\0", 16, 60, b"\1x").source
        up.reply(whole[:10] + b"\0\2" + whole[12:-11] + opt + extra, client)
        assert [record.type for record in parse(told[0]).additional] == [16]


@pytest.mark.parametrize(
    ("question", "plain"),
    [
        (NAME + b"\0\1\0\1", True),
        (b"\0\0\2\0\1", True),
        (NAME + b"\0\xff\0\1", False),
        (NAME + b"\0\xfc\0\1", False),
        (NAME + b"\0\x29\0\1", False),
        (NAME + b"\0\0\0\1", False),
        (NAME + b"\1\0\0\1", True),
        (NAME + b"\0\1\0\3", False),
        (NAME[:-1] + b"\xc0\x0c\0\1\0\1", False),
        (NAME[:-1] + b"\0\1\0\1", False),
        (b"\0\1\0\1", False),
        (b"", False),
        (b"\x3f" + bytes(63) + b"\0\0\1\0\1", True),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", False),
    ],
)
def test_plain_questions(question, plain):
    assert is_plain_question(question) is plain


@given(st.binary(max_size=300))
def test_whatever_is_plain_can_be_read(question):
    for one in (question, NAME + question):
        if is_plain_question(one):
            assert parse(bytes(4) + b"\0\1" + bytes(6) + one).question.name == one[:-4]


@given(st.binary(max_size=200), st.booleans())
def test_no_reply_makes_it_raise(data, with_question):
    table, told = TABLE
    if not len(table):
        assert table.take(query(), FORMS.read(query()[2:12]), told.append, 0.0)
    (waiting,) = table._queries.values()
    reply = table.message(waiting)[:12] + (waiting.question if with_question else b"") + data
    reply = reply[:2] + b"\x81\x80" + reply[4:]
    if table.fits(waiting, reply):
        table.deliver(waiting, reply, 0.0)


TABLE = (
    ForwardTable(
        [("127.0.0.1", 9)],
        Answers(FORMS, 1 << 20, 1 << 20),
        100,
        lambda _: None,
        lambda _: None,
        lambda _: None,
    ),
    [],
)
