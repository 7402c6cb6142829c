"""The textbook's container daemon: a service on a Unix socket whose clients may touch their own containers alone.

    catenet rpc serve containers.proto daemon:Containers --listen unix:/run/containers.sock \
        --policy policy.toml --audit audit.jsonl

A container is a process here, without namespaces: what counts is whose it is. Who calls says the kernel; what callers
may do says policy.toml. Nothing in this file decides about either, but that a new container is its creator's.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from functools import partial

from containers_pb2 import Container, ContainerName, CreateRequest, ListReply, ListRequest, LogLine
from containers_rpc import ContainersService

from catenet.net.privileges import Account, become
from catenet.rpc import Code, Context
from catenet.rpc.policy.objects import Owners

LINES = 1000
LONGEST_LINE = 64 << 10


class Running:
    """One container: its process, and the last of what it has written."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.lines: deque[str] = deque(maxlen=LINES)
        self.written = 0
        self.changed = asyncio.Condition()
        self.ended = False
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            try:
                line = await self.process.stdout.readline()
            except ValueError:  # longer than the limit
                line = b"(a line that is too long)"
            async with self.changed:
                self.ended = not line
                if line:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self.written += 1
                self.changed.notify_all()
            if not line:
                await self.process.wait()
                return

    def message(self) -> Container:
        status = self.process.returncode
        return Container(name=self.name, running=status is None, status=status or 0)


class Containers(ContainersService):
    def __init__(self) -> None:
        self._owners = Owners(most=20)
        self._containers: dict[str, Running] = {}

    def owner_of(self, name: str) -> str | None:
        """What `owner` in policy.toml means."""
        return self._owners.owner_of(name)

    async def create(self, request: CreateRequest, context: Context) -> Container:
        identity = context.peer.identity
        self._owners.add(request.name, identity)
        try:
            process = await self._start(list(request.command), context)
        except OSError as error:
            self._owners.remove(request.name)
            context.abort(Code.FAILED_PRECONDITION, f"cannot start: {error.strerror}")
        except BaseException:
            self._owners.remove(request.name)
            raise
        container = self._containers[request.name] = Running(request.name, process)
        return container.message()

    async def _start(self, command: list[str], context: Context) -> asyncio.subprocess.Process:
        """Start a program as the caller: the daemon is root, its containers are not."""
        local = context.peer.identity.local
        if local is None or local.uid is None or local.gid is None:
            context.abort(Code.FAILED_PRECONDITION, "only a caller on a Unix socket has a user to run as")
        account = Account(local.uid, local.gid, local.groups)
        changes = os.geteuid() == 0 and account.uid != 0
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            start_new_session=True,
            limit=LONGEST_LINE,
            preexec_fn=partial(become, account) if changes else None,
        )

    async def list(self, request: ListRequest, context: Context) -> ListReply:
        names = self._owners.of(context.peer.identity)
        return ListReply(containers=[self._containers[name].message() for name in names if name in self._containers])

    async def stop(self, request: ContainerName, context: Context) -> Container:
        container = self._find(request, context)
        if container.process.returncode is None:
            container.process.kill()
        await asyncio.shield(container.reading)
        return container.message()

    async def remove(self, request: ContainerName, context: Context) -> Container:
        container = self._find(request, context)
        if container.process.returncode is None:
            context.abort(Code.FAILED_PRECONDITION, "it runs")
        del self._containers[request.name]
        self._owners.remove(request.name)
        return container.message()

    async def logs(self, request: ContainerName, context: Context) -> AsyncIterator[LogLine]:
        container = self._find(request, context)
        seen = container.written - len(container.lines)
        while not container.ended or container.written > seen:
            async with container.changed:
                while container.written == seen and not container.ended:
                    await container.changed.wait()
            new = min(container.written - seen, len(container.lines))
            seen = container.written
            for line in [*container.lines][len(container.lines) - new :]:
                yield LogLine(text=line)

    def _find(self, request: ContainerName, context: Context) -> Running:
        """The policy has let the caller through, so it is its container; it may not have started yet."""
        container = self._containers.get(request.name)
        if container is None:
            context.abort(Code.UNAVAILABLE, "it is being started")
        return container
