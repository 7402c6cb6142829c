"""What import-linter does not say: files import each other in no circle, and packages in few, at run time."""

from __future__ import annotations

import functools
from collections import defaultdict

import pytest
from tests.architecture.figures import arrows_between_members
from tests.architecture.source import ANNOTATION, LOCAL, ROOT, Import, circles, imports, module_paths, modules

PATHS = module_paths(ROOT / "src/catenet", "catenet")

CIRCLES = {
    "catenet.stack.tcp": {
        "control", "fastpath", "opening", "parking", "receiving", "recovery", "sending",
    },
    "catenet.world": {"engine", "network", "observe", "patches", "world"},
}  # fmt: skip
"""Members of each package that are in a circle; other packages have none. A circle may become smaller, not larger."""


LAYERS = {
    "catenet.stack": [
        {"configuration", "stack", "sysctl"},
        {"settings"}, {"dhcp"}, {"ethernet"}, {"datagram", "nat", "tcp"}, {"group", "ip", "ports"},
        {"counters", "interface", "timers"}, {"endpoint"}, {"units"},
    ],
    "catenet.stack.tcp": [{"layer"}, {"user"}, CIRCLES["catenet.stack.tcp"], {"settings"}],
    "catenet.world": [CIRCLES["catenet.world"], {"scenario"}, {"enclosure"}],
}  # fmt: skip
"""Layers that hold when the package runs, the uppermost first; annotations may name what is above."""


@functools.cache
def running() -> list[Import]:
    """All imports at run time: only those who run these tests read the source."""
    source = modules(ROOT / "src/catenet", "catenet")
    return [each for module in source.values() for each in imports(module, source) if each.kind != ANNOTATION]


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_downwards_at_run_time(package: str) -> None:
    height = {f"{package}.{name}": -place for place, layer in enumerate(LAYERS[package]) for name in layer}
    arrows = arrows_between_members(package, running())
    assert arrows.keys() <= height.keys(), "a member without a layer"
    assert [(one, other) for one, found in arrows.items() for other in found if height[one] < height[other]] == []


@pytest.mark.parametrize("package", [name for name, path in PATHS.items() if path.name == "__init__.py"])
def test_no_new_member_of_a_circle(package: str) -> None:
    rings = circles(arrows_between_members(package, running()))
    members = {name.rpartition(".")[2] for ring in rings for name in ring}
    assert members <= CIRCLES.get(package, set())


def test_no_circle_of_files_when_they_are_imported() -> None:
    arrows = defaultdict(set)
    for each in running():
        if each.kind != LOCAL:
            arrows[each.importer].add(each.imported)
    assert circles(arrows) == []
