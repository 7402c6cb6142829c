"""Text of a script to a `Script`: options, a first command, events, a last command."""

from __future__ import annotations

from collections.abc import Mapping

from catenet.testing.packetdrill.cursor import Cursor
from catenet.testing.packetdrill.expressions import parse_call, parse_microseconds, unquote
from catenet.testing.packetdrill.lexer import Token, tokenize
from catenet.testing.packetdrill.packets import parse_packet
from catenet.testing.packetdrill.syntax import Action, Clock, Code, Command, Event, PacketSpec, Script, When

__all__ = ["parse_script", "read_options"]

_TIME_KINDS = ("+", "*", "int", "float")


def parse_script(text: str, defines: Mapping[str, str] | None = None) -> Script:
    """Read a script; `defines` replaces words (`--define NAME=VALUE`), those of the script's own options included.

    Raises:
        ScriptError: the text is no script; says the line.
    """
    own = dict(defines or {})
    for _, option, value in read_options(text):
        if option == "define" and value:
            name, _, meaning = value.partition("=")
            own[name] = meaning
    cursor = Cursor(tokenize(text, own))
    options = _options(cursor)
    init = _command(cursor)
    options += _options(cursor)  # some scripts put them after the first command
    events: list[Event] = []
    while cursor.token.kind in _TIME_KINDS:
        events.append(_event(cursor))
    cleanup = _command(cursor)
    if not cursor.at("end"):
        raise cursor.error("expected the time of an event")
    if not events:
        raise cursor.error("a script needs at least one event")
    return Script(options, init, tuple(events), cleanup)


def read_options(text: str) -> tuple[tuple[int, str, str | None], ...]:
    """Options of a script alone, as (line, name, value), without reading the rest.

    Raises:
        ScriptError: a quote or block that is never closed.
    """
    return tuple(_split(token) for token in tokenize(text, {}) if token.kind == "option")


def _split(token: Token) -> tuple[int, str, str | None]:
    name, equals, value = token.text[2:].partition("=")
    if value[:1] == '"':
        value = unquote(value).decode()
    return token.line, name, value if equals else None


def _options(cursor: Cursor) -> tuple[tuple[int, str, str | None], ...]:
    found: list[tuple[int, str, str | None]] = []
    while token := cursor.take("option"):
        found.append(_split(token))
    return tuple(found)


def _command(cursor: Cursor) -> tuple[int, Command] | None:
    token = cursor.take("command")
    return (token.line, Command(token.text[1:-1])) if token else None


def _event(cursor: Cursor) -> Event:
    line = cursor.token.line
    when = _when(cursor)
    action = _action(cursor)
    outbound = isinstance(action, PacketSpec) and action.outbound
    if not outbound and when.clock is Clock.ANY:
        raise cursor.error("the time * is for outbound packets only, before")
    if not outbound and when.end is not None:
        raise cursor.error("a range of times is for outbound packets only, before")
    return Event(line, when, action)


def _when(cursor: Cursor) -> When:
    if cursor.take("*"):
        return When(Clock.ANY, 0)
    clock = Clock.RELATIVE if cursor.take("+") else Clock.ABSOLUTE
    start = parse_microseconds(cursor)
    end = None
    if cursor.take("~"):
        cursor.take("+")
        end = parse_microseconds(cursor)
        if end < start:
            raise cursor.error("the range of times runs backwards, before")
    return When(clock, start, end)


def _action(cursor: Cursor) -> Action:
    kind = cursor.token.kind
    if kind in ("<", ">"):
        return parse_packet(cursor)
    if kind == "command":
        return Command(cursor.next().text[1:-1])
    if kind == "code":
        return Code(cursor.next().text[2:-2].strip(" \t"))
    if kind in ("word", "dots"):
        return parse_call(cursor)
    raise cursor.error("expected a packet, a system call, a command or code")
