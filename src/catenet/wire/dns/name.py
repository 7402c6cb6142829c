r"""Domain names: uncompressed wire format as `bytes` (RFC 1035 3.1), and their text.

A name is `b"\x03www\x07example\x00"`: hashable, comparable, and ready to be sent. Case is kept; `fold` gives the
form under which names are equal (RFC 4343). Lengths of labels are below 64, so that folding never touches them.
"""

from __future__ import annotations

from typing import Final

from catenet.wire.errors import Malformed

__all__ = [
    "LONGEST",
    "LONGEST_LABEL",
    "ROOT",
    "Known",
    "canonical_key",
    "fold",
    "is_below",
    "join",
    "labels",
    "name_from_text",
    "name_to_text",
    "parent",
    "read_name",
    "reverse_name",
    "skip_name",
    "split_names",
]

ROOT: Final = b"\0"
LONGEST: Final = 255
"""Bytes of a name, its last label (of the root) included."""
LONGEST_LABEL: Final = 63
POINTER: Final = 0xC0
MOST_POINTERS: Final = 127
"""Pointers that are followed for one name: as many as it can have labels. A longer chain serves to burn time."""

Known = dict[int, tuple[bytes, int]]
"""What was read at the targets of a message's pointers: the rest of a name, and how many pointers that has."""

_ESCAPED: Final = frozenset(b'."\\();@$')


def skip_name(data: bytes, at: int) -> int:
    """Offset behind the name at `at`, which may end in a pointer. Raises Malformed when it is cut off."""
    size = len(data)
    while at < size:
        length = data[at]
        if length >= POINTER:
            if at + 2 > size:
                break
            return at + 2
        if length > LONGEST_LABEL:
            raise Malformed("dns: label type")
        at += 1 + length
        if not length:
            return at
    raise Malformed("dns: name is cut off")


def read_name(data: bytes, at: int, known: Known | None = None) -> bytes:
    """The name at `at`, its pointers followed (RFC 1035 4.1.4).

    A pointer must lead to before where the name, or the part that it continues, begins, and there are at most as many
    as a name can have labels: so reading ends, in a time bounded by the length of a name.

    Args:
        data: the message.
        at: offset of the name.
        known: of this message, for all of its names. With it no pointer is followed twice, so that a message of
            thousands of names that share a long chain of pointers does not cost the length of the chain for each.

    Raises:
        Malformed: cut off, longer than 255 bytes, a pointer forward or to itself or one too many, an unknown type of
            label.
    """
    size = len(data)
    if known and at + 1 < size and data[at] >= POINTER:  # as most owners of records are
        target = (data[at] & 63) << 8 | data[at + 1]
        rest = known.get(target)
        if rest is not None and target < at and rest[1] < MOST_POINTERS:
            return rest[0]
    parts: list[bytes] = []
    followed: list[tuple[int, int]] = []
    total, least, pointers = 0, at, 0
    while True:
        if at >= size:
            raise Malformed("dns: name is cut off")
        length = data[at]
        if length >= POINTER:
            if at + 2 > size:
                raise Malformed("dns: name is cut off")
            target = (length & 63) << 8 | data[at + 1]
            if target >= least:
                raise Malformed("dns: compression pointer does not lead back")
            pointers += 1
            rest = None if known is None else known.get(target)
            if rest is not None:
                pointers += rest[1]
            if pointers > MOST_POINTERS:
                raise Malformed("dns: too many compression pointers in a name")
            if rest is not None:
                if total + len(rest[0]) > LONGEST:
                    raise Malformed("dns: name is longer than 255 bytes")
                parts.append(rest[0])
                break
            followed.append((target, len(parts)))
            least = at = target
            continue
        if length > LONGEST_LABEL:
            raise Malformed("dns: label type")
        end = at + 1 + length
        total += 1 + length
        if total > LONGEST:
            raise Malformed("dns: name is longer than 255 bytes")
        if end > size:
            raise Malformed("dns: name is cut off")
        if not length:
            parts.append(ROOT)
            break
        parts.append(data[at:end])
        at = end
    if known is not None:
        for before, (target, count) in enumerate(followed, 1):
            known[target] = b"".join(parts[count:]), pointers - before
    return b"".join(parts)


def split_names(data: bytes) -> tuple[bytes, ...] | None:
    """Names without pointers one after another, perhaps with zeros behind them (RFC 8106 5.2, RFC 8415 10).

    None when one is cut off, too long, or of no label.
    """
    names = []
    start = 0
    while start < len(data) and data[start]:
        at = start
        while at < len(data) and 0 < data[at] <= LONGEST_LABEL:
            at += 1 + data[at]
        if at >= len(data) or data[at] or at - start >= LONGEST:
            return None
        names.append(data[start : at + 1])
        start = at + 1
    return tuple(names) if names and not any(data[start:]) else None


def fold(name: bytes) -> bytes:
    """The name in lower case (ASCII only, RFC 4343): names that are equal have equal ones."""
    return name.lower()


def labels(name: bytes) -> list[bytes]:
    """Labels from the leftmost on, that of the root left out."""
    found, at = [], 0
    while length := name[at]:
        found.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return found


def join(parts: list[bytes]) -> bytes:
    """The name made of these labels. Raises ValueError for a label or a name that is too long or empty."""
    pieces = []
    for label in parts:
        if not 0 < len(label) <= LONGEST_LABEL:
            raise ValueError("a label has 1 to 63 bytes" if label else "an empty label")
        pieces.append(bytes((len(label),)) + label)
    name = b"".join(pieces) + ROOT
    if len(name) > LONGEST:
        raise ValueError("the name is longer than 255 bytes")
    return name


def parent(name: bytes) -> bytes:
    """The name without its leftmost label; the root's is the root."""
    return name[1 + name[0] :] if len(name) > 1 else name


def is_below(name: bytes, ancestor: bytes) -> bool:
    """Whether `name` is `ancestor` or under it; both folded."""
    if not name.endswith(ancestor):
        return False
    at, boundary = 0, len(name) - len(ancestor)
    while at < boundary:
        at += 1 + name[at]
    return at == boundary


def canonical_key(name: bytes) -> tuple[bytes, ...]:
    """What names are sorted by (RFC 4034 6.1): folded labels, from the root on."""
    return tuple(reversed(labels(fold(name))))


def name_from_text(text: str, origin: bytes = ROOT) -> bytes:
    r"""A name from its text (RFC 1035 5.1): `www.example.`; without the last dot it is under `origin`.

    `\.` is a dot within a label, `\065` the byte of that number. Other letters than ASCII are for whoever knows IDNA.

    Raises:
        ValueError: an empty or too long label or name, an escape that is none, a character outside of ASCII.
    """
    if text == ".":
        return ROOT
    if text in ("", "@"):
        return origin
    found: list[bytes] = []
    label = bytearray()
    at, size = 0, len(text)
    while at < size:
        letter = text[at]
        at += 1
        if letter == ".":
            if not label:
                raise ValueError(f"{text!r} has an empty label")
            found.append(bytes(label))
            label.clear()
        elif letter == "\\":
            value, at = _escape(text, at)
            label.append(value)
        elif letter > "\x7f":
            raise ValueError(f"{text!r} has a letter outside of ASCII; write it in its xn-- form")
        else:
            label.append(ord(letter))
    is_absolute = not label
    if label:
        found.append(bytes(label))
    try:
        name = join(found)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if is_absolute or origin == ROOT:
        return name
    if len(name) - 1 + len(origin) > LONGEST:
        raise ValueError(f"{text!r}: the name is longer than 255 bytes")
    return name[:-1] + origin


def _escape(text: str, at: int) -> tuple[int, int]:
    """Value of what follows a backslash, and the offset behind it."""
    digits = text[at : at + 3]
    if digits[:1].isdecimal():
        if len(digits) == 3 and digits.isascii() and digits.isdecimal() and int(digits) < 256:
            return int(digits), at + 3
        raise ValueError(f"{text!r} has an escape that is no number from 000 to 255")
    if not digits or digits[0] > "\x7f":
        raise ValueError(f"{text!r} ends in a backslash, or escapes a letter outside of ASCII")
    return ord(digits[0]), at + 1


def name_to_text(name: bytes) -> str:
    """Text of a name, absolute; what is not printable ASCII, or has a meaning in zone files, is escaped."""
    if len(name) == 1:
        return "."
    return "".join(_label_to_text(label) + "." for label in labels(name))


def _label_to_text(label: bytes) -> str:
    if label.isalnum():
        return label.decode("ascii")
    pieces = []
    for byte in label:
        if byte in _ESCAPED:
            pieces.append("\\" + chr(byte))
        elif 0x20 < byte < 0x7F:
            pieces.append(chr(byte))
        else:
            pieces.append(f"\\{byte:03d}")
    return "".join(pieces)


def reverse_name(address: bytes) -> bytes:
    """The name that has the PTR records of an IPv4 (RFC 1035 3.5) or IPv6 address (RFC 3596 2.5)."""
    if len(address) == 4:
        return join([*(b"%d" % byte for byte in reversed(address)), b"in-addr", b"arpa"])
    return join([*(letter.encode() for letter in reversed(address.hex())), b"ip6", b"arpa"])
