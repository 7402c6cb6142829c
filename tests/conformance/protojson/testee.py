"""The testee of protobuf's conformance runner: messages between binary and JSON, through our codecs.

Requests come on standard input, answers leave on standard output, each behind four bytes of length, lowest first. The
environment's CATENET_DESCRIPTORS names a set of file descriptors (protoc --descriptor_set_out --include_imports); with
CATENET_THROUGH_XML each message makes a detour through XML.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

from catenet.codec import PROTO, XML, CodecError, JsonCodec

KNOWN = {module.DESCRIPTOR.name for module in (any_pb2, duration_pb2, field_mask_pb2, struct_pb2)}
KNOWN |= {module.DESCRIPTOR.name for module in (timestamp_pb2, wrappers_pb2)}
POOL = Default()
for file in FileDescriptorSet.FromString(Path(os.environ["CATENET_DESCRIPTORS"]).read_bytes()).file:
    if file.name not in KNOWN:
        POOL.Add(file)


def message_class(name: str) -> Any:
    """The class of messages of that name."""
    return GetMessageClass(POOL.FindMessageTypeByName(name))


Request, Response = message_class("conformance.ConformanceRequest"), message_class("conformance.ConformanceResponse")
FORMATS = Request.DESCRIPTOR.file.enum_types_by_name["WireFormat"].values_by_name
BINARY, JSON = FORMATS["PROTOBUF"].number, FORMATS["JSON"].number
LENIENT_TEST = 3
"""JSON_IGNORE_UNKNOWN_PARSING_TEST, a TestCategory."""
THROUGH_XML = "CATENET_THROUGH_XML" in os.environ
"""Whether each message is written as XML and read again before it is answered."""
STRICT, LENIENT = JsonCodec(ignore_unknown=False), JsonCodec()


def answer(request: Any) -> Any:
    """Do what one test asks for."""
    kind = request.WhichOneof("payload")
    if request.message_type == "conformance.FailureSet":
        return Response(protobuf_payload=b"")
    if kind not in ("protobuf_payload", "json_payload") or request.requested_output_format not in (BINARY, JSON):
        return Response(skipped="neither binary nor JSON")
    json = LENIENT if request.test_category == LENIENT_TEST else STRICT
    try:
        message = _decode(request, json)
    except CodecError as error:
        return Response(parse_error=str(error))
    try:
        if THROUGH_XML:
            message = XML.decode(type(message), XML.encode(message))
        if request.requested_output_format == JSON:
            return Response(json_payload=json.encode(message).decode())
        return Response(protobuf_payload=PROTO.encode(message))
    except CodecError as error:
        return Response(serialize_error=str(error))


def _decode(request: Any, json: JsonCodec) -> Any:
    kind = message_class(request.message_type)
    if request.HasField("json_payload"):
        return json.decode(kind, request.json_payload.encode())
    return PROTO.decode(kind, request.protobuf_payload)


def main() -> None:
    """Answer until the runner has no more to ask."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        request = Request.FromString(source.read(int.from_bytes(head, "little")))
        data = answer(request).SerializeToString()
        sink.write(len(data).to_bytes(4, "little") + data)
        sink.flush()


if __name__ == "__main__":
    main()
