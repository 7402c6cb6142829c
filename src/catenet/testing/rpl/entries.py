"""One ENTRY: how a message is compared, changed, and what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from catenet.testing.rpl.records import DEFAULT_TTL, read_question, read_record
from catenet.testing.rpl.syntax import Entry, Packet, ScenarioError, Unsupported
from catenet.testing.rpl.words import Lines, expected, number, strip_comment
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import FLAGS, OPCODES, RCODES

__all__ = ["EntryReader"]

MATCHES: Final = frozenset(
    [
        "opcode",
        "qtype",
        "qname",
        "qcase",
        "subdomain",
        "flags",
        "rcode",
        "question",
        "answer",
        "answertypes",
        "answerrrsigs",
        "authority",
        "additional",
        "all",
        "all_noedns",
        "ttl",
        "do",
        "noedns",
        "ednsdata",
        "edns",
        "nsid",
        "udp",
        "tcp",
    ]
)
"""What can be compared, in the words of MATCH lines."""
ADJUSTMENTS: Final = frozenset(["copy_id", "copy_query", "raw_id", "do_not_answer"])
_ECS: Final = frozenset(("copy_ednsdata_assume_clientsubnet", "increment_ecs_scope"))
_OPCODES: Final = {name: number << 11 for number, name in OPCODES.items()}
_RCODES: Final = {name: number for number, name in RCODES.items()} | {"NOTIMPL": 4, "BADSIG": 16}
_BITS: Final = {name.upper(): bit for name, bit in FLAGS.items()}
_ELSEWHERE: Final = frozenset(("ENTRY_BEGIN", "RANGE_BEGIN", "RANGE_END", "STEP", "SCENARIO_END"))
"""Words that no entry has."""
_SECTIONS: Final = ("QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL")


@dataclass(slots=True)
class _Draft:
    """An entry while it is read."""

    entry: Entry
    packet: Packet = field(default_factory=Packet)
    section: str = "QUESTION"


class EntryReader:
    """Reads entries one after another; `$ORIGIN` and `$TTL` hold from where they stand to the end of the file."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._origin = ROOT
        self._ttl = DEFAULT_TTL
        self._readers: dict[str, Callable[[_Draft, str], None]] = {
            "MATCH": self._match,
            "ADJUST": self._adjust,
            "REPLY": self._reply,
            "FLAGS": self._reply,
            "SECTION": self._section,
            "EXTRA_PACKET": self._extra_packet,
            "HEX_ANSWER_BEGIN": self._hex_answer,
            "HEX_EDNSDATA_BEGIN": self._hex_edns,
            "RAW": self._raw,
            "MANDATORY": self._mandatory,
            "TSIG": self._tsig,
        }

    def directive(self, text: str) -> bool:
        """Take `$ORIGIN` or `$TTL`; False when the line is neither."""
        word, _, rest = text.partition(" ")
        if word.startswith("$ORIGIN"):
            self._origin = self._name(rest.strip() or word[len("$ORIGIN") :])
            return True
        if word.startswith("$TTL"):
            self._ttl = number(rest.strip(), self._lines.line, "$TTL")
            return True
        return False

    def read(self) -> Entry:
        """The entry whose ENTRY_BEGIN was the line before. Raises ScenarioError."""
        draft = _Draft(Entry(self._lines.line))
        draft.entry.packets.append(draft.packet)
        while (text := self._lines.take_words()) is not None:
            word, _, rest = text.partition(" ") if "\t" not in text else text.replace("\t", " ").partition(" ")
            if word == "ENTRY_END":
                return draft.entry
            if word in _ELSEWHERE:
                break
            reader = self._readers.get(word)
            if reader is not None:
                reader(draft, rest.strip())
            elif not self.directive(text):
                self._record(draft, text)
        raise ScenarioError(draft.entry.line, "no ENTRY_END for the entry that begins here")

    def _name(self, text: str) -> bytes:
        try:
            return name_from_text(text, self._origin)
        except ValueError as error:
            raise ScenarioError(self._lines.line, str(error)) from None

    def _match(self, draft: _Draft, rest: str) -> None:
        for word in rest.split():
            key, equals, value = word.lower().replace(":", "=").partition("=")
            if equals and key == "serial":
                draft.entry.serial = number(value, self._lines.line, "a serial number")
            elif equals and key == "ede":
                draft.entry.error = -1 if value == "any" else number(value, self._lines.line, "an extended error")
            elif word.lower() in MATCHES:
                draft.entry.match.add(word.lower())
            else:
                raise expected(word, MATCHES | {"serial=", "ede="}, self._lines.line, "word of MATCH")

    def _adjust(self, draft: _Draft, rest: str) -> None:
        for word in rest.split():
            key, equals, value = word.partition("=")
            if equals and key in ("sleep", "packet_sleep"):
                draft.packet.delay = float(number(value, self._lines.line, "a time to sleep"))
            elif word in _ECS:
                raise Unsupported(self._lines.line, f"ADJUST {word}: this resolver sends no client subnets")
            elif word in ADJUSTMENTS:
                draft.entry.adjust.add(word)
            else:
                raise expected(word, ADJUSTMENTS | {"sleep=", "packet_sleep="}, self._lines.line, "word of ADJUST")

    def _reply(self, draft: _Draft, rest: str) -> None:
        packet = draft.packet
        for word in rest.split():
            if word in _BITS:
                packet.flags |= _BITS[word]
            elif word in _OPCODES:
                packet.flags = packet.flags & ~0x7800 | _OPCODES[word]
            elif word in _RCODES:
                packet.flags = packet.flags & ~15 | _RCODES[word] & 15
            elif word == "DO":
                packet.dnssec_ok = True
            else:
                raise expected(word, [*_BITS, *_OPCODES, *_RCODES, "DO"], self._lines.line, "word of REPLY")

    def _section(self, draft: _Draft, rest: str) -> None:
        if rest not in _SECTIONS:
            raise expected(rest, _SECTIONS, self._lines.line, "section")
        draft.section = rest

    def _extra_packet(self, draft: _Draft, rest: str) -> None:
        draft.packet = Packet()
        draft.entry.packets.append(draft.packet)

    def _hex_answer(self, draft: _Draft, rest: str) -> None:
        draft.packet.raw = self._hex("HEX_ANSWER_END")

    def _hex_edns(self, draft: _Draft, rest: str) -> None:
        draft.packet.edns_data = self._hex("HEX_EDNSDATA_END")

    def _hex(self, end: str) -> bytes:
        start = self._lines.line
        return self._bytes("".join(map(strip_comment, self._lines.take_until(end))), start)

    def _bytes(self, text: str, line: int) -> bytes:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ScenarioError(line, "what follows is not hexadecimal") from None

    def _raw(self, draft: _Draft, rest: str) -> None:
        text = self._lines.take_words() or ""
        draft.packet.raw = b"" if text == "NULL" else self._bytes(text, self._lines.line)

    def _mandatory(self, draft: _Draft, rest: str) -> None:
        draft.entry.mandatory = True

    def _tsig(self, draft: _Draft, rest: str) -> None:
        raise Unsupported(self._lines.line, "TSIG: queries of this resolver are not signed")

    def _record(self, draft: _Draft, text: str) -> None:
        packet, line = draft.packet, self._lines.line
        if draft.section == "QUESTION":
            if packet.question is not None:
                raise Unsupported(line, "a second question: messages have one (RFC 9619)")
            packet.question = read_question(text, line, self._origin)
            return
        section = {"ANSWER": packet.answer, "AUTHORITY": packet.authority, "ADDITIONAL": packet.additional}
        section[draft.section].append(read_record(text, line, self._origin, self._ttl))
