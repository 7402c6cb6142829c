"""The versions that `catenet rpc compat` compares: files, folders, git revisions, descriptor sets and servers."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from catenet.cli.rpc_channel import read_file, with_channel
from catenet.cli.rpc_compat_config import BadConfig, roots_of
from catenet.rpc.compile import CompileError
from catenet.rpc.compile.command import describe_protos, system_includes

__all__ = ["Read", "Unreadable", "read_versions"]

_SERVER = re.compile(r"(tcp|tls|http|https|dns)://|unix:")
_GIT = re.compile(r"(?P<where>.*?)#(?P<options>\w+=[^,]*(,\w+=[^,]*)*)")
_OF_SERVERS = ("grpc.reflection.", "grpc.health.")
"""Packages of services that servers bring along."""


class Unreadable(ValueError):
    """An input cannot be read; the text is a line for each reason."""


@dataclass
class Read:
    """What was read. `single`: the name of the only file that was named; `shown`: paths of files, by name."""

    files: list[FileDescriptorProto]
    single: str = ""
    is_server: bool = False
    shown: dict[str, str] = field(default_factory=dict)


def read_versions(old: str, new: str, args: argparse.Namespace) -> tuple[Read, Read]:
    """Read both; what is one file in each is compared under one name, whatever it was called."""
    before, after = _read(old, args), _read(new, args)
    if before.single and after.single:
        _rename(before.files, {before.single: after.single})
    if after.is_server:
        before.files = _reached(before.files)
    if before.is_server or after.is_server:
        _rename(before.files, _moved(before.files, after.files))
    if before.files and after.shown:
        folder = next((shown.removesuffix(name) for name, shown in after.shown.items()), "")
        after.shown = {file.name: f"{folder}{file.name}" for file in before.files} | after.shown
    return before, after


def _read(text: str, args: argparse.Namespace) -> Read:
    git = _GIT.fullmatch(text)
    if git is not None and (git["where"].endswith(".git") or "format=git" in git["options"]):
        return _buf_git(text, git["where"], git["options"], args)
    if _SERVER.match(text):
        return _server(text, args)
    path = Path(text)
    if text == "-":
        return Read(_own(_set(read_file("-"), "standard input")))
    if path.is_dir():
        return _folder(path, args.includes, str(path))
    if path.is_file():
        if path.suffix == ".proto":
            return _file(path, args.includes, text)
        return Read(_own(_set(read_file(text), text)))
    revision, colon, inside = text.partition(":")
    if colon and (top := _git_top(Path())) is not None and _is_revision(top, revision):
        return _git(top, revision, inside, args)
    if re.fullmatch(r"[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+", text):
        return _server(text, args)
    raise Unreadable(f"{text.removesuffix(':')}: no such file, folder, revision or server")


def _folder(path: Path, includes: Sequence[str | Path], shown: str) -> Read:
    """Read all files of a folder, or of the modules that its buf.yaml names."""
    try:
        roots = roots_of(path)
    except BadConfig as error:
        raise Unreadable(str(error).replace(f"{path}/", "" if shown == "." else f"{shown.rstrip('/')}/", 1)) from None
    protos: dict[Path, Path] = {}
    for root in roots:
        for found in sorted(root.rglob("*.proto")):
            if not any(part.startswith(".") for part in found.relative_to(root).parts[:-1]):
                protos.setdefault(found, root)
    if not protos:
        raise Unreadable(f"{shown}: no .proto files in it")
    # Named as below the folder itself, even if they are below another of the folders too.
    files = _described(list(protos), [*roots, *includes], shown)
    prefix = "" if shown in (".", "") else f"{shown.rstrip('/')}/"
    places = {
        found.relative_to(root).as_posix(): f"{prefix}{found.relative_to(path).as_posix()}"
        for found, root in protos.items()
    }
    return Read(files, shown={file.name: places.get(file.name, file.name) for file in files})


def _file(path: Path, includes: Sequence[str | Path], shown: str) -> Read:
    files = _described([path], includes, shown)
    single = files[-1].name if files else ""
    return Read(files, single, shown={single: shown})


def _described(protos: Sequence[Path], includes: Sequence[str | Path], shown: str) -> list[FileDescriptorProto]:
    try:
        return _own(describe_protos(protos, includes))
    except CompileError as error:
        raise Unreadable("\n".join(_named(line, shown) for line in str(error).splitlines())) from None


def _named(line: str, shown: str) -> str:
    """A line of the compiler's, which may begin with the name of the file that was asked for."""
    file, colon, rest = line.partition(":")
    return f"{shown}:{rest}" if colon and file == Path(shown).name else f"{shown}: {line}"


def _set(data: bytes, shown: str) -> list[FileDescriptorProto]:
    """Read a descriptor set: binary, gzip of that, or JSON (a name without `json` may have it too)."""
    from google.protobuf import json_format

    if data.startswith(b"\x1f\x8b"):
        from catenet.codec.compression import GZIP

        data = GZIP.decompress(data, 1 << 28)
    try:
        if data.lstrip()[:1] == b"{":
            files = json_format.Parse(data, FileDescriptorSet(), ignore_unknown_fields=True).file
        else:
            files = FileDescriptorSet.FromString(data).file
    except (DecodeError, json_format.ParseError, UnicodeDecodeError):
        files = FileDescriptorSet().file
    if not files or not all(file.name for file in files):
        raise Unreadable(f"{shown}: no descriptor set, and no .proto file by its name")
    _check(files, shown)
    return list(files)


def _check(files: Iterable[FileDescriptorProto], shown: str) -> None:
    """Raise `Unreadable` for descriptors that no compiler has made: what compares them takes them as they are."""
    pool, by_name = DescriptorPool(), {file.name: file for file in files}
    begun: set[str] = set()

    def add(file: FileDescriptorProto) -> None:
        begun.add(file.name)
        for name in file.dependency:
            if name in by_name and name not in begun:
                add(by_name[name])
            elif name not in by_name and name not in begun:
                begun.add(name)
                with contextlib.suppress(KeyError):  # else protobuf says which import is missing
                    known: Any = descriptor_pool.Default().FindFileByName(name)
                    pool.AddSerializedFile(known.serialized_pb)
        pool.AddSerializedFile(file.SerializeToString())

    try:
        for file in by_name.values():
            if file.name not in begun:
                add(file)
            if not _is_text(file):
                raise TypeError(f"{file.name}: a name is not UTF-8")
    except (TypeError, RecursionError) as error:
        text = " ".join(str(error).split()).removeprefix("Couldn't build proto file into descriptor pool: ")
        raise Unreadable(f"{shown}: its descriptors are wrong or incomplete: {text}") from None


def _is_text(message: Any) -> bool:
    """Whether all texts of a descriptor are; comments do not matter."""
    for described, value in message.ListFields():
        if described.name == "source_code_info":
            continue
        values = value if described.is_repeated else [value]
        if described.type == described.TYPE_STRING and not all(isinstance(one, str) for one in values):
            return False
        if described.message_type is not None and not all(map(_is_text, values)):
            return False
    return True


def _own(files: Iterable[FileDescriptorProto]) -> list[FileDescriptorProto]:
    """Leave out what packages bring, which is not the user's to change."""
    system = system_includes()
    return [file for file in files if not any((folder / file.name).is_file() for folder in system)]


def _server(url: str, args: argparse.Namespace) -> Read:
    from catenet.rpc import Channel
    from catenet.rpc.client.catalog import Catalog, ReflectionCatalog

    found: list[FileDescriptorProto] = []

    async def work(channel: Channel, catalog: Catalog) -> int:
        assert isinstance(catalog, ReflectionCatalog)
        found.extend(await catalog.files())
        return 0

    if with_channel(argparse.Namespace(**{**vars(args), "url": url, "proto": []}), work) != 0:
        raise Unreadable("")  # the reason has been said
    _check(found, url)
    return Read([file for file in _own(found) if not f"{file.package}.".startswith(_OF_SERVERS)], is_server=True)


def _reached(files: Sequence[FileDescriptorProto]) -> list[FileDescriptorProto]:
    """Return what a server could show: the files that have services, and what they import."""
    by_name = {file.name: file for file in files}
    wanted = [file.name for file in files if file.service]
    reached: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in by_name and name not in reached:
            reached.add(name)
            wanted += by_name[name].dependency
    return [file for file in files if file.name in reached]


def _moved(old: Sequence[FileDescriptorProto], new: Sequence[FileDescriptorProto]) -> dict[str, str]:
    """Names of files that a server has under another name, by the first thing that they declare."""
    names = {file.name for file in new}
    places = {(file.package, symbol): file.name for file in new for symbol in _symbols(file)}
    moved: dict[str, str] = {}
    for file in old:
        if file.name in names:
            continue
        place = next((place for one in _symbols(file) if (place := places.get((file.package, one)))), None)
        if place is not None and place not in moved.values() and all(other.name != place for other in old):
            moved[file.name] = place
    return moved


def _symbols(file: FileDescriptorProto) -> Iterator[str]:
    for parts in (file.service, file.message_type, file.enum_type):
        yield from (part.name for part in parts)


def _rename(files: Iterable[FileDescriptorProto], names: dict[str, str]) -> None:
    for file in files:
        file.name = names.get(file.name, file.name)
        for index, dependency in enumerate(file.dependency):
            file.dependency[index] = names.get(dependency, dependency)


def _git_top(folder: Path) -> Path | None:
    """Return the top of the repository that a folder is in."""
    try:
        return Path(_run_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    except Unreadable:
        return None


def _is_revision(top: Path, revision: str) -> bool:
    try:
        _run_git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except Unreadable:
        return False
    return True


def _run_git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except OSError as error:
        raise Unreadable(f"git: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["failed"]
        raise Unreadable(f"git: {lines[-1].removeprefix('fatal: ')}")
    return done.stdout


def _buf_git(text: str, where: str, options: str, args: argparse.Namespace) -> Read:
    """Read `.git#branch=main,subdir=proto`, as buf spells it."""
    given = dict(option.partition("=")[::2] for option in options.split(","))
    if unknown := given.keys() - {"branch", "tag", "ref", "commit", "subdir", "format", "depth"}:
        raise Unreadable(f"{text}: no option {sorted(unknown)[0]}; there are branch, tag, ref, commit and subdir")
    if "://" in where:
        raise Unreadable(f"{text}: a repository elsewhere; clone it first")
    folder = Path(where).parent if Path(where).name == ".git" else Path(where)
    top = _git_top(folder) if folder.is_dir() else None
    if top is None:
        raise Unreadable(f"{text}: no git repository")
    named = [f"refs/heads/{given['branch']}"] if "branch" in given else []
    named += [f"refs/tags/{given['tag']}"] if "tag" in given else []
    named += [given[key] for key in ("ref", "commit") if key in given]
    revision = named[0] if named else "HEAD"
    if not _is_revision(top, revision):
        raise Unreadable(f"{text}: the repository has no {revision}")
    return _git(top, revision, given.get("subdir", ""), args)


def _git(top: Path, revision: str, inside: str, args: argparse.Namespace) -> Read:
    """Read a file or folder of a revision; folders of -I are looked for in it too."""
    shown = f"{revision}:{inside}"
    if inside.startswith("./"):
        inside = (Path.cwd().resolve().relative_to(top.resolve()) / inside).as_posix()
    with _checked_out(top, revision) as tree:
        place = (tree / inside).resolve()
        if not place.is_relative_to(tree) or not place.exists():
            raise Unreadable(f"{shown.removesuffix(':')}: no such file or folder with .proto files in that revision")
        includes = [_in_tree(Path(folder), top, tree) for folder in args.includes]
        if place.is_dir():
            read = _folder(place, includes, shown)
        else:
            read = _file(place, includes or [place.parent, tree], shown)
        # A folder's files are shown with what it is called already.
        head, start = f"{revision}:", f"{shown.rstrip('/')}/"
        read.shown = {
            name: f"{head}{Path(inside, path.removeprefix(start) if place.is_dir() else '').as_posix()}"
            for name, path in read.shown.items()
        }
        return read


@contextlib.contextmanager
def _checked_out(top: Path, revision: str) -> Iterator[Path]:
    """The .proto files of a revision, in a folder for a while."""
    listed = _run_git(top, "ls-tree", "-r", "-z", "--name-only", revision).decode(errors="surrogateescape").split("\0")
    configs = [f":(literal){name}" for name in listed if Path(name).name in ("buf.yaml", "buf.work.yaml")]
    try:
        packed = _run_git(top, "archive", "--format=tar", revision, "--", ":(glob)**/*.proto", *configs)
    except Unreadable as error:
        if "did not match" in str(error):
            raise Unreadable(f"{revision}: no .proto files in that revision") from None
        raise
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch).resolve()
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            try:
                archive.extractall(tree, filter="data")
            except tarfile.TarError as error:
                raise Unreadable(f"{revision}: {error}") from None
        yield tree


def _in_tree(folder: Path, top: Path, tree: Path) -> Path:
    resolved = folder.resolve()
    inside = tree / resolved.relative_to(top.resolve()) if resolved.is_relative_to(top.resolve()) else resolved
    return inside if inside.is_dir() else resolved
