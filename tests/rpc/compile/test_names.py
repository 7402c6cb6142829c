"""Names of every kind in every place of a .proto: the modules import, type-check and work, or an error says why not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catenet.rpc.compile import CompileError, compile_protos
from catenet.rpc.compile.claims import file_problems
from catenet.rpc.compile.command import describe_protos
from catenet.rpc.compile.naming import Names

KEYWORDS = "from class None True False async await import lambda with global def del pass is in not match case type _"
BUILTINS = "int str bytes bool float list dict object print getattr property super self cls mro len id Exception"
OURS = (
    "Channel Context Server Client Service SyncClient SyncService CallOptions Kind Method Requests Unpack "
    "TYPE_CHECKING Awaitable Iterator AsyncIterator ServiceDescriptor BidiCall Idempotency request requests "
    "context options channel _channel asyncio typing collections catenet google annotations"
)
ODD = (
    "__init__ __class__ __x __x__ __1 _1 __ ___ _x x_ X__ DO Do do GetURL GetUrl getURL get_url A1B2c HTTPGet "
    "__service__ __slots__ __doc__ __name__ __debug__ m_pb2 MPb2 _message _builtins _typing Message "
    "Timestamp real Value Name keys"
)
PROTOBUF = (
    "DESCRIPTOR _descriptor _globals _builder SerializeToString FromString ListFields HasField Extensions Clear "
    "X_FIELD_NUMBER message enum service rpc returns stream option oneof map repeated optional required group package"
)
NAMES = " ".join((KEYWORDS, BUILTINS, OURS, ODD, PROTOBUF)).split()

EVERYWHERE = """
syntax = "proto3";
package p{number};
message {name} {{
  message Inner {{ int32 {name} = 1; .p{number}.{name} back = 2; }}
  enum Kind2 {{ ZERO = 0; }}
  int32 {name} = 1; string plain = 2; map<string, .p{number}.{name}> many = 3; Kind2 kind = 4; repeated int32 ints = 5;
  oneof choice {{ bytes b = 6; bool c = 7; }}
}}
message Outer {{
  message {name} {{ int32 int = 1; repeated int32 str = 2; }}
  message Deep {{ enum {name} {{ NOUGHT = 0; }} .p{number}.Outer.Deep.{name} e = 1; }}
  .p{number}.Outer.{name} one = 1;
}}
message Values {{ enum E {{ {name} = 0; }} E e = 1; }}
service {name}2 {{ rpc Plain(.p{number}.{name}) returns (.p{number}.Outer.{name}); }}
service Of {{
  rpc {name}(.p{number}.{name}) returns (.p{number}.Values);
  rpc Watch(.p{number}.Outer.{name}) returns (stream .p{number}.{name}.Inner);
  rpc Load(stream .p{number}.{name}) returns (.p{number}.Outer.Deep);
  rpc Chat(stream .p{number}.{name}) returns (stream .p{number}.{name});
}}
service Nothing {{}}
"""

CALL = r'''
import asyncio, contextlib, importlib, sys, threading
from pathlib import Path
from catenet.rpc import Channel, Kind, Server, ServiceDescriptor, SyncChannel

def handler(method, plain):
    """A handler that answers with one empty message, or one for each request."""
    kind, response = method.kind, method.response
    if plain:
        def one(self, request, context):
            if kind.client_streams:
                list(request)
            return response()
        def several(self, request, context):
            yield response()
    else:
        async def one(self, request, context):
            if kind.client_streams:
                async for _ in request:
                    pass
            return response()
        async def several(self, request, context):
            yield response()
    return several if kind.server_streams else one

def classes(module, service):
    made = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    (base,) = [cls for cls in made if vars(cls).get("__service__") is service]
    return base, made

def implement(base, service, plain):
    handlers = {method.attribute: handler(method, plain) for method in service}
    assert len(handlers) == len(service.methods), service.name
    assert all(name in vars(base) for name in handlers), service.name
    return type("Implementation", (base,), handlers)()

async def call_all(url, services):
    async with Channel(url) as channel:
        for module, service in services:
            client = client_of(module, service, "Client")(channel)
            for method in service:
                call = getattr(client, method.attribute)
                if method.kind is Kind.BIDI:
                    async with call(timeout=30) as stream:
                        await stream.send(method.request())
                        await stream.done()
                        assert [type(x) async for x in stream] == [method.response]
                elif method.kind is Kind.CLIENT_STREAM:
                    assert type(await call([method.request()], timeout=30)) is method.response
                elif method.kind is Kind.SERVER_STREAM:
                    assert [type(x) async for x in call(method.request(), timeout=30)] == [method.response]
                else:
                    assert type(await call(method.request(), timeout=30)) is method.response

def call_all_and_wait(url, services):
    with SyncChannel(url) as channel:
        for module, service in services:
            client = client_of(module, service, "SyncClient")(channel)
            for method in service:
                call = getattr(client, method.attribute)
                if method.kind is Kind.BIDI:
                    with call(timeout=30) as stream:
                        stream.send(method.request())
                        stream.done()
                        assert [type(x) for x in stream] == [method.response]
                elif method.kind is Kind.CLIENT_STREAM:
                    assert type(call([method.request()], timeout=30)) is method.response
                elif method.kind is Kind.SERVER_STREAM:
                    assert [type(x) for x in call(method.request(), timeout=30)] == [method.response]
                else:
                    assert type(call(method.request(), timeout=30)) is method.response

def client_of(module, service, suffix):
    return getattr(module, service.name.rpartition(".")[2] + suffix)

async def main(modules, plain):
    services = []
    for name in modules:
        module = importlib.import_module(name)
        found = [value for key, value in vars(module).items() if isinstance(value, ServiceDescriptor)]
        names = set(module.__dict__[pb2_of(module)].DESCRIPTOR.services_by_name)
        assert {service.name.rpartition(".")[2] for service in found} == names, name
        services += [(module, service) for service in found]
    for module, service in services:
        assert service.descriptor.full_name == service.name
        for method, described in zip(service, service.descriptor.methods, strict=True):
            assert method.request.DESCRIPTOR is described.input_type
            assert method.response.DESCRIPTOR is described.output_type
            assert method.name == described.name
    server = Server([implement(classes(module, service)[0], service, plain) for module, service in services])
    async with server:
        listener = await server.listen("tcp://127.0.0.1:0")
        await call_all(listener.url, services)
        await asyncio.to_thread(call_all_and_wait, listener.url, services)
    print("called", sum(len(service.methods) for _, service in services))

def pb2_of(module):
    stem = module.__name__.rpartition(".")[2].removesuffix("_rpc") + "_pb2"
    return next(key for key, value in vars(module).items() if getattr(value, "__name__", "").rpartition(".")[2] == stem)

for plain in (False, True):
    asyncio.run(main(sys.argv[1:], plain))
'''


def call_everything(folder, modules):
    """Import modules of services in another process, implement each service and call each method, in all four ways."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", CALL, *modules]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def type_check(folder):
    source = Path(__file__).parents[3] / "src"
    env = {**os.environ, "MYPYPATH": f"{source}:{folder}"}
    config = folder / "mypy.ini"
    config.write_text(
        "[mypy]\nexclude = _pb2\\.py$\n"
        "[mypy-google.rpc.*,grpc_tools.*,httptools.*,hpack.*,zstandard.*]\n"
        "ignore_missing_imports = True\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--namespace-packages", "--explicit-package-bases"]
    command += ["--cache-dir", str(folder.parent / "cache"), "--config-file", str(config), "."]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=115)
    assert done.returncode == 0, done.stdout + done.stderr


def usable(folder, texts):
    """Write .proto files; return those without problems, and the problems of the others by file."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    files = {file.name: file for file in describe_protos([folder / name for name in texts], [folder])}
    problems = {}
    for name in texts:
        found = file_problems(files[name], [file for file in files.values() if file.name != name], Names())
        if found:
            problems[name] = found
    return [name for name in texts if name not in problems], problems


def check_problems(problems, folder):
    """Each problem is one line that names what, and where; the compiler says the same, and writes nothing."""
    for lines in problems.values():
        for line in lines:
            assert re.search(r"\.proto:\d+", line), line
            assert "\n" not in line
    if problems:
        name = next(iter(problems))
        with pytest.raises(CompileError) as caught:
            compile_protos([folder / name], [folder], folder / "never")
        assert str(caught.value).splitlines() == problems[name]
        assert not (folder / "never").exists()


@pytest.mark.parametrize("part", range(4))
def test_every_name_everywhere(tmp_path, part):
    protos, out = tmp_path / "protos", tmp_path / "out"
    protos.mkdir()
    chosen = NAMES[part::4]
    texts = {f"f{number}.proto": EVERYWHERE.format(number=number, name=name) for number, name in enumerate(chosen)}
    names = dict(zip(texts, chosen, strict=True))
    taken = {"plain", "b", "c", "many", "kind", "ints", "choice", "ZERO", "Inner", "Kind2", "option"}
    texts = {file: text for file, text in texts.items() if names[file] not in taken}
    good, problems = usable(protos, texts)
    check_problems(problems, protos)
    refused = {names[file] for file in problems}
    assert refused <= REFUSED, refused - REFUSED
    compile_protos([protos / name for name in good], [protos], out)
    assert call_everything(out, [name.removesuffix(".proto") + "_rpc" for name in good]) == 5 * len(good)
    type_check(out)


REFUSED = {
    *(
        "DESCRIPTOR",
        "_descriptor",
        "_globals",
        "SerializeToString",
        "FromString",
        "ListFields",
        "__init__",
        "__class__",
    ),
    *("__x__", "__service__", "__slots__", "__doc__", "__name__", "__debug__"),
}
"""What Python or protobuf needs for itself, in one of the places."""


@st.composite
def files(draw, number):
    """The text of a .proto, whose names are drawn from few, so that they collide."""
    package = f"q{number}"
    pool = st.sampled_from(NAMES)
    messages = draw(st.lists(pool, min_size=1, max_size=4, unique=True))
    services = draw(st.lists(pool.filter(lambda name: name not in messages), min_size=1, max_size=4, unique=True))
    syntax = draw(st.sampled_from(['syntax = "proto2";', 'syntax = "proto3";', 'edition = "2023";']))
    label = "optional " if "proto2" in syntax else ""
    lines = [syntax, f"package {package};"]
    for message in messages:
        nested = draw(st.lists(pool, max_size=3, unique=True))
        # Fields are told apart by their JSON names too.
        fields = draw(st.lists(pool, max_size=3, unique_by=lambda name: name.replace("_", "").lower()))
        fields = [name for name in fields if name not in nested]
        inside = [f"message {name} {{}}" for name in nested]
        inside += [
            f"{label}.{package}.{draw(st.sampled_from(messages))} {name} = {n};" for n, name in enumerate(fields, 1)
        ]
        lines.append(f"message {message} {{ {' '.join(inside)} }}")
    for service in services:
        methods = draw(st.lists(pool, max_size=4, unique=True))
        lines.append(f"service {service} {{")
        for method in methods:
            one, other = (
                f"{draw(st.sampled_from(['', 'stream ']))}.{package}.{draw(st.sampled_from(messages))}" for _ in "ab"
            )
            lines.append(f"  rpc {method}({one}) returns ({other});")
        lines.append("}")
    return "\n".join(lines)


# Each example is a compilation and a process, so there are few, of many files each, and none is made smaller.
@settings(max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(texts=st.tuples(*(files(number) for number in range(12))))
def test_names_that_collide(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    protos, out = folder / "protos", folder / "out"
    protos.mkdir()
    good, problems = usable(protos, {f"q{number}.proto": text for number, text in enumerate(texts)})
    check_problems(problems, protos)
    for name, lines in problems.items():
        text = (protos / name).read_text()
        for line in lines:
            assert all(
                word in text for word in re.findall(r"(?:rpc|message|service|field|type) (?:\w+\.)?(\w+) \(", line)
            )
    if good:
        compile_protos([protos / name for name in good], [protos], out)
        call_everything(out, [name.removesuffix(".proto") + "_rpc" for name in good])
        type_check(out)


FOR_TYPE_CHECKERS = """syntax = "proto3";
message False {}
%s
"""


@pytest.mark.parametrize(
    "service",
    [
        "service TYPE_CHECKING { rpc A(False) returns (False); }",
        "service Type { rpc Checking(False) returns (False); }",
    ],
)
def test_a_constant_that_is_called_as_what_type_checkers_look_for(service, tmp_path):
    (tmp_path / "a.proto").write_text(FOR_TYPE_CHECKERS % service)
    out = tmp_path / "out"
    compile_protos([tmp_path / "a.proto"], [tmp_path], out)
    call_everything(out, ["a_rpc"])
    type_check(out)


COLLIDING = """syntax = "proto3";
package a;
message M {}
service S {
  rpc GetURL(M) returns (M);
  rpc GetUrl(M) returns (M);
  rpc Other(M) returns (M);
}
service User { rpc Admin(M) returns (M); }
service UserAdmin { rpc Do(M) returns (M); }
service ASync {}
service A {}
"""


def test_both_sides_of_a_collision_are_named_and_can_be_told_apart(tmp_path):
    (tmp_path / "c.proto").write_text(COLLIDING)
    with pytest.raises(CompileError) as caught:
        compile_protos([tmp_path / "c.proto"], [], tmp_path / "out")
    assert str(caught.value).splitlines() == [
        "rpc User.Admin (c.proto:9) and service UserAdmin (c.proto:10) are both USER_ADMIN in Python; "
        "give one a name with --name a.UserAdmin=NAME",
        "service ASync (c.proto:11) and service A (c.proto:12) are both ASyncClient in Python; "
        "give one a name with --name a.A=NAME",
        "rpc S.GetURL (c.proto:5) and rpc S.GetUrl (c.proto:6) are both get_url in Python; "
        "give one a name with --name a.S/GetUrl=NAME",
    ]
    given = {"a.UserAdmin": "Admins", "a.A": "First", "a.S/GetUrl": "fetch"}
    compile_protos([tmp_path / "c.proto"], [], tmp_path / "out", given=given)
    code = """
import c_rpc
assert [method.attribute for method in c_rpc.S] == ["get_url", "fetch", "other"]
assert [method.name for method in c_rpc.S] == ["GetURL", "GetUrl", "Other"]
assert (c_rpc.S_FETCH.path, c_rpc.S_GET_URL.path) == ("/a.S/GetUrl", "/a.S/GetURL")
assert c_rpc.AdminsService.__service__.name == "a.UserAdmin"
assert c_rpc.ADMINS_DO.path == "/a.UserAdmin/Do"
assert c_rpc.FirstClient and c_rpc.ASyncClient and c_rpc.USER_ADMIN.path == "/a.User/Admin"
assert callable(c_rpc.SClient.fetch) and callable(c_rpc.SService.fetch)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"a.S/GetUrI": "x"}, "no such service or method; do you mean a.S/GetUr"),
        ({"a.S/Other": "class"}, "'class' cannot be the name of a method"),
        ({"a.S/Other": "Other"}, "'Other' cannot be the name of a method"),
        ({"a.S/Other": "__x"}, "'__x' cannot be the name of a method"),
        ({"a.A": "1st"}, "'1st' cannot be the name of a service"),
        ({"a.S/Other": "get_url"}, "rpc S.Other"),
    ],
)
def test_names_that_are_given_wrongly(tmp_path, given, complaint):
    (tmp_path / "c.proto").write_text(COLLIDING)
    with pytest.raises(CompileError, match=re.escape(complaint)):
        compile_protos([tmp_path / "c.proto"], [], tmp_path, given=given)


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique=True), st.sampled_from(NAMES))
def test_to_rename_one_method_renames_no_other(methods, new):
    names = Names()

    def made(methods):
        return {method: (names.method("p", "S", method), names.method_constant("p", "S", method)) for method in methods}

    before, after = made(methods), made([new, *methods[1:]])
    for method in methods[1:]:
        assert before[method] == after[method]


def test_module_names(tmp_path):
    """Dots, dashes and keywords in the names of files; two files of one module; packages that shadow modules."""
    message = 'syntax = "proto3"; package {0}; message M {{}} service S {{ rpc Do(M) returns (M); }}'
    proto = tmp_path / "protos"
    for number, name in enumerate(
        ["class.proto", "v1.shop.proto", "a-b.c-d/e.f-g.proto", "deep/None.proto", "x_pb2.proto"]
    ):
        (proto / name).parent.mkdir(parents=True, exist_ok=True)
        (proto / name).write_text(message.format(f"m{number}"))
    written = compile_protos(sorted(proto.rglob("*.proto")), [proto], tmp_path / "out")
    modules = [
        str(path.relative_to(tmp_path / "out").with_suffix("")).replace("/", ".")
        for path in written
        if "_rpc" in path.name
    ]
    assert sorted(modules) == ["a_b.c_d.e.f_g_rpc", "class_rpc", "deep.None_rpc", "v1.shop_rpc", "x_pb2_rpc"]
    assert call_everything(tmp_path / "out", modules) == 5
    type_check(tmp_path / "out")


BAD_MODULES = {
    "two of a name": ({"a-b.proto": "", "a_b.proto": ""}, "a_b.proto and a-b.proto both make the module a_b_pb2"),
    "dot and folder": ({"v1.a.proto": "", "v1/a.proto": ""}, "v1/a.proto and v1.a.proto both make the module v1.a_pb2"),
    "module and package": (
        {"a.proto": "", "a_pb2/b.proto": ""},
        "needs the package a_pb2, which is the module of a.proto",
    ),
    "keyword folder": ({"from/a.proto": ""}, "from/a.proto: a Python module cannot have such a name"),
    "keyword before a dot": ({"class.a.proto": ""}, "class.a.proto: a Python module cannot have such a name"),
    "no name": ({"a..b.proto": ""}, "a..b.proto: a Python module cannot have such a name"),
    "standard library": ({"asyncio/a.proto": ""}, "'import asyncio.a_pb2' finds Python's own asyncio"),
    "typing": ({"typing.a.proto": ""}, "'import typing.a_pb2' finds Python's own typing"),
    "ourselves": ({"catenet/a.proto": ""}, "'import catenet.a_pb2' finds the package catenet"),
    "protobuf": ({"google/protobuf/mine.proto": ""}, "'import google.protobuf.mine_pb2' finds the package protobuf"),
}


def write_all(folder, texts):
    for number, (name, text) in enumerate(texts.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = text or f'syntax = "proto3"; package m{number}; message M {{}} service S {{ rpc Do(M) returns (M); }}'
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def plugin(protos, out, *options):
    """Run protoc with our plugin alone; return what it says."""
    from catenet.rpc.compile.command import system_includes

    out.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{folder}" for folder in (protos, *system_includes()))]
    command += [f"--plugin={Path(sys.executable).parent / 'protoc-gen-catenet'}", f"--catenet_out={out}"]
    command += [f"--python_out={out}", *(f"--catenet_opt={option}" for option in options)]
    command += [str(path.relative_to(protos)) for path in sorted(protos.rglob("*.proto"))]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("case", BAD_MODULES)
def test_modules_that_could_not_be_imported(case, tmp_path):
    texts, complaint = BAD_MODULES[case]
    paths = write_all(tmp_path / "protos", texts)
    with pytest.raises(CompileError, match=re.escape(complaint)):
        compile_protos(paths, [tmp_path / "protos"], tmp_path / "out", relative=False)
    assert complaint in plugin(tmp_path / "protos", tmp_path / "plugged", "imports=absolute").stderr


def test_packages_of_any_name_inside_a_package(tmp_path):
    """Within a package nothing is shadowed, and what lies below `google` is the user's, if it is."""
    texts = {
        "asyncio/a.proto": 'syntax = "proto3"; package asyncio; message M {} service S { rpc Do(M) returns (M); }',
        "google/mine.proto": 'syntax = "proto3"; package google; message M {} service S { rpc Do(M) returns (M); }',
        "typing/t.proto": 'syntax = "proto3"; package catenet; import "google/mine.proto"; import "asyncio/a.proto"; '
        'import "google/protobuf/empty.proto"; import "google/rpc/status.proto"; message typing { google.M m = 1; } '
        "service S { rpc Do(google.M) returns (asyncio.M); "
        "rpc No(google.protobuf.Empty) returns (google.rpc.Status); }",
    }
    paths = write_all(tmp_path / "protos", texts)
    package = tmp_path / "app"
    package.mkdir()
    (package / "__init__.py").touch()
    compile_protos(paths, [tmp_path / "protos"], package)
    assert call_everything(tmp_path, ["app.asyncio.a_rpc", "app.google.mine_rpc", "app.typing.t_rpc"]) == 4


def test_the_plugin_writes_what_the_command_writes(tmp_path):
    paths = write_all(
        tmp_path / "protos", {"v1.shop.proto": EVERYWHERE.format(number=1, name="from"), "a-b/c.proto": ""}
    )
    compile_protos(paths, [tmp_path / "protos"], tmp_path / "out")
    done = plugin(tmp_path / "protos", tmp_path / "plugged", "imports=absolute", "stubs=yes")
    assert done.stderr == ""
    for path in (tmp_path / "out").rglob("*.py*"):
        assert (tmp_path / "plugged" / path.relative_to(tmp_path / "out")).read_text() == path.read_text()
    (tmp_path / "clash").mkdir()
    (tmp_path / "clash" / "c.proto").write_text(COLLIDING)
    assert "rpc S.GetURL (c.proto:5) and rpc S.GetUrl (c.proto:6)" in plugin(tmp_path / "clash", tmp_path / "x").stderr
    given = ["name=a.UserAdmin=Admins", "name=a.A=First", "name=a.S/GetUrl=fetch"]
    assert plugin(tmp_path / "clash", tmp_path / "x", *given).stderr == ""
    assert "S_FETCH" in (tmp_path / "x" / "c_rpc.py").read_text()
    assert "'colour=red': there is only" in plugin(tmp_path / "clash", tmp_path / "x", "colour=red").stderr


def test_all_that_protobuf_has(tmp_path):
    """Editions, groups, extensions, maps, public and weak imports, well-known types, one name in several files."""
    texts = {
        "base.proto": 'syntax = "proto2"; package base; message M { required int32 a = 1; '
        "repeated group Grp = 2 { optional int32 b = 1; } extensions 100 to 200; } enum E { from = 0; E_A = 1; } "
        "extend M { optional int32 ext = 100; repeated E more = 101; } "
        "message Z { extend M { optional Z inner = 102; } }",
        "middle.proto": 'edition = "2023"; package middle; import public "base.proto"; message M { base.M m = 1; '
        "G g = 2 [features.message_encoding = DELIMITED]; message G { int32 x = 1; } } "
        "enum Open { from = 0; E_B = 1; }",
        "weak.proto": 'syntax = "proto3"; package weak; message None { map<string, None> class = 1; }',
        "newest.proto": 'edition = "2024"; package newest; import "middle.proto"; export message M { base.E e = 1; } '
        "local message L {} service S { rpc Do(M) returns (middle.M); }",
        "top.proto": 'syntax = "proto3"; package top; import "middle.proto"; import weak "weak.proto"; '
        'import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; '
        'import "google/protobuf/struct.proto"; import "google/protobuf/any.proto"; '
        "message M { google.protobuf.Timestamp when = 1; google.protobuf.Duration lasts = 2; "
        "repeated google.protobuf.Timestamp each = 3; map<int32, google.protobuf.Struct> of = 4; base.M base = 5; "
        "map<string, middle.Open> es = 6; optional middle.Open e = 7; weak.None none = 8; "
        "google.protobuf.Any any = 9; } "
        "service S { rpc One(base.M.Grp) returns (M); rpc Two(stream weak.None) returns (stream middle.M.G); "
        "rpc Three(google.protobuf.Any) returns (stream google.protobuf.Value); }",
        "again.proto": 'syntax = "proto3"; package again; message M {} service S { rpc One(M) returns (M); }',
    }
    paths = write_all(tmp_path / "protos", texts)
    out = tmp_path / "out"
    compile_protos(paths, [tmp_path / "protos"], out)
    assert call_everything(out, ["top_rpc", "again_rpc", "newest_rpc"]) == 5
    (out / "use.py").write_text(USE)
    type_check(out)
    done = subprocess.run([sys.executable, "use.py"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


USE = """
import datetime
from typing import TYPE_CHECKING

import base_pb2
import middle_pb2
import top_pb2

if TYPE_CHECKING:
    from weak_pb2 import None_

when = datetime.datetime(2020, 1, 1)
lasts = datetime.timedelta(seconds=1)
message = top_pb2.M(when=when, lasts=lasts, each=[when], e=middle_pb2.E_B, es={"a": middle_pb2.E_B})
number: int = message.base.a
group: base_pb2.M.Grp = base_pb2.M(a=1, grp=[{"b": 2}]).grp[0]
public: base_pb2.E = middle_pb2.E_A
deep: middle_pb2.M.G = middle_pb2.M(g=middle_pb2.M.G(x=1)).g


def none(message: top_pb2.M) -> "None_":
    return message.none


assert middle_pb2.M.G(x=1) == deep
assert none(message) == message.none
"""


def test_a_generic_service_is_refused_where_protobuf_has_none(tmp_path):
    text = 'syntax = "proto3";\npackage a;\noption py_generic_services = true;\nmessage M {}\n'
    (tmp_path / "g.proto").write_text(text)
    with pytest.raises(CompileError, match=r"g\.proto:3: protobuf has py_generic_services no more"):
        compile_protos([tmp_path / "g.proto"], [], tmp_path)
