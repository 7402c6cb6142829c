"""Fields of header blocks as heads and trailers (RFC 9113 section 8).

A block that was not seen before has mostly fields that were: a path is new in every request of a browser, what the
browser says of itself is not. So it is remembered of fields that they are in order, and of a new block only the new
ones are read.
"""

from __future__ import annotations

from catenet.http.errors import StreamError
from catenet.http.fields import (
    ADDRESS_LIST,
    AUTHORITY,
    FRAMING_TRAILERS,
    check_fields,
    check_h2_fields,
    content_length,
    is_method,
    is_scheme,
    is_target,
    is_tunnel_target,
    is_value,
)
from catenet.http.message import Fields, RequestHead, ResponseHead, first

__all__ = ["HeadReader"]

_MEMO_FIELDS = 4096
_MEMO_FIELD_LIMIT = 512
_MEMO_NAMES = 512
_MEMO_NAME_LIMIT = 64
# Whoever shares the memo could learn from timing whether a whole field is known.
_SECRETS = frozenset(
    (b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"x-api-key", b"x-auth-token")
)
_NOTED_NAMES = frozenset((b"host", b"content-length", b"expect"))
_REQUEST = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_RESPONSE = frozenset((b":status",))
_PLAIN, _NOTED, _PSEUDO = range(3)


class HeadReader:
    """Turns fields into heads, for the connections of one server or client; what it remembers is bounded."""

    __slots__ = ("_known", "_names", "_once")

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], int] = {}
        self._once: set[tuple[bytes, bytes]] = set()
        self._names: dict[bytes, int] = {}

    def request(self, fields: Fields) -> RequestHead | Fields:
        """Turn the fields of a block that a client sent into a head, or into trailers. Raises `StreamError`."""
        pseudo, noted = self._sort(fields, _REQUEST)
        if not pseudo:
            return _trailers(fields, noted)
        rest = fields[len(pseudo) :]
        method = pseudo.get(b":method")
        authority = _authority(pseudo, noted)
        protocol = pseudo.get(b":protocol")
        if method is None:
            raise StreamError("missing :method")
        if protocol is not None and (method != b"CONNECT" or not authority):
            raise StreamError(":protocol without CONNECT or :authority")  # RFC 8441 section 4
        if method == b"CONNECT" and protocol is None:
            # Section 8.5: authority only.
            if b":scheme" in pseudo or b":path" in pseudo or not is_tunnel_target(authority):
                raise StreamError("CONNECT with :scheme or :path, or without host:port as :authority")
            head = RequestHead(method, b"", rest, authority, b"")
            head.special = True
            return head
        path, scheme = pseudo.get(b":path", b""), pseudo.get(b":scheme", b"")
        if not authority and scheme in (b"http", b"https"):
            raise StreamError("neither :authority nor Host")  # RFC 9110 section 4.2.1: an empty host is to be refused
        if not scheme or not (path[:1] == b"/" or (path == b"*" and method == b"OPTIONS")):
            raise StreamError("missing :scheme, or missing or wrong :path")
        head = RequestHead(method, path, rest, authority, scheme, protocol)
        if noted:
            head.length = content_length(tuple(noted)) if protocol is None else None
            head.expects = (first(tuple(noted), b"expect") or b"").lower() == b"100-continue"
        head.special = head.expects or method == b"HEAD" or method == b"CONNECT"
        head.usual = not head.special and head.length is None
        return head

    def response(self, fields: Fields) -> ResponseHead | Fields:
        """Turn the fields of a block that a server sent into a head, or into trailers. Raises `StreamError`."""
        pseudo, noted = self._sort(fields, _RESPONSE)
        if not pseudo:
            return _trailers(fields, noted)
        head = ResponseHead(int(pseudo[b":status"]), fields[1:])
        if noted:
            head.length = content_length(tuple(noted))
        return head

    def _sort(self, fields: Fields, allowed: frozenset[bytes]) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]:
        """Check all fields; return the pseudo-header fields (each once, before all others), and those to be noted."""
        known = self._known.get
        pseudo: dict[bytes, bytes] = {}
        noted: list[tuple[bytes, bytes]] = []
        for at, field in enumerate(fields):
            kind = known(field)
            if kind is None:
                kind = self._read_new(field)
            if kind == _PSEUDO:
                name = field[0]
                if at != len(pseudo) or name in pseudo or name not in allowed:
                    raise StreamError(f"pseudo-header field {name!r} is unknown, repeated or behind others")
                pseudo[name] = field[1]
            elif kind == _NOTED:
                noted.append(field)
        return pseudo, noted

    def _read_new(self, field: tuple[bytes, bytes]) -> int:
        name, value = field
        if name == b":path" and is_target(value):
            return _PSEUDO
        kind = self._names.get(name)
        if kind is None:
            kind = self._read_name(field)
        elif not is_value(value):
            check_fields((field,))
        if name not in _SECRETS and len(name) + len(value) <= _MEMO_FIELD_LIMIT:
            self._remember(field, kind)
        return kind

    def _read_name(self, field: tuple[bytes, bytes]) -> int:
        """Check name and value; of names without rules for their values it is remembered that they are in order."""
        name, value = field
        if name[:1] == b":":
            if not _is_pseudo(name, value):
                raise StreamError(f"pseudo-header field {name!r} is unknown or malformed")
            return _PSEUDO
        check_fields((field,))
        check_h2_fields((field,))
        kind = _NOTED if name in _NOTED_NAMES else _PLAIN
        if name != b"te" and len(name) <= _MEMO_NAME_LIMIT:
            if len(self._names) >= _MEMO_NAMES:
                self._names.clear()
            self._names[name] = kind
        return kind

    def _remember(self, field: tuple[bytes, bytes], kind: int) -> None:
        """Keep what comes for the second time: what differs each time would only push out the rest."""
        once = self._once
        if field in once:
            if len(self._known) >= _MEMO_FIELDS:
                self._known.clear()
            self._known[field] = kind
        else:
            if len(once) >= _MEMO_FIELDS:
                once.clear()
            once.add(field)


def _is_pseudo(name: bytes, value: bytes) -> bool:
    if name == b":path":
        return is_target(value)
    if name == b":authority":
        return AUTHORITY(value) is not None or ADDRESS_LIST(value) is not None
    if name == b":scheme":
        return is_scheme(value)
    if name == b":method" or name == b":protocol":
        return is_method(value)
    return name == b":status" and len(value) == 3 and value.isdigit() and value >= b"100"


def _authority(pseudo: dict[bytes, bytes], noted: list[tuple[bytes, bytes]]) -> bytes:
    hosts = [value for name, value in noted if name == b"host"] if noted else []
    if not hosts:
        authority = pseudo.get(b":authority", b"")
        # Of a list of addresses, which is no authority, the first is one.
        return authority.partition(b",")[0] if b"," in authority and ADDRESS_LIST(authority) else authority
    authority = pseudo.get(b":authority", hosts[0])
    # Section 8.3.1: a Host that differs is how requests are smuggled past virtual hosts.
    if len(hosts) > 1 or hosts[0].lower() != authority.lower() or not AUTHORITY(authority):
        raise StreamError(":authority and Host disagree or are malformed")
    return authority


def _trailers(fields: Fields, noted: list[tuple[bytes, bytes]]) -> Fields:
    for name, _ in noted:
        if name in FRAMING_TRAILERS:
            raise StreamError("a trailer about framing or routing")
    return fields
