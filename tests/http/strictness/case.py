"""A case, and how cases are written down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Case", "distinct", "family"]


@dataclass(frozen=True)
class Case:
    """`data`: the bytes of a request or an answer. `why`: why we accept it, where others refuse it."""

    group: str
    name: str
    data: bytes
    why: str = ""


def family(
    group: str, template: bytes, values: Iterable[bytes | tuple[bytes, str]], why: str = "", note: str = ""
) -> list[Case]:
    """Cases that differ in one value, which stands for `@` in the template; with a pair, the reason is the case's."""
    made = []
    for value in values:
        text, reason = value if isinstance(value, tuple) else (value, why)
        shown = text.decode("latin-1").encode("unicode_escape").decode()
        if len(shown) > 90:
            shown = f"{shown[:60]}...{shown[-20:]} ({len(text)} bytes)"
        made.append(Case(group, f"{note} `{shown}`".strip() if shown else f"{note} nothing".strip(),
                         template.replace(b"@", text), reason))  # fmt: skip
    return made


def distinct(cases: Iterable[Case]) -> list[Case]:
    """Leave out what is the same bytes once more."""
    seen: dict[bytes, Case] = {}
    for case in cases:
        seen.setdefault(case.data, case)
    return list(seen.values())
