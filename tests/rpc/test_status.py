import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from catenet.rpc.model.status import CODE_FROM_HTTP, Code, Detail, RpcError, pack_status, unpack_details

grpc = pytest.importorskip("grpc", reason="grpcio is the oracle of the code numbers")


def test_numbers_and_names_are_those_of_grpc():
    assert {code.name: int(code) for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_connect_names_are_those_of_connectrpc():
    connect = pytest.importorskip("connectrpc.code", reason="connectrpc is the oracle of the names")
    ours = {code.connect_name for code in Code if code is not Code.OK}
    assert ours == {code.value for code in connect.Code}
    assert all(Code.from_connect(name).connect_name == name for name in ours)
    assert Code.from_connect("ok") is None
    assert Code.from_connect("CANCELED") is None


@given(st.integers(-(2**31), 2**31))
def test_every_number_means_a_code(number):
    code = Code.from_number(number)
    assert code == number or (code is Code.UNKNOWN and not 0 <= number <= 16)


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_http_status_of_an_error_is_an_error(code):
    assert 400 <= code.http_status < 600


def test_foreign_http_answers():
    assert Code.from_http(404) is Code.UNIMPLEMENTED
    assert Code.from_http(503) is Code.UNAVAILABLE
    assert Code.from_http(418) is Code.UNKNOWN
    assert Code.from_http(200) is Code.UNKNOWN
    assert Code.OK not in CODE_FROM_HTTP.values()


def test_resets():
    assert Code.from_reset(0x7) is Code.UNAVAILABLE
    assert Code.from_reset(0x8) is Code.CANCELLED
    assert Code.from_reset(0xFFFF) is Code.UNKNOWN


def test_details_travel_in_a_google_rpc_status():
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=3))
    error = RpcError(Code.UNAVAILABLE, "later", [retry, Detail("some.Unknown", b"\x08\x01")])
    status = status_pb2.Status.FromString(pack_status(error))
    assert (status.code, status.message) == (14, "later")
    assert status.details[0].Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    received = RpcError(Code.UNAVAILABLE, "later", unpack_details(pack_status(error)))
    assert received.detail(error_details_pb2.RetryInfo) == retry
    assert received.detail(error_details_pb2.DebugInfo) is None
    assert received.details[1] == Detail("some.Unknown", b"\x08\x01")


def test_details_that_do_not_parse_are_no_details():
    assert unpack_details(b"\xff\xff\xff") == ()
    assert Detail("google.rpc.RetryInfo", b"\xff").unpack(error_details_pb2.RetryInfo) is None


def test_ok_is_no_error():
    with pytest.raises(ValueError, match="code"):
        RpcError(Code.OK)


def test_text():
    assert str(RpcError(Code.NOT_FOUND, "no such game")) == "NOT_FOUND: no such game"
    assert str(RpcError(Code.NOT_FOUND)) == "NOT_FOUND"
