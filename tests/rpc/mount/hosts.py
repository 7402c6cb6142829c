"""Servers of others that carry the services: `python hosts.py NAME PLACE` serves at a Unix socket until it is ended.

PYTHONPATH has this folder and that of the runtime's tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from echoservice import Echo

from catenet.rpc import AsgiApp, WsgiApp

application = AsgiApp([Echo()])
wsgi_application = WsgiApp([Echo()])


def uvicorn(place: str) -> None:
    import uvicorn as host

    host.run(application, uds=place, log_level="critical")


def hypercorn(place: str) -> None:
    import asyncio

    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"unix:{place}"]
    config.loglevel = "CRITICAL"
    served: Any = application
    asyncio.run(serve(served, config))


def granian(place: str) -> None:
    words = ["--interface", "asgi", "--uds", place, "--log-level", "critical", "hosts:application"]
    os.chdir(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, "-m", "granian", *words])


def gunicorn(place: str) -> None:
    words = ["-b", f"unix:{place}", "--threads", "8", "--log-level", "critical", "hosts:wsgi_application"]
    os.chdir(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *words])


def waitress(place: str) -> None:
    import waitress as host

    host.serve(wsgi_application, unix_socket=place, threads=8, _quiet=True)


HOSTS = {each.__name__: each for each in (uvicorn, hypercorn, granian, gunicorn, waitress)}

if __name__ == "__main__":
    HOSTS[sys.argv[1]](sys.argv[2])
