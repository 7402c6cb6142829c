"""The rules: what each is about, whose compatibility it guards, and what a change that breaks it is told as.

The identifiers, and what belongs to FILE, PACKAGE, WIRE_JSON and WIRE, are those of `buf breaking` (version 2 of its
configuration). XML, and the rules at the end, are ours: docs/rpc-compat.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.rpc.compat.model import Place

__all__ = ["CATEGORIES", "RULES", "Finding", "UnknownRule", "rules_of"]

CATEGORIES: Final = {
    "FILE": "source",
    "PACKAGE": "source",
    "WIRE_JSON": "JSON",
    "WIRE": "wire",
    "XML": "XML",
}
"""What breaks when a rule of the category does."""

_FILE, _SOURCE = ("FILE",), ("FILE", "PACKAGE")
_PACKAGE = ("PACKAGE",)
_NAMES = ("FILE", "PACKAGE", "WIRE_JSON")
_TEXT_NAMES = ("FILE", "PACKAGE", "WIRE_JSON", "XML")
_ALL = ("FILE", "PACKAGE", "WIRE_JSON", "WIRE", "XML")

_LANGUAGE_OPTIONS: Final = (
    *("CC_ENABLE_ARENAS", "CC_GENERIC_SERVICES", "CSHARP_NAMESPACE", "GO_PACKAGE", "JAVA_GENERIC_SERVICES"),
    *("JAVA_MULTIPLE_FILES", "JAVA_OUTER_CLASSNAME", "JAVA_PACKAGE", "OBJC_CLASS_PREFIX", "OPTIMIZE_FOR"),
    *("PHP_CLASS_PREFIX", "PHP_METADATA_NAMESPACE", "PHP_NAMESPACE", "PY_GENERIC_SERVICES", "RUBY_PACKAGE"),
    "SWIFT_PREFIX",
)

RULES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (*("FILE_NO_DELETE", "MESSAGE_NO_DELETE", "ENUM_NO_DELETE", "EXTENSION_NO_DELETE", "SERVICE_NO_DELETE"),),
        _FILE,
    ),
    **dict.fromkeys(
        (
            *("PACKAGE_NO_DELETE", "PACKAGE_MESSAGE_NO_DELETE", "PACKAGE_ENUM_NO_DELETE"),
            *("PACKAGE_EXTENSION_NO_DELETE", "PACKAGE_SERVICE_NO_DELETE"),
        ),
        _PACKAGE,
    ),
    **dict.fromkeys(
        (
            *("ENUM_SAME_TYPE", "FIELD_SAME_CARDINALITY", "FIELD_SAME_CPP_STRING_TYPE", "FIELD_SAME_JSTYPE"),
            *("FIELD_SAME_JAVA_UTF8_VALIDATION", "FIELD_SAME_UTF8_VALIDATION", "RPC_NO_DELETE"),
            *("ENUM_VALUE_NO_DELETE", "EXTENSION_MESSAGE_NO_DELETE", "FIELD_NO_DELETE", "FIELD_SAME_TYPE"),
            *("FILE_SAME_SYNTAX", "MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR", "ONEOF_NO_DELETE"),
            *(f"FILE_SAME_{option}" for option in _LANGUAGE_OPTIONS),
        ),
        _SOURCE,
    ),
    **dict.fromkeys(("ENUM_VALUE_SAME_NAME", "FIELD_SAME_NAME"), _TEXT_NAMES),
    **dict.fromkeys(("ENUM_SAME_JSON_FORMAT", "FIELD_SAME_JSON_NAME", "MESSAGE_SAME_JSON_FORMAT"), _NAMES),
    **dict.fromkeys(
        (
            *("FIELD_SAME_DEFAULT", "FIELD_SAME_ONEOF", "FILE_SAME_PACKAGE", "MESSAGE_SAME_REQUIRED_FIELDS"),
            *("RESERVED_ENUM_NO_DELETE", "RESERVED_MESSAGE_NO_DELETE"),
            *("RPC_SAME_CLIENT_STREAMING", "RPC_SAME_SERVER_STREAMING", "RPC_SAME_IDEMPOTENCY_LEVEL"),
            *("RPC_SAME_REQUEST_TYPE", "RPC_SAME_RESPONSE_TYPE"),
        ),
        _ALL,
    ),
    "ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED": ("WIRE_JSON", "XML"),
    "FIELD_NO_DELETE_UNLESS_NAME_RESERVED": ("WIRE_JSON", "XML"),
    "FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY": ("WIRE_JSON",),
    "FIELD_WIRE_JSON_COMPATIBLE_TYPE": ("WIRE_JSON",),
    "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED": ("WIRE_JSON", "WIRE"),
    "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED": ("WIRE_JSON", "WIRE"),
    "FIELD_WIRE_COMPATIBLE_CARDINALITY": ("WIRE",),
    "FIELD_WIRE_COMPATIBLE_TYPE": ("WIRE",),
    # Ours.
    "EXTENSION_SAME_NUMBER": _ALL,
    "FIELD_XML_COMPATIBLE_CARDINALITY": ("XML",),
    "FIELD_XML_COMPATIBLE_TYPE": ("XML",),
}
"""Each rule, and the categories that it belongs to."""


class UnknownRule(ValueError):
    """There is no such rule or category; the text names the nearest that there is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A change that breaks a rule.

    Attributes:
        place: Where it is in the newer version; of what is no more, where it was in the older one.
        subject: What has changed: findings of one subject and aspect are one change.
        text: The change in words.
        package: Of what has changed.
    """

    rule: str
    place: Place
    subject: str
    aspect: str
    text: str
    package: str = ""

    @property
    def breaks(self) -> tuple[str, ...]:
        """What stops working: `source`, `wire`, `JSON`, `XML`."""
        return tuple(dict.fromkeys(CATEGORIES[category] for category in RULES[self.rule]))


def rules_of(use: Iterable[str], without: Iterable[str] = ()) -> frozenset[str]:
    """Return the rules that categories and rules name, without others. Raises `UnknownRule`."""
    return frozenset(_named(use)) - frozenset(_named(without))


def _named(names: Iterable[str]) -> Sequence[str]:
    found: list[str] = []
    for name in names:
        if name in RULES:
            found.append(name)
        elif name in CATEGORIES:
            found += (rule for rule, categories in RULES.items() if name in categories)
        else:
            import difflib

            near = difflib.get_close_matches(name.upper(), [*CATEGORIES, *RULES], n=1, cutoff=0.4)
            hint = f"do you mean {near[0]}?" if near else f"there are {', '.join(CATEGORIES)} and single rules"
            raise UnknownRule(f"no rule or category {name!r}; {hint}")
    return found
