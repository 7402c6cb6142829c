"""Requests held against the `buf.validate` annotations of their .proto, before their handlers."""

import asyncio
import importlib
import sys

import pytest
from echoservice import SAY, Echo, failure, serving, text
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from catenet.rpc import Channel, ChannelOptions, Code, Guard, RpcError
from catenet.rpc.compile import CompileError, compile_protos
from catenet.rpc.policy.audit import Audit
from catenet.rpc.policy.rules import Policy

PROTO = """
syntax = "proto3";
package annotated.v1;
import "buf/validate/validate.proto";
service Users {
  rpc Add(User) returns (User);
  rpc Load(stream User) returns (User);
}
message User {
  string email = 1 [(buf.validate.field).string.email = true];
  uint32 age = 2 [(buf.validate.field).uint32.lte = 150];
  repeated string tags = 3 [(buf.validate.field).repeated = {max_items: 2, items: {string: {min_len: 1}}}];
  map<string, int32> scores = 4 [(buf.validate.field).map.values.int32.gt = 0];
  string first = 5;
  string last = 6;
  User next = 7;
  option (buf.validate.message).cel = {
    id: "names", message: "first and last differ", expression: "this.first != this.last || this.first == ''"
  };
}
"""
WIRES = [ChannelOptions(), ChannelOptions(protocol="connect", codec="json", http1=True)]
GOOD = {"email": "a@example.org", "age": 7}


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    """The modules that `catenet rpc compile` makes, without any copy of the annotations."""
    folder = tmp_path_factory.mktemp("annotated")
    (folder / "annotated.proto").write_text(PROTO)
    compile_protos([folder / "annotated.proto"], out=folder)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("annotated_pb2"), importlib.import_module("annotated_rpc")
    sys.path.remove(str(folder))


def service(users, seen):
    class Users(users[1].UsersService):
        async def add(self, request, context):
            seen.append(request)
            return request

        async def load(self, requests, context):
            async for request in requests:
                seen.append(request)
            return request

    return Users()


def test_calls(users):
    user, methods = users[0].User, {method.name: method for method in users[1].USERS.methods}
    records, seen = [], []

    async def main():
        guard = Guard(validate=True, audit=Audit(records.append))
        async with serving(implementation=service(users, seen), guard=guard) as (_, _, url):
            for options in WIRES:
                async with Channel(url, options=options) as channel:
                    assert (await channel.unary(methods["Add"], user(**GOOD))).age == 7
                    error = await failure(channel.unary(methods["Add"], user(email="no", age=200)))
                    assert (error.code, error.detail(ErrorInfo).reason) == (Code.INVALID_ARGUMENT, "REQUEST_INVALID")
                    assert error.message == "email: must be a valid email address (and 1 more)"
                    found = error.detail(BadRequest).field_violations
                    assert [(one.field, one.reason) for one in found] == [
                        ("email", "string.email"),
                        ("age", "uint32.lte"),
                    ]
            async with Channel(url) as channel:
                with pytest.raises(RpcError) as caught:
                    await channel.client_stream(methods["Load"], [user(**GOOD), user(email="no"), user(**GOOD)])
                assert caught.value.code is Code.INVALID_ARGUMENT
        assert len(seen) == 3

    asyncio.run(main())
    assert sum(b'"rule":"validation"' in record for record in records) == 3


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"tags": ["a", ""]}, "tags[1]"),
        ({"tags": ["a", "b", "c"]}, "tags"),
        ({"scores": {"k": -1}}, 'scores["k"]'),
        ({"first": "a", "last": "a"}, ""),
        ({"next": {"email": "no"}}, "next.email"),
        ({"next": {**GOOD, "next": {**GOOD, "tags": [""]}}}, "next.next.tags[0]"),
    ],
)
def test_paths(users, given, path):
    from catenet.rpc.policy.validate import validator

    with pytest.raises(RpcError) as caught:
        validator(users[0].User.DESCRIPTOR)(users[0].User(**{**GOOD, **given}))
    (found,) = caught.value.detail(BadRequest).field_violations
    assert found.field == path


def test_many_violations_are_cut(users):
    from catenet.rpc.policy.validate import validator

    with pytest.raises(RpcError) as caught:
        validator(users[0].User.DESCRIPTOR)(users[0].User(**GOOD, scores={str(n): -n - 1 for n in range(200)}))
    assert len(caught.value.detail(BadRequest).field_violations) == 50
    assert caught.value.message.endswith("(and 199 more)")


def test_who_may_not_call_learns_nothing_of_the_rules(users):
    async def main():
        guard = Guard(Policy(), validate=True)
        async with serving(implementation=service(users, []), guard=guard) as (_, _, url), Channel(url) as channel:
            error = await failure(channel.unary(users[1].USERS.methods[0], users[0].User(email="no")))
            assert error.code is Code.UNAUTHENTICATED

    asyncio.run(main())


def test_what_has_no_annotations_is_not_looked_at():
    async def main():
        async with (
            serving(implementation=Echo(), guard=Guard(validate=True)) as (server, _, url),
            Channel(url) as channel,
        ):
            assert (await channel.unary(SAY, text("a"))).value == "a"
            assert all(binding.gate is None for binding in server._bindings.values())

    asyncio.run(main())


def test_annotations_that_cannot_be(tmp_path):
    (tmp_path / "wrong_cel.proto").write_text(
        'syntax = "proto3"; package wrong.cel; import "buf/validate/validate.proto";\n'
        "message M { string a = 1 [(buf.validate.field).cel = {id: 'x', expression: 'this +'}]; }"
    )
    compile_protos([tmp_path / "wrong_cel.proto"], out=tmp_path)
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("wrong_cel_pb2")
    finally:
        sys.path.remove(str(tmp_path))
    from catenet.rpc.policy.validate import validator

    with pytest.raises(ValueError, match=r"wrong.cel.M: annotations of buf.validate"):
        validator(module.M.DESCRIPTOR)


def test_other_files_that_are_missing_are_told_as_before(tmp_path):
    (tmp_path / "a.proto").write_text('syntax = "proto3"; import "buf/validate/other.proto";')
    with pytest.raises(CompileError, match=r"buf/validate/other\.proto"):
        compile_protos([tmp_path / "a.proto"], out=tmp_path)
