"""The messages of services whose interfaces are known beforehand: health checking, reflection, SPIFFE's Workload API.

And of load reports. They live in a descriptor pool of their own, so that a program may also import the packages of
grpcio that register the same names in protobuf's default pool. Field numbers are those of `grpc.health.v1`,
`grpc.reflection.v1`, `xds.data.orca.v3`, and of SPIFFE's workloadapi.proto, of which the X509-SVID profile is here.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MessageOptions,
    MethodDescriptorProto,
    OneofDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from catenet.rpc.model.method import ServiceDescriptor, service_from_protobuf

__all__ = ["HEALTH", "ORCA_LOAD_REPORT", "POOL", "REFLECTION_V1", "REFLECTION_V1ALPHA", "WORKLOAD_API"]

POOL = DescriptorPool()

_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


def _field(text: str, package: str) -> FieldDescriptorProto:
    """`[repeated|enum|oneof] TYPE NAME NUMBER`, with TYPE a scalar or a message or enum of the package."""
    *words, kind, name, number = text.split()
    label = FieldDescriptorProto.LABEL_REPEATED if "repeated" in words else FieldDescriptorProto.LABEL_OPTIONAL
    field = FieldDescriptorProto(name=name, number=int(number), label=label, json_name=_json_name(name))
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = FieldDescriptorProto.TYPE_ENUM if "enum" in words else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = _absolute(package, kind)
    if "oneof" in words:
        field.oneof_index = 0
    return field


def _absolute(package: str, name: str) -> str:
    return f".{package}.{name}" if package else f".{name}"


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _message(name: str, package: str, *fields: str, oneof: str | None = None, **more: Any) -> DescriptorProto:
    oneofs = [OneofDescriptorProto(name=oneof)] if oneof else []
    return DescriptorProto(name=name, field=[_field(text, package) for text in fields], oneof_decl=oneofs, **more)


def _method(package: str, name: str, request: str, response: str, client: bool, server: bool) -> MethodDescriptorProto:
    return MethodDescriptorProto(
        name=name,
        input_type=_absolute(package, request),
        output_type=_absolute(package, response),
        client_streaming=client,
        server_streaming=server,
    )


def _register(file: FileDescriptorProto) -> ServiceDescriptor:
    POOL.AddSerializedFile(file.SerializeToString())
    service = POOL.FindServiceByName(_absolute(file.package, file.service[0].name)[1:])
    return service_from_protobuf(service)


def _health() -> ServiceDescriptor:
    package = "grpc.health.v1"
    names = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
    values = [EnumValueDescriptorProto(name=name, number=number) for number, name in enumerate(names)]
    entry = _message(
        "StatusesEntry",
        package,
        "string key 1",
        "HealthCheckResponse value 2",
        options=MessageOptions(map_entry=True),
    )
    return _register(
        FileDescriptorProto(
            name="grpc/health/v1/health.proto",
            package=package,
            syntax="proto3",
            message_type=[
                _message("HealthCheckRequest", package, "string service 1"),
                _message(
                    "HealthCheckResponse",
                    package,
                    "enum HealthCheckResponse.ServingStatus status 1",
                    enum_type=[EnumDescriptorProto(name="ServingStatus", value=values)],
                ),
                _message("HealthListRequest", package),
                _message(
                    "HealthListResponse",
                    package,
                    "repeated HealthListResponse.StatusesEntry statuses 1",
                    nested_type=[entry],
                ),
            ],
            service=[
                ServiceDescriptorProto(
                    name="Health",
                    method=[
                        _method(package, "Check", "HealthCheckRequest", "HealthCheckResponse", False, False),
                        _method(package, "List", "HealthListRequest", "HealthListResponse", False, False),
                        _method(package, "Watch", "HealthCheckRequest", "HealthCheckResponse", False, True),
                    ],
                )
            ],
        )
    )


def _reflection(version: str) -> ServiceDescriptor:
    package = f"grpc.reflection.{version}"
    request = _message(
        "ServerReflectionRequest",
        package,
        "string host 1",
        "oneof string file_by_filename 3",
        "oneof string file_containing_symbol 4",
        "oneof ExtensionRequest file_containing_extension 5",
        "oneof string all_extension_numbers_of_type 6",
        "oneof string list_services 7",
        oneof="message_request",
    )
    response = _message(
        "ServerReflectionResponse",
        package,
        "string valid_host 1",
        "ServerReflectionRequest original_request 2",
        "oneof FileDescriptorResponse file_descriptor_response 4",
        "oneof ExtensionNumberResponse all_extension_numbers_response 5",
        "oneof ListServiceResponse list_services_response 6",
        "oneof ErrorResponse error_response 7",
        oneof="message_response",
    )
    info = _method(package, "ServerReflectionInfo", "ServerReflectionRequest", "ServerReflectionResponse", True, True)
    return _register(
        FileDescriptorProto(
            name=f"grpc/reflection/{version}/reflection.proto",
            package=package,
            syntax="proto3",
            message_type=[
                request,
                _message("ExtensionRequest", package, "string containing_type 1", "int32 extension_number 2"),
                response,
                _message("FileDescriptorResponse", package, "repeated bytes file_descriptor_proto 1"),
                _message(
                    "ExtensionNumberResponse", package, "string base_type_name 1", "repeated int32 extension_number 2"
                ),
                _message("ListServiceResponse", package, "repeated ServiceResponse service 1"),
                _message("ServiceResponse", package, "string name 1"),
                _message("ErrorResponse", package, "int32 error_code 1", "string error_message 2"),
            ],
            service=[ServiceDescriptorProto(name="ServerReflection", method=[info])],
        )
    )


def _load_report() -> Any:
    """ORCA's report of load: its message class."""
    package, maps = "xds.data.orca.v3", ("RequestCost", "Utilization", "NamedMetrics")
    entries = [
        _message(f"{name}Entry", package, "string key 1", "double value 2", options=MessageOptions(map_entry=True))
        for name in maps
    ]
    report = _message(
        "OrcaLoadReport",
        package,
        "double cpu_utilization 1",
        "double mem_utilization 2",
        "uint64 rps 3",
        "repeated OrcaLoadReport.RequestCostEntry request_cost 4",
        "repeated OrcaLoadReport.UtilizationEntry utilization 5",
        "double rps_fractional 6",
        "double eps 7",
        "repeated OrcaLoadReport.NamedMetricsEntry named_metrics 8",
        "double application_utilization 9",
        nested_type=entries,
    )
    file = FileDescriptorProto(
        name="xds/data/orca/v3/orca_load_report.proto", package=package, syntax="proto3", message_type=[report]
    )
    POOL.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(POOL.FindMessageTypeByName(f"{package}.OrcaLoadReport"))


def _bundles(name: str, outer: str, number: int) -> tuple[str, DescriptorProto]:
    """A map of trust domains to bundles: the field, and the message that protobuf makes of it."""
    entry = "".join(word.capitalize() for word in name.split("_")) + "Entry"
    options = MessageOptions(map_entry=True)
    return f"repeated {outer}.{entry} {name} {number}", _message(
        entry, "", "string key 1", "bytes value 2", options=options
    )


def _workload_api() -> ServiceDescriptor:
    federated, federated_entry = _bundles("federated_bundles", "X509SVIDResponse", 3)
    bundles, bundles_entry = _bundles("bundles", "X509BundlesResponse", 2)
    svid = ("string spiffe_id 1", "bytes x509_svid 2", "bytes x509_svid_key 3", "bytes bundle 4", "string hint 5")
    response = ("repeated X509SVID svids 1", "repeated bytes crl 2", federated)
    return _register(
        FileDescriptorProto(
            name="spiffe/workloadapi.proto",
            syntax="proto3",
            message_type=[
                _message("X509SVIDRequest", ""),
                _message("X509SVIDResponse", "", *response, nested_type=[federated_entry]),
                _message("X509SVID", "", *svid),
                _message("X509BundlesRequest", ""),
                _message("X509BundlesResponse", "", "repeated bytes crl 1", bundles, nested_type=[bundles_entry]),
            ],
            service=[
                ServiceDescriptorProto(
                    name="SpiffeWorkloadAPI",
                    method=[
                        _method("", "FetchX509SVID", "X509SVIDRequest", "X509SVIDResponse", False, True),
                        _method("", "FetchX509Bundles", "X509BundlesRequest", "X509BundlesResponse", False, True),
                    ],
                )
            ],
        )
    )


HEALTH = _health()
REFLECTION_V1 = _reflection("v1")
REFLECTION_V1ALPHA = _reflection("v1alpha")
ORCA_LOAD_REPORT = _load_report()
WORKLOAD_API = _workload_api()
