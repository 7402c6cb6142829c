"""Cache-Control (RFC 9111 section 5.2), for requests and responses."""

from __future__ import annotations

from catenet.http.headers import Headers
from catenet.http.policy.parameters import split_list, unquote

__all__ = ["Directives"]

MAX_SECONDS = 2**31


class Directives:
    """Directives by name in lower case; of one that comes twice the first counts, as caches mostly do."""

    __slots__ = ("_found",)

    def __init__(self, headers: Headers) -> None:
        self._found: dict[str, str] = {}
        for value in headers.get_all("cache-control"):
            for element in split_list(value):
                name, _, argument = element.partition("=")
                self._found.setdefault(name.strip().lower(), unquote(argument.strip()))
        if not self._found and "cache-control" not in headers and "no-cache" in headers.tokens("pragma"):
            self._found["no-cache"] = ""  # section 5.4

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def seconds(self, name: str) -> float | None:
        """Return the seconds of a directive, None if it is absent; 0 for one that is no number (section 4.2.1)."""
        text = self._found.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            return 0.0
        return float(min(int(text[:12]), MAX_SECONDS))

    def fields(self, name: str) -> list[str]:
        """Return the field names that a directive such as `no-cache="set-cookie"` has."""
        return [field.strip().lower() for field in self._found.get(name, "").split(",") if field.strip()]
