import os
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.rpc.compile import CompileError, compile_protos
from catenet.rpc.compile.naming import Module, class_names, relative_package

SERVICE = """
syntax = "proto3";
package shop.v1;
import "shop/v1/item.proto";
import "other/thing.proto";
import "google/protobuf/empty.proto";
import "google/rpc/status.proto";

// A shop with \\"quotes\\", \\\\ and \"\"\"three\"\"\".
service ShopService {
  // Says "hi"
  rpc Import(Item.Part) returns (google.protobuf.Empty);
  rpc GetHTTPThing(stream other.Thing) returns (stream google.rpc.Status);
  rpc Watch(Item) returns (stream Item.Part) { option idempotency_level = IDEMPOTENT; }
  rpc Load(stream Item) returns (Item);
}
service Empty {}
"""
ITEM = 'syntax = "proto3"; package shop.v1; message Item { message Part { int32 n = 1; } Part part = 1; }'
THING = 'syntax = "proto3"; package other; import public "shop/v1/item.proto"; message Thing { shop.v1.Item item = 1; }'


@pytest.fixture
def protos(tmp_path):
    root = tmp_path / "protos"
    for name, text in {"shop/v1/shop.proto": SERVICE, "shop/v1/item.proto": ITEM, "other/thing.proto": THING}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def python(code, path, **more):
    env = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, **more)


CHECK = """
from {prefix}shop.v1 import shop_rpc
service = shop_rpc.SHOP_SERVICE
assert [m.path for m in service] == [
    "/shop.v1.ShopService/Import", "/shop.v1.ShopService/GetHTTPThing", "/shop.v1.ShopService/Watch",
    "/shop.v1.ShopService/Load"], service
assert [m.attribute for m in service] == ["import_", "get_http_thing", "watch", "load"]
assert [m.kind.name for m in service] == ["UNARY", "BIDI", "SERVER_STREAM", "CLIENT_STREAM"]
assert shop_rpc.SHOP_SERVICE_WATCH.idempotency.name == "IDEMPOTENT"
assert shop_rpc.SHOP_SERVICE_IMPORT.request.DESCRIPTOR.full_name == "shop.v1.Item.Part"
assert service.descriptor.full_name == "shop.v1.ShopService"
assert shop_rpc.ShopService.__service__ is service
assert 'three' in shop_rpc.ShopService.__doc__, shop_rpc.ShopService.__doc__
assert shop_rpc.EMPTY.methods == ()
"""


@pytest.fixture
def runtime():
    return pytest.importorskip("catenet.rpc.client.client", reason="the runtime of the generated code")


def test_absolute(protos, tmp_path, runtime):
    written = compile_protos([protos / "shop/v1/shop.proto"], [protos], tmp_path / "out")
    names = [path.relative_to(tmp_path / "out").as_posix() for path in written]
    assert names == [
        "other/thing_pb2.py",
        "other/thing_pb2.pyi",
        "shop/v1/item_pb2.py",
        "shop/v1/item_pb2.pyi",
        "shop/v1/shop_pb2.py",
        "shop/v1/shop_pb2.pyi",
        "shop/v1/shop_rpc.py",
    ]
    done = python(CHECK.format(prefix=""), tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_inside_a_package(protos, tmp_path, runtime):
    package = tmp_path / "app" / "gen"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    compile_protos([protos / "shop/v1/shop.proto"], [protos], package)
    done = python(CHECK.format(prefix="app.gen."), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("relative", [True, False])
def test_strictly_typed(protos, tmp_path, relative, runtime):
    package = tmp_path / "app"
    package.mkdir()
    compile_protos([protos / "shop/v1/shop.proto"], [protos], package, relative)
    (package / "implementation.py").write_text(IMPLEMENTATION.format(prefix="app." if relative else ""))
    source = Path(__file__).parents[3] / "src"
    env = {**os.environ, "MYPYPATH": f"{source}:{tmp_path if relative else package}"}
    arguments = ["--strict", "--namespace-packages", "--explicit-package-bases", "--cache-dir", str(tmp_path / "cache")]
    target = ["-m", "app.implementation"] if relative else ["-m", "implementation"]
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\n[mypy-{UNTYPED}]\nignore_missing_imports = True\n")
    command = [sys.executable, "-m", "mypy", *arguments, "--config-file", str(config), *target]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


UNTYPED = "google.*,grpc_tools.*,httptools.*,hpack.*,zstandard.*,uvloop.*"

IMPLEMENTATION = """
from collections.abc import AsyncIterator, Iterator
from catenet.rpc import Channel, Context, SyncChannel
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status
from {prefix}other.thing_pb2 import Thing
from {prefix}shop.v1.item_pb2 import Item
from {prefix}shop.v1.shop_rpc import ShopService, ShopServiceClient, ShopServiceSyncClient


class Async(ShopService):
    async def import_(self, request: Item.Part, context: Context) -> Empty:
        return Empty()

    async def get_http_thing(self, requests: AsyncIterator[Thing], context: Context) -> AsyncIterator[Status]:
        async for request in requests:
            yield Status(code=request.item.part.n)

    async def watch(self, request: Item, context: Context) -> AsyncIterator[Item.Part]:
        yield request.part

    async def load(self, requests: AsyncIterator[Item], context: Context) -> Item:
        return [item async for item in requests][-1]


class Plain(ShopService):
    def import_(self, request: Item.Part, context: Context) -> Empty:
        return Empty()

    def get_http_thing(self, requests: Iterator[Thing], context: Context) -> Iterator[Status]:
        for request in requests:
            yield Status(code=request.item.part.n)

    def watch(self, request: Item, context: Context) -> Iterator[Item.Part]:
        yield request.part

    def load(self, requests: Iterator[Item], context: Context) -> Item:
        return list(requests)[-1]


async def call(channel: Channel) -> None:
    client = ShopServiceClient(channel)
    empty: Empty = await client.import_(Item.Part(n=1), timeout=1.0)
    async for part in client.watch(Item(), metadata=[("a", "b")]):
        number: int = part.n
    item: Item = await client.load([Item()])


def call_and_wait(channel: SyncChannel) -> None:
    client = ShopServiceSyncClient(channel)
    empty: Empty = client.import_(Item.Part(n=1))
    for part in client.watch(Item()):
        number: int = part.n
    item: Item = client.load([Item()])
"""


def test_stable(protos, tmp_path):
    first = compile_protos([protos / "shop/v1/shop.proto"], [protos], tmp_path / "one")
    second = compile_protos([protos / "shop/v1/shop.proto"], [protos], tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    again = {path: path.read_bytes() for path in first}
    compile_protos([protos / "shop/v1/shop.proto"], [protos], tmp_path / "one")
    assert {path: path.read_bytes() for path in first} == again


def test_without_include(protos, tmp_path, monkeypatch):
    (tmp_path / "lone.proto").write_text('syntax = "proto3"; message M {} service S { rpc Do(M) returns (M); }')
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in compile_protos(["lone.proto"])] == ["lone_pb2.py", "lone_pb2.pyi", "lone_rpc.py"]
    assert "\nimport lone_pb2\n" in Path("lone_rpc.py").read_text()


def test_messages_only(tmp_path):
    (tmp_path / "m.proto").write_text('syntax = "proto3"; message M {}')
    assert [path.name for path in compile_protos([tmp_path / "m.proto"], [], tmp_path)] == ["m_pb2.py", "m_pb2.pyi"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('syntax = "proto3"; message M { int32 x = ; }', r"bad\.proto:1:"),
        ('syntax = "proto3"; import "nowhere.proto";', r"nowhere\.proto"),
        ('syntax = "proto3"; service S { rpc Do(Nope) returns (Nope); }', "Nope"),
    ],
)
def test_mistakes_name_the_place(tmp_path, text, expected):
    (tmp_path / "bad.proto").write_text(text)
    with pytest.raises(CompileError, match=expected):
        compile_protos([tmp_path / "bad.proto"], [], tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(CompileError, match=r"none\.proto: no such file"):
        compile_protos([tmp_path / "none.proto"], [], tmp_path)
    with pytest.raises(CompileError, match="nowhere: no such folder"):
        compile_protos([tmp_path / "none.proto"], ["nowhere"], tmp_path)


def test_names_that_python_cannot_import(tmp_path):
    (tmp_path / "2nd.proto").write_text('syntax = "proto3"; message M {}')
    with pytest.raises(CompileError, match=r"2nd\.proto: a Python module"):
        compile_protos([tmp_path / "2nd.proto"], [], tmp_path)


def test_plugin_of_protoc(protos, tmp_path):
    plugin = Path(sys.executable).parent / "protoc-gen-catenet"
    out = tmp_path / "out"
    out.mkdir()
    compile_protos([protos / "shop/v1/shop.proto"], [protos], tmp_path / "direct", relative=True)

    def protoc(option):
        from catenet.rpc.compile.command import system_includes

        includes = [f"-I{folder}" for folder in [protos, *system_includes()]]
        command = [sys.executable, "-m", "grpc_tools.protoc", *includes, f"--plugin={plugin}", f"--catenet_out={out}"]
        return subprocess.run([*command, *option, "shop/v1/shop.proto"], capture_output=True, text=True, timeout=60)

    assert protoc([]).stderr == ""
    expected = (tmp_path / "direct/shop/v1/shop_rpc.py").read_text()
    assert (out / "shop/v1/shop_rpc.py").read_text() == expected
    assert protoc(["--catenet_opt=imports=absolute"]).returncode == 0
    assert "from shop.v1 import item_pb2" in (out / "shop/v1/shop_rpc.py").read_text()
    assert "only imports=relative and imports=absolute" in protoc(["--catenet_opt=colour=red"]).stderr


@pytest.mark.parametrize(
    ("importer", "target", "expected"),
    [
        ((), (), "."),
        (("a",), ("a",), "."),
        (("a", "b"), ("a",), ".."),
        (("a",), ("a", "b"), ".b"),
        (("a", "b"), ("c", "d"), "...c.d"),
        ((), ("c",), ".c"),
    ],
)
def test_relative_packages(importer, target, expected):
    assert relative_package(importer, target) == expected


def test_module_names():
    module = Module.of_proto("a/b-c/d-e.proto", "_rpc")
    assert (module.dotted, module.path) == ("a.b_c.d_e_rpc", "a/b_c/d_e_rpc.py")


def test_class_names_do_not_collide():
    names = frozenset(["Score", "ScoreService"])
    made = [name for service in sorted(names) for name in class_names(service, names)]
    assert len(set(made)) == len(made)
    assert class_names("ShopService", frozenset(["ShopService"]))[0] == "ShopService"
