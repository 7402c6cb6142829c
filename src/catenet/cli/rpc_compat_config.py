"""What a folder's buf.yaml says of modules and of breaking changes (versions v1beta1, v1 and v2 of that file)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["BadConfig", "Breaking", "breaking_of", "roots_of"]


class BadConfig(ValueError):
    """A buf.yaml that cannot be used; the text is one line."""


@dataclass
class Breaking:
    """The section `breaking`."""

    use: Sequence[str] = ()
    without: Sequence[str] = ()
    ignore: Sequence[str] = ()
    ignore_only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ignore_unstable_packages: bool = False


def breaking_of(folder: Path) -> Breaking:
    """Return what a folder's buf.yaml has of breaking changes; nothing without one. Raises `BadConfig`."""
    path = folder / "buf.yaml"
    found = _read(path).get("breaking") or {}
    if not isinstance(found, dict):
        raise BadConfig(f"{path}: breaking is no mapping")
    known = {"use", "except", "ignore", "ignore_only", "ignore_unstable_packages", "disable_builtin"}
    if unknown := sorted(found.keys() - known):
        raise BadConfig(f"{path}: breaking has no {unknown[0]}; there are {', '.join(sorted(known))}")
    only = found.get("ignore_only") or {}
    if not isinstance(only, dict):
        raise BadConfig(f"{path}: breaking.ignore_only is no mapping")
    return Breaking(
        _texts(path, "use", found.get("use")),
        _texts(path, "except", found.get("except")),
        _texts(path, "ignore", found.get("ignore")),
        {rule: _texts(path, f"ignore_only.{rule}", paths) for rule, paths in only.items()},
        found.get("ignore_unstable_packages") is True,
    )


def roots_of(folder: Path) -> list[Path]:
    """Return the folders that imports are relative to: the modules of a folder, or it itself. Raises `BadConfig`."""
    modules = _read(folder / "buf.yaml").get("modules")
    if modules is not None:
        path = folder / "buf.yaml"
        if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
            raise BadConfig(f"{path}: modules is no list of mappings")
        return _below(folder, path, [str(one.get("path", ".")) for one in modules])
    path = folder / "buf.work.yaml"
    directories = _read(path).get("directories")
    return [folder] if directories is None else _below(folder, path, _texts(path, "directories", directories))


def _below(folder: Path, path: Path, names: Iterable[str]) -> list[Path]:
    found = [folder / name for name in names]
    for one in found:
        if not one.resolve().is_relative_to(folder.resolve()) or not one.is_dir():
            raise BadConfig(f"{path}: no folder {one.relative_to(folder)} below it")
    return found or [folder]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    from catenet.cli.yaml_text import BadYaml, load_yaml

    try:
        documents = list(load_yaml(path.read_text()))
    except (BadYaml, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {error}") from None
    if not documents or documents == [None]:
        return {}
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise BadConfig(f"{path}: no mapping")
    return documents[0]


def _texts(path: Path, name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadConfig(f"{path}: {name} is no list of texts")
    return value
