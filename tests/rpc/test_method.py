import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2

from catenet.rpc.model.method import Idempotency, Kind, Method, attribute_name, service_from_protobuf


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("Get", "get"),
        ("GetTopScores", "get_top_scores"),
        ("HTTPGet", "http_get"),
        ("GetV2", "get_v2"),
        ("Import", "import_"),
        ("already_snake", "already_snake"),
        ("Do_", "do_"),
        ("None", "none"),
        ("_", "_"),
        ("__", "__"),
        ("__init__", "init__"),
        ("__X", "x"),
        ("__1", "_1"),
        ("_private", "_private"),
        ("_channel", "_channel_"),
    ],
)
def test_python_names(name, attribute):
    assert attribute_name(name) == attribute


def test_method():
    method = Method("a.b.C", "DoIt", Kind.SERVER_STREAM, Empty, Empty)
    assert (method.path, method.full_name, method.attribute) == ("/a.b.C/DoIt", "a.b.C/DoIt", "do_it")
    assert (method.kind.client_streams, method.kind.server_streams) == (False, True)
    assert method.idempotency is Idempotency.UNKNOWN


def test_service_from_protobuf_uses_the_generated_classes():
    service = service_from_protobuf(health_pb2.DESCRIPTOR.services_by_name["Health"])
    assert [method.path for method in service][:1] == ["/grpc.health.v1.Health/Check"]
    assert service.method("Watch").kind is Kind.SERVER_STREAM
    assert service.method("Check").request is health_pb2.HealthCheckRequest
    assert service.method("Nope") is None
