"""A response as a cache keeps it, and as bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from catenet.http.headers import Headers

__all__ = ["Entry", "Pieces", "normalised"]

Pieces = tuple[tuple[int, bytes], ...]
"""Parts of a body, (offset, bytes): in order, apart from each other."""

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored response. Times in seconds of the epoch.

    `vary` are the request's fields that the response's Vary names, as they were (None: absent). `size` is the length of
    the whole body; `pieces` may be less of it (206).
    """

    url: str
    status: int
    headers: Headers
    pieces: Pieces
    size: int
    requested: float
    received: float
    vary: tuple[tuple[str, str | None], ...] = ()
    method: str = "GET"

    @property
    def complete(self) -> bool:
        """Whether the whole body is here."""
        return self.size == 0 or (len(self.pieces) == 1 and len(self.pieces[0][1]) == self.size)

    @property
    def body(self) -> bytes:
        """The whole body of a complete entry."""
        return self.pieces[0][1] if self.pieces else b""

    @property
    def weight(self) -> int:
        """Bytes that it takes, about."""
        fields = sum(len(name) + len(value) + 32 for name, value in self.headers.multi_items())
        return len(self.url) + fields + sum(len(piece) for _, piece in self.pieces) + 256

    def matches(self, headers: Headers) -> bool:
        """Whether a request with these fields selects it (RFC 9111 section 4.1)."""
        return all(normalised(headers, name) == value for name, value in self.vary)

    def with_headers(self, headers: Headers, requested: float, received: float) -> Entry:
        """Return it with other fields, as of another exchange."""
        return replace(self, headers=headers, requested=requested, received=received)

    def dump(self) -> bytes:
        """Return everything but the pieces' bytes, as bytes that `load` reads."""
        state = {
            "format": FORMAT, "url": self.url, "status": self.status, "headers": self.headers.multi_items(),
            "pieces": [(at, len(piece)) for at, piece in self.pieces], "size": self.size,
            "requested": self.requested, "received": self.received, "vary": self.vary, "method": self.method,
        }  # fmt: skip
        return json.dumps(state).encode() + b"\n" + b"".join(piece for _, piece in self.pieces)

    @classmethod
    def load(cls, data: bytes) -> Entry | None:
        """Return what `dump` wrote; None for anything else, also for what was cut short."""
        try:
            line, _, body = data.partition(b"\n")
            state = json.loads(line)
            if state["format"] != FORMAT or sum(count for _, count in state["pieces"]) != len(body):
                return None
            pieces, taken = [], 0
            for at, count in state["pieces"]:
                pieces.append((int(at), body[taken : taken + count]))
                taken += count
            return cls(
                str(state["url"]), int(state["status"]), Headers([(name, value) for name, value in state["headers"]]),
                tuple(pieces), int(state["size"]), float(state["requested"]), float(state["received"]),
                tuple((str(name), value) for name, value in state["vary"]), str(state["method"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return None


def normalised(headers: Headers, name: str) -> str | None:
    """Return a request's field so that equal meanings compare equal: blanks and the order of fields do not count."""
    values = headers.get_all(name)
    return ", ".join(part.strip() for value in values for part in value.split(",")) if values else None
