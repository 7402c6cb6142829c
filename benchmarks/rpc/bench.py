"""Servers and clients that stay up from round to round."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.harness import Failed, Sample, Unavailable
from benchmarks.rpc.callers import Caller, Client, calling
from benchmarks.rpc.lab import Running, Service, serving
from benchmarks.rpc.load import WARM_UP, Load, h2load


class Bench:
    """Servers that stay up from round to round, and clients that do until they are no longer needed.

    So a round costs little more than what it measures, and everybody is warm.
    """

    def __init__(self) -> None:
        self._servers: dict[str, Running] = {}
        self._callers: dict[str, Caller] = {}
        self._warm: set[str] = set()
        self._refused: dict[str, Unavailable | Failed] = {}
        self._standing = ExitStack()
        self._calling = ExitStack()

    def server(self, service: Service) -> Running:
        """A server that runs. What cannot be started is not tried again."""
        key = repr(service)
        if key in self._refused:
            raise self._refused[key]
        if key not in self._servers:
            try:
                self._servers[key] = self._standing.enter_context(serving(service))
            except (Unavailable, Failed) as error:
                self._refused[key] = error
                raise
        return self._servers[key]

    def load(self, service: Service, load: Load, seconds: float) -> Sample:
        """Put load on a server; it is warmed up the first time."""
        key = f"{service} {load.path} {load.content_type}"
        sample = h2load(self.server(service), load, seconds, 0.0 if key in self._warm else WARM_UP)
        self._warm.add(key)
        return sample

    def call(self, service: Service, client: Client, seconds: float) -> Sample:
        """Let a client call a server; `server` and `both` are processor time in us of a call."""
        running, key = self.server(service), f"{service} {client}"
        if key not in self._callers:
            self._callers[key] = self._calling.enter_context(calling(running, client))
        before = running.processor_seconds()
        sample = self._callers[key].call(seconds)
        spent = running.processor_seconds() - before
        sample["server"] = spent / sample["calls"] * 1e6
        sample["both"] = sample["server"] + sample["processor"]
        return sample

    def hang_up(self) -> None:
        """End all clients."""
        self._callers.clear()
        self._calling.close()

    def close(self) -> None:
        """End all clients and servers."""
        self.hang_up()
        self._servers.clear()
        self._standing.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
