from collections import abc as _abc
import builtins as _builtins
import datetime as _datetime
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
import typing as _typing
from google.protobuf import timestamp_pb2 as _timestamp_pb2

DESCRIPTOR: _descriptor.FileDescriptor

class GetRequest(_message.Message):
    GAME_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    game: _builtins.str
    def __init__(self, *, game: _builtins.str | None = ...) -> None: ...

class TopRequest(_message.Message):
    GAME_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    LIMIT_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    game: _builtins.str
    limit: _builtins.int
    def __init__(self, *, game: _builtins.str | None = ..., limit: _builtins.int | None = ...) -> None: ...

class Score(_message.Message):
    GAME_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    PLAYER_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    POINTS_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    WHEN_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    ID_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    game: _builtins.str
    player: _builtins.str
    points: _builtins.int
    when: _timestamp_pb2.Timestamp
    id: _builtins.str
    def __init__(self, *, game: _builtins.str | None = ..., player: _builtins.str | None = ..., points: _builtins.int | None = ..., when: _timestamp_pb2.Timestamp | _datetime.datetime | _abc.Mapping[_builtins.str, _builtins.object] | None = ..., id: _builtins.str | None = ...) -> None: ...

class Rank(_message.Message):
    GAME_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    PLAYER_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    PLACE_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    game: _builtins.str
    player: _builtins.str
    place: _builtins.int
    def __init__(self, *, game: _builtins.str | None = ..., player: _builtins.str | None = ..., place: _builtins.int | None = ...) -> None: ...

class LoadSummary(_message.Message):
    SCORES_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    RECORDS_FIELD_NUMBER: _typing.ClassVar[_builtins.int]
    scores: _builtins.int
    records: _builtins.int
    def __init__(self, *, scores: _builtins.int | None = ..., records: _builtins.int | None = ...) -> None: ...
