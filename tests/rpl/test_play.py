"""Playing: which entry answers, what time passes, what a check finds; against a resolver that only forwards."""

from __future__ import annotations

import pytest
from tests.rpl.forwarder import Forwarder

from catenet.testing.rpl.runner import Result, run_text
from catenet.testing.rpl.syntax import Scenario

UNBOUND = "server:\n"
DECKARD = "stub-addr: 192.0.2.1\n"


def ask(step: int, name: str = "www.example.", extra: str = "") -> str:
    return f"STEP {step} QUERY{extra}\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\n{name} IN A\nENTRY_END\n"


def packet(address: str, name: str = "www.example.", rcode: str = "NOERROR", adjust: str = "copy_id") -> str:
    answer = f"SECTION ANSWER\n{name} IN A {address}\n" if address else ""
    return (
        f"ENTRY_BEGIN\nMATCH opcode qtype qname\nADJUST {adjust}\nREPLY QR RD {rcode}\nSECTION QUESTION\n{name} IN A\n"
        f"{answer}ENTRY_END\n"
    )


def check(step: int, address: str, name: str = "www.example.", rcode: str = "NOERROR") -> str:
    entry = packet(address, name, rcode).replace("ADJUST copy_id\n", "").replace("opcode qtype qname", "all")
    return f"STEP {step} CHECK_ANSWER\n{entry}".replace("REPLY QR RD", "REPLY QR RD RA")


def serve(first: int, last: int, *entries: str, address: str = "192.0.2.1") -> str:
    return f"RANGE_BEGIN {first} {last}\n\tADDRESS {address}\n{''.join(entries)}RANGE_END\n"


def play(head: str, *parts: str, subject: Forwarder | None = None) -> Result:
    forwarder = subject or Forwarder()

    def make(scenario: Scenario) -> Forwarder:
        return forwarder

    text = f"{head}CONFIG_END\nSCENARIO_BEGIN t\n{''.join(parts)}SCENARIO_END\n"
    return run_text(text, "x.rpl", make, verbose=True)


def outcome(result: Result) -> tuple[str, int | None, str]:
    return result.verdict, result.step, result.message


BOTH = pytest.mark.parametrize("head", [UNBOUND, DECKARD], ids=["unbound", "deckard"])


@BOTH
def test_an_answer_of_a_range(head: str) -> None:
    result = play(head, serve(0, 10, packet("192.0.2.7")), ask(1), check(2, "192.0.2.7"))
    assert outcome(result) == ("pass", None, "")
    text = "\n".join(result.log)
    for line in (
        "127.0.0.1 asks www.example. IN A",
        "resolver asks www.example. IN A to 192.0.2.1 by udp",
        "entry of line",
        "answer: www.example. 3600 IN A 192.0.2.7",
        "step 2 CHECK_ANSWER",
    ):
        assert line in text


@BOTH
def test_the_first_difference_is_told(head: str) -> None:
    result = play(head, serve(0, 10, packet("192.0.2.7")), ask(1), check(2, "192.0.2.8"))
    assert outcome(result)[:2] == ("fail", 2)
    assert result.message == ("answer section without www.example. IN A 192.0.2.8 and with www.example. IN A 192.0.2.7")
    assert result.line == 22


@BOTH
def test_ranges_hold_for_their_steps(head: str) -> None:
    parts = [serve(0, 10, packet("192.0.2.7")), serve(11, 20, packet("192.0.2.8"))]
    parts += [ask(10), check(10 + 1, "192.0.2.7") if head == DECKARD else ""]
    if head == DECKARD:
        parts += [ask(12), check(13, "192.0.2.8")]
    else:
        parts += [check(11, "192.0.2.8")]  # testbound is at the step of the check when the query is answered
    assert outcome(play(head, *parts)) == ("pass", None, "")


def test_testbound_prefers_the_last_range_and_deckard_the_first() -> None:
    parts = (serve(0, 9, packet("192.0.2.7")), serve(0, 9, packet("192.0.2.8")), ask(1))
    assert play(UNBOUND, *parts, check(2, "192.0.2.8")).verdict == "pass"
    assert play(DECKARD, *parts, check(2, "192.0.2.7")).verdict == "pass"


def test_a_query_without_an_entry() -> None:
    """Testbound leaves it open, so that it times out; Deckard answers SERVFAIL at once."""
    parts = (serve(0, 10, packet("192.0.2.7", "other.example.")), ask(1), check(2, "", rcode="SERVFAIL"))
    slow, quick = play(UNBOUND, *parts), play(DECKARD, *parts)
    assert outcome(slow) == outcome(quick) == ("pass", None, "")
    assert slow.log[-1].startswith("6.000") and quick.log[-1].startswith("0.000")


def test_an_address_that_no_range_has_is_unreachable_for_deckard() -> None:
    parts = (serve(0, 10, packet("192.0.2.7"), address="192.0.2.9"), ask(1), check(2, "", rcode="SERVFAIL"))
    result = play(DECKARD, *parts)
    assert result.verdict == "pass" and any("unreachable" in line for line in result.log)


def test_a_server_that_says_nothing() -> None:
    parts = (serve(0, 10, packet("192.0.2.7", adjust="do_not_answer")), ask(1), check(2, "", rcode="SERVFAIL"))
    result = play(DECKARD, *parts)
    assert result.verdict == "pass" and result.log[-1].startswith("6.000")


def test_an_id_that_is_not_copied_is_wrong_for_deckard_only() -> None:
    parts = (serve(0, 10, packet("192.0.2.7", adjust="copy_query")), ask(1))
    assert play(UNBOUND, *parts, check(2, "192.0.2.7")).verdict == "pass"
    assert play(DECKARD, *parts, check(2, "192.0.2.7")).message == "SERVFAIL, expected NOERROR"


def test_queries_stay_open_between_steps_of_testbound() -> None:
    reply = "STEP {} REPLY\n" + packet("192.0.2.7", "a.")
    result = play(
        UNBOUND,
        ask(1, "a."),
        "STEP 2 CHECK_OUT_QUERY ADDRESS 192.0.2.1\nENTRY_BEGIN\nMATCH qname\nSECTION QUESTION\na. IN A\nENTRY_END\n",
        ask(3, "b."),
        "STEP 4 ERROR\n",
        check(5, "", "b.", "SERVFAIL"),
        reply.format(6),
        check(7, "192.0.2.7", "a."),
    )
    assert outcome(result) == ("pass", None, "")


def test_a_query_that_does_not_leave() -> None:
    step = "STEP 2 CHECK_OUT_QUERY\nENTRY_BEGIN\nMATCH qname\nSECTION QUESTION\nb. IN A\nENTRY_END\n"
    result = play(UNBOUND, ask(1, "a."), step)
    assert outcome(result) == ("fail", 2, "no such query")


def test_a_query_that_is_looked_for_and_answered() -> None:
    step = "STEP 2 CHECK_OUT_QUERY\n" + packet("192.0.2.7")
    assert outcome(play(UNBOUND, ask(1), step, check(3, "192.0.2.7"))) == ("pass", None, "")


def test_timeouts() -> None:
    result = play(UNBOUND, ask(1), "STEP 2 TIMEOUT\nSTEP 3 TIMEOUT\n", check(4, "", rcode="SERVFAIL"))
    assert outcome(result) == ("pass", None, "") and result.log[-1].startswith("6.000")
    assert outcome(play(UNBOUND, "STEP 2 TIMEOUT\n")) == ("fail", 2, "no query is open")


def test_time_passes() -> None:
    result = play(
        UNBOUND,
        "STEP 1 ASSIGN t = ${time}\nSTEP 2 TIME_PASSES ELAPSE 10.5\nSTEP 3 TIME_PASSES EVAL ${$t + 5}\n",
        ask(4),
        "STEP 5 TIME_PASSES ELAPSE 3\n",
        "STEP 6 CHECK_TEMPFILE a\nFILE_BEGIN\nat ${range 15 ${time} 19}, ${timeout} left\nFILE_END\n",
        "STEP 7 NOTHING\nSTEP 8 TRAFFIC\n",
        subject=Forwarder(files={"a": "at 18, 3 left\n"}),
    )
    assert outcome(result) == ("pass", None, "")
    assert result.log[-1].startswith("18.500")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("STEP 1 ASSIGN a = ${$b}\n", "$b is not set"),
        ("STEP 1 TIME_PASSES EVAL soon\n", "soon is 'soon', no number of seconds"),
        ("STEP 1 CHECK_AUTOTRUST a\nFILE_BEGIN\none\nFILE_END\n", "line 2 of the file is 'two', expected None"),
        ("STEP 1 CHECK_TEMPFILE a\nFILE_BEGIN\none\n2\nFILE_END\n", "line 1 of the file is 'one', expected '2'"),
    ],
)
def test_steps_that_fail(step: str, message: str) -> None:
    assert outcome(play(UNBOUND, step, subject=Forwarder(files={"a": "one\ntwo\n"}))) == ("fail", 1, message)


def test_answers_that_nobody_checks() -> None:
    parts = (serve(0, 10, packet("192.0.2.7")), ask(1), "STEP 2 TRAFFIC\n")
    assert play(UNBOUND, *parts).message == "the answer to www.example. IN A is not checked by any step"
    assert play(DECKARD, *parts[:2]).verdict == "pass"


def test_answers_are_checked_in_any_order_and_by_client() -> None:
    entries = serve(0, 10, packet("192.0.2.7", "a."), packet("192.0.2.8", "b."))
    asks = ask(1, "a.", " ADDRESS 10.0.0.1") + ask(2, "b.")
    assert play(UNBOUND, entries, asks, check(3, "192.0.2.8", "b."), check(4, "192.0.2.7", "a.")).verdict == "pass"
    wrong = check(3, "192.0.2.7", "a.").replace("CHECK_ANSWER", "CHECK_ANSWER ADDRESS 10.0.0.2")
    assert play(UNBOUND, entries, asks, wrong).message == "the answer is for 10.0.0.1"


def test_a_mandatory_entry() -> None:
    entry = packet("192.0.2.7", "never.").replace("ENTRY_BEGIN", "ENTRY_BEGIN\nMANDATORY")
    result = play(DECKARD, serve(0, 10, entry, packet("192.0.2.7")), ask(1), check(2, "192.0.2.7"))
    assert result.message == "the mandatory entry of line 6 has not been asked for"


def test_transports() -> None:
    tcp = packet("192.0.2.8").replace("MATCH", "MATCH TCP")
    entries = serve(0, 10, tcp, packet("192.0.2.7"))
    over_tcp = ask(1).replace("REPLY RD", "MATCH TCP\nREPLY RD")
    assert play(UNBOUND, entries, over_tcp, check(2, "192.0.2.8").replace("all", "all TCP")).verdict == "pass"
    assert play(UNBOUND, entries, ask(1), check(2, "192.0.2.7").replace("all", "all UDP")).verdict == "pass"
    assert play(UNBOUND, entries, ask(1), check(2, "192.0.2.7").replace("all", "all TCP")).message.startswith(
        "came by udp"
    )


def test_one_shots_of_deckard() -> None:
    result = play(DECKARD, ask(1), "STEP 2 REPLY\n" + packet("192.0.2.7"), check(3, "192.0.2.7"))
    assert outcome(result) == ("pass", None, "")


def test_files_that_are_no_scenarios() -> None:
    result = run_text("nonsense", "x.rpl", lambda scenario: Forwarder())
    assert (result.verdict, result.wrong, result.line) == ("fail", True, 1)
    unsupported = run_text("COMMANDLINE -v\nCONFIG_END\n", "x.rpl", lambda scenario: Forwarder())
    assert (unsupported.verdict, unsupported.wrong, unsupported.line) == ("unsupported", False, 1)
