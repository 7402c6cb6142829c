"""How a call ended: status codes, errors with typed details, and how HTTP and Connect spell them.

Every wire tells the same seventeen codes in another way: gRPC as a number in a trailer, Connect as a word in JSON
beside an HTTP status, HTTP/2 as a stream reset. The tables here are the only place that translates between them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from catenet.rpc.model.error_text import well_formed

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["CODE_FROM_HTTP", "Code", "Detail", "RpcError", "pack_status", "unpack_details"]

_M = TypeVar("_M", bound="Message")

TYPE_URL_PREFIX = "type.googleapis.com/"


class Code(enum.IntEnum):
    """The canonical status codes, by gRPC number (gRPC `statuscodes.md`)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def connect_name(self) -> str:
        """The code as Connect spells it in JSON, for example `invalid_argument`."""
        # Connect took the American spelling; gRPC has the British one.
        return "canceled" if self is Code.CANCELLED else self.name.lower()

    @property
    def http_status(self) -> int:
        """The HTTP status of a unary Connect response that ends with this code."""
        return HTTP_FROM_CODE[self]

    @classmethod
    def from_number(cls, number: int) -> Code:
        """Return the code with that gRPC number; numbers nobody assigned mean `UNKNOWN`."""
        return cls(number) if 0 <= number <= 16 else cls.UNKNOWN

    @classmethod
    def from_connect(cls, name: str) -> Code | None:
        """Return the code that Connect spells `name`, or None if there is none."""
        return _CODE_FROM_CONNECT.get(name)

    @classmethod
    def from_http(cls, status: int) -> Code:
        """Return the code for an HTTP response that carries no status of its own.

        gRPC (`http-grpc-status-mapping.md`) and Connect agree on this table.
        """
        return CODE_FROM_HTTP.get(status, cls.UNKNOWN)

    @classmethod
    def from_reset(cls, error_code: int) -> Code:
        """Return the code for a stream that ended with RST_STREAM and this HTTP/2 error code."""
        return CODE_FROM_RESET.get(error_code, cls.UNKNOWN)


# Connect protocol, "Error codes".
HTTP_FROM_CODE: dict[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

# The answer of something that is no RPC server (a proxy, a web server).
CODE_FROM_HTTP: dict[int, Code] = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}

# gRPC PROTOCOL-HTTP2, "HTTP2 Transport Mapping / Errors". REFUSED_STREAM promises that nothing was processed.
CODE_FROM_RESET: dict[int, Code] = {
    0x0: Code.INTERNAL,  # NO_ERROR
    0x1: Code.INTERNAL,  # PROTOCOL_ERROR
    0x2: Code.INTERNAL,  # INTERNAL_ERROR
    0x3: Code.INTERNAL,  # FLOW_CONTROL_ERROR
    0x4: Code.INTERNAL,  # SETTINGS_TIMEOUT
    0x6: Code.INTERNAL,  # FRAME_SIZE_ERROR
    0x7: Code.UNAVAILABLE,  # REFUSED_STREAM
    0x8: Code.CANCELLED,  # CANCEL
    0x9: Code.INTERNAL,  # COMPRESSION_ERROR
    0xA: Code.INTERNAL,  # CONNECT_ERROR
    0xB: Code.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    0xC: Code.PERMISSION_DENIED,  # INADEQUATE_SECURITY
}

_CODE_FROM_CONNECT = {code.connect_name: code for code in Code if code is not Code.OK}


@dataclass(frozen=True, slots=True)
class Detail:
    """One typed detail of an error, still in its wire form: a full protobuf type name and the encoded message."""

    type_name: str
    value: bytes

    @classmethod
    def pack(cls, message: Message) -> Detail:
        """Wrap a protobuf message, for example one of `google.rpc.error_details_pb2`."""
        return cls(message.DESCRIPTOR.full_name, message.SerializeToString())

    def unpack(self, message_class: type[_M]) -> _M | None:
        """Return the detail as a message of that class, or None if it is of another type or does not parse."""
        from google.protobuf.message import DecodeError

        if self.type_name != message_class.DESCRIPTOR.full_name:
            return None
        message = message_class()
        try:
            message.ParseFromString(self.value)
        except DecodeError:
            return None
        return message


class RpcError(Exception):
    """A call that did not end well: raised by handlers to answer with a status, and by clients that received one.

    `code` is never `OK`; a number that is no status code raises `ValueError`. `details` are the typed messages
    of `google.rpc.Status.details`; give protobuf messages or `Detail`, read them with `detail`.
    `metadata` holds the pairs (trailing metadata) that came with the status at a client, or that a handler wants
    sent with it.
    """

    def __init__(
        self,
        code: Code | int,
        message: object = "",
        details: Iterable[Message | Detail] = (),
        metadata: Sequence[tuple[str, str | bytes]] = (),
    ) -> None:
        known = code if isinstance(code, Code) else _code_of(code)
        if known is Code.OK:
            raise ValueError("code: an RpcError cannot be OK")
        # Not a text: an exception, mostly. Better what it says than another exception in its place.
        text = message if isinstance(message, str) else str(message)
        super().__init__(known, text)
        self.code: Code = known
        self.message: str = text
        self.details = tuple(item if isinstance(item, Detail) else Detail.pack(item) for item in details)
        self.metadata = tuple(metadata)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name

    def detail(self, message_class: type[_M]) -> _M | None:
        """Return the first detail of that message class, or None."""
        for item in self.details:
            message = item.unpack(message_class)
            if message is not None:
                return message
        return None


def _code_of(number: object) -> Code:
    """Return the code that an integer stands for; raise `ValueError`."""
    if isinstance(number, int) and 0 <= number <= 16:
        return Code(number)
    raise ValueError(f"code: {number!r} is no status code; take one of Code")


def pack_status(error: RpcError) -> bytes:
    """Encode an error as `google.rpc.Status`, the content of `grpc-status-details-bin`."""
    from google.rpc import status_pb2

    status = status_pb2.Status(code=int(error.code), message=well_formed(error.message))
    for item in error.details:
        status.details.add(type_url=well_formed(TYPE_URL_PREFIX + item.type_name), value=item.value)
    return bytes(status.SerializeToString())


def unpack_details(data: bytes) -> tuple[Detail, ...]:
    """Return the details in an encoded `google.rpc.Status`; none if the peer sent something else."""
    from google.protobuf.message import DecodeError
    from google.rpc import status_pb2

    try:
        status = status_pb2.Status.FromString(data)
    except DecodeError:
        return ()
    return tuple(Detail(item.type_url.rpartition("/")[2], item.value) for item in status.details)
