"""Server reflection (gRPC `server-reflection.md`, v1 and v1alpha): which services there are, and their files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from catenet.rpc.model.context import Context
from catenet.rpc.model.method import ServiceDescriptor
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.model.wellknown import REFLECTION_V1, REFLECTION_V1ALPHA

__all__ = ["Reflection", "ReflectionV1", "ReflectionV1Alpha", "reflection_services"]

T = TypeVar("T")


class Reflection:
    """What both versions of the service have in common: everything but the names of their messages."""

    __service__: ServiceDescriptor

    def __init__(self, index: _Index) -> None:
        self._index = index
        self._response: Any = self.__service__.methods[0].response

    async def server_reflection_info(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        """Answer each request; files that were sent on this stream are not sent again."""
        sent: set[str] = set()
        async for request in requests:
            response = self._response(valid_host=request.host, original_request=request)
            try:
                self._answer(request, response, sent)
            except RpcError as error:
                response.error_response.error_code = int(error.code)
                response.error_response.error_message = error.message
            yield response

    def _answer(self, request: Any, response: Any, sent: set[str]) -> None:
        match request.WhichOneof("message_request"):
            case "list_services":
                for name in self._index.names():
                    response.list_services_response.service.add(name=name)
            case "file_by_filename":
                self._send(self._index.file(request.file_by_filename), response, sent)
            case "file_containing_symbol":
                self._send(self._index.file_of_symbol(request.file_containing_symbol), response, sent)
            case "file_containing_extension":
                wanted = request.file_containing_extension
                file = self._index.file_of_extension(wanted.containing_type, wanted.extension_number)
                self._send(file, response, sent)
            case "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                response.all_extension_numbers_response.base_type_name = name
                response.all_extension_numbers_response.extension_number.extend(self._index.extension_numbers(name))
            case _:
                raise RpcError(Code.INVALID_ARGUMENT, "the request asks for nothing")

    def _send(self, file: FileDescriptor, response: Any, sent: set[str]) -> None:
        """Add the file that was asked for, and what it imports as far as it was not sent before."""
        files = [file, *(other for other in _imports(file, {file.name}) if other.name not in sent)]
        sent.update(item.name for item in files)
        response.file_descriptor_response.file_descriptor_proto.extend(item.serialized_pb for item in files)


class ReflectionV1(Reflection):
    """`grpc.reflection.v1`."""

    __service__ = REFLECTION_V1


class ReflectionV1Alpha(Reflection):
    """`grpc.reflection.v1alpha`, which most tools still ask for."""

    __service__ = REFLECTION_V1ALPHA


def reflection_services(services: Iterable[ServiceDescriptor]) -> list[Reflection]:
    """Return the reflection services, both versions, for a server with these services; they list themselves too."""
    index = _Index([*services, REFLECTION_V1, REFLECTION_V1ALPHA])
    return [ReflectionV1(index), ReflectionV1Alpha(index)]


def _imports(file: FileDescriptor, seen: set[str]) -> Iterator[FileDescriptor]:
    for other in file.dependencies:
        if other.name not in seen:
            seen.add(other.name)
            yield other
            yield from _imports(other, seen)


class _Index:
    """The pools in which the services of a server are described, protobuf's default one included."""

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        self._services = {service.name: service for service in services}
        pools: list[DescriptorPool] = [descriptor_pool.Default()]
        for service in self._services.values():
            pool = service.descriptor.file.pool if service.descriptor is not None else None
            if pool is not None and pool not in pools:
                pools.append(pool)
        self._pools = pools

    def names(self) -> list[str]:
        return sorted(self._services)

    def file(self, name: str) -> FileDescriptor:
        return self._find("file", name, lambda pool: pool.FindFileByName(name))

    def file_of_symbol(self, name: str) -> FileDescriptor:
        # A service is found by its own descriptor: another pool may have one of that name, and of another version.
        service = self._services.get(name)
        if service is not None and service.descriptor is not None:
            return service.descriptor.file
        # protobuf's pools do not find methods by name.
        owner, _, method = name.rpartition(".")
        if owner in self._services and self._services[owner].method(method) is not None:
            return self.file_of_symbol(owner)
        return self._find("symbol", name, lambda pool: pool.FindFileContainingSymbol(name))

    def file_of_extension(self, type_name: str, number: int) -> FileDescriptor:
        def find(pool: DescriptorPool) -> FileDescriptor:
            extended = pool.FindMessageTypeByName(type_name)
            return cast(FileDescriptor, cast(Any, pool.FindExtensionByNumber(extended, number)).file)

        return self._find("extension", f"{type_name} {number}", find)

    def extension_numbers(self, type_name: str) -> list[int]:
        def find(pool: DescriptorPool) -> list[int]:
            extended = pool.FindMessageTypeByName(type_name)
            return sorted(extension.number for extension in pool.FindAllExtensions(extended))

        return self._find("type", type_name, find)

    def _find(self, what: str, name: str, find: Callable[[DescriptorPool], T]) -> T:
        for pool in self._pools:
            try:
                return find(pool)
            except KeyError:
                continue
        raise RpcError(Code.NOT_FOUND, f"no {what} {name!r}")
