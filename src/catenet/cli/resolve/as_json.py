"""Answers as JSON, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catenet.cli.resolve.records import data_text
from catenet.cli.resolve.show import SECTIONS, records_of
from catenet.cli.resolve.verdict import UNKNOWN, Finding

if TYPE_CHECKING:
    from catenet.cli.resolve.asking import Answer
    from catenet.cli.resolve.plan import Ask
    from catenet.wire.dns.message import Message, Question
    from catenet.wire.dns.record import Record

__all__ = ["answer_json", "failure_json", "question_json", "record_json"]


def answer_json(ask: Ask, answer: Answer, finding: Finding | None) -> dict[str, Any]:
    """The members are named in docs/commands.md."""
    reply = answer.reply
    finding = finding or UNKNOWN
    whole: dict[str, Any] = {"question": question_json(ask.question), **message_json(ask, answer)}
    whole["server"] = reply.server
    whole["protocol"] = reply.server.partition(":")[0]
    whole["ms"] = round(reply.seconds * 1000, 3)
    whole["dnssec"] = finding.security
    whole["reason"] = finding.reason
    whole["ede"] = _errors(reply.message)
    whole["options"] = _options(reply.message)
    if answer.address.name:
        whole["server_name"] = answer.address.name
    if finding.chain:
        whole["chain"] = list(finding.chain)
    if finding.proof:
        whole["proof"] = list(finding.proof)
    if answer.failures:
        whole["failures"] = list(answer.failures)
    return whole


def failure_json(ask: Ask, text: str) -> dict[str, Any]:
    """A question that nobody has answered."""
    return {"question": question_json(ask.question), "error": text.replace("\n", "; ")}


def question_json(one: Question | Record) -> dict[str, str]:
    """Name and type in words, of what is asked or of what is answered."""
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import type_to_text

    return {"name": name_to_text(one.name), "type": type_to_text(one.type)}


def record_json(record: Record) -> dict[str, Any]:
    """A record: name, type, ttl in seconds, data as in a zone file."""
    return {**question_json(record), "ttl": record.ttl, "data": data_text(record)}


def message_json(ask: Ask, answer: Answer) -> dict[str, Any]:
    """Response code, flags and sections."""
    from catenet.wire.dns.numbers import flags_to_text, rcode_to_text

    message = answer.reply.message
    whole: dict[str, Any] = {
        "rcode": rcode_to_text(message.rcode),
        "flags": flags_to_text(message.flags).split(),
    }
    for name in SECTIONS:
        whole[name] = [record_json(one) for one in records_of(ask, answer, name)]
    return whole


def _errors(message: Message) -> list[dict[str, Any]]:
    from catenet.dns.errors import extended_errors

    return [{"code": error.code, "text": error.text or error.meaning} for error in extended_errors(message.edns)]


def _options(message: Message) -> list[dict[str, Any]]:
    from catenet.dns import options as codes

    edns = message.edns
    found = [] if edns is None else [one for one in edns.options if one[0] != codes.EXTENDED_ERROR]
    return [{"code": code, "name": codes.option_to_text(code, data)[0], "data": data.hex()} for code, data in found]
