"""Answers as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catenet.cli.resolve.paper import BAD, DOUBTFUL, GOOD, HEAD, QUIET, Paper
from catenet.cli.resolve.records import data_text, lines, section
from catenet.cli.resolve.verdict import Finding
from catenet.printable import complain, printable

if TYPE_CHECKING:
    from catenet.cli.resolve.asking import Answer
    from catenet.cli.resolve.plan import Ask
    from catenet.dns.client import Reply
    from catenet.wire.dns.message import Message, Question
    from catenet.wire.dns.record import Record

__all__ = ["SECTIONS", "STYLES", "failure_lines", "print_answer", "question_text", "records_of"]

SECTIONS: Final = ("answer", "authority", "additional")
STYLES: Final = {"secure": GOOD, "insecure": DOUBTFUL, "bogus": BAD, "indeterminate": QUIET}


def print_answer(paper: Paper, ask: Ask, answer: Answer, finding: Finding | None) -> None:
    """Print an answer as the switches say."""
    options, reply = ask.options, answer.reply
    if options.short:
        if finding is not None and finding.security == "bogus":
            complain(f"catenet resolve: {question_text(ask.question)}: bogus: {finding.reason}")
        else:
            _print_short(paper, ask, answer)
        return
    message = reply.message
    if options.comments:
        for failure in answer.failures:
            paper.line(f";; {failure}", QUIET)
        if options.qr:
            _print_query(paper, reply)
        paper.line(f";; {head_text(ask.question, message)}", HEAD, f" ({_flags(message)})")
        print_errors(paper, message)
        _print_options(paper, ask, message)
        _print_hint(paper, reply)
    for name in SECTIONS:
        if getattr(options, name):
            _print_section(paper, ask, answer, name)
    if finding is not None and options.comments:
        print_verdict(paper, finding)
    if options.stats:
        known_as = f" ({answer.address.name})" if answer.address.name else ""
        text = f";; {reply.server}{known_as}, {reply.seconds * 1000:.1f} ms, {len(message.data)} bytes"
        if finding is not None and finding.reason and finding.security == "indeterminate" and not finding.proof:
            text += f"; not validated: {finding.reason}"
        paper.line(text, QUIET)


def _print_section(paper: Paper, ask: Ask, answer: Answer, name: str) -> None:
    records = records_of(ask, answer, name)
    if not records:
        return
    if ask.options.comments:
        paper.line(f";; {name}", HEAD)
    for line in lines(records, ask.options):
        paper.line(line)


def _print_short(paper: Paper, ask: Ask, answer: Answer) -> None:
    reply = answer.reply
    source = f" from server {reply.server} in {reply.seconds * 1000:.0f} ms." if ask.options.identify else ""
    for record in records_of(ask, answer, "answer"):
        paper.line(data_text(record, ask.options) + source)


def records_of(ask: Ask, answer: Answer, name: str) -> list[Record]:
    """The records of a section that are to be seen."""
    records = wanted(ask, section(answer.reply.message, name))
    return [*answer.links, *records] if name == "answer" else records


def wanted(ask: Ask, records: list[Record]) -> list[Record]:
    """Without what was asked for only to check signatures (RFC 4035 3.2.1)."""
    from catenet.wire.dns.numbers import ANY, DS, NSEC, NSEC3, RRSIG

    if ask.options.dnssec:
        return records
    hidden = {RRSIG, NSEC, NSEC3, DS} - {ask.question.type}
    if ask.question.type == ANY:
        return records
    return [record for record in records if record.type not in hidden]


def print_verdict(paper: Paper, finding: Finding) -> None:
    """Print the verdict with its chain, and the proof tree if there is one; nothing when there is nothing to say."""
    if finding.security != "indeterminate" or finding.proof:
        text = f": {printable(finding.reason)}" if finding.reason else ""
        if finding.chain:
            text += f": {' > '.join(finding.chain)}" if not text else f" ({' > '.join(finding.chain)})"
        paper.line(f";; {finding.security}", STYLES[finding.security], text)
    for line in finding.proof:
        paper.line(f";;   {line}")


def print_errors(paper: Paper, message: Message) -> None:
    """Print extended errors (RFC 8914) in words."""
    from catenet.dns.errors import extended_errors

    for error in extended_errors(message.edns):
        paper.line(f";; {error.meaning}{': ' if error.text else ''}{printable(error.text)}", DOUBTFUL)


def _print_options(paper: Paper, ask: Ask, message: Message) -> None:
    """What else the server says with EDNS; its cookie and padding only to who asks for them."""
    from catenet.dns import options as codes

    edns = message.edns
    quiet = {codes.EXTENDED_ERROR}
    if ask.options.cookie is None:
        quiet.add(codes.COOKIE)
    if not ask.options.padding:
        quiet.add(codes.PADDING)
    for code, data in () if edns is None else edns.options:
        if code not in quiet:
            name, text = codes.option_to_text(code, data)
            paper.line(f";; {name}: {printable(text)}")


def _print_query(paper: Paper, reply: Reply) -> None:
    from catenet.wire.dns.edns import DNSSEC_OK
    from catenet.wire.dns.message import parse

    query = parse(reply.query)
    edns = query.edns
    extra = ""
    if edns is not None:
        extra = f", EDNS {edns.version}, {edns.payload} bytes{', do' if edns.flags & DNSSEC_OK else ''}"
    asked = question_text(query.question) if query.question else "no question"
    paper.line(f";; query: {asked} ({_flags(query)}{extra}; id {query.id}, {len(reply.query)} bytes)")


def _print_hint(paper: Paper, reply: Reply) -> None:
    from catenet.wire.dns.message import parse
    from catenet.wire.dns.numbers import FORMERR

    message = reply.message
    if message.rcode == FORMERR and message.edns is None and parse(reply.query).edns is not None:
        paper.line(";; the server may not know EDNS; ask again with +noedns", DOUBTFUL)


def head_text(question: Question, message: Message) -> str:
    """`www.example. A: NOERROR`, with the opcode if it is not that of a query."""
    from catenet.wire.dns.numbers import OPCODES, QUERY, rcode_to_text

    opcode = message.opcode
    kind = "" if opcode == QUERY else f" {OPCODES.get(opcode, f'OPCODE{opcode}')}"
    return f"{question_text(question)}:{kind} {printable(rcode_to_text(message.rcode))}"


def question_text(question: Question) -> str:
    """Name and type; the class too if it is not the Internet's."""
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import IN, class_to_text, type_to_text

    words = [name_to_text(question.name), type_to_text(question.type)]
    if question.rclass != IN:
        words.insert(1, class_to_text(question.rclass))
    return " ".join(words)


def _flags(message: Message) -> str:
    from catenet.wire.dns.numbers import flags_to_text

    return flags_to_text(message.flags)


def failure_lines(ask: Ask, text: str) -> Sequence[str]:
    """One line for each server that has not answered."""
    return [f"catenet resolve: {question_text(ask.question)}: {line}" for line in text.split("\n")]
