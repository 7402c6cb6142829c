"""`protoc-gen-catenet`: the generator as a plugin of protoc and buf.

Options (`--catenet_opt=imports=absolute`, more behind commas): `imports` is `relative` (default) or `absolute`;
`name=a.Shop/GetURL=fetch` names a method or a service otherwise; `stubs=yes` writes the stubs of messages too,
which are right where protoc's own (`--pyi_out`) are no Python.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import Edition

from catenet.rpc.compile.claims import file_problems, module_problems, unknown_names
from catenet.rpc.compile.generate import generate
from catenet.rpc.compile.naming import Module, Names
from catenet.rpc.compile.stubs import generate_stub


def respond(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Return one module for each file to generate that has a service; what is wrong goes into `error`."""
    features = plugin_pb2.CodeGeneratorResponse
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=features.FEATURE_PROTO3_OPTIONAL | features.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=Edition.EDITION_PROTO2,
        maximum_edition=Edition.EDITION_2024,
    )
    try:
        options = _options(request.parameter)
    except ValueError as error:
        response.error = str(error)
        return response
    files = {file.name: file for file in request.proto_file}
    chosen = [files[name] for name in request.file_to_generate]
    problems = [*module_problems(chosen, not options.relative), *unknown_names(request.proto_file, options.names.given)]
    for file in chosen:
        others = [other for other in request.proto_file if other is not file]
        problems += file_problems(file, others, options.names)
        if options.stubs:
            path = Module.of_proto(file.name, "_pb2").path + "i"
            response.file.add(name=path, content=generate_stub(file, others, options.relative))
        if file.service and not problems:
            path = Module.of_proto(file.name, "_rpc").path
            response.file.add(name=path, content=generate(file, others, options.relative, options.names))
    if problems:
        del response.file[:]
        response.error = "\n".join(problems)
    return response


@dataclass(frozen=True, slots=True)
class _Options:
    relative: bool
    stubs: bool
    names: Names


def _options(parameter: str) -> _Options:
    """Read the options; raises `ValueError` that says which there are."""
    relative, stubs = True, False
    given: dict[str, str] = {}
    for option in filter(None, parameter.split(",")):
        name, _, value = option.partition("=")
        if name == "imports" and value in ("relative", "absolute"):
            relative = value == "relative"
        elif name == "stubs" and value in ("yes", "no"):
            stubs = value == "yes"
        elif name == "name" and "=" in value:
            key, _, called = value.partition("=")
            given[key] = called
        else:
            choices = "only imports=relative and imports=absolute, stubs=yes, name=SERVICE/METHOD=NAME"
            raise ValueError(f"option {option!r}: there is {choices}")
    return _Options(relative, stubs, Names(given))


def main() -> None:
    """Read a request from standard input, write the response to standard output."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).SerializeToString())
