"""The pairs: which program has them, in which environment it runs, and what they are."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["PAIRS", "Pair"]


class Pair(NamedTuple):
    """A server and a client by the name that their program has for them. `environment`: its file of requirements."""

    name: str
    program: str
    environment: str
    server: str
    client: str


def _of(program: str, environment: str, *pairs: tuple[str, str, str]) -> tuple[Pair, ...]:
    return tuple(Pair(name, program, environment, server, client) for name, server, client in pairs)


PAIRS: Final = (
    *_of(
        "web",
        "web",
        ("aiohttp", "aiohttp", "aiohttp with aiodns installed, one session"),
        ("starlette", "starlette on uvicorn with uvloop installed", "httpx, async"),
        ("fastapi", "fastapi on uvicorn", "httpx"),
        ("hypercorn", "hypercorn on asyncio", "niquests"),
        ("hypercorn_module", "`python -m hypercorn`", "requests"),
        ("hypercorn_trio", "hypercorn on trio", "httpx on trio"),
        ("tornado", "tornado", "tornado"),
        ("sanic", "sanic with uvloop installed", "httpx"),
        ("bottle", "bottle on wsgiref", "urllib"),
        ("cherrypy", "CherryPy", "requests"),
        ("cheroot", "cheroot", "urllib3"),
        ("pyramid", "pyramid on waitress", "requests"),
        ("falcon", "falcon on wsgiref", "urllib3"),
        ("litestar", "litestar on uvicorn", "httpx, async"),
        ("blacksheep", "blacksheep on uvicorn", "aiohttp"),
        ("quart", "quart on hypercorn", "aiohttp"),
        ("flask", "flask on werkzeug", "requests, one session"),
        ("django", "Django's runserver", "requests"),
        ("daphne", "`python -m daphne`", "httpx"),
        ("gunicorn", "`python -m gunicorn -w 2`", "requests"),
        ("twisted", "twisted.web", "treq"),
        ("klein", "klein", "aiohttp"),
        ("wsgidav", "wsgidav on cheroot", "webdavclient3"),
        ("jsonrpc", "jsonrpclib-pelix", "jsonrpclib-pelix"),
        ("xmlrpc", "xmlrpc.server", "xmlrpc.client"),
        ("ariadne", "ariadne on uvicorn", "gql on aiohttp"),
    ),
    *_of(
        "sockets",
        "web",
        ("websockets", "websockets", "websockets"),
        ("websockets_sync", "websockets, threads", "websocket-client"),
        ("aiohttp_ws", "aiohttp WebSockets", "aiohttp"),
        ("tornado_ws", "tornado WebSockets", "tornado"),
        ("trio_websocket", "trio-websocket", "trio-websocket"),
        ("autobahn", "autobahn on Twisted", "autobahn on asyncio"),
        ("socketio", "python-socketio on aiohttp", "python-socketio, threads"),
        ("socketio_async", "python-socketio on uvicorn", "python-socketio, asyncio, reconnecting"),
        ("anyio", "anyio on asyncio", "anyio on trio"),
        ("trio", "trio", "trio"),
        ("socks", "socketserver (SOCKS 5)", "PySocks"),
    ),
    *_of(
        "mail",
        "wire",
        ("smtp", "aiosmtpd", "smtplib"),
        ("smtp_async", "aiosmtpd", "aiosmtplib"),
        ("pop3", "twisted.mail, POP3", "poplib"),
        ("imap", "twisted.mail, IMAP", "imaplib"),
        ("ftp", "pyftpdlib", "ftplib, MLSD's times compared with the clock"),
        ("ftp_async", "pyftpdlib", "aioftp"),
        ("aioftp", "aioftp", "ftplib"),
        ("asyncssh", "asyncssh, with SFTP", "asyncssh"),
        ("asyncssh_paramiko", "asyncssh", "paramiko"),
        ("paramiko", "paramiko", "paramiko"),
        ("telnet", "telnetlib3", "telnetlib3"),
        ("tftp", "tftpy", "tftpy"),
        ("irc", "irc", "irc"),
    ),
    *_of(
        "stores",
        "wire",
        ("redis", "fakeredis", "redis-py"),
        ("redis_async", "fakeredis", "redis-py, asyncio"),
        ("memcached", "socketserver (memcached)", "pymemcache"),
        ("mysql", "mysql-mimic", "PyMySQL"),
        ("mysql_async", "mysql-mimic", "aiomysql"),
        ("mysql_connector", "mysql-mimic", "mysql-connector-python"),
        ("postgres", "socketserver (PostgreSQL)", "pg8000"),
        ("postgres_async", "socketserver (PostgreSQL)", "asyncpg"),
        ("mqtt", "amqtt", "paho-mqtt, reconnecting"),
        ("mqtt_async", "amqtt", "aiomqtt"),
        ("nats", "asyncio (NATS)", "nats-py, reconnecting"),
        ("stomp", "socketserver (STOMP)", "stomp.py"),
        ("dns", "dnslib", "dnspython"),
        ("names", "twisted.names", "dnspython, asyncio"),
        ("ldap", "ldaptor", "ldap3"),
        ("snmp", "pysnmp", "pysnmp"),
        ("modbus", "pymodbus", "pymodbus"),
        ("modbus_async", "pymodbus", "pymodbus, asyncio"),
        ("opcua", "asyncua", "asyncua"),
        ("coap", "aiocoap", "aiocoap"),
        ("hl7", "hl7 (MLLP)", "hl7"),
        ("dicom", "pynetdicom", "pynetdicom"),
        ("syslog", "socketserver (UDP)", "logging.handlers.SysLogHandler"),
        ("quic", "aioquic", "aioquic"),
        ("ntp", "ntplib's packets", "ntplib"),
    ),
    *_of(
        "remote",
        "dist",
        ("rpyc", "rpyc", "rpyc"),
        ("pyro", "Pyro5", "Pyro5"),
        ("manager", "multiprocessing.managers", "multiprocessing.managers"),
        ("raft", "pysyncobj", "pysyncobj, two nodes"),
        ("kademlia", "kademlia", "kademlia"),
        ("huey", "huey and fakeredis", "huey"),
        ("celery", "celery, solo, and fakeredis", "celery"),
        ("celery_prefork", "celery, prefork, and fakeredis", "celery"),
        ("dramatiq", "dramatiq and fakeredis", "dramatiq"),
        ("kombu", "kombu and fakeredis", "kombu"),
        ("dask", "dask.distributed, scheduler and worker", "dask.distributed"),
        ("grpclib", "grpclib", "grpclib"),
        ("grpclib_catenet", "grpclib", "catenet.rpc"),
        ("thrift", "thriftpy2", "thriftpy2"),
        ("moto", "moto", "boto3 (S3)"),
        ("prometheus", "prometheus_client", "requests"),
        ("otel", "http.server", "OpenTelemetry's OTLP exporter over HTTP"),
        ("sentry", "http.server", "sentry-sdk"),
        ("statsd", "socketserver (UDP)", "statsd"),
        ("zmq", "pyzmq", "pyzmq"),
        ("grpcio", "grpcio", "grpcio"),
        ("libpq", "none", "psycopg2"),
    ),
)
