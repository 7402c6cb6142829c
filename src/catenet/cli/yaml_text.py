"""YAML in and out, as another way to write JSON: what a person types, within limits.

PyYAML's safe loader, with the scalars of YAML 1.2's core schema: `no`, `on`, `12:30` and `2025-01-01` are texts.
Aliases are counted as what they stand for, so that a few lines cannot become gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

__all__ = ["BadYaml", "dump_yaml", "load_yaml"]

MOST_VALUES: Final = 1_000_000
"""Values in a document, those behind aliases counted each time."""
MOST_BYTES: Final = 64 << 20
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_RESOLVERS: Final = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
)
_OTHER: Final = re.compile("|".join(f"(?:{pattern})" for _, pattern, _ in _RESOLVERS))
"""Texts that YAML 1.2 takes for something else; of those of 1.1 PyYAML knows."""


class BadYaml(ValueError):
    """The text is no YAML, or beyond a limit; the message is one line with the place."""


class _Loader(yaml.SafeLoader):
    """The safe loader, with fewer texts that are taken for something else."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's name

    def key(self, node: yaml.Node) -> str:
        """Return a key as JSON has it."""
        value = self.construct_object(node, deep=True)
        if value is None or isinstance(value, (list, dict, float)):
            raise BadYaml(f"{_place(node.start_mark)}: a key is a text, a whole number or a boolean")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def mapping(self, node: yaml.Node) -> dict[str, Any]:
        """Return a mapping; raise `BadYaml` for a key that occurs twice."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node)
            if key in found:
                raise BadYaml(f"{_place(key_node.start_mark)}: the key {key!r} occurs twice")
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def integer(self, node: yaml.Node) -> int:
        """Return an integer as YAML 1.2 has it: 012 is twelve."""
        return int(node.value, 0) if node.value[:2] in ("0x", "0o") else int(node.value)

    def number(self, node: yaml.Node) -> Any:
        """Return a float; what is not finite as protobuf's JSON has it."""
        text = node.value.lower()
        if text.endswith(".nan"):
            return "NaN"
        if text.endswith(".inf"):
            return "-Infinity" if text.startswith("-") else "Infinity"
        return float(text)

    def binary(self, node: yaml.Node) -> str:
        """Return `!!binary` as JSON has bytes."""
        return "".join(node.value.split())


for _tag, _pattern, _starts in _RESOLVERS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), ["" if one == "\0" else one for one in _starts]
    )
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:binary", _Loader.binary)


def load_yaml(text: str) -> Iterator[Any]:
    """Yield the documents of a text as JSON's values. Raises `BadYaml`."""
    if len(text) > MOST_BYTES:
        raise BadYaml(f"{len(text)} characters, more than the limit of {MOST_BYTES}")
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                _check_size(node)
                yield loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml(f"{_place(mark)}: {' '.join(str(error.problem or error.context).split())}") from None
    except yaml.YAMLError as error:
        raise BadYaml(" ".join(str(error).split())) from None
    except RecursionError:
        raise BadYaml("nested too deeply") from None
    except BadYaml:
        raise
    except ValueError as error:
        raise BadYaml(str(error)) from None


def dump_yaml(value: Any) -> str:
    """Return JSON's value as a document of YAML, which other readers take for the same."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=True, width=1 << 20)


class _Dumper(yaml.SafeDumper):
    """Without aliases: a value that occurs twice is written twice, as in JSON."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, data: str) -> yaml.Node:
        """Quote what a terminal or another reader might take for more than letters."""
        style = '"' if _CONTROLS.search(data) else "'" if _OTHER.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.text)


def _place(mark: Any) -> str:
    return "YAML" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _check_size(root: yaml.Node) -> None:
    """Count what a document becomes with its aliases; a node that contains itself becomes no end of it."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, is_done = stack.pop()
        if id(node) in sizes:
            continue
        inner = _inner(node)
        if is_done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(one)] for one in inner)
            if sizes[id(node)] > MOST_VALUES:
                raise BadYaml(f"{_place(node.start_mark)}: more than {MOST_VALUES} values, with those behind aliases")
        elif id(node) in open_nodes:
            raise BadYaml(f"{_place(node.start_mark)}: it contains itself")
        else:
            open_nodes.add(id(node))
            stack.append((node, True))
            stack += ((one, False) for one in inner)


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return []
