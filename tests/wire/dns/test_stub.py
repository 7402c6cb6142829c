"""The stub's machine: search list, servers by turns, timeouts, TCP after a cut answer, forged answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.numbers import AAAA, CNAME, NXDOMAIN, QR, RA, SERVFAIL, TC, A
from catenet.wire.dns.record import Record, make_record
from catenet.wire.dns.stub import Answer, Outcome, Send, Server, StubConfig, StubLookup, follow_aliases

ONE, TWO, THREE = (Server(bytes((192, 0, 2, n))) for n in (1, 2, 3))
SEARCH = (name_from_text("a.example."), name_from_text("b.example."))

Reply = Callable[[Send, Question], bytes | None]


def address_of(name: bytes) -> Record:
    return make_record(name, A, 60, bytes((10, 0, 0, 1)))


def reply(send: Send, code: int = 0, *records: Record) -> bytes:
    query = parse(send.data)
    return pack(query.id, QR | RA | code, query.question, records)


def run(lookup: StubLookup, servers: Reply) -> tuple[Answer, float, list[str]]:
    """Drive a lookup with servers that answer at once or never; its answer, how long it took, what was asked."""
    asked, now = [], 0.0
    lookup.start(now)
    while lookup.answer is None:
        for send in lookup.transmit():
            question = parse(send.data).question
            assert question is not None
            place = f"{send.server.address[-1]}{'t' if send.tcp else ''}"
            asked.append(f"{place} {name_to_text(question.name)} {question.type}")
            answer = servers(send, question)
            if answer is not None:
                lookup.receive(answer, send.server, now)
        if lookup.answer is None:
            deadline = lookup.next_deadline()
            assert deadline is not None
            if not lookup._outgoing:
                now = max(now, deadline)
                lookup.handle_timeout(now)
    assert lookup.next_deadline() is None
    return lookup.answer, now, asked


def stub(text: str, *types: int, first: int = 0, **config: object) -> StubLookup:
    settings = StubConfig(**{"servers": (ONE,), **config})  # type: ignore[arg-type]
    numbers = itertools.count(100)
    name = name_from_text(text)
    return StubLookup(name, text.endswith("."), types or (A,), settings, lambda: next(numbers), first)


def nobody(send: Send, question: Question) -> None:
    return None


def only(*names: str) -> Reply:
    """A server that knows these names, and of all others that they do not exist."""
    known = {name_from_text(name) for name in names}

    def answer(send: Send, question: Question) -> bytes:
        if question.name not in known:
            return reply(send, NXDOMAIN)
        return reply(send, 0, *([address_of(question.name)] if question.type == A else []))

    return answer


def test_both_types_are_asked_for_at_once_and_one_answer_is_enough() -> None:
    answer, took, asked = run(stub("host.example.", A, AAAA), only("host.example."))
    assert answer.outcome is Outcome.ANSWER
    assert [record.data for record in answer.records] == [bytes((10, 0, 0, 1))]
    assert asked == ["1 host.example. 1", "1 host.example. 28"]
    assert took == 0.0


@pytest.mark.parametrize(
    ("text", "known", "order"),
    [
        ("host", "host.b.example.", ["host.a.example.", "host.b.example."]),
        ("host", "host.", ["host.a.example.", "host.b.example.", "host."]),
        ("host.", "host.", ["host."]),
        ("x.host", "x.host.a.example.", ["x.host.", "x.host.a.example."]),
        ("x.host", "x.host.", ["x.host."]),
    ],
)
def test_names_are_tried_in_the_order_of_resolv_conf(text: str, known: str, order: list[str]) -> None:
    answer, _, asked = run(stub(text, search=SEARCH), only(known))
    assert answer.outcome is Outcome.ANSWER
    assert name_to_text(answer.name) == known
    assert [entry.split()[1] for entry in asked] == order


def test_ndots_moves_the_name_as_written_behind_the_search_list() -> None:
    _, _, asked = run(stub("x.host", search=SEARCH, ndots=2), only("x.host."))
    assert [entry.split()[1] for entry in asked] == ["x.host.a.example.", "x.host.b.example.", "x.host."]


def test_a_search_list_that_makes_too_long_a_name_is_passed_over() -> None:
    long = ".".join(["a" * 60] * 4)
    _, _, asked = run(stub(long, search=(name_from_text("b" * 30 + "."),), ndots=9), nobody)
    assert {entry.split()[1] for entry in asked} == {long + "."}


@pytest.mark.parametrize(("servers", "seconds"), [((ONE,), 10.0), ((ONE, TWO), 20.0), ((ONE, TWO, THREE), 28.0)])
def test_silence_takes_as_long_as_glibc_waits(servers: tuple[Server, ...], seconds: float) -> None:
    """5 s for the first server, (5 << n) / servers for the nth, all twice (glibc, send_dg)."""
    answer, took, asked = run(stub("host.example.", servers=servers), nobody)
    assert answer.outcome is Outcome.TRY_AGAIN
    assert took == seconds
    assert [entry[0] for entry in asked] == [str(server.address[-1]) for server in servers] * 2


def test_silence_ends_the_search_but_for_the_name_as_written() -> None:
    answer, _, asked = run(stub("host", search=SEARCH, attempts=1), nobody)
    assert answer.outcome is Outcome.TRY_AGAIN
    assert [entry.split()[1] for entry in asked] == ["host.a.example.", "host."]


@pytest.mark.parametrize("code", [SERVFAIL, 4, 5])
def test_a_server_that_refuses_is_followed_by_the_next_at_once(code: int) -> None:
    def servers(send: Send, question: Question) -> bytes:
        return reply(send, code) if send.server == ONE else reply(send, 0, address_of(question.name))

    answer, took, asked = run(stub("host.example.", servers=(ONE, TWO)), servers)
    assert answer.outcome is Outcome.ANSWER
    assert took == 0.0
    assert [entry[0] for entry in asked] == ["1", "2"]


def test_when_all_refuse_the_search_goes_on() -> None:
    def servers(send: Send, question: Question) -> bytes:
        if question.name == name_from_text("host.a.example."):
            return reply(send, SERVFAIL)
        return only("host.b.example.")(send, question) or b""

    answer, _, _ = run(stub("host", search=SEARCH, servers=(ONE, TWO)), servers)
    assert answer.outcome is Outcome.ANSWER


# What getaddrinfo(3) of glibc 2.36 says, with `search a.example` and one server that answers with these codes (None:
# not at all): of "host", which is tried as host.a.example. and then as host., and of "x.host", tried as written first.
N, D, T = Outcome.NO_NAME, Outcome.NO_DATA, Outcome.TRY_AGAIN
CODES = (NXDOMAIN, 0, SERVFAIL, None)
GLIBC = {
    "host": (N, D, T, T, D, D, D, D, N, N, T, T, N, D, T, T),
    "x.host": (N, N, N, N, D, D, D, D, N, N, T, T, N, N, T, T),
}
CASES = [
    (text, codes, outcome)
    for text, outcomes in GLIBC.items()
    for codes, outcome in zip(itertools.product(CODES, CODES), outcomes, strict=True)
]


@pytest.mark.parametrize(("text", "codes", "expected"), CASES)
def test_what_is_said_of_a_name_that_was_found_nowhere(
    text: str, codes: tuple[int | None, int | None], expected: Outcome
) -> None:
    names: list[bytes] = []

    def servers(send: Send, question: Question) -> bytes | None:
        if question.name not in names:
            names.append(question.name)
        code = codes[names.index(question.name)]
        return None if code is None else reply(send, code)

    answer, _, _ = run(stub(text, search=SEARCH[:1], attempts=1), servers)
    assert len(names) == 2
    assert answer.outcome is expected


def test_an_answer_that_was_cut_is_asked_for_by_tcp_for_both_types() -> None:
    def servers(send: Send, question: Question) -> bytes:
        return reply(send, 0, address_of(question.name)) if send.tcp else reply(send, TC)

    answer, took, asked = run(stub("host.example.", A, AAAA), servers)
    assert answer.outcome is Outcome.ANSWER
    assert took == 0.0
    assert asked[-2:] == ["1t host.example. 1", "1t host.example. 28"]


def test_an_answer_that_was_cut_within_a_record_is_asked_for_by_tcp() -> None:
    def servers(send: Send, question: Question) -> bytes:
        whole = reply(send, TC * (not send.tcp), address_of(question.name))
        return whole if send.tcp else whole[:-3]

    assert run(stub("host.example."), servers)[0].outcome is Outcome.ANSWER


@pytest.mark.parametrize(
    "records",
    [
        [make_record(name_from_text("other."), A, 60, bytes(4))],
        [make_record(name_from_text("host.example."), CNAME, 60, name_from_text("x.")), address_of(b"\1y\0")],
    ],
)
def test_records_of_another_name_are_no_answer(records: list[Record]) -> None:
    answer, _, _ = run(stub("host.example."), lambda send, question: reply(send, 0, *records))
    assert answer.outcome is Outcome.NO_DATA


def test_records_at_the_end_of_a_chain_of_aliases_are() -> None:
    links = [make_record(name_from_text("host.example."), CNAME, 60, name_from_text("X.")), address_of(b"\1x\0")]
    assert run(stub("host.example."), lambda send, question: reply(send, 0, *links))[0].outcome is Outcome.ANSWER


def test_a_server_whose_records_cannot_be_read_is_followed_by_the_next() -> None:
    def servers(send: Send, question: Question) -> bytes:
        good = reply(send, 0, address_of(question.name))
        # The owner of the record, a pointer to the question, becomes one that leads forward.
        return good.replace(b"\xc0\x0c", b"\xc0\xff") if send.server == ONE else good

    answer, took, asked = run(stub("host.example.", servers=(ONE, TWO)), servers)
    assert answer.outcome is Outcome.ANSWER
    assert [entry[0] for entry in asked] == ["1", "2"]
    assert took == 0.0


def test_a_server_that_cannot_be_reached_costs_no_time() -> None:
    lookup = stub("host.example.", servers=(ONE, TWO))
    lookup.start(0.0)
    (send,) = lookup.transmit()
    assert send.server == ONE
    for other in (send._replace(server=TWO), send._replace(tcp=True), send._replace(data=b"xx" + send.data[2:])):
        lookup.fail(other, 0.0)
        assert not lookup.transmit()
    lookup.fail(send, 0.0)
    assert [send.server for send in lookup.transmit()] == [TWO]


def test_a_failure_of_an_earlier_attempt_does_not_end_the_present_one() -> None:
    lookup = stub("host.example.", A, AAAA, attempts=3)
    lookup.start(0.0)
    first = lookup.transmit()
    lookup.fail(first[0], 0.0)
    again = lookup.transmit()
    assert [send.server for send in again] == [ONE, ONE]
    lookup.fail(first[1], 0.0)
    assert not lookup.transmit()
    assert lookup.answer is None


def test_rotation_begins_with_another_server() -> None:
    _, _, asked = run(stub("host.example.", servers=(ONE, TWO, THREE), rotate=True, first=4, attempts=1), nobody)
    assert [entry[0] for entry in asked] == ["2", "3", "1"]


def test_what_answers_no_open_question_is_ignored() -> None:
    lookup = stub("host.example.", servers=(ONE, TWO))
    lookup.start(0.0)
    (send,) = lookup.transmit()
    query = parse(send.data)
    assert query.question is not None
    record = address_of(query.question.name)
    other = query.question._replace(name=name_from_text("other.example."))
    for data, server in (
        (pack(query.id ^ 1, QR, query.question, [record]), ONE),
        (pack(query.id, 0, query.question, [record]), ONE),
        (pack(query.id, QR, other, [record]), ONE),
        (pack(query.id, QR, query.question._replace(type=AAAA), [record]), ONE),
        (pack(query.id, QR, None, [record]), ONE),
        (pack(query.id, QR | 4 << 11, query.question, [record]), ONE),
        (pack(query.id, QR, query.question, [record]), TWO),
        (b"", ONE),
        (send.data[:20], ONE),
    ):
        lookup.receive(data, server, 0.0)
        assert lookup.answer is None
    lookup.receive(reply(send, 0, record), ONE, 0.0)
    assert lookup.answer is not None
    lookup.receive(reply(send, SERVFAIL), ONE, 0.0)
    assert lookup.answer.outcome is Outcome.ANSWER


def test_the_case_of_a_name_in_an_answer_does_not_matter() -> None:
    lookup = stub("host.example.")
    lookup.start(0.0)
    (send,) = lookup.transmit()
    query = parse(send.data)
    question = Question(name_from_text("HOST.example."), A)
    lookup.receive(pack(query.id, QR, question, [address_of(question.name)]), ONE, 0.0)
    assert lookup.answer is not None
    assert lookup.answer.outcome is Outcome.ANSWER


def test_without_servers_there_is_no_answer() -> None:
    assert stub("host", servers=()).answer == Answer(Outcome.TRY_AGAIN)


def test_aliases_are_followed_and_a_loop_of_them_ends() -> None:
    names = [name_from_text(f"{letter}.example.") for letter in "abc"]
    links = [make_record(a, CNAME, 60, b) for a, b in itertools.pairwise(names)]
    assert follow_aliases(name_from_text("A.example."), links[::-1])[1:] == names[1:]
    loop = [*links, make_record(names[2], CNAME, 60, names[0])]
    assert len(follow_aliases(names[0], loop)) == 4
    long = [make_record(bytes((1, n)) + b"\0", CNAME, 60, bytes((1, n + 1)) + b"\0") for n in range(100, 150)]
    assert len(follow_aliases(bytes((1, 100)) + b"\0", long)) == 17


def answer_one(kind: int, code: int | None = 0) -> Reply:
    """A server that knows records of one type, and of others says this or (None) nothing."""

    def answer(send: Send, question: Question) -> bytes | None:
        if question.type == kind:
            return reply(send, 0, make_record(question.name, kind, 60, bytes(4 if kind == A else 16)))
        return None if code is None else reply(send, code)

    return answer


@pytest.mark.parametrize("kind", [A, AAAA])
@pytest.mark.parametrize("code", [SERVFAIL, 4, 5])
def test_one_answer_beside_an_error_is_enough(kind: int, code: int) -> None:
    answer, took, asked = run(stub("host.example.", A, AAAA, servers=(ONE, TWO)), answer_one(kind, code))
    assert answer.outcome is Outcome.ANSWER
    assert [record.type for record in answer.records] == [kind]
    assert took == 0.0
    assert len(asked) == 2


def test_a_query_that_gets_no_answer_beside_one_that_does_is_asked_again_after_it() -> None:
    """Twice, as glibc does, which takes the one answer then; the queries follow each other."""
    answer, took, asked = run(stub("host.example.", A, AAAA, servers=(ONE, TWO)), answer_one(A, None))
    assert answer.outcome is Outcome.ANSWER
    assert took == 15.0
    assert asked == ["1 host.example. 1", "1 host.example. 28"] * 3


def test_a_server_that_loses_the_second_of_two_queries_is_asked_one_after_the_other() -> None:
    outstanding: list[int] = []

    def servers(send: Send, question: Question) -> bytes | None:
        outstanding.append(question.type)
        if outstanding == [A, AAAA]:
            return None
        return answer_one(question.type)(send, question)

    answer, took, asked = run(stub("host.example.", A, AAAA), servers)
    assert [record.type for record in answer.records] == [A, AAAA]
    assert took == 5.0
    assert len(asked) == 4


def test_a_format_error_ends_the_search() -> None:
    answer, _, asked = run(stub("host", search=SEARCH), lambda send, question: reply(send, 1))
    assert answer.outcome is Outcome.FAILED
    assert [entry.split()[1] for entry in asked] == ["host.a.example.", "host."]


def test_an_answer_that_says_nothing_is_that_of_a_server_without_the_zone() -> None:
    def servers(send: Send, question: Question) -> bytes:
        query = parse(send.data)
        if send.server == ONE:
            return pack(query.id, QR, question)
        return reply(send, 0, address_of(question.name))

    answer, _, asked = run(stub("host.example.", servers=(ONE, TWO)), servers)
    assert answer.outcome is Outcome.ANSWER
    assert [entry[0] for entry in asked] == ["1", "2"]


def test_when_all_ports_are_closed_nothing_more_is_tried() -> None:
    lookup = stub("host", servers=(ONE,), search=SEARCH)
    lookup.start(0.0)
    while sends := lookup.transmit():
        lookup.fail(sends[0], 0.0)
    assert lookup.answer == Answer(Outcome.TRY_AGAIN, name_from_text("host."))
