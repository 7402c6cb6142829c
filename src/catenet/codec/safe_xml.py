"""XML from strangers: expat without DTDs, entities and processing instructions, within limits of depth and count.

What makes XML dangerous is in the document type declaration (entities that expand exponentially, or fetch files); a
document with one is refused as such. Limits hold while the parser runs, before anything is built of what it reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn
from xml.parsers import expat

from catenet.codec.base import CodecError

__all__ = ["attribute_text", "element_text", "is_xml_text", "parse_xml"]

LONGEST_NAMESPACE = 256
"""Characters. A document of 1 MiB could have a name of half of it, and be gigabytes once all is reported."""

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


def parse_xml(
    data: bytes | bytearray | memoryview, start: Start, end: End, text: Text, *, deepest: int | None, most_elements: int
) -> None:
    """Report elements and text of a document in UTF-8; names with a namespace are `NAMESPACE NAME`.

    `deepest`: how many elements may be open; None: `start` sees to that, which is faster. Raises `CodecError` for what
    is malformed, refused or beyond the limits. What the callbacks raise goes through.
    """
    begins = bytes(data[:2])
    if begins in (b"\xff\xfe", b"\xfe\xff") or 0 in begins:  # expat takes the latter for UTF-16, whatever it was told
        raise CodecError("not XML in UTF-8")
    parser: Any = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    if deepest is not None or isinstance(data, memoryview) or data.count(b"<") > most_elements:
        start, end = _counted(start, end, deepest or math.inf, most_elements)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartNamespaceDeclHandler = _namespace
    parser.StartDoctypeDeclHandler = _refuse("a document type declaration")
    parser.EntityDeclHandler = _refuse("an entity declaration")
    parser.ExternalEntityRefHandler = _refuse("an external entity")
    parser.SkippedEntityHandler = _refuse("an entity")
    parser.ProcessingInstructionHandler = _refuse("a processing instruction")
    parser.XmlDeclHandler = _declaration
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise CodecError(f"not XML: {error}") from None


def _counted(start: Start, end: End, deepest: float, most_elements: int) -> tuple[Start, End]:
    """Return both so that they count what they report."""
    depth = count = 0

    def starts(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth += 1
        count += 1
        if depth > deepest:
            raise CodecError(f"elements are nested more than {deepest} deep")
        if count > most_elements:
            raise CodecError(f"more than {most_elements} elements")
        start(name, attributes)

    def ends(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(name)

    return starts, ends


def _refuse(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise CodecError(f"XML with {what} is refused")

    return refuse


def _namespace(prefix: str | None, name: str | None) -> None:
    """Each element and attribute with that prefix is reported with the whole name, which the document says once."""
    if name is not None and len(name) > LONGEST_NAMESPACE:
        raise CodecError(f"a namespace name of more than {LONGEST_NAMESPACE} characters")


def _declaration(version: str, encoding: str | None, standalone: int) -> None:
    if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
        raise CodecError("XML is taken in UTF-8 only")


def is_xml_text(text: str) -> bool:
    """Whether XML 1.0 can say this text (section 2.2, Char): no control characters, surrogates, U+FFFE, U+FFFF."""
    return text.isprintable() or text.translate(_DELETED) == text


_DELETED: dict[int, None] = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF))


def element_text(text: str) -> str:
    """Return text as content of an element; a carriage return would become a newline."""
    if "&" in text or "<" in text or ">" in text or "\r" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return text


def attribute_text(text: str) -> str:
    """Return text as the value of an attribute, in which whitespace would become spaces."""
    text = element_text(text).replace('"', "&quot;")
    return text.replace("\n", "&#10;").replace("\t", "&#9;")
