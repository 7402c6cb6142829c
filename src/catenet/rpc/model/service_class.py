"""A Python class as a service: `@service` on it, and no .proto.

The methods of the class are the methods of the service. A method takes one message (a class with fields) or any other
parameters, of which a message is made; a parameter `context` is the call's `Context`. An iterator as
parameter or result is a stream. Other languages use the .proto that `proto_of` writes.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from catenet.net.failures import Mistake
from catenet.rpc.model.handlers import place_of, wrong_answer
from catenet.rpc.model.method import Idempotency, Kind, Method, ServiceDescriptor
from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    from catenet.codec.schema import Schema

__all__ = ["client_of", "idempotent", "proto_of", "service"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_STREAMS: Final = (AsyncIterator, AsyncIterable, Iterator, Iterable)
_AWAITED: Final = "__catenet_idempotency__"


def idempotent(level: Idempotency = Idempotency.IDEMPOTENT) -> Callable[[F], F]:
    """Mark a method as one that may be repeated, or that changes nothing."""

    def mark(function: F) -> F:
        setattr(function, _AWAITED, level)
        return function

    return mark


def service(package: str) -> Callable[[type[T]], type[T]]:
    """Make a service of a class, called as the class, in `package`; raise `TypeError` for hints that cannot be sent."""

    def decorate(cls: type[T]) -> type[T]:
        made = _ServiceClass(cls, package)
        cls.__service__ = made.descriptor  # type: ignore[attr-defined]
        cls.__service_class__ = made  # type: ignore[attr-defined]
        for one in made.methods:
            setattr(cls, one.method.attribute, one.handler())
        return cls

    return decorate


def client_of(cls: type[T], channel: Any) -> T:
    """Return a client with the methods of `cls`, over a `Channel`, or a `SyncChannel` if they are no coroutines."""
    found = _of(cls)
    return cast(T, type(f"{cls.__name__}Client", (), {one.name: one.call(channel) for one in found.methods})())


def proto_of(cls: type) -> str:
    """Return the .proto of a service, for programs in other languages."""
    from catenet.codec.proto_text import proto_text

    return proto_text(_of(cls).schema.file)


def _of(cls: type) -> _ServiceClass:
    found = getattr(cls, "__service_class__", None)
    if not isinstance(found, _ServiceClass):
        raise TypeError(f"{cls.__name__} is no service: decorate it with @service")
    return found


class _ServiceClass:
    def __init__(self, cls: type, package: str) -> None:
        # Programs without such classes start faster.
        from catenet.codec.schema import Schema

        name = cls.__name__
        self.schema = Schema(package, "/".join([*filter(None, package.split(".")), f"{name.lower()}.proto"]))
        self.methods: list[_MethodOfClass] = []
        described = self.schema.file.service.add(name=name)
        for attribute, function in vars(cls).items():
            if attribute.startswith("_") or not inspect.isfunction(function):
                continue
            one = _MethodOfClass(self.schema, cls, attribute, function)
            described.method.add(
                name=one.wire_name,
                input_type=f".{package}.{one.request.__name__}" if package else f".{one.request.__name__}",
                output_type=f".{package}.{one.response.__name__}" if package else f".{one.response.__name__}",
                client_streaming=one.kind.client_streams or None,
                server_streaming=one.kind.server_streams or None,
            )
            if one.level is not Idempotency.UNKNOWN:
                described.method[-1].options.idempotency_level = int(one.level)  # type: ignore[assignment]
            self.methods.append(one)
        if not self.methods:
            raise TypeError(f"{name} has no methods to serve")
        self.schema.seal()
        full_name = f"{package}.{name}" if package else name
        for one in self.methods:
            one.bind(full_name)
        methods = tuple(one.method for one in self.methods)
        self.descriptor = ServiceDescriptor(full_name, methods, self.schema.pool.FindServiceByName(full_name))

    @property
    def file(self) -> FileDescriptorProto:
        """The description as protobuf has it."""
        return self.schema.file


class _MethodOfClass:
    """One method, between the function and its messages."""

    method: Method[Any, Any]

    def __init__(self, schema: Schema, cls: type, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.wire_name = "".join(word.capitalize() for word in name.split("_"))
        self.level: Idempotency = getattr(function, _AWAITED, Idempotency.UNKNOWN)
        self._schema = schema
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            raise TypeError(f"{place_of(function)}: {error}") from None
        result = hints.pop("return", None)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self._takes_context = any(one.name == "context" for one in parameters)
        self._names = [one.name for one in parameters if one.name != "context"]
        self.defaults = {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}
        missing = [one for one in self._names if one not in hints]
        if missing:
            raise TypeError(f"{place_of(function)}: {missing[0]} has no type hint")
        self._describe(cls, {one: hints[one] for one in self._names}, result)

    def _describe(self, cls: type, given: dict[str, Any], result: Any) -> None:
        schema, place = self._schema, place_of(self._function)
        streamed = len(given) == 1 and _stream_of(next(iter(given.values())))
        answers = _stream_of(result)
        self.kind = Kind((bool(streamed), bool(answers)))
        if streamed:
            given = {"value": streamed}
        if answers:
            result = answers
        self.is_whole = len(given) == 1 and schema.is_message(next(iter(given.values())))
        try:
            if self.is_whole:
                self.request: type = next(iter(given.values()))
                schema.add(self.request)
            else:
                self.request = schema.add_record(f"{self.wire_name}Request", given, self.defaults)
            self.answers_whole = schema.is_message(result)
            if self.answers_whole:
                self.response: type = result
                schema.add(result)
            else:
                fields = {} if result in (None, type(None)) else {"value": result}
                self.response = schema.add_record(f"{self.wire_name}Response", fields, {})
                self._answers_nothing = not fields
        except TypeError as error:
            raise TypeError(f"{place}: {error}") from None

    def bind(self, service_name: str) -> None:
        """Make the descriptor, when the message classes are there."""
        schema = self._schema
        request, response = schema.message_class(self.request), schema.message_class(self.response)
        self.method = Method(
            service_name, self.wire_name, self.kind, request, response, self.level, attribute=f"_rpc_{self.name}"
        )

    # Between Python and messages.

    def _asked(self, message: Any) -> Any:
        """What a message from a client says, for the function."""
        try:
            return self._schema.back(self.request, message)
        except (ValueError, TypeError) as error:
            raise RpcError(Code.INVALID_ARGUMENT, f"{self.wire_name}: {error}") from error

    def _answer(self, value: Any) -> Any:
        if not self.answers_whole:
            value = self.response() if self._answers_nothing else self.response(value=value)
        try:
            return self._schema.to_message(self.response, value)
        except (TypeError, ValueError, AttributeError) as error:
            wanted = getattr(self.response, "__name__", str(self.response))
            if self.answers_whole and not isinstance(value, self.response):
                raise wrong_answer(self._function, value, wanted) from error
            raise Mistake(f"{place_of(self._function)}: {wanted} cannot be sent: {error}") from error

    def _answered(self, message: Any) -> Any:
        try:
            value = self._schema.back(self.response, message)
        except (ValueError, TypeError) as error:
            raise RpcError(Code.INTERNAL, f"{self.wire_name} answered what is none: {error}") from error
        return value if self.answers_whole else value.get("value")

    def _question(self, value: Any) -> Any:
        if not self.is_whole:
            value = self.request(value=value)
        return self._schema.to_message(self.request, value)

    def _call(self, implementation: Any, request: Any, context: Any) -> Any:
        """Call the function, which may be one that a derived class has instead."""
        function = getattr(implementation, self.name)
        more = {"context": context} if self._takes_context else {}
        if self.kind.client_streams:
            return function(self._each_asked(request), **more)
        asked = self._asked(request)
        return function(asked, **more) if self.is_whole else function(**asked, **more)

    def _each_asked(self, requests: Any) -> Any:
        def one(message: Any) -> Any:
            return self._asked(message) if self.is_whole else self._asked(message)["value"]

        async def each() -> AsyncIterator[Any]:
            async for message in requests:
                yield one(message)

        return each() if self._is_async else map(one, requests)

    def handler(self) -> Callable[..., Any]:
        """What the server calls, of the same kind as the function."""
        method = self

        async def later(self: Any, request: Any, context: Any) -> Any:
            return method._answer(await method._call(self, request, context))

        async def each_later(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
            values = method._call(self, request, context)
            if inspect.isawaitable(values):
                values = await values
            if not hasattr(values, "__aiter__"):
                raise wrong_answer(method._function, values, "an asynchronous iterator of responses")
            async for value in values:
                yield method._answer(value)

        def now(self: Any, request: Any, context: Any) -> Any:
            return method._answer(method._call(self, request, context))

        def each_now(self: Any, request: Any, context: Any) -> Iterator[Any]:
            values = method._call(self, request, context)
            if not hasattr(values, "__iter__"):
                raise wrong_answer(method._function, values, "an iterator of responses")
            for value in values:
                yield method._answer(value)

        if self._is_async:
            made: Callable[..., Any] = each_later if self.kind.server_streams else later
        else:
            made = each_now if self.kind.server_streams else now
        made.__wrapped__ = self._function  # type: ignore[attr-defined]  # whose line is to be named
        return made

    def call(self, channel: Any) -> Callable[..., Any]:
        """What a client calls: the function's parameters, and the options of a call by name."""
        method = self

        def ask(arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if method.is_whole:
                return method._question(arguments[0] if arguments else named.pop(method._names[0]))
            if len(arguments) > len(method._names):
                raise TypeError(f"{method.name}() takes {len(method._names)} arguments")
            values = {**method.defaults, **dict(zip(method._names, arguments, strict=False))}
            values |= {name: named.pop(name) for name in method._names if name in named}
            missing = [name for name in method._names if name not in values]
            if missing:
                raise TypeError(f"{method.name}() misses {missing[0]!r}")
            return method._schema.to_message(method.request, method.request(values))

        async def answer_later(pending: Any) -> Any:
            return method._answered(await pending)

        async def answers_later(pending: Any) -> AsyncIterator[Any]:
            async for message in pending:
                yield method._answered(message)

        def unary(_: Any, *arguments: Any, **named: Any) -> Any:
            question = ask(arguments, named)
            done = channel.unary(method.method, question, **named)
            return answer_later(done) if inspect.isawaitable(done) else method._answered(done)

        def server_stream(_: Any, *arguments: Any, **named: Any) -> Any:
            answers = channel.server_stream(method.method, ask(arguments, named), **named)
            return answers_later(answers) if hasattr(answers, "__aiter__") else map(method._answered, answers)

        def client_stream(_: Any, values: Any, **named: Any) -> Any:
            done = channel.client_stream(method.method, _converted(values, method._question), **named)
            return answer_later(done) if inspect.isawaitable(done) else method._answered(done)

        def bidi(_: Any, values: Any, **named: Any) -> Any:
            if hasattr(values, "__aiter__") or method._is_async:
                questions = _converted(values, method._question)
                return _both(channel.bidi(method.method, **named), questions, method._answered)
            raise TypeError(f"{method.name} streams both ways: call it over a Channel")

        calls = {Kind.UNARY: unary, Kind.SERVER_STREAM: server_stream, Kind.CLIENT_STREAM: client_stream}
        return calls.get(self.kind, bidi)


def _stream_of(hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    return arguments[0] if origin in (AsyncIterator, AsyncIterable, Iterator) and len(arguments) == 1 else None


def _converted(values: Any, convert: Callable[[Any], Any]) -> Any:
    async def each() -> AsyncIterator[Any]:
        async for value in values:
            yield convert(value)

    return each() if hasattr(values, "__aiter__") else map(convert, values)


async def _both(call: Any, questions: Any, answered: Callable[[Any], Any]) -> AsyncIterator[Any]:
    """Send and receive at once."""
    import asyncio

    async def send() -> None:
        if hasattr(questions, "__aiter__"):
            async for question in questions:
                await call.send(question)
        else:
            for question in questions:
                await call.send(question)
        await call.done()

    async with call:
        sending = asyncio.ensure_future(send())
        try:
            while (message := await call.receive()) is not None:
                yield answered(message)
            await sending
        finally:
            sending.cancel()
