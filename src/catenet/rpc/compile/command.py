"""Running protoc: messages by its own Python generator, services by ours, imports made to fit the output folder."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import catenet
from catenet.rpc.compile.annotations import descriptor_set, import_ours
from catenet.rpc.compile.claims import file_problems, module_problems, unknown_names
from catenet.rpc.compile.complaints import problems
from catenet.rpc.compile.generate import generate
from catenet.rpc.compile.naming import Module, Names, relative_package
from catenet.rpc.compile.stubs import generate_stub
from catenet.rpc.compile.xsd import EXTRAS_SCHEMA, EXTRAS_SCHEMA_NAME, generate_schema, schema_name

__all__ = ["CompileError", "compile_protos", "describe_protos", "system_includes", "write_schemas"]


class CompileError(Exception):
    """The .proto files cannot be compiled; the text is what the compiler says, one problem per line."""


def compile_protos(
    protos: Sequence[str | Path],
    includes: Sequence[str | Path] = (),
    out: str | Path = ".",
    relative: bool | None = None,
    given: Mapping[str, str] | None = None,
) -> list[Path]:
    """Compile `protos` and the files they import from `includes`; return the files written, in order.

    Without `includes` the folder of each file and the current folder are searched. `relative` imports are the
    default where `out` is a package (has an `__init__.py`). `given`: names in Python other than the rules make,
    by `package.Service` or `package.Service/Method`. Raises `CompileError`; then nothing has been written.
    """
    out = Path(out)
    if relative is None:
        relative = (out / "__init__.py").exists()
    requested, folders = _places(protos, includes)
    files = _describe(requested, folders)
    own = [file for file in files if file.name in requested or _is_below(file.name, folders)]
    names = Names(given or {})
    _check(own, files, names, {path.parent.name for path in out.glob("*/__init__.py")}, absolute=not relative)
    out.mkdir(parents=True, exist_ok=True)
    _protoc([f"--python_out={out}", *(file.name for file in own)], folders)
    compiled = {file.name: Module.of_proto(file.name, "_pb2") for file in own}
    for module in compiled.values():
        import_ours(out / module.path)
        if relative:
            _make_imports_relative(out, module, {module.dotted: module for module in compiled.values()})
    written = [out / module.path for module in compiled.values()]
    for file in own:
        others = [other for other in files if other is not file]
        stub = (out / compiled[file.name].path).with_suffix(".pyi")
        stub.write_text(generate_stub(file, others, relative, compiled))
        written.append(stub)
        if file.service:
            path = out / Module.of_proto(file.name, "_rpc").path
            path.write_text(generate(file, others, relative, names, compiled))
            written.append(path)
    return sorted(written)


def write_schemas(
    protos: Sequence[str | Path], includes: Sequence[str | Path] = (), out: str | Path = "."
) -> list[Path]:
    """Write an XML Schema for each of `protos` and of the files they import; return the files, in order.

    Raises `CompileError`; then nothing has been written.
    """
    files = describe_protos(protos, includes)
    texts = {schema_name(file.name): generate_schema(file, [one for one in files if one is not file]) for file in files}
    texts[EXTRAS_SCHEMA_NAME] = EXTRAS_SCHEMA
    written = []
    for name, text in texts.items():
        path = Path(out, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return sorted(written)


def _check(
    own: Sequence[FileDescriptorProto],
    files: Sequence[FileDescriptorProto],
    names: Names,
    packages: Collection[str],
    absolute: bool,
) -> None:
    found = [*module_problems(own, absolute, packages), *unknown_names(own, names.given)]
    for file in own:
        found += file_problems(file, [other for other in files if other is not file], names)
    if found:
        raise CompileError("\n".join(found))


def describe_protos(protos: Sequence[str | Path], includes: Sequence[str | Path] = ()) -> list[FileDescriptorProto]:
    """Return the descriptors of `protos` and of all they import, imports first. Raises `CompileError`."""
    return _describe(*_places(protos, includes))


def _places(protos: Sequence[str | Path], includes: Sequence[str | Path]) -> tuple[list[str], list[Path]]:
    """Return the names of the files as imports spell them, and the folders to search."""
    given = [Path(folder) for folder in includes] or [*(Path(proto).parent for proto in protos), Path()]
    folders = list({folder.resolve(): folder for folder in reversed(given)}.values())[::-1]  # protoc takes each once
    for folder in folders:
        if not folder.is_dir():
            raise CompileError(f"{folder}: no such folder")
    return [_virtual_name(Path(proto), folders) for proto in protos], folders


def _describe(names: Sequence[str], folders: Sequence[Path]) -> list[FileDescriptorProto]:
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "set")
        _protoc([f"--descriptor_set_out={target}", "--include_imports", "--include_source_info", *names], folders)
        return list(FileDescriptorSet.FromString(target.read_bytes()).file)


def system_includes() -> list[Path]:
    """Return the folders of the .proto files that installed packages bring: google/protobuf, google/rpc, ..."""
    folders = []
    tools = importlib.util.find_spec("grpc_tools")
    if tools is None or tools.origin is None:
        raise CompileError("compiling needs the package grpcio-tools: pip install 'catenet[rpc]'")
    folders.append(Path(tools.origin).parent / "_proto")
    # Ours: catenet/codec/graph/graph.proto.
    folders.append(Path(catenet.__file__).parent.parent)
    common = importlib.util.find_spec("google.rpc")
    if common is not None and common.submodule_search_locations:
        folders.append(Path(next(iter(common.submodule_search_locations))).parent.parent)
    return folders


def _protoc(arguments: Sequence[str], folders: Iterable[Path]) -> None:
    searched = [f"-I{folder}" for folder in (*folders, *system_includes())]
    command = [sys.executable, "-m", "grpc_tools.protoc", *searched, *arguments]
    done = _run(command)
    if done.returncode != 0 and (known := descriptor_set(done.stderr)) is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(known)
            file.flush()
            done = _run([*command, f"--descriptor_set_in={file.name}"])
    if done.returncode != 0:
        raise CompileError("\n".join(problems(done.stderr)) or f"protoc ended with status {done.returncode}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _virtual_name(proto: Path, folders: Sequence[Path]) -> str:
    """Return the name of a file as imports spell it: relative to the first folder it is below."""
    if not proto.is_file() and not any((folder / proto).is_file() for folder in folders):
        raise CompileError(f"{proto}: no such file")
    for folder in folders:
        if proto.is_file() and proto.resolve().is_relative_to(folder.resolve()):
            return proto.resolve().relative_to(folder.resolve()).as_posix()
        if (folder / proto).is_file():
            return proto.as_posix()
    raise CompileError(f"{proto}: not below {', '.join(map(str, folders))}; name its folder with -I")


def _is_below(name: str, folders: Sequence[Path]) -> bool:
    """Whether a file that is imported lies in one of the folders; what installed packages bring is taken from them."""
    if any((folder / name).is_file() for folder in system_includes()):
        return False
    return any((folder / name).is_file() for folder in folders)


# As protoc's Python generator writes them.
_IMPORT = re.compile(r"^import (?P<module>\w+_pb2) as (?P<alias>\w+)$", re.MULTILINE)
_FROM = re.compile(r"^from (?P<package>[\w.]+) import (?P<module>\w+_pb2) as (?P<alias>\w+)$", re.MULTILINE)
_PUBLIC = re.compile(r"^from (?P<dotted>[\w.]+_pb2) import (?P<names>.+)$", re.MULTILINE)


def _make_imports_relative(out: Path, importer: Module, modules: dict[str, Module]) -> None:
    def one(match: re.Match[str]) -> str:
        found = match.groupdict()
        dotted = found.get("dotted") or ".".join(filter(None, (found.get("package"), found["module"])))
        module = modules.get(dotted)
        if module is None:
            return match[0]
        if "names" in found:
            origin = relative_package(importer.package, module.package)
            return f"from {origin}{'' if origin.endswith('.') else '.'}{module.name} import {found['names']}"
        return module.import_from(importer, found["alias"])

    path = out / importer.path
    text = path.read_text()
    for pattern in (_IMPORT, _FROM, _PUBLIC):
        text = pattern.sub(one, text)
    path.write_text(text)
