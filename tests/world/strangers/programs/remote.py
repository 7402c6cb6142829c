"""Calls, tasks, replicated state, and clients of services: what makes several hosts one program."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import steady


def in_thread(function: Any, *args: Any) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def wait_for_ever() -> None:
    while True:
        time.sleep(3600)


def redis_server() -> None:
    """A server of Redis in this program, for those that keep their tasks there."""
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("0.0.0.0", 6379))
    server.daemon_threads = True
    in_thread(server.serve_forever)


def redis_client(host: str) -> Any:
    import redis

    return redis.Redis(host, socket_timeout=5, socket_connect_timeout=5)


def double(number: int) -> int:
    return 2 * number


def serve_rpyc() -> None:
    import rpyc
    from rpyc.utils.server import ThreadedServer

    class Service(rpyc.Service):
        exposed_double = staticmethod(double)

    ThreadedServer(Service, port=18861).start()


def ask_rpyc(host: str) -> Any:
    import rpyc

    connection = rpyc.connect(host, 18861, config={"sync_request_timeout": 8})
    try:
        assert connection.root.double(21) == 42
        return connection.root.double([1, 2])
    finally:
        connection.close()


def serve_pyro() -> None:
    import Pyro5.api

    class Doubler:
        @Pyro5.api.expose
        def double(self, number: int) -> int:
            return 2 * number

    daemon = Pyro5.api.Daemon(host="0.0.0.0", port=9090)
    daemon.register(Doubler(), "doubler")
    daemon.requestLoop()


def ask_pyro(host: str) -> Any:
    import Pyro5.api

    with Pyro5.api.Proxy(f"PYRO:doubler@{host}:9090") as proxy:
        proxy._pyroTimeout = 5
        assert proxy.double(21) == 42
        return proxy.double(4)


def manager() -> Any:
    from multiprocessing.managers import BaseManager

    class Manager(BaseManager):
        pass

    Manager.register("double", double)
    return Manager


def serve_manager() -> None:
    manager()(("", 5000), b"secret").get_server().serve_forever()


def ask_manager(host: str) -> Any:
    client = manager()((host, 5000), b"secret")
    client.connect()
    found = client.double(21)._getvalue()
    assert found == 42
    return found


def counter(mine: str, other: str) -> Any:
    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Counter(SyncObj):
        def __init__(self) -> None:
            super().__init__(mine, [other], SyncObjConf(dynamicMembershipChange=False))
            self.count = 0

        @replicated
        def add(self, number: int) -> int:
            self.count += number
            return self.count

    return Counter()


def serve_raft() -> None:
    import socket

    mine = socket.gethostname() if socket.gethostname() == "server" else "127.0.0.1"
    other = "client" if mine == "server" else mine
    counter(f"{mine}:4321", f"{other}:4322")
    wait_for_ever()


def open_raft(host: str) -> Any:
    mine = "client" if host == "server" else "127.0.0.1"
    node = counter(f"{mine}:4322", f"{host}:4321")

    def once() -> Any:
        found = node.add(1, sync=True, timeout=10)
        assert node.isReady() and node._getLeader() is not None
        return found

    return once


async def serve_kademlia() -> None:
    from kademlia.network import Server

    server = Server()
    await server.listen(8468)
    await asyncio.Event().wait()


async def ask_kademlia(host: str) -> Any:
    import socket

    from kademlia.network import Server

    server = Server()
    await server.listen(8469)
    try:
        await server.bootstrap([(socket.gethostbyname(host), 8468)])
        assert await server.set("key", "value")
        found = await server.get("key")
        assert found == "value", found
        return found
    finally:
        server.stop()


def huey_of(host: str) -> Any:
    import huey

    found = huey.RedisHuey("stranger", host=host)
    return found, found.task()(double)


def serve_huey() -> None:
    redis_server()
    time.sleep(0.5)
    queue, _ = huey_of("127.0.0.1")
    queue.create_consumer(workers=2).run()


def open_huey(host: str) -> Any:
    _, task = huey_of(host)

    def once() -> Any:
        found = task(21).get(blocking=True, timeout=10)
        assert found == 42
        return found

    return once


def celery_of(host: str) -> Any:
    import celery

    app = celery.Celery("stranger", broker=f"redis://{host}/0", backend=f"redis://{host}/1")
    app.conf.update(broker_connection_retry_on_startup=True, redis_socket_timeout=5, redis_socket_connect_timeout=5)
    return app, app.task(name="double")(double)


def serve_celery() -> None:
    redis_server()
    time.sleep(0.5)
    app, _ = celery_of("127.0.0.1")
    app.worker_main(["worker", "--pool", "solo", "--loglevel", "WARNING", "--without-mingle", "--without-gossip"])


def serve_celery_prefork() -> None:
    redis_server()
    time.sleep(0.5)
    app, _ = celery_of("127.0.0.1")
    app.worker_main(["worker", "-c", "2", "--loglevel", "WARNING", "--without-mingle", "--without-gossip"])


def open_celery(host: str) -> Any:
    _, task = celery_of(host)

    def once() -> Any:
        found = task.apply_async((21,), retry=False).get(timeout=10)
        assert found == 42
        return found

    return once


open_celery_prefork = open_celery


def dramatiq_of(host: str) -> Any:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker = RedisBroker(client=redis_client(host))
    broker.add_middleware(Results(backend=RedisBackend(client=redis_client(host))))
    dramatiq.set_broker(broker)
    return broker, dramatiq.actor(double, broker=broker, store_results=True)


def serve_dramatiq() -> None:
    import dramatiq

    redis_server()
    time.sleep(0.5)
    broker, _ = dramatiq_of("127.0.0.1")
    dramatiq.Worker(broker, worker_threads=2).start()
    wait_for_ever()


def open_dramatiq(host: str) -> Any:
    _, actor = dramatiq_of(host)

    def once() -> Any:
        found = actor.send(21).get_result(block=True, timeout=10_000)
        assert found == 42
        return found

    return once


def serve_kombu() -> None:
    """Takes from one queue, and puts the double into another."""
    import kombu

    redis_server()
    time.sleep(0.5)
    with kombu.Connection("redis://127.0.0.1/") as connection:
        with connection.SimpleQueue("asked") as asked, connection.SimpleQueue("answered") as answered:
            while True:
                message = asked.get()
                answered.put(double(message.payload))
                message.ack()


def ask_kombu(host: str) -> Any:
    import kombu

    options = {"socket_timeout": 5, "socket_connect_timeout": 5}
    with kombu.Connection(f"redis://{host}/", transport_options=options) as connection:
        with connection.SimpleQueue("asked") as asked, connection.SimpleQueue("answered") as answered:
            asked.put(21)
            message = answered.get(timeout=8)
            message.ack()
            assert message.payload == 42
            return message.payload


async def serve_dask() -> None:
    from distributed import Scheduler, Worker

    async with Scheduler(host="0.0.0.0", port=8786, dashboard=False) as scheduler:
        async with Worker(scheduler.address.replace("0.0.0.0", "127.0.0.1"), nthreads=2, dashboard=False):
            await scheduler.finished()


def ask_dask(host: str) -> Any:
    from distributed import Client

    with Client(f"tcp://{host}:8786", timeout=10, set_as_default=False) as client:
        found = client.submit(double, 21).result(timeout=10)
        assert found == 42
        return found, sorted(client.gather(client.map(double, range(5)))) == [0, 2, 4, 6, 8]


def grpc_service() -> Any:
    """The Health service of grpclib, which comes with its own stubs."""
    from grpclib.health.service import Health

    return Health()


async def serve_grpclib() -> None:
    from grpclib.server import Server

    server = Server([grpc_service()])
    await server.start("0.0.0.0", 50051)
    await server.wait_closed()


async def ask_grpclib(host: str) -> Any:
    from grpclib.client import Channel
    from grpclib.health.v1.health_grpc import HealthStub
    from grpclib.health.v1.health_pb2 import HealthCheckRequest

    channel = Channel(host, 50051)
    try:
        found = await HealthStub(channel).Check(HealthCheckRequest(), timeout=8)
    finally:
        channel.close()
    assert found.status == 1
    return found.status


serve_grpclib_catenet = serve_grpclib


def ask_grpclib_catenet(host: str) -> Any:
    from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    from catenet.rpc import grpc

    with grpc.insecure_channel(f"{host}:50051") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        found = check(HealthCheckRequest(), timeout=8)
    assert found.status == 1
    return found.status


def serve_thrift() -> None:
    import thriftpy2
    from thriftpy2.rpc import make_server

    class Service:
        twice = staticmethod(double)

    make_server(thrift_service(thriftpy2), Service(), "0.0.0.0", 9090).serve()


def thrift_service(thriftpy2: Any) -> Any:
    import io

    text = io.StringIO("service Doubler { i32 twice(1: i32 number) }")
    return thriftpy2.load_fp(text, "doubler_thrift").Doubler


def ask_thrift(host: str) -> Any:
    import thriftpy2
    from thriftpy2.rpc import client_context

    with client_context(thrift_service(thriftpy2), host, 9090, timeout=5000) as client:
        assert client.twice(21) == 42
        return client.twice(4)


def serve_moto() -> None:
    from moto.server import ThreadedMotoServer

    ThreadedMotoServer("0.0.0.0", 5000, verbose=False).start()
    wait_for_ever()


def ask_moto(host: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=10, s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", "us-east-1", endpoint_url=f"http://{host}:5000", aws_access_key_id="x", aws_secret_access_key="y",
        config=config,
    )  # fmt: skip
    client.create_bucket(Bucket="things")
    client.put_object(Bucket="things", Key="a", Body=b"text" * 1000)
    assert client.get_object(Bucket="things", Key="a")["Body"].read() == b"text" * 1000
    return [found["Key"] for found in client.list_objects_v2(Bucket="things")["Contents"]]


def serve_prometheus() -> None:
    import prometheus_client

    prometheus_client.start_http_server(8000)
    count = prometheus_client.Counter("seconds_up", "Seconds since the start.")
    while True:
        time.sleep(1)
        count.inc()


def ask_prometheus(host: str) -> Any:
    import requests
    from prometheus_client.parser import text_string_to_metric_families

    text = requests.get(f"http://{host}:8000/metrics", timeout=5).text
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(text) if family.samples}
    assert found["seconds_up"] >= 0
    return found["seconds_up"]


def serve_collector() -> None:
    """Takes whatever is posted, and says how much of it there was."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = len(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            print(self.path, size > 10, flush=True)

        def log_message(self, *words: Any) -> None:
            pass

    ThreadingHTTPServer(("", 4318), Handler).serve_forever()


serve_otel = serve_sentry = serve_collector


def open_otel(host: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

    class Noted(SpanExporter):
        def __init__(self) -> None:
            self.exporter = OTLPSpanExporter(f"http://{host}:4318/v1/traces", timeout=5)
            self.results: list[Any] = []

        def export(self, spans: Any) -> Any:
            self.results.append(self.exporter.export(spans))
            return self.results[-1]

    noted = Noted()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(noted))

    def once() -> Any:
        with provider.get_tracer("stranger").start_as_current_span("work"):
            time.sleep(0.1)
        assert noted.results[-1].name == "SUCCESS", noted.results[-1]
        return len(noted.results)

    return once


def open_sentry(host: str) -> Any:
    import sentry_sdk

    sentry_sdk.init(f"http://key@{host}:4318/1", shutdown_timeout=1)

    def once() -> Any:
        found = sentry_sdk.capture_message("something happened")
        sentry_sdk.flush(8)
        return found

    return once


def serve_zmq() -> None:
    import zmq

    zmq.Context()


def ask_zmq(host: str) -> Any:
    import zmq

    return zmq.Context()


def serve_grpcio() -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    grpc.server(ThreadPoolExecutor(2)).start()
    wait_for_ever()


def ask_grpcio(host: str) -> Any:
    import grpc

    with grpc.insecure_channel(f"{host}:50051") as channel:
        return repr(channel)


def serve_libpq() -> None:
    wait_for_ever()


def ask_libpq(host: str) -> Any:
    import psycopg2

    try:
        psycopg2.connect(host=host, user="user", connect_timeout=2)
    except psycopg2.OperationalError as error:
        return type(error).__name__


def serve_statsd() -> None:
    import socketserver

    class Handler(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.request[1].sendto(self.request[0], (self.client_address[0], 8126))

    socketserver.ThreadingUDPServer(("", 8125), Handler).serve_forever()


def ask_statsd(host: str) -> Any:
    import socket

    import statsd

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("", 8126))
        heard.settimeout(2)
        statsd.StatsClient(host).incr("things", 3)
        found = heard.recv(100)
    assert found == b"things:3|c"
    return found


if __name__ == "__main__":
    steady.main(globals())
