import asyncio

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from catenet.rpc.model.method import service_from_protobuf
from catenet.rpc.model.status import Code
from catenet.rpc.model.wellknown import HEALTH, POOL
from catenet.rpc.services.reflection import reflection_services

V1, V1ALPHA = reflection_services([HEALTH])


def ask(service, *requests):
    method = service.__service__.methods[0]

    async def main():
        async def stream():
            for request in requests:
                yield method.request(**request)

        return [response async for response in service.server_reflection_info(stream(), None)]

    return asyncio.run(main())


def files(response):
    data = response.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(item) for item in data]


def test_the_messages_are_those_of_grpc():
    def shape(file):
        messages = file.message_types_by_name.values()
        return {m.name: [(f.name, f.number, f.type, f.json_name) for f in m.fields] for m in messages}

    assert shape(POOL.FindFileByName("grpc/reflection/v1alpha/reflection.proto")) == shape(reflection_pb2.DESCRIPTOR)


@pytest.mark.parametrize("service", [V1, V1ALPHA], ids=["v1", "v1alpha"])
def test_list(service):
    (response,) = ask(service, {"list_services": "*", "host": "h"})
    assert [item.name for item in response.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert (response.valid_host, response.original_request.list_services) == ("h", "*")


def test_files_come_with_their_imports_and_only_once():
    (service,) = reflection_services([service_from_protobuf(_shop().FindServiceByName("shop.Shop"))])[:1]
    first, second, third = ask(
        service,
        {"file_containing_symbol": "shop.Shop"},
        {"file_by_filename": "google/protobuf/empty.proto"},
        {"file_containing_symbol": "shop.Shop.Buy"},
    )
    assert [file.name for file in files(first)] == ["shop.proto", "google/protobuf/empty.proto"]
    assert [file.name for file in files(second)] == ["google/protobuf/empty.proto"], "what is asked for is sent"
    assert [file.name for file in files(third)] == ["shop.proto"]


def _shop():
    from google.protobuf import empty_pb2

    pool = DescriptorPool()
    pool.AddSerializedFile(empty_pb2.DESCRIPTOR.serialized_pb)
    shop = FileDescriptorProto(
        name="shop.proto", package="shop", syntax="proto2", dependency=[empty_pb2.DESCRIPTOR.name]
    )
    shop.service.add(name="Shop").method.add(
        name="Buy", input_type=".google.protobuf.Empty", output_type=".google.protobuf.Empty"
    )
    message = shop.message_type.add(name="Item")
    message.extension_range.add(start=100, end=200)
    shop.extension.add(name="colour", number=120, type=9, label=1, extendee=".shop.Item")
    pool.AddSerializedFile(shop.SerializeToString())
    return pool


def test_extensions():
    (service,) = reflection_services([service_from_protobuf(_shop().FindServiceByName("shop.Shop"))])[:1]
    wanted = {"containing_type": "shop.Item", "extension_number": 120}
    numbers, file, missing, nothing = ask(
        service,
        {"all_extension_numbers_of_type": "shop.Item"},
        {"file_containing_extension": wanted},
        {"file_containing_extension": {**wanted, "extension_number": 121}},
        {"all_extension_numbers_of_type": "shop.None"},
    )
    assert list(numbers.all_extension_numbers_response.extension_number) == [120]
    assert files(file)[0].name == "shop.proto"
    assert missing.error_response.error_code == Code.NOT_FOUND
    assert nothing.error_response.error_code == Code.NOT_FOUND


def test_what_there_is_not():
    responses = ask(V1, {"file_by_filename": "no.proto"}, {"file_containing_symbol": "no.Symbol"}, {})
    codes = [response.error_response.error_code for response in responses]
    assert codes == [Code.NOT_FOUND, Code.NOT_FOUND, Code.INVALID_ARGUMENT]
    assert "no.Symbol" in responses[1].error_response.error_message


def test_the_default_pool_serves_generated_services():
    service, _ = reflection_services([service_from_protobuf(health_pb2.DESCRIPTOR.services_by_name["Health"])])
    (response,) = ask(service, {"file_containing_symbol": "grpc.health.v1.HealthCheckRequest"})
    assert files(response)[0].package == "grpc.health.v1"
