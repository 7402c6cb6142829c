"""What services there are, as a client learns it: from a server by reflection, or from .proto files."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from catenet.rpc.client.client import Channel
from catenet.rpc.model.method import ServiceDescriptor, service_from_protobuf
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.model.wellknown import HEALTH, REFLECTION_V1, REFLECTION_V1ALPHA
from catenet.rpc.protocols.protocol import AnyMethod

__all__ = [
    "Catalog",
    "FileCatalog",
    "ReflectionCatalog",
    "UnknownName",
    "find_method",
    "find_service",
    "find_symbol",
]


class UnknownName(ValueError):
    """There is no such service, method or type; the text names the nearest that there is."""


class Catalog(Protocol):
    """Finds services and types by name."""

    async def services(self) -> Sequence[str]:
        """Return the full names of the services, sorted."""

    async def types(self) -> Sequence[str]:
        """Return the full names of messages and enums in the files of the services, sorted."""

    async def load(self, symbol: str) -> DescriptorPool:
        """Return a pool that has the symbol. Raises `UnknownName`."""


class FileCatalog:
    """The services in .proto files that have been compiled to descriptors, imports first."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._pool = DescriptorPool()
        names = []
        self._described = list(files)
        for file in self._described:
            self._pool.AddSerializedFile(file.SerializeToString())
            prefix = f"{file.package}." if file.package else ""
            names += [prefix + service.name for service in file.service]
        self._services = sorted(names)

    async def services(self) -> Sequence[str]:
        """Return the services of all files."""
        return self._services

    async def types(self) -> Sequence[str]:
        """Return the types of all files."""
        return _types_of(self._described)

    async def load(self, symbol: str) -> DescriptorPool:
        """Return the pool, whatever is asked for."""
        return self._pool


class ReflectionCatalog:
    """The services of a server, by its reflection service: version 1, or v1alpha where that is all there is."""

    def __init__(self, channel: Channel, **options: Any) -> None:
        self._channel = channel
        self._options = options
        self._method: AnyMethod = REFLECTION_V1.methods[0]
        self._pool = DescriptorPool()
        self._files: set[str] = set()
        self._described: list[FileDescriptorProto] = []

    async def files(self) -> Sequence[FileDescriptorProto]:
        """Return the files of all services and what they import, imports first."""
        for service in await self.services():
            await self.load(service)
        return self._described

    async def services(self) -> Sequence[str]:
        """Return the services that the server lists."""
        (response,) = await self._ask({"list_services": "*"})
        return sorted(item.name for item in response.list_services_response.service)

    async def types(self) -> Sequence[str]:
        """Return the types of the files of all services."""
        return _types_of(await self.files())

    async def load(self, symbol: str) -> DescriptorPool:
        """Fetch the file that defines the symbol and what that imports."""
        (response,) = await self._ask({"file_containing_symbol": symbol})
        await self._add(response)
        return self._pool

    async def _add(self, response: Any) -> None:
        if response.WhichOneof("message_response") == "error_response":
            raise UnknownName(response.error_response.error_message or "the server does not know the name")
        received = response.file_descriptor_response.file_descriptor_proto
        try:
            files = {file.name: file for file in map(FileDescriptorProto.FromString, received)}
        except DecodeError:
            raise RpcError(Code.INTERNAL, "the server's reflection answers with what is no descriptor") from None
        for name in list(files):
            await self._add_file(name, files)

    async def _add_file(self, name: str, files: dict[str, FileDescriptorProto]) -> None:
        """Add a file after its imports, asking for those that did not come with it."""
        if name in self._files:
            return
        self._files.add(name)
        if name not in files:
            (response,) = await self._ask({"file_by_filename": name})
            await self._add(response)
            return
        for dependency in files[name].dependency:
            await self._add_file(dependency, files)
        try:
            self._pool.AddSerializedFile(files[name].SerializeToString())
        except TypeError as error:
            text = " ".join(str(error).split())
            raise RpcError(Code.INTERNAL, f"the server's reflection has descriptors that are wrong: {text}") from None
        self._described.append(files[name])

    async def _ask(self, *requests: dict[str, Any]) -> list[Any]:
        try:
            return await self._exchange(requests)
        except RpcError as error:
            if error.code is not Code.UNIMPLEMENTED or self._method is REFLECTION_V1ALPHA.methods[0]:
                raise
        self._method = REFLECTION_V1ALPHA.methods[0]
        try:
            return await self._exchange(requests)
        except RpcError as error:
            if error.code is not Code.UNIMPLEMENTED:
                raise
            raise RpcError(Code.UNIMPLEMENTED, "the server has no reflection: its .proto is needed") from None

    async def _exchange(self, requests: Iterable[dict[str, Any]]) -> list[Any]:
        async with self._channel.bidi(self._method, **self._options) as call:
            for request in requests:
                await call.send(self._method.request(**request))
            await call.done()
            return [response async for response in call]


async def find_service(catalog: Catalog, name: str) -> ServiceDescriptor:
    """Return the service with that name, full or without its package. Raises `UnknownName`."""
    services = await catalog.services()
    if name not in services:
        matches = [service for service in services if service.rpartition(".")[2] == name]
        if len(matches) != 1:
            raise UnknownName(_no_such("service", name, services, lambda service: service.rpartition(".")[2]))
        name = matches[0]
    return service_from_protobuf((await catalog.load(name)).FindServiceByName(name))


async def find_method(catalog: Catalog, name: str) -> AnyMethod:
    """Return the method `service/method` or `service.method`. Raises `UnknownName`."""
    service_name, slash, method_name = name.strip("/").rpartition("/")
    if not slash:
        service_name, _, method_name = name.rpartition(".")
        if service_name != HEALTH.name:
            await _refuse_service(catalog, name)
    if not service_name:
        raise UnknownName(f"{name!r} names no method; write SERVICE/METHOD")
    # How a server feels can be asked without its reflection.
    service = HEALTH if service_name == HEALTH.name else await find_service(catalog, service_name)
    method = service.method(method_name)
    if method is None:
        names = [method.name for method in service.methods]
        raise UnknownName(_no_such(f"method of {service.name}", method_name, names, str))
    return method


async def _refuse_service(catalog: Catalog, name: str) -> None:
    """Raise `UnknownName` with the methods that there are if `name` is a service, so that the method is missing."""
    services = await catalog.services()
    if name not in services and [one.rpartition(".")[2] for one in services].count(name) != 1:
        return
    service = await find_service(catalog, name)
    methods = ", ".join(f"{name}/{method.name}" for method in service.methods)
    raise UnknownName(f"{name!r} is a service, and the method is missing; there are: {methods or 'none'}")


async def find_symbol(catalog: Catalog, name: str) -> Any:
    """Return the protobuf descriptor of a service, method, message or enum. Raises `UnknownName`."""
    try:
        return (await find_service(catalog, name)).descriptor
    except UnknownName as unknown:
        failure = unknown
    symbol = name.replace("/", ".")
    owner, _, member = symbol.rpartition(".")
    try:
        service = await find_service(catalog, owner) if owner else None
    except UnknownName:
        service = None
    if service is not None and service.descriptor is not None:
        method = await find_method(catalog, f"{service.name}/{member}")
        return service.descriptor.methods_by_name[method.name]
    found = await _find_type(catalog, symbol)
    if found is not None:
        return found
    types = await catalog.types()
    matches = [full for full in types if full.rpartition(".")[2] == symbol]
    if len(matches) == 1:
        return await _find_type(catalog, matches[0])
    names = [*await catalog.services(), *(matches or types)]
    raise UnknownName(_no_such("service or type", name, names, lambda full: full.rpartition(".")[2])) from failure


async def _find_type(catalog: Catalog, name: str) -> Any:
    """Return the descriptor of a message or an enum, or None."""
    try:
        pool = await catalog.load(name)
    except UnknownName:
        return None
    for find in (pool.FindMessageTypeByName, pool.FindEnumTypeByName):
        try:
            return find(name)
        except KeyError:
            continue
    return None


def _types_of(files: Iterable[FileDescriptorProto]) -> list[str]:
    """Names of messages and enums, nested ones too; not those that stand for the entries of a map."""
    names: list[str] = []

    def add(prefix: str, scope: Any, messages: Iterable[Any]) -> None:
        names.extend(prefix + enum.name for enum in scope.enum_type)
        for message in messages:
            if not message.options.map_entry:
                names.append(prefix + message.name)
                add(f"{prefix}{message.name}.", message, message.nested_type)

    for file in files:
        add(f"{file.package}." if file.package else "", file, file.message_type)
    return sorted(names)


def _no_such(what: str, name: str, names: Sequence[str], short: Callable[[str], str]) -> str:
    near = difflib.get_close_matches(name, [*names, *map(short, names)], n=1, cutoff=0.5)
    hint = f"do you mean {near[0]}?" if near else f"there {'is' if len(names) == 1 else 'are'}: {', '.join(names)}"
    return f"no {what} {name!r}; {hint}"
