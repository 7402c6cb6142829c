"""Libraries beside the standard one that call the operating system by themselves, refused where they begin."""

from __future__ import annotations

from typing import Final

from catenet.world.patches.table.row import OWN_PROCESS, REFUSED, REPLACED, Row

__all__ = ["ROWS"]

ANOTHER_LOOP: Final = "use asyncio's own event loop (asyncio.run)"
PYTHON_CLIENT: Final = "use urllib, requests or httpx"
PYTHON_DRIVER: Final = "use a driver written in Python (such as pg8000, PyMySQL, aiokafka)"
PYTHON_SERVER: Final = "use a server written in Python (such as uvicorn, hypercorn, catenet serve asgi)"
ANOTHER_GRPC: Final = "use a pure Python implementation (catenet.rpc)"
NO_LIBEV: Final = "its loop waits in C (libev, libuv); use threads, which are greenlets here, or eventlet"

ROWS: Final = (
    Row("uvloop", REFUSED, "use uvloop.new_event_loop, which makes asyncio's own here", "Loop.__init__"),
    Row("uvloop", REPLACED, "asyncio's own event loop takes its place", "install new_event_loop run"),
    Row("winloop", REFUSED, ANOTHER_LOOP, "EventLoopPolicy install new_event_loop run"),
    Row("grpc._channel", REFUSED, ANOTHER_GRPC, "Channel.__init__"),
    Row("grpc._server", REFUSED, ANOTHER_GRPC, "_Server.__init__"),
    Row("grpc.aio._channel", REFUSED, ANOTHER_GRPC, "Channel.__init__"),
    Row("grpc.aio._server", REFUSED, ANOTHER_GRPC, "Server.__init__"),
    Row("psycopg.connection", REFUSED, PYTHON_DRIVER, "Connection.connect"),
    Row("psycopg.connection_async", REFUSED, PYTHON_DRIVER, "AsyncConnection.connect"),
    Row("psycopg", REFUSED, PYTHON_DRIVER, "connect"),
    Row("psycopg2", REFUSED, PYTHON_DRIVER, "connect"),
    Row("MySQLdb", REFUSED, PYTHON_DRIVER, "Connect Connection connect"),
    Row("pycares", REFUSED, "use the system's resolver (socket.getaddrinfo)", "Channel"),
    Row("pycurl", REFUSED, PYTHON_CLIENT, "Curl CurlMulti"),
    Row("curl_cffi.curl", REFUSED, PYTHON_CLIENT, "Curl"),
    Row("curl_cffi.aio", REFUSED, PYTHON_CLIENT, "AsyncCurl"),
    Row("primp", REFUSED, PYTHON_CLIENT, "AsyncClient Client"),
    Row("confluent_kafka.cimpl", REFUSED, PYTHON_DRIVER, "Consumer Producer"),
    Row("confluent_kafka", REFUSED, PYTHON_DRIVER, "Consumer Producer"),
    Row("confluent_kafka.admin", REFUSED, PYTHON_DRIVER, "AdminClient.__init__"),
    Row("pymssql", REFUSED, PYTHON_DRIVER, "connect"),
    Row("_mysql_connector", REFUSED, PYTHON_DRIVER, "MySQL"),
    Row("_tkinter", REFUSED, "hosts have no display; use sockets for what Tcl would do", "create"),
    Row("zmq.sugar.context", REFUSED, "use sockets or asyncio streams", "Context.__init__"),
    Row("granian.server.common", REFUSED, PYTHON_SERVER, "AbstractServer.__init__"),
    Row("gevent.monkey", REFUSED, NO_LIBEV, "patch_all patch_socket"),
    Row("gevent.hub", REFUSED, NO_LIBEV, "Hub.__init__"),
    Row("eventlet", REFUSED, OWN_PROCESS, "monkey_patch"),
)
