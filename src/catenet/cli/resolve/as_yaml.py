"""Answers as YAML, as dig prints them with `+yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from catenet.cli.resolve.records import data_text, section
from catenet.cli.resolve.show import SECTIONS, records_of
from catenet.printable import printable

if TYPE_CHECKING:
    from catenet.cli.resolve.asking import Answer
    from catenet.cli.resolve.plan import Ask
    from catenet.cli.resolve.switches import Options
    from catenet.wire.dns.message import Message
    from catenet.wire.dns.record import Record

__all__ = ["answer_yaml", "failure_yaml"]

PROTOCOLS: Final = {"udp": "UDP", "tcp": "TCP", "tls": "TLS", "quic": "QUIC", "https": "HTTPS", "http": "HTTP"}
PLAIN: Final = re.compile(r"(?P<scheme>\w+)://(?P<host>\[[^]]*\]|[^:/]*)(:(?P<port>\d+))?")


def answer_yaml(ask: Ask, answer: Answer, source: tuple[str, int] | None, now: float) -> Iterator[str]:
    """The lines of an answer; `source` is the address that it was asked from if that was said; `now` since 1970."""
    from catenet.wire.dns.message import parse

    reply, options = answer.reply, ask.options
    if options.qr:
        query = parse(reply.query)
        yield from _message("QUERY", ask, query, _places(reply.server, source), (now - reply.seconds, None))
    places = _places(reply.server, source)
    yield from _message("RESPONSE", ask, reply.message, places, (now - reply.seconds, now), answer)


def failure_yaml(text: str) -> Iterator[str]:
    """The lines of what nobody has answered."""
    yield "- type: DIG_ERROR"
    yield "  message: |"
    yield from (f"    {printable(line)}" for line in text.split("\n"))


def _places(server: str, source: tuple[str, int] | None) -> Iterator[str]:
    found = PLAIN.match(server)
    host = found["host"].strip("[]") if found else ""
    is_six = ":" in host
    yield f"socket_family: {'INET6' if is_six else 'INET'}"
    yield f"socket_protocol: {PROTOCOLS.get(found['scheme'], found['scheme'].upper()) if found else 'UDP'}"
    yield f'response_address: "{host}"'
    yield f"response_port: {(found['port'] if found else None) or 0}"
    yield f'query_address: "{source[0] if source else "::0" if is_six else "0.0.0.0"}"'
    yield f"query_port: {source[1] if source else 0}"


def _message(
    kind: str,
    ask: Ask,
    message: Message,
    places: Iterator[str],
    times: tuple[float, float | None],
    answer: Answer | None = None,
) -> Iterator[str]:
    from catenet.wire.dns.numbers import OPCODES, RA, RD, flags_to_text, rcode_to_text

    both = RD if answer is None else RD | RA
    recursive = message.flags & both == both
    yield "- type: MESSAGE"
    yield "  message:"
    yield f"    type: {'RECURSIVE' if recursive else 'AUTH'}_{kind}"
    yield f"    query_time: !!timestamp {_time(times[0])}"
    if times[1] is not None:
        yield f"    response_time: !!timestamp {_time(times[1])}"
    yield f"    message_size: {len(message.data)}b"
    yield from (f"    {line}" for line in places)
    yield f"    {kind.lower()}_message_data:"
    yield f"      opcode: {OPCODES.get(message.opcode, f'RESERVED{message.opcode}')}"
    yield f"      status: {printable(rcode_to_text(message.rcode))}"
    yield f"      id: {message.id}"
    yield f"      flags: {flags_to_text(message.flags)}".rstrip()
    counts = (1 if message.question else 0, len(message.answer), len(message.authority), len(message.additional))
    for name, count in zip(("QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL"), counts, strict=True):
        yield f"      {name}: {count}"
    if ask.options.comments:
        yield from _edns(message, None if answer is None else answer.reply.query)
    yield from _sections(ask, message, answer)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _edns(message: Message, query: bytes | None) -> Iterator[str]:
    from catenet.dns import options as codes
    from catenet.wire.dns.edns import DNSSEC_OK

    edns = message.edns
    if edns is None:
        return
    yield "      OPT_PSEUDOSECTION:"
    yield "        EDNS:"
    yield f"          version: {edns.version}"
    yield f"          flags:{' do' if edns.flags & DNSSEC_OK else ''}"
    yield f"          udp: {edns.payload}"
    for code, data in edns.options:
        if code == codes.EXTENDED_ERROR and len(data) >= 2:
            yield from _extended_error(int.from_bytes(data[:2], "big"), data[2:])
            continue
        name, text = codes.option_to_text(code, data)
        if code == codes.COOKIE and query is not None and len(data) > 8 and data[:8] in query:
            text += " (good)"
        yield f"          {NAMES.get(code, printable(name).upper())}: {_scalar(printable(text))}".rstrip()


def _extended_error(code: int, text: bytes) -> Iterator[str]:
    from catenet.dns.errors import ExtendedError

    words = ExtendedError(code).meaning.split(" ")
    yield "          EDE:"
    yield f"            INFO-CODE: {code} ({' '.join(word[:1].upper() + word[1:] for word in words)})"
    if text:
        yield f'            EXTRA-TEXT: "{printable(text.decode(errors="replace"))}"'


NAMES: Final = {8: "CLIENT-SUBNET", 10: "COOKIE", 11: "TCP-KEEPALIVE", 12: "PAD", 15: "EDE"}
"""Options as dig calls them."""


def _sections(ask: Ask, message: Message, answer: Answer | None) -> Iterator[str]:
    from catenet.cli.resolve.show import question_text

    options, question = ask.options, message.question
    if options.question and question is not None:
        yield "      QUESTION_SECTION:"
        name, *rest = question_text(question).split(" ")
        words = [name, *(rest if len(rest) > 1 else ("IN", *rest))]
        yield f"        - {_quoted(' '.join(words))}"
    for name in SECTIONS:
        if not getattr(options, name):
            continue
        records = section(message, name) if answer is None else records_of(ask, answer, name)
        if records:
            yield f"      {name.upper()}_SECTION:"
            yield from (f"        - {_quoted(_line(record, options))}" for record in records)


def _line(record: Record, options: Options) -> str:
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import class_to_text, type_to_text

    words = [name_to_text(record.name)]
    if options.ttl:
        words.append(str(record.ttl))
    if options.rclass:
        words.append(class_to_text(record.rclass))
    return " ".join([*words, type_to_text(record.type), data_text(record, options)]).rstrip()


def _quoted(text: str) -> str:
    return "'" + printable(text).replace("'", "''") + "'"


def _scalar(text: str) -> str:
    """A text that YAML reads as itself."""
    is_plain = re.fullmatch(r"[\w./][\w./:+ ()-]*", text) and not text.endswith(":") and ": " not in text
    return text if is_plain or not text else _quoted(text)
