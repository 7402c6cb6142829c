"""Queries over HTTP/1.1 and HTTP/2 without I/O, beside our own server machines: requests, answers, problems, limits."""

from __future__ import annotations

import base64

import pytest

from catenet.dns.client.https import LARGEST, HttpsQueries, aged
from catenet.http import events as ev
from catenet.http.h1.connection import H1Connection
from catenet.http.h2.connection import Connection
from catenet.http.message import ResponseHead
from catenet.wire.dns import numbers
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.record import make_record

NAME = name_from_text("www.example.")
QUERY = pack(0, numbers.RD, Question(NAME, numbers.A))
ANSWER = pack(0, numbers.QR, Question(NAME, numbers.A), [make_record(NAME, numbers.A, 60, bytes(4))], edns=Edns())
MESSAGE = (b"content-type", b"application/dns-message")


class Pair:
    """A client and a server of ours, and the wire between them."""

    def __init__(self, version, get=False, path=""):
        self.server = Connection(False) if version == 2 else H1Connection(False)
        self.client = HttpsQueries("https", "ns.example", path, get)
        self.client.begin(version)
        self.requests = []
        self.bodies = {}
        self.answer = lambda stream: self.reply(stream, 200, (MESSAGE,), ANSWER)

    def reply(self, stream, status, fields, body):
        fields = (*fields, (b"content-length", b"%d" % len(body)))
        self.server.send_reply(stream, ResponseHead(status, fields), body, None)

    def run(self):
        """Carry bytes until nobody says more; returns the answers."""
        answers = []
        for _ in range(100):
            to_server = self.client.transmit(0.0)
            for kind, stream, value, end in self.server.receive(to_server, 0.0) if to_server else []:
                if kind == ev.HEAD:
                    self.requests.append(value)
                if kind == ev.DATA:
                    self.bodies[stream.id] = self.bodies.get(stream.id, b"") + value
                    self.server.consume(stream, len(value))
                if end:
                    self.answer(stream)
            to_client = self.server.transmit()
            if to_client:
                self.client.receive(to_client, 0.0)
            while (answer := self.client.next_event()) is not None:
                answers.append((answer.token, answer.message, answer.problem))
            if not to_server and not to_client:
                return answers
        raise AssertionError("they never stop")


@pytest.mark.parametrize("version", [1, 2])
def test_a_query_is_posted(version):
    pair = Pair(version)
    pair.client.send(7, QUERY)
    assert pair.run() == [(7, ANSWER, "")]
    (request,) = pair.requests
    assert (request.method, request.path, request.authority) == (b"POST", b"/dns-query", b"ns.example")
    assert request.get(b"content-type") == request.get(b"accept") == b"application/dns-message"
    assert list(pair.bodies.values()) == [QUERY]


@pytest.mark.parametrize("version", [1, 2])
def test_or_stands_in_the_url(version):
    pair = Pair(version, get=True, path="/other")
    pair.client.send(7, QUERY)
    assert pair.run() == [(7, ANSWER, "")]
    path, _, encoded = pair.requests[0].path.partition(b"?dns=")
    assert path == b"/other"
    assert b"=" not in encoded
    assert base64.urlsafe_b64decode(encoded + b"==") == QUERY


@pytest.mark.parametrize("version", [1, 2])
def test_queries_go_one_behind_another_or_at_once(version):
    pair = Pair(version)
    for token in range(5):
        pair.client.send(token, QUERY)
    assert sorted(pair.run()) == [(token, ANSWER, "") for token in range(5)]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("status", "fields", "body", "problem"),
    [
        (404, (MESSAGE,), ANSWER, "HTTP status 404"),
        (302, ((b"location", b"/x"),), b"", "HTTP status 302"),
        (200, ((b"content-type", b"text/html"),), b"<html>", "the server answered with text/html instead of"),
        (200, (), b"x", "the server answered with nothing instead of"),
        (200, (MESSAGE,), bytes(LARGEST + 1), f"the answer is longer than {LARGEST} bytes"),
    ],
)
def test_what_is_no_answer_is_said(version, status, fields, body, problem):
    pair = Pair(version)
    pair.answer = lambda stream: pair.reply(stream, status, fields, body)
    pair.client.send(1, QUERY)
    ((token, message, said),) = pair.run()
    assert (token, message) == (1, b"")
    assert said.startswith(problem)


@pytest.mark.parametrize("version", [1, 2])
def test_the_end_of_the_connection_ends_all_questions(version):
    pair = Pair(version)
    pair.client.send(1, QUERY)
    pair.client.send(2, QUERY)
    pair.client.transmit(0.0)
    pair.client.receive(b"", 0.0)
    problems = []
    while (answer := pair.client.next_event()) is not None:
        problems.append((answer.token, bool(answer.problem)))
    assert sorted(problems) == [(1, True), (2, True)]
    assert pair.client.closed


def test_garbage_is_a_problem_of_the_question():
    for version in (1, 2):
        pair = Pair(version)
        pair.client.send(1, QUERY)
        pair.client.transmit(0.0)
        pair.client.receive(b"\0" * 9 + b"what is this?\r\n\r\n" * 9, 0.0)
        answer = pair.client.next_event()
        assert answer is not None
        assert answer.problem


def test_nothing_is_sent_before_the_version_is_known():
    client = HttpsQueries("https", "ns.example")
    client.send(1, QUERY)
    assert client.transmit(0.0) == b""
    client.begin(1)
    assert client.transmit(0.0).startswith(b"POST /dns-query HTTP/1.1\r\n")


def test_ttls_shrink_by_the_time_in_a_cache():
    pair = Pair(2)
    pair.answer = lambda stream: pair.reply(stream, 200, (MESSAGE, (b"age", b"25")), ANSWER)
    pair.client.send(1, QUERY)
    ((_, message, _),) = pair.run()
    assert parse(message).answer[0].ttl == 35
    assert parse(message).edns == Edns()
    assert parse(aged(ANSWER, 100)).answer[0].ttl == 0
    assert aged(ANSWER, 0) is ANSWER
    assert aged(b"short", 5) == b"short"
