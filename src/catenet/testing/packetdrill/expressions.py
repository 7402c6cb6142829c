"""System calls and their arguments: the part of the grammar that looks like C.

Structures are read as named fields in any order, so one rule serves sockaddr, msghdr, pollfd, epoll_event, linger,
cmsghdr and whatever comes; what a field means is known only where the call is made.
"""

from __future__ import annotations

from catenet.testing.packetdrill.cursor import Cursor
from catenet.testing.packetdrill.syntax import (
    Assignment,
    Call,
    Ellipsis_,
    Expression,
    Function,
    Integer,
    Items,
    Or,
    Quoted,
    Structure,
    Word,
)

__all__ = ["parse_call", "parse_microseconds", "unquote"]

_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "0": b"\0", "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v"}


def parse_microseconds(cursor: Cursor) -> int:
    """A time in seconds, as integer microseconds."""
    token = cursor.token
    if token.kind not in ("int", "float") or token.text.startswith("-"):
        raise cursor.error("expected a time in seconds")
    cursor.next()
    whole, _, fraction = token.text.partition(".")
    return int(whole or "0") * 1_000_000 + int((fraction + "000000")[:6])


def unquote(text: str) -> bytes:
    r"""Octets of a quoted string, with C's escapes (`\xa1`, `\n`, `\"`)."""
    body, out, where = text[1:-1], bytearray(), 0
    while where < len(body):
        char = body[where]
        if char != "\\" or where + 1 == len(body):
            out += char.encode()
            where += 1
        elif body[where + 1] == "x":
            out.append(int(body[where + 2 : where + 4], 16))
            where += 4
        else:
            out += _ESCAPES.get(body[where + 1], body[where + 1].encode())
            where += 2
    return bytes(out)


def parse_call(cursor: Cursor) -> Call:
    """`[... end] name(arguments) = result [ERRNO] [(note)]`."""
    end = parse_microseconds(cursor) if cursor.take("dots") else None
    name = cursor.expect("word", what="the name of a system call").text
    cursor.expect("(")
    arguments = _list(cursor, ")")
    cursor.expect("=")
    result = parse_expression(cursor)
    errno = cursor.next().text if cursor.at("word") else None
    return Call(name, arguments, result, end, errno, _note(cursor))


def _note(cursor: Cursor) -> str | None:
    """`(Resource temporarily unavailable)`: words for people, never compared."""
    if not cursor.take("("):
        return None
    words: list[str] = []
    depth = 1
    while True:
        token = cursor.token
        if token.kind == "end":
            raise cursor.error("expected ')'")
        depth += (token.kind == "(") - (token.kind == ")")
        cursor.next()
        if not depth:
            return " ".join(words)
        words.append(token.text)


def parse_expression(cursor: Cursor) -> Expression:
    """A term, or terms joined by `|`."""
    left = _term(cursor)
    while cursor.take("|"):
        left = Or(left, _term(cursor))
    return left


def _term(cursor: Cursor) -> Expression:
    token = cursor.token
    match token.kind:
        case "dots":
            cursor.next()
            return Ellipsis_()
        case "int" | "hex":
            return Integer(cursor.integer("a number", -(1 << 63), (1 << 64) - 1))
        case "string":
            return _string(cursor)
        case "[":
            cursor.next()
            return Items(_list(cursor, "]"))
        case "{":
            cursor.next()
            return _braces(cursor)
        case "word":
            return _named(cursor)
    raise cursor.error("expected a value")


def _string(cursor: Cursor) -> Quoted:
    value = b""
    while token := cursor.take("string"):
        value += unquote(token.text)
    return Quoted(value, cursor.take("dots") is not None)


def _named(cursor: Cursor) -> Expression:
    """A word, a function of arguments, or `word=value` (also `word(size)=value`)."""
    name = cursor.next().text
    if cursor.take("("):
        arguments = _list(cursor, ")")
        if not cursor.take("="):
            return Function(name, arguments)
        return Assignment(name, parse_expression(cursor), arguments[0] if arguments else None)
    if cursor.take("="):
        return Assignment(name, parse_expression(cursor))
    return Word(name)


def _list(cursor: Cursor, close: str) -> tuple[Expression, ...]:
    values: list[Expression] = []
    while not cursor.take(close):
        if values:
            cursor.expect(",")
        values.append(parse_expression(cursor))
    return tuple(values)


def _braces(cursor: Cursor) -> Structure | Items:
    values = _list(cursor, "}")
    fields = tuple(value for value in values if isinstance(value, Assignment))
    if values and len(fields) == len(values):
        return Structure(fields)
    if fields:
        raise cursor.error("a structure has either names for all of its fields or for none, before")
    return Items(values, braces=True)
