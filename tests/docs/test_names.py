"""What the documents name in code spans is there: files, functions, members of classes."""

from __future__ import annotations

import functools
import re

import pytest
from tests.architecture.source import ROOT
from tests.docs.names import Names, called, kind_of, spans

GUIDE = [
    name
    for name in ("CONTRIBUTING.md", "docs/design.md", "docs/glossary.md", "docs/recipes.md")
    if (ROOT / name).exists()
]
FOR_USERS = [
    "README.md",
    *(f"docs/{name}.md" for name in ("commands", "congestion", "datagrams", "net", "packetdrill", "relay")),
]
FOR_USERS += ["docs/ntp.md", "docs/http.md", "docs/rpc.md", "docs/worlds.md"]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/design").glob("*.md"))

ELSEWHERE = {
    "_pb2.py", "NAME_rpc.py", "NAME_pb2.pyi",  # what `catenet rpc compile` writes
    "af_unix.c", "net.ipv4.NAME",  # Linux's
    "greet_pb2.py", "greet_rpc.py", "v1.shop-api.proto", "v1.shop_api_pb2", "v1.shop_api_rpc",  # of examples
    "packets.pcapng", "index.html", "NAME.br", "NAME.gz", "NAME.zst", "set_sysctls.py", "basic-v4.pkt", "asyncio/",
    "google.rpc.error_details_pb2", "catenet.graph.v1.Graph",
    "tool.importlinter", "vX.Y.Z", "directory/root.py",
    "NAME/core.py", "NAME/client.py", "NAME/server.py", "codec/NAME.py", "cli/NAME.py", "docs/design/NAME.md",
    "tests/NAME/", "tests/cli/test_NAME.py",  # what somebody is to write
    'GreeterClient(channel).greet(Person(name="world"))',  # of the example in README.md
}  # fmt: skip
"""Spans that look like names of ours and are none."""


@functools.cache
def names() -> Names:
    """All names: only those who run these tests read the whole repository."""
    return Names()


@pytest.mark.parametrize("document", [*GUIDE, *PAGES, *FOR_USERS])
def test_files_functions_and_members_exist(document: str) -> None:
    missing = []
    for span in spans(document):
        if span.text in ELSEWHERE:
            continue
        kind = kind_of(span.text)
        found = {
            "path": lambda text: names().has_path(text),
            "call": lambda text: names().has_function(called(text)),
            "dotted": lambda text: names().has_dotted(text),
        }.get(kind)
        if found is not None and not found(span.text):
            missing.append(str(span))
    assert missing == []


@pytest.mark.parametrize("document", GUIDE)
def test_the_guide_uses_words_of_the_source_and_names_the_file_that_has_them(document: str) -> None:
    missing = []
    for span in spans(document):
        kind = kind_of(span.text)
        if kind == "word" and not names().has_word(span.text):
            missing.append(str(span))
        elif span.home and kind in ("word", "dotted", "call") and span.text not in ELSEWHERE:
            name = called(span.text) if kind == "call" else span.text
            if not names().is_in(name, span.home):
                missing.append(str(span))
    assert missing == []


def test_every_package_has_one_row_among_the_layers() -> None:
    text = (ROOT / "docs/design.md").read_text()
    table = text[text.index("| package |") :].partition("\n\n")[0]
    rows = [path for line in table.splitlines() for path in re.findall(r"`([\w/]+/)`", line.split("|")[1])]
    inner = {"h1/": "http/h1/", "h2/": "http/h2/", "bbr/": "control/bbr/"}
    rows = [inner.get(row, row) for row in rows]
    folders = {path.parent for path in (ROOT / "src/catenet").rglob("*.py")} - {ROOT / "src/catenet"}
    packages = {f"{folder.relative_to(ROOT / 'src/catenet')}/": folder for folder in folders}
    # A package whose files are all in packages of its own needs no row.
    bare = {name for name, folder in packages.items() if [path.name for path in folder.glob("*.py")] == ["__init__.py"]}
    optional = bare | {"testing/packetdrill/calls/", "world/"}
    assert sorted(set(rows)) == sorted(rows), "twice in the table"
    assert packages.keys() - optional <= set(rows) <= packages.keys()


def test_the_glossary_is_sorted_and_each_term_has_its_file_or_source() -> None:
    lines = (ROOT / "docs/glossary.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    terms = [row[0] for row in rows]
    assert terms == sorted(terms, key=lambda term: term.lower().replace("-", " "))
    assert len(set(terms)) == len(terms) > 80
    for term, meaning, file, source in rows:
        assert meaning and (file or source or term in ("oracle", "sans-I/O")), term


def test_the_glossary_is_linked_from_where_one_begins() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "docs/design.md"):
        assert "glossary.md" in (ROOT / document).read_text(), document


def test_a_name_that_is_gone_is_missed() -> None:
    assert not names().has_path("stack/tcp/no_such_file.py")
    assert not names().has_dotted("Stack.no_such_method")
    assert not names().has_dotted("catenet.stack.stack.Stack.no_such_method")
    assert not names().has_function("no_such_function")
    assert not names().is_in("Stack", "stack/tcp/layer.py")
    assert names().has_dotted("Stack.transmit") and names().is_in("Stack.transmit", "stack/stack.py")


def test_files_that_the_source_names_exist() -> None:
    missing = []
    for module in names().modules.values():
        text = module.path.read_text()
        for found in re.finditer(r"`([\w/]+\.py)`|(?<![\w/])(docs/[\w/-]+\.md|tests/[\w/]+\.py)", text):
            name = found[1] or found[2]
            if not names().has_path(name) and name not in ELSEWHERE:
                missing.append(f"{module.path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}: {name}")
    assert missing == []
