"""What the measurements meet: servers in C++, Go and Rust, built here, and packages of Python and Node.js.

All are made once, in the cache folder of `benchmarks.peers`; Python's in a virtual environment of their own. What
cannot be made stays away, and the table says what is missing.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from importlib import metadata
from pathlib import Path

from benchmarks import interpreter
from benchmarks.harness import Unavailable
from benchmarks.interpreter import call, make_venv
from benchmarks.peers import CACHE, need

HERE = Path(__file__).parent
PROTO = HERE.parent / "hiscore.proto"
PACKAGES = (
    "grpcio", "grpclib", "connectrpc", "uvicorn", "uvloop", "httptools", "protobuf", "dbus-fast", "Pyro5",
    "protoc-gen-py",
)  # fmt: skip
NODE_PACKAGES = ("@grpc/grpc-js", "@grpc/proto-loader")
GRPC_GO = "v1.85.0"
GO_PROTOBUF = "v1.36.12"
GO_GRPC_PLUGIN = "v1.6.2"


@functools.cache
def python() -> Path:
    """Return the interpreter that has the Python peers: this one, in a virtual environment of its own."""
    folder = CACHE / f"rpc-python-{interpreter.key()}"
    mark = folder / "complete"
    if not mark.exists() or mark.read_text() != " ".join(PACKAGES):
        make_venv(folder, PACKAGES)
        mark.write_text(" ".join(PACKAGES))
    return folder / "bin" / "python"


@functools.cache
def node_modules() -> Path:
    """Return the folder with the packages of grpc-js."""
    npm = need("npm", "apt-get install nodejs npm")
    folder = CACHE / "rpc-node"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = (npm, "install", "--no-audit", "--no-fund", "--prefix", folder, *NODE_PACKAGES)
        try:
            call(*words)
        except Unavailable as error:
            raise Unavailable(f"{' '.join(map(str, words))} ({error})") from None
        (folder / "complete").touch()
    return folder / "node_modules"


def versions() -> dict[str, str]:
    """Return the versions of all peers that are here."""
    found = {}
    try:
        folders = [str(path) for path in python().parents[1].glob("lib/python*/site-packages")]
        installed = metadata.distributions(path=folders)
        found = {each.name: each.version for each in installed if each.name in PACKAGES}
    except (Unavailable, OSError):
        pass
    try:
        package = json.loads((node_modules() / "@grpc/grpc-js/package.json").read_text())
        found["grpc-js"] = f"{package['version']} on node {call('node', '--version').strip()}"
    except (Unavailable, OSError):
        pass
    if _is_new(CACHE / "rpc-go" / "server", GO):
        found["grpc-go"] = f"{GRPC_GO} ({call('go', 'env', 'GOVERSION').strip()})"
    lock = CACHE / "rpc-tonic" / "Cargo.lock"
    if lock.exists():
        locked = dict(re.findall(r'name = "(.*)"\nversion = "(.*)"', lock.read_text()))
        found["tonic"] = f"{locked['tonic']} (hyper {locked['hyper']}, {call('rustc', '--version').strip()})"
    try:
        found["C++ gRPC"] = call("pkg-config", "--modversion", "grpc++").strip()
        found["h2load"] = call("h2load", "--version").strip().removeprefix("h2load ")
    except (Unavailable, OSError):
        pass
    return found


@functools.cache
def messages() -> Path:
    """Return the folder with the generated Python modules of hiscore.proto."""
    from catenet.rpc.compile.command import compile_protos

    folder = CACHE / "rpc-messages"
    compile_protos([PROTO], out=folder, relative=False)
    return folder


@functools.cache
def connect_messages() -> Path:
    """Return the folder with the module that connectrpc's own generator makes of hiscore.proto."""
    folder = CACHE / "rpc-connect-messages"
    folder.mkdir(parents=True, exist_ok=True)
    protoc = need("protoc", "apt-get install protobuf-compiler")
    plugin = python().parent / "protoc-gen-py"
    words = ("-I", PROTO.parent, f"--plugin=protoc-gen-py={plugin}", f"--py_out={folder}", PROTO.name)
    call(protoc, *words, cwd=PROTO.parent)
    return folder


def _is_new(program: Path, *sources: Path) -> bool:
    """Whether a program is there, and younger than what it is built from."""
    return program.exists() and all(program.stat().st_mtime > source.stat().st_mtime for source in (*sources, PROTO))


def cpp_server() -> Path:
    """Return the C++ server, built from Debian's packages."""
    server = CACHE / "rpc-cpp" / "server"
    source = HERE / "server.cc"
    if _is_new(server, source):
        return server
    hint = "apt-get install libgrpc++-dev protobuf-compiler-grpc g++ pkg-config"
    plugin = need("grpc_cpp_plugin", hint)
    folder = server.parent
    folder.mkdir(parents=True, exist_ok=True)
    outs = (f"--cpp_out={folder}", f"--grpc_out={folder}", f"--plugin=protoc-gen-grpc={plugin}")
    call(need("protoc", hint), "-I", PROTO.parent, *outs, PROTO.name, cwd=PROTO.parent)
    libraries = call(need("pkg-config", hint), "--libs", "grpc++", "protobuf").split()
    sources = (source, folder / "hiscore.pb.cc", folder / "hiscore.grpc.pb.cc")
    call(need("g++", hint), "-O2", "-std=c++17", f"-I{folder}", *sources, "-o", server, *libraries)
    return server


GO = HERE / "go" / "main.go"
TONIC = HERE / "tonic"


def go_server() -> Path:
    """Return the server on grpc-go, built from modules of the Go module proxy."""
    folder = CACHE / "rpc-go"
    server = folder / "server"
    if _is_new(server, GO):
        return server
    hint = "apt-get install golang protobuf-compiler"
    go, protoc = need("go", hint), need("protoc", hint)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "hiscore").mkdir(parents=True)
    shutil.copy(GO, folder)
    tools = {**os.environ, "GOBIN": str(folder / "bin")}
    for plugin in (
        f"google.golang.org/protobuf/cmd/protoc-gen-go@{GO_PROTOBUF}",
        f"google.golang.org/grpc/cmd/protoc-gen-go-grpc@{GO_GRPC_PLUGIN}",
    ):
        call(go, "install", plugin, env=tools)
    options = [f"--{kind}_opt=M{PROTO.name}=catenet.example/hiscore/hiscore" for kind in ("go", "go-grpc")]
    outs = [f"--{kind}_out={folder / 'hiscore'}" for kind in ("go", "go-grpc")]
    flat = ["--go_opt=paths=source_relative", "--go-grpc_opt=paths=source_relative"]
    path = {**os.environ, "PATH": os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", "")])}
    call(protoc, "-I", PROTO.parent, *options, *flat, *outs, PROTO.name, cwd=PROTO.parent, env=path)
    call(go, "mod", "init", "catenet.example/hiscore", cwd=folder)
    call(go, "get", f"google.golang.org/grpc@{GRPC_GO}", f"google.golang.org/protobuf@{GO_PROTOBUF}", cwd=folder)
    call(go, "mod", "tidy", cwd=folder)
    call(go, "build", "-o", server, ".", cwd=folder)
    return server


def tonic_server() -> Path:
    """Return the server on tonic, built from crates."""
    folder = CACHE / "rpc-tonic"
    server = folder / "target" / "release" / "hiscore"
    if _is_new(server, TONIC / "src" / "main.rs", TONIC / "build.rs", TONIC / "Cargo.toml"):
        return server
    hint = "rustup (cargo 1.85 or newer), apt-get install protobuf-compiler"
    cargo = need("cargo", hint)
    need("protoc", hint)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(TONIC, folder, dirs_exist_ok=True)
    shutil.copy(PROTO, folder)
    call(cargo, "build", "--release", "--quiet", cwd=folder)
    return server
