"""What the measurements meet: the C++ server, built here, and the Python peers, in a virtual environment of their own.

Both are made once, in the cache folder of `benchmarks.peers`.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

from benchmarks import interpreter
from benchmarks.harness import Unavailable
from benchmarks.interpreter import call, make_venv
from benchmarks.peers import CACHE, need

HERE = Path(__file__).parent
PROTO = HERE.parent / "hiscore.proto"
PACKAGES = ("grpcio", "grpclib", "connect-python", "uvicorn", "uvloop", "httptools", "protobuf")
NODE_PACKAGES = ("@grpc/grpc-js", "@grpc/proto-loader")


def python() -> Path:
    """Return the interpreter that has the Python peers: this one, in a virtual environment of its own."""
    folder = CACHE / f"rpc-python-{interpreter.key()}"
    if not (folder / "complete").exists():
        make_venv(folder, PACKAGES)
        (folder / "complete").touch()
    return folder / "bin" / "python"


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
    try:
        found["C++ gRPC"] = call("pkg-config", "--modversion", "grpc++").strip()
        found["h2load"] = call("h2load", "--version").strip().removeprefix("h2load ")
    except (Unavailable, OSError):
        pass
    return found


def messages() -> Path:
    """Return the folder with the generated Python modules of hiscore.proto."""
    from catenet.rpc.compile.command import compile_protos

    folder = CACHE / "rpc-messages"
    compile_protos([PROTO], out=folder, relative=False)
    return folder


def cpp_server() -> Path:
    """Return the C++ server, built from Debian's packages."""
    server = CACHE / "rpc-cpp" / "server"
    source = HERE / "server.cc"
    if server.exists() and server.stat().st_mtime > source.stat().st_mtime:
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
