"""The steps of a trace, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from catenet.cli.resolve.as_json import answer_json, failure_json, record_json
from catenet.cli.resolve.asking import Answer
from catenet.cli.resolve.paper import HEAD, QUIET, Paper
from catenet.cli.resolve.records import lines
from catenet.cli.resolve.servers import Address
from catenet.cli.resolve.show import STYLES, print_answer
from catenet.cli.resolve.verdict import Finding
from catenet.printable import printable

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.cli.resolve.tracing import Step
    from catenet.wire.dns.record import Record

__all__ = ["print_last", "print_step", "step_json", "trace_json"]


def print_step(paper: Paper, ask: Ask, step: Step) -> None:
    """Print a referral or an alias: who said it and how fast, servers, glue, and what signatures say."""
    from catenet.dns.rrset import records_of
    from catenet.wire.dns.name import name_to_text

    reading, reply = step.reading, step.reply
    assert reading is not None
    assert reply is not None
    if not ask.options.comments:
        if ask.options.answer and reading.response.answer:
            for line in lines(records_of(reading.response.answer), ask.options):
                paper.line(line)
        return
    for failure in step.failures:
        paper.line(f";; {printable(failure)}", QUIET)
    where = f" ({reply.server}, {name_to_text(step.host)}, {reply.seconds * 1000:.1f} ms)"
    goal = f"referral to {name_to_text(reading.zone)}" if reading.zone else f"alias of {name_to_text(reading.target)}"
    paper.line(f";; {name_to_text(step.zone)}: {goal}", HEAD, where)
    records = _records(step)
    if records:
        for line in lines(records, ask.options):
            paper.line(line)
    if step.security is not None:
        text, finding = _signature_text(step), step.security
        paper.line(f";; {text}: {finding.security}", STYLES[finding.security], _why(finding))
        for line in finding.proof:
            paper.line(f";;   {printable(line)}")


def print_last(paper: Paper, ask: Ask, step: Step, links: Sequence[Record], finding: Finding | None) -> None:
    """Print the answer at the end of a trace, with the aliases that led to it."""
    print_answer(paper, ask, _answer(step, links), finding)


def _answer(step: Step, links: Sequence[Record]) -> Answer:
    from catenet.wire.dns.name import name_to_text

    assert step.reply is not None
    return Answer(step.reply, Address(step.reply.server, name_to_text(step.host)), step.failures, links)


def _why(finding: Finding) -> str:
    return f": {printable(finding.reason)}" if finding.reason else ""


def _signature_text(step: Step) -> str:
    """Whether the parent has a DS, and for which keys."""
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import DS

    assert step.reading is not None
    tags = [
        str(int.from_bytes(data[:2], "big"))
        for one in step.reading.response.authority
        if one.type == DS
        for data in one.data
    ]
    return f"{name_to_text(step.reading.zone)} {f'DS {chr(32).join(tags)}' if tags else 'no DS'}"


def _records(step: Step) -> list[Record]:
    from catenet.dns.rrset import records_of
    from catenet.wire.dns.numbers import NSEC, NSEC3

    assert step.reading is not None
    response = step.reading.response
    sets = [one for one in (*response.answer, *response.authority) if one.type not in (NSEC, NSEC3)]
    if step.reading.target:
        sets = list(response.answer)
    return records_of([*sets, *response.additional])


def step_json(step: Step) -> dict[str, Any]:
    """One step: `zone`, `server`, `name`, `ms`, `referral` or `alias`, `records`, `dnssec`, `reason`, `failures`."""
    from catenet.wire.dns.name import name_to_text

    whole: dict[str, Any] = {"zone": name_to_text(step.zone), "failures": step.failures}
    if step.reply is not None and step.reading is not None:
        whole |= {
            "server": step.reply.server,
            "name": name_to_text(step.host),
            "ms": round(step.reply.seconds * 1000, 3),
            "records": [record_json(record) for record in _records(step)],
        }
        if step.reading.zone:
            whole["referral"] = name_to_text(step.reading.zone)
        if step.reading.target:
            whole["alias"] = name_to_text(step.reading.target)
    if step.security is not None:
        whole |= {"dnssec": step.security.security, "reason": step.security.reason}
    return whole


def trace_json(
    ask: Ask, steps: list[dict[str, Any]], last: Step, links: Sequence[Record], finding: Finding
) -> dict[str, Any]:
    """The answer, with the steps to it as `trace`."""
    if last.reply is None:
        return {**failure_json(ask, "\n".join(last.failures)), "trace": steps}
    return {**answer_json(ask, _answer(last, links), finding), "trace": steps}
