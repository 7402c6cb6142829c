"""Programs for `grpc` on our stand-in: what they see is what grpcio lets them see."""

from __future__ import annotations

import signal
import threading
from concurrent import futures

import pytest


@pytest.fixture(scope="module")
def noted():
    """What handlers saw, for tests that wait for it."""
    return {"over": threading.Event(), "gone": threading.Event(), "entered": threading.Event(), "names": []}


@pytest.fixture(scope="module")
def servicer(api, generated, noted):
    Message = generated.Message

    class Echo(generated.EchoServicer):
        def Unary(self, request, context):
            match request.text:
                case "abort":
                    context.abort(api.StatusCode.NOT_FOUND, "no such")
                case "code":
                    context.set_code(api.StatusCode.ALREADY_EXISTS)
                    context.set_details("there")
                    return Message()
                case "raise":
                    raise ValueError("bad thing")
                case "slow":
                    noted["over"].wait(5)
                case "metadata":
                    context.send_initial_metadata((("x-first", "1"),))
                    context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\0\1")))
                    seen = sorted((k, v) for k, v in context.invocation_metadata() if k.startswith("x-"))
                    return Message(text=repr(seen))
                case "who":
                    key, names = context.peer_identity_key(), context.peer_identities()
                    token = [v for k, v in context.invocation_metadata() if k == "authorization"]
                    return Message(text=repr((context.peer().partition(":")[0], key, names, token)))
                case "time":
                    return Message(text=str(round(context.time_remaining())))
                case "status":
                    from google.protobuf.any_pb2 import Any
                    from google.rpc import error_details_pb2, status_pb2

                    detail = Any()
                    detail.Pack(error_details_pb2.ErrorInfo(reason="because"))
                    status = status_pb2.Status(code=3, message="bad arguments", details=[detail])

                    class Status(api.Status):
                        code = api.StatusCode.INVALID_ARGUMENT
                        details = status.message
                        trailing_metadata = (("grpc-status-details-bin", status.SerializeToString()),)

                    context.abort_with_status(Status())
                case "big":
                    return Message(data=bytes(request.count))
                case "callback":
                    assert context.is_active()
                    assert context.add_callback(noted["over"].set)
            return Message(text=request.text.upper())

        def Down(self, request, context):
            for number in range(request.count):
                if request.text == "fail" and number == 2:
                    context.abort(api.StatusCode.DATA_LOSS, "lost")
                yield Message(count=number)
            context.set_trailing_metadata((("x-last", "v"),))

        def Up(self, requests, context):
            context.add_callback(noted["gone"].set)
            count = 0
            for request in requests:
                noted["entered"].set()
                count += request.count
            return Message(count=count)

        def Both(self, requests, context):
            for request in requests:
                yield Message(text=request.text * 2)

    return Echo()


@pytest.fixture(scope="module")
def server(api, generated, servicer, authority, noted, tmp_path_factory):
    """A server on TCP, on TLS, on TLS with certificates of clients, and on a Unix socket; ports or path by name."""

    class Interceptor(api.ServerInterceptor):
        def intercept_service(self, continuation, details):
            noted["names"].append(details.method)
            if dict(details.invocation_metadata).get("x-deny"):

                def deny(request, context):
                    context.abort(api.StatusCode.UNAUTHENTICATED, "nope")

                return api.unary_unary_rpc_method_handler(deny)
            return continuation(details)

    path = tmp_path_factory.mktemp("unix") / "socket"
    server = api.server(
        futures.ThreadPoolExecutor(8),
        interceptors=[Interceptor()],
        options=[("grpc.max_receive_message_length", 100_000)],
    )
    generated.add(servicer, server)
    mutual = api.ssl_server_credentials([authority.server], authority.root, True)
    assert server.add_insecure_port(f"unix:{path}") == 1
    ports = {
        "tcp": server.add_insecure_port("127.0.0.1:0"),
        "tls": server.add_secure_port("localhost:0", api.ssl_server_credentials([authority.server])),
        "mutual": server.add_secure_port("localhost:0", mutual),
        "unix": path,
    }
    server.start()
    with pytest.raises(ValueError, match="already-started"):
        server.start()
    yield ports
    assert server.stop(1).wait(10)
    assert server.wait_for_termination(5) is False
    assert not path.exists()


@pytest.fixture(scope="module")
def channel(api, server):
    with api.insecure_channel(f"127.0.0.1:{server['tcp']}") as channel:
        api.channel_ready_future(channel).result(timeout=10)
        yield channel


@pytest.fixture(scope="module")
def stub(generated, channel):
    return generated.EchoStub(channel)


@pytest.fixture(scope="module")
def Message(generated):
    return generated.Message


def texts(metadata):
    return [tuple(pair) for pair in metadata]


def test_each_kind_of_call(stub, Message):
    assert stub.Unary(Message(text="hi")).text == "HI"
    assert [answer.count for answer in stub.Down(Message(count=3))] == [0, 1, 2]
    assert stub.Up(iter([Message(count=2), Message(count=3)])).count == 5
    assert [answer.text for answer in stub.Both(iter([Message(text="a"), Message(text="b")]))] == ["aa", "bb"]


@pytest.mark.parametrize(
    ("text", "code", "details"),
    [
        ("abort", "NOT_FOUND", "no such"),
        ("code", "ALREADY_EXISTS", "there"),
        ("raise", "UNKNOWN", "Exception calling application: bad thing"),
    ],
)
def test_how_a_handler_ends_is_how_the_call_ends(api, stub, Message, text, code, details):
    with pytest.raises(api.RpcError) as raised:
        stub.Unary(Message(text=text))
    error = raised.value
    assert isinstance(error, api.Call) and isinstance(error, api.Future)
    assert (error.code(), error.details()) == (api.StatusCode[code], details)
    assert details in str(error)


def test_a_deadline(api, stub, Message, noted):
    noted["over"].clear()
    with pytest.raises(api.RpcError) as raised:
        stub.Unary(Message(text="slow"), timeout=0.1)
    noted["over"].set()
    assert (raised.value.code(), raised.value.details()) == (api.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert stub.Unary(Message(text="time"), timeout=50).text in ("49", "50")


def test_metadata_both_ways(api, stub, Message):
    answer, call = stub.Unary.with_call(Message(text="metadata"), metadata=(("x-a", "1"), ("x-b-bin", b"\0")))
    assert answer.text == "[('x-a', '1'), ('x-b-bin', b'\\x00')]"
    assert texts(call.initial_metadata()) == [("x-first", "1")]
    assert texts(call.trailing_metadata()) == [("x-last", "2"), ("x-last-bin", b"\0\1")]
    assert (call.code(), call.is_active(), call.done()) == (api.StatusCode.OK, False, True)
    down = stub.Down(Message(count=1))
    assert [answer.count for answer in down] == [0]
    assert (down.code(), texts(down.trailing_metadata())) == (api.StatusCode.OK, [("x-last", "v")])


def test_a_stream_that_fails_raises_its_call(api, stub, Message):
    call = stub.Down(Message(text="fail", count=5))
    got = []
    with pytest.raises(api.RpcError) as raised:
        got.extend(answer.count for answer in iter(call.__next__, None) if got.append(answer.count))
    assert got == [0, 1]
    assert raised.value is call
    assert (call.code(), call.details()) == (api.StatusCode.DATA_LOSS, "lost")


def test_futures(api, stub, Message, noted):
    future, called = stub.Unary.future(Message(text="later")), threading.Event()
    future.add_done_callback(lambda _: called.set())
    assert future.result(timeout=10).text == "LATER"
    assert called.wait(10)
    assert (future.done(), future.running(), future.exception(), future.code()) == (
        True,
        False,
        None,
        api.StatusCode.OK,
    )
    assert stub.Unary.future(Message(text="abort")).exception(timeout=10).code() is api.StatusCode.NOT_FOUND
    noted["over"].clear()
    future = stub.Unary.future(Message(text="slow"))
    with pytest.raises(api.FutureTimeoutError):
        future.result(timeout=0.05)
    assert future.running() and future.cancel() and future.cancelled()
    with pytest.raises(api.FutureCancelledError):
        future.result(timeout=10)
    assert future.code() is api.StatusCode.CANCELLED
    noted["over"].set()


def test_a_stream_that_is_cancelled(api, stub, Message):
    call = stub.Down(Message(count=1_000_000))
    assert next(call).count == 0
    call.cancel()
    with pytest.raises(api.RpcError) as raised:
        for _ in call:
            pass
    assert raised.value.code() is api.StatusCode.CANCELLED
    assert raised.value.details() == "Locally cancelled by application!"


def test_a_handler_hears_that_its_caller_has_gone(stub, Message, noted):
    hold = threading.Event()
    noted["gone"].clear()
    noted["entered"].clear()

    def requests():
        yield Message(count=1)
        hold.wait(20)

    call = stub.Up.future(requests())
    assert noted["entered"].wait(20)
    assert call.cancel()
    hold.set()
    assert noted["gone"].wait(20)


def test_requests_that_fail_end_the_call(api, stub, Message):
    def requests():
        yield Message(count=1)
        raise RuntimeError("no more")

    with pytest.raises(api.RpcError) as raised:
        stub.Up(requests())
    assert (raised.value.code(), raised.value.details()) == (api.StatusCode.UNKNOWN, "Exception iterating requests!")


def test_callbacks_at_the_end(stub, Message, noted):
    noted["over"].clear()
    stub.Unary(Message(text="callback"))
    assert noted["over"].wait(10)


def test_what_nobody_serves(api, channel):
    with pytest.raises(api.RpcError) as raised:
        channel.unary_unary("/dropin.Echo/Nope")(b"")
    assert (raised.value.code(), raised.value.details()) == (api.StatusCode.UNIMPLEMENTED, "Method not found!")


def test_details_of_errors(api, stub, Message):
    from google.rpc import error_details_pb2, status_pb2

    with pytest.raises(api.RpcError) as raised:
        stub.Unary(Message(text="status"))
    assert raised.value.code() is api.StatusCode.INVALID_ARGUMENT
    packed = dict(texts(raised.value.trailing_metadata()))["grpc-status-details-bin"]
    status, info = status_pb2.Status.FromString(packed), error_details_pb2.ErrorInfo()
    assert (status.code, status.message) == (3, "bad arguments")
    assert status.details[0].Unpack(info) and info.reason == "because"


def test_tls_and_who_calls(api, generated, server, authority, Message):
    plain = api.ssl_channel_credentials(authority.root)
    with api.secure_channel(f"localhost:{server['tls']}", plain) as channel:
        kind, key, names, token = eval(generated.EchoStub(channel).Unary(Message(text="who")).text)
        assert kind in ("ipv4", "ipv6") and (key, names, token) == (None, None, [])
    key, chain = authority.client
    own = api.ssl_channel_credentials(authority.root, key, chain)
    both = api.composite_channel_credentials(own, api.access_token_call_credentials("secret"))
    with api.secure_channel(f"localhost:{server['mutual']}", both) as channel:
        _, key, names, token = eval(generated.EchoStub(channel).Unary(Message(text="who")).text)
        assert (key, names, token) == ("x509_subject_alternative_name", [b"client.test"], ["Bearer secret"])
    with api.secure_channel(f"localhost:{server['mutual']}", plain) as channel:
        with pytest.raises(api.RpcError) as raised:
            generated.EchoStub(channel).Unary(Message(text="who"), timeout=10)
        assert raised.value.code() is api.StatusCode.UNAVAILABLE


def test_plugins_for_metadata(api, generated, server, authority, Message):
    asked = []

    class Plugin(api.AuthMetadataPlugin):
        def __call__(self, context, callback):
            asked.append((context.service_url, context.method_name))
            callback((("authorization", "plug"),), None)

    def broken(context, callback):
        callback((), ValueError("no token"))

    with api.secure_channel(f"localhost:{server['tls']}", api.ssl_channel_credentials(authority.root)) as channel:
        stub = generated.EchoStub(channel)
        answer = stub.Unary(Message(text="who"), credentials=api.metadata_call_credentials(Plugin()))
        assert eval(answer.text)[3] == ["plug"]
        assert asked == [(f"https://localhost:{server['tls']}/dropin.Echo", "Unary")]
        with pytest.raises(api.RpcError) as raised:
            stub.Unary(Message(), credentials=api.metadata_call_credentials(broken))
        assert raised.value.code() is api.StatusCode.UNAVAILABLE
        assert raised.value.details() == "Getting metadata from plugin failed with error: no token"


def test_limits_and_compression(api, generated, server, Message):
    options = [("grpc.max_receive_message_length", 1000), ("grpc.max_send_message_length", 150_000)]
    with api.insecure_channel(f"unix:{server['unix']}", options, api.Compression.Gzip) as channel:
        stub = generated.EchoStub(channel)
        assert eval(stub.Unary(Message(text="who")).text)[0] == "unix"
        assert len(stub.Unary(Message(text="big", count=500)).data) == 500
        too_much = [Message(text="big", count=5000), Message(data=bytes(120_000)), Message(data=bytes(200_000))]
        for message in too_much:
            with pytest.raises(api.RpcError) as raised:
                stub.Unary(message)
            assert raised.value.code() is api.StatusCode.RESOURCE_EXHAUSTED


def test_interceptors_of_clients(api, generated, channel, Message):
    seen = []

    class Everything(
        api.UnaryUnaryClientInterceptor, api.UnaryStreamClientInterceptor, api.StreamUnaryClientInterceptor
    ):
        def intercept_unary_unary(self, continuation, details, request):
            class Details(api.ClientCallDetails):
                method, timeout, credentials = details.method, details.timeout, details.credentials
                metadata = [("x-deny", "1")] if request.text == "deny" else details.metadata

            call = continuation(Details(), request)
            seen.append(call.code())
            return call

        def intercept_unary_stream(self, continuation, details, request):
            for answer in continuation(details, request):
                answer.count += 10
                yield answer

        def intercept_stream_unary(self, continuation, details, requests):
            return continuation(details, (Message(count=request.count * 2) for request in requests))

    stub = generated.EchoStub(api.intercept_channel(channel, Everything()))
    assert stub.Unary(Message(text="a")).text == "A"
    with pytest.raises(api.RpcError) as raised:
        stub.Unary(Message(text="deny"))
    assert (raised.value.code(), raised.value.details()) == (api.StatusCode.UNAUTHENTICATED, "nope")
    assert seen == [api.StatusCode.OK, api.StatusCode.UNAUTHENTICATED]
    assert [answer.count for answer in stub.Down(Message(count=2))] == [10, 11]
    assert stub.Up(iter([Message(count=1)])).count == 2
    assert stub.Unary.future(Message(text="f")).result(timeout=10).text == "F"
    with pytest.raises(TypeError):
        api.intercept_channel(channel, object())


def test_connectivity(api, server):
    with api.insecure_channel(f"127.0.0.1:{server['tcp']}") as channel:
        states, ready = [], threading.Event()

        def changed(state):
            states.append(state)
            if state is api.ChannelConnectivity.READY:
                ready.set()

        channel.subscribe(changed, try_to_connect=True)
        assert ready.wait(10)
        assert states[0] is api.ChannelConnectivity.IDLE
        channel.unsubscribe(changed)
    with pytest.raises(ValueError, match="closed channel"):
        channel.unary_unary("/dropin.Echo/Unary")(b"")


def test_nobody_there(api, generated, Message):
    server = api.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    server.stop(None).wait(10)
    with api.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(api.RpcError) as raised:
            generated.EchoStub(channel).Unary(Message(), timeout=10)
        assert raised.value.code() is api.StatusCode.UNAVAILABLE
        with pytest.raises(api.FutureTimeoutError):
            api.channel_ready_future(channel).result(timeout=0.1)


def test_where_nobody_can_listen(api):
    server = api.server(futures.ThreadPoolExecutor(1))
    with pytest.raises(RuntimeError):
        server.add_insecure_port("192.0.2.1:0")
    server.stop(None).wait(10)


def test_a_limit_of_calls_at_once(api, generated, Message):
    entered, leave = threading.Event(), threading.Event()

    class Slow(generated.EchoServicer):
        def Unary(self, request, context):
            entered.set()
            leave.wait(20)
            return request

    server = api.server(futures.ThreadPoolExecutor(4), maximum_concurrent_rpcs=1)
    generated.add(Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with api.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = generated.EchoStub(channel)
        first = stub.Unary.future(Message(text="one"))
        assert entered.wait(10)
        with pytest.raises(api.RpcError) as raised:
            stub.Unary(Message(text="two"))
        assert raised.value.code() is api.StatusCode.RESOURCE_EXHAUSTED
        leave.set()
        assert first.result(timeout=10).text == "one"
    server.stop(None).wait(10)


def test_a_server_that_stops_lets_calls_end(api, generated, Message):
    entered, leave = threading.Event(), threading.Event()

    class Slow(generated.EchoServicer):
        def Unary(self, request, context):
            entered.set()
            leave.wait(20)
            return request

    server = api.server(futures.ThreadPoolExecutor(4))
    generated.add(Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with api.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = generated.EchoStub(channel).Unary.future(Message(text="last"))
        assert entered.wait(10)
        stopped = server.stop(20)
        assert not stopped.is_set()
        leave.set()
        assert call.result(timeout=10).text == "last"
        assert stopped.wait(10)


def test_handlers_of_any_method(api):
    """A proxy's handler, which finds one for each path and wants bytes."""

    class Proxy(api.GenericRpcHandler):
        def service(self, details):
            name = details.method

            def both(requests, context):
                for request in requests:
                    yield name.encode() + request

            return api.stream_stream_rpc_method_handler(both)

    server = api.server(futures.ThreadPoolExecutor(2), handlers=[Proxy()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with api.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/any.Thing/Do")(b"!") == b"/any.Thing/Do!"
        assert list(channel.stream_stream("/b.C/D")(iter([b"1", b"2"]))) == [b"/b.C/D1", b"/b.C/D2"]
    server.stop(None).wait(10)


def test_ctrl_c_while_a_call_blocks_breaks_it_off(api, generated, Message):
    entered, gone = threading.Event(), threading.Event()

    class Slow(generated.EchoServicer):
        def Unary(self, request, context):
            context.add_callback(gone.set)
            entered.set()
            gone.wait(20)
            return request

    def press():
        assert entered.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    server = api.server(futures.ThreadPoolExecutor(4))
    generated.add(Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with api.insecure_channel(f"127.0.0.1:{port}") as channel:
        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            generated.EchoStub(channel).Unary(Message(text="slow"))
    assert gone.wait(10)  # grpcio breaks it off at the latest with its channel
    server.stop(None).wait(10)


def test_what_cannot_be_sent_ends_a_call_that_blocks(api, channel):
    with pytest.raises((api.RpcError, TypeError)):
        channel.unary_unary("/a.B/C", request_serializer=lambda message: "text")(b"")


def test_a_response_that_cannot_be_read(api, channel, generated, Message):
    def refuse(data):
        raise ValueError("no")

    with pytest.raises(api.RpcError) as raised:
        channel.unary_unary(f"/{generated.name}/Unary", Message.SerializeToString, refuse)(Message(text="x"))
    assert (raised.value.code(), raised.value.details()) == (
        api.StatusCode.INTERNAL,
        "Exception deserializing response!",
    )
