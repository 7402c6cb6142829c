"""catenet rpc compat, as pipelines and people use it."""

import asyncio
import contextlib
import gzip
import json
import sys
import tempfile
import threading
from pathlib import Path
from random import Random

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from tests import commands

from catenet.cli import main
from catenet.cli.yaml_text import load_yaml
from catenet.rpc import Server, service
from catenet.rpc.compile.command import describe_protos
from catenet.rpc.model.service_class import proto_of
from catenet.rpc.services.reflection import reflection_services

OLD = """\
syntax = "proto3"; package shop.v1;
message Item {
  string name = 1;
  int32 price = 2;
  repeated string tags = 3;
}
service Shop { rpc Get(Item) returns (Item); }
"""
NEW = """\
syntax = "proto3"; package shop.v1;
message Item {
  string title = 1;
  string price = 2;
}
service Shop { rpc Get(Item) returns (stream Item); }
"""
CHANGES = [
    "2:1: field 3, tags, of shop.v1.Item (was in line 5) is deleted, its number and name not reserved"
    " (FIELD_NO_DELETE; breaks source, wire, JSON, XML)",
    "3:10: field 1, title, of shop.v1.Item: it was called name (FIELD_SAME_NAME; breaks source, JSON, XML)",
    "4:3: field 2, price, of shop.v1.Item: its type was int32, is string"
    " (FIELD_SAME_TYPE; breaks source, wire, JSON, XML)",
    "6:16: method shop.v1.Shop.Get: the response was one message, is a stream"
    " (RPC_SAME_SERVER_STREAMING; breaks source, wire, JSON, XML)",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with both versions, where we are."""
    for side, text in (("old", OLD), ("new", NEW)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "shop.proto").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def compiled():
    """Both versions as descriptor sets: what does not need the compiler is spared it."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {}
        for side, text in (("old", OLD), ("new", NEW)):
            path = Path(scratch, "shop.proto")
            path.write_text(text)
            found[side] = FileDescriptorSet(file=describe_protos([path]))
        return found


@pytest.fixture
def sets(here, compiled):
    """The same folder with the descriptor sets."""
    for side, found in compiled.items():
        (here / f"{side}.binpb").write_bytes(found.SerializeToString())
    return here


def compat(capsys, *words):
    status = main(["rpc", "compat", *words])
    output = capsys.readouterr()
    return status, output.out.splitlines(), output.err.splitlines()


@pytest.mark.parametrize(
    ("words", "prefix"),
    [
        (("old", "new"), "new/"),
        (("old/shop.proto", "new/shop.proto"), "new/"),
        (("new", "--against", "old"), "new/"),
        (("./old", "./new/"), "new/"),
    ],
)
def test_each_change_is_a_line(here, capsys, words, prefix):
    assert compat(capsys, *words) == (1, [f"{prefix}shop.proto:{line}" for line in CHANGES], [])


def test_nothing_breaks(here, capsys):
    assert compat(capsys, "old", "old") == (0, [], [])
    more = NEW.replace("title", "name").replace("string price = 2", "int32 price = 2; repeated string tags = 3")
    (here / "new" / "shop.proto").write_text(more.replace("stream Item", "Item") + "message Other {}")
    assert compat(capsys, "old", "new") == (0, [], [])


def test_one_file_may_have_had_another_name(here, capsys):
    (here / "shop-old.proto").write_text(OLD)
    (here / "shop-new.proto").write_text(NEW)
    status, lines, _ = compat(capsys, "shop-old.proto", "shop-new.proto")
    assert status == 1
    assert lines == [f"shop-new.proto:{line}" for line in CHANGES]


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        (("--use", "WIRE"), ["FIELD_NO_DELETE", "FIELD_SAME_TYPE", "RPC_SAME_SERVER_STREAMING"]),
        (("--use", "WIRE", "--except", "FIELD_WIRE_COMPATIBLE_TYPE"), ["FIELD_NO_DELETE", "RPC_SAME_SERVER_STREAMING"]),
        (("--use", "FIELD_SAME_NAME,FIELD_SAME_DEFAULT"), ["FIELD_SAME_NAME"]),
        (("--ignore", "shop.proto"), []),
        (("--ignore", "shop"), None),
        (("--ignore-unstable-packages",), None),
    ],
)
def test_rules_are_chosen(sets, capsys, words, rules):
    status, lines, _ = compat(capsys, "old.binpb", "new.binpb", "--json", *words)
    if rules is None:
        assert len(lines) == len(CHANGES)
    else:
        assert (status, [json.loads(line)["type"] for line in lines]) == (1 if rules else 0, rules)


def test_unstable_packages(here, capsys):
    (here / "shop.proto").write_text(NEW.replace("shop.v1", "shop.v1alpha1"))
    after = FileDescriptorSet(file=describe_protos([here / "shop.proto"]))
    before = FileDescriptorSet.FromString(after.SerializeToString())
    before.file[0].message_type[0].field[0].name = "name"
    for name, found in (("before", before), ("after", after)):
        (here / f"{name}.binpb").write_bytes(found.SerializeToString())
    assert compat(capsys, "before.binpb", "after.binpb", "--ignore-unstable-packages")[0] == 0
    assert compat(capsys, "before.binpb", "after.binpb")[0] == 1


def test_json_and_annotations(sets, capsys):
    _, lines, _ = compat(capsys, "old.binpb", "new.binpb", "--json")
    assert json.loads(lines[1]) == {
        "path": "shop.proto",
        "start_line": 3,
        "start_column": 10,
        "type": "FIELD_SAME_NAME",
        "message": "field 1, title, of shop.v1.Item: it was called name",
        "rules": ["FIELD_SAME_NAME", "FIELD_SAME_JSON_NAME"],
        "breaks": ["source", "JSON", "XML"],
    }
    _, more, _ = compat(capsys, "old.binpb", "new.binpb", "--yaml")
    assert list(load_yaml("\n".join(more))) == list(map(json.loads, lines))
    _, lines, _ = compat(capsys, "old.binpb", "new.binpb", "--error-format", "github-actions")
    assert lines[1] == (
        "::error file=shop.proto,line=3,col=10,title=FIELD_SAME_NAME::"
        "field 1, title, of shop.v1.Item: it was called name"
    )


def test_descriptor_sets(sets, compiled, capsys):
    for side, found in compiled.items():
        (sets / f"{side}.binpb.gz").write_bytes(gzip.compress(found.SerializeToString()))
        (sets / f"{side}.json").write_text(json_format.MessageToJson(found))
    for suffix in ("binpb", "binpb.gz", "json"):
        status, lines, _ = compat(capsys, f"old.{suffix}", f"new.{suffix}")
        assert (status, lines) == (1, [f"shop.proto:{line}" for line in CHANGES])
    # Without places: as servers show themselves.
    bare = FileDescriptorSet.FromString(compiled["new"].SerializeToString())
    for file in bare.file:
        file.ClearField("source_code_info")
    (sets / "new.binpb").write_bytes(bare.SerializeToString())
    _, lines, _ = compat(capsys, "old.binpb", "new.binpb")
    assert [line.partition(": ")[0] for line in lines] == ["shop.proto"] * len(CHANGES)


def git(*words):
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    commands.run(["git", *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(here):
    """A repository whose first commit, tagged v1, has the old version, and whose second one has the new."""
    git("init", "-q", "-b", "main")
    (here / "proto" / "shop").mkdir(parents=True)
    (here / "proto" / "common.proto").write_text('syntax = "proto3"; package common; message Money {}')
    shop = here / "proto" / "shop" / "shop.proto"
    for text, name in ((OLD, "first"), (NEW, "second")):
        shop.write_text(text.replace("message", 'import "common.proto";\nmessage', 1).replace("\n", " ", 1))
        git("add", "proto")
        git("commit", "-q", "-m", name)
        if name == "first":
            git("tag", "v1")
    return here


@pytest.mark.parametrize(
    ("words", "prefix"),
    [
        (("v1:proto", "proto"), "proto/shop/"),
        (("HEAD~1:proto", "HEAD:proto"), "HEAD:shop/"),
        (("v1:proto/shop/shop.proto", "proto/shop/shop.proto", "-I", "proto"), "proto/shop/"),
        (("proto", "--against", ".git#tag=v1,subdir=proto"), "proto/shop/"),
        (("proto", "--against", ".git#ref=HEAD~1,subdir=proto"), "proto/shop/"),
    ],
)
def test_revisions(repository, capsys, words, prefix):
    status, lines, errors = compat(capsys, *words)
    assert (status, errors) == (1, [])
    assert [line.rpartition(" (")[2] for line in lines] == [line.rpartition(" (")[2] for line in CHANGES]
    assert all(line.partition("shop.proto")[0] in (prefix, prefix.replace(":", ":proto/")) for line in lines)


def test_what_buf_yaml_says(repository, capsys):
    """Modules are where imports begin, and `breaking` says what counts, unless an option does."""
    config = "version: v2\nmodules:\n  - path: proto\nbreaking:\n  use: [WIRE]\n"
    (repository / "buf.yaml").write_text(config)
    git("add", "buf.yaml")
    git("commit", "-q", "-m", "third")
    git("tag", "v3")
    (repository / "proto" / "common.proto").write_text('syntax = "proto3"; package common; message Gold {}')
    rules = ["FIELD_NO_DELETE", "FIELD_SAME_TYPE", "RPC_SAME_SERVER_STREAMING"]

    def broken(*words):
        status, lines, errors = compat(capsys, *words, "--json", "--ignore", "old", "--ignore", "new")
        assert (status, errors) == (1 if lines else 0, [])
        return [json.loads(line) for line in lines]

    # The old revision has no buf.yaml, so its folder is named; the newer one's has.
    found = broken("--against", ".git#tag=v1,subdir=proto", ".")
    assert [one["type"] for one in found] == rules
    assert {one["path"] for one in found} == {"proto/shop/shop.proto"}
    assert [one["type"] for one in broken("--against", ".git#ref=v3", ".")] == []
    found = broken("--against", ".git#ref=v3", ".", "--use", "FILE")
    assert [(one["type"], one["path"]) for one in found] == [("MESSAGE_NO_DELETE", "proto/common.proto")]
    more = "except: [RPC_SAME_SERVER_STREAMING]\n  ignore_only: {FIELD_WIRE_COMPATIBLE_TYPE: [proto/shop]}"
    (repository / "buf.yaml").write_text(f"{config}  {more}\n")
    assert [one["type"] for one in broken("--against", ".git#tag=v1,subdir=proto", ".")] == rules[:1]
    (repository / "buf.yaml").write_text(config + "  ignore: [proto/shop]\n")
    assert broken("--against", ".git#tag=v1,subdir=proto", ".") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("breaking: [x]", "new/buf.yaml: breaking is no mapping"),
        ("breaking: {usee: [x]}", "new/buf.yaml: breaking has no usee; there are"),
        ("breaking: {use: FILE}", "new/buf.yaml: use is no list of texts"),
        ("breaking: {use: [FIEL]}", "no rule or category 'FIEL'; do you mean FILE?"),
        ("modules: [{path: ../old}]", "new/buf.yaml: no folder ../old below it"),
        ("a: [", "new/buf.yaml: line 1, column 5"),
    ],
)
def test_a_bad_buf_yaml(sets, capsys, text, complaint):
    (sets / "new" / "buf.yaml").write_text(text)
    status, lines, errors = compat(capsys, "old.binpb", "new")
    assert (status, lines, len(errors)) == (2, [], 1)
    assert complaint in errors[0]


@service("shop.v1")
class Shop:
    async def get(self, name: str, price: int = 3) -> str:
        return name


@contextlib.contextmanager
def serving(path):
    """A server with reflection in a thread of its own."""

    async def serve():
        async with Server([Shop()]) as server:
            for one in reflection_services(server.services):
                server.add(one)
            await server.listen(f"unix:{path}")
            ready.set_result(asyncio.get_running_loop())
            await stop.wait()

    async def main():
        nonlocal stop
        stop = asyncio.Event()
        await serve()

    import concurrent.futures

    stop = None
    ready = concurrent.futures.Future()
    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    loop = ready.result(30)
    try:
        yield f"unix:{path}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


def test_running_servers(here, capsys):
    folder = here / "proto" / "somewhere"
    folder.mkdir(parents=True)
    text = proto_of(Shop)
    (folder / "other.proto").write_text(text)
    with serving(here / "s") as url:
        assert compat(capsys, url, "proto") == (0, [], [])
        assert compat(capsys, "proto", url) == (0, [], [])
        (folder / "other.proto").write_text(text.replace("price", "cost") + "message More {}")
        status, lines, _ = compat(capsys, url, "proto", "--use", "XML")
        assert status == 1
        assert len(lines) == 1
        assert lines[0].startswith("proto/somewhere/other.proto:")
        assert ", cost, of shop.v1." in lines[0]
        assert "it was called price" in lines[0]
        # The file that has no service is none that a server could show.
        (here / "proto" / "alone.proto").write_text('syntax = "proto3"; message Alone {}')
        status, lines, _ = compat(capsys, "proto", url, "--use", "XML")
        assert len(lines) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("old.binpb",), "name two versions, OLD and NEW, or one and --against OLD"),
        (("old.binpb", "new", "--against", "old"), "with --against there is one other version, NEW"),
        (("old.binpb", "nowhere"), "nowhere: no such file, folder, revision or server"),
        (("old.binpb", "gone:"), "gone: no such file"),
        (("old.binpb", "empty"), "empty: no .proto files in it"),
        (("old.binpb", "noise.bin"), "noise.bin: no descriptor set, and no .proto file by its name"),
        (("old.binpb", "bad.proto"), "catenet: bad.proto:2:"),
        (("old.binpb", "new", "--use", "WIER"), "no rule or category 'WIER'; do you mean WIRE?"),
        (
            ("old.binpb", "new", "--use", "FIELD_SAME_TIPE"),
            "do you mean FIELD_SAME_TYPE?",
        ),
        (
            ("old.binpb", "--against", ".git#brunch=main"),
            "no option brunch; there are branch, tag, ref",
        ),
        (("old.binpb", "--against", "https://example.com/x.git#branch=main"), "a repository elsewhere; clone it first"),
        (("old.binpb", "unix:nothing.sock"), "UNAVAILABLE: cannot connect"),
    ],
)
def test_bad_input_is_two(sets, capsys, words, complaint):
    here = sets
    (here / "empty").mkdir()
    (here / "noise.bin").write_bytes(b"\x00\xff" * 50)
    (here / "bad.proto").write_text('syntax = "proto3";\nmessage {}')
    status, lines, errors = compat(capsys, *words)
    assert (status, lines) == (2, [])
    assert len(errors) == 1
    assert complaint in errors[0]


def test_revisions_that_are_not_there(repository, capsys):
    for words, complaint in (
        (("v2:proto", "proto"), "v2:proto: no such file, folder, revision or server"),
        (("v1:nothing", "proto"), "v1:nothing: no such file or folder with .proto files in that revision"),
        (("v1:../..", "proto"), "v1:../..: no such file or folder with .proto files in that revision"),
        (("--upload-pack=x:proto", "proto"), "unrecognized arguments"),
        (("proto", "--against", ".git#branch=gone"), "the repository has no refs/heads/gone"),
    ):
        status, lines, errors = compat(capsys, *words)
        assert (status, lines, len(errors)) == (2, [], 1)
        assert complaint in errors[0]


def test_from_standard_input(sets, compiled):
    command = [sys.executable, "-m", "catenet", "rpc", "compat", "-", "new.binpb"]
    done = commands.run(command, input=compiled["old"].SerializeToString(), capture_output=True, check=False)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(CHANGES)


def test_descriptors_that_nobody_compiled(sets, compiled, capsys):
    """Whatever is in a file, it is compared or refused in one line."""
    random = Random(1)
    data = compiled["new"].SerializeToString()
    statuses = set()
    for _ in range(20):
        changed = bytearray(data)
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        (sets / "odd.binpb").write_bytes(changed)
        for words in (("old.binpb", "odd.binpb"), ("odd.binpb", "old.binpb")):
            status, _, errors = compat(capsys, *words)
            assert len(errors) == (1 if status == 2 else 0)
            statuses.add(status)
    assert statuses == {1, 2}
    for spoiled, complaint in (
        ({"dependency": ["gone.proto"]}, "gone.proto"),
        ({"package": "a..b"}, "a..b"),
    ):
        bare = FileDescriptorSet.FromString(data)
        bare.file[0].MergeFrom(FileDescriptorProto(**spoiled))
        (sets / "odd.binpb").write_bytes(bare.SerializeToString())
        status, _, errors = compat(capsys, "old.binpb", "odd.binpb")
        assert (status, len(errors)) == (2, 1)
        assert "its descriptors are wrong or incomplete" in errors[0]
        assert complaint in errors[0]
