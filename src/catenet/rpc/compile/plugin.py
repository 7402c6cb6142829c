"""``protoc-gen-catenet``: the generator as a plugin of protoc and buf.

Options (``--catenet_opt=imports=absolute``): ``imports`` is ``relative`` (default) or ``absolute``.
"""

from __future__ import annotations

import sys

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import Edition

from catenet.rpc.compile.generate import generate
from catenet.rpc.compile.naming import Module


def respond(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Return one module for each file to generate that has a service; what is wrong goes into ``error``."""
    features = plugin_pb2.CodeGeneratorResponse
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=features.FEATURE_PROTO3_OPTIONAL | features.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=Edition.EDITION_PROTO2,
        maximum_edition=Edition.EDITION_2023,
    )
    relative = True
    for option in filter(None, request.parameter.split(",")):
        name, _, value = option.partition("=")
        if name != "imports" or value not in ("relative", "absolute"):
            response.error = f"option {option!r}: there is only imports=relative and imports=absolute"
            return response
        relative = value == "relative"
    files = {file.name: file for file in request.proto_file}
    for name in request.file_to_generate:
        file = files[name]
        if file.service:
            others = [other for other in request.proto_file if other is not file]
            path = Module.of_proto(name, "_rpc").path
            response.file.add(name=path, content=generate(file, others, relative))
    return response


def main() -> None:
    """Read a request from standard input, write the response to standard output."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).SerializeToString())
