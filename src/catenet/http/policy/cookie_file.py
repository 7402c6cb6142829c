"""Cookies as a file of text, a line for each: Netscape's format, which curl and wget read and write."""

from __future__ import annotations

import re
from collections.abc import Iterable

from catenet.http.policy.cookies import Cookie, CookieJar

__all__ = ["dump_cookies", "load_cookies"]

HEADER = "# Netscape HTTP Cookie File"
HTTP_ONLY = "#HttpOnly_"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]").search


def dump_cookies(jar: Iterable[Cookie]) -> str:
    """Return the cookies as text; those that end with the session have the time 0."""
    return "\n".join([HEADER, "", *(_line(cookie) for cookie in jar), ""])


def _line(cookie: Cookie) -> str:
    domain = cookie.domain if cookie.host_only else f".{cookie.domain}"
    expires = 0 if cookie.expires is None else max(1, int(cookie.expires))
    fields = [domain, _word(not cookie.host_only), cookie.path, _word(cookie.secure), str(expires)]
    return (HTTP_ONLY if cookie.http_only else "") + "\t".join([*fields, cookie.name, cookie.value])


def _word(said: bool) -> str:
    return "TRUE" if said else "FALSE"


def load_cookies(text: str, jar: CookieJar, now: float) -> None:
    """Put the cookies of such a text that are not over into a jar. Raises `ValueError` that names the line."""
    for number, line in enumerate(text.splitlines(), 1):
        http_only = line.startswith(HTTP_ONLY)
        line = line.removeprefix(HTTP_ONLY)
        if not line.strip() or (line.startswith("#") and not http_only):
            continue
        fields = line.split("\t")
        if len(fields) == 6:
            fields.append("")  # an empty value whose tab an editor has taken away
        if len(fields) != 7 or not fields[4].strip().lstrip("-").isdecimal() or _CONTROLS("".join(fields)):
            raise ValueError(
                f"line {number} is no cookie: domain, TRUE or FALSE, path, TRUE or FALSE, time, name, value"
            )
        domain, below, path, secure, expires, name, value = fields
        end = float(int(expires))
        if 0 < end <= now:
            continue
        jar.add(
            Cookie(
                name,
                value,
                domain.lower().removeprefix("."),
                path if path.startswith("/") else "/",
                end if end > 0 else None,
                secure.upper() == "TRUE",
                http_only,
                below.upper() != "TRUE",
                created=now,
                used=now,
            )
        )
