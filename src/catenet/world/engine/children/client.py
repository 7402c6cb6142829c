"""A child on its own side: the process of the machine that fork(2) has made, in which the program goes on.

It has a copy of the whole world, of which only one process is real: the one whose thread has called fork. That one has
its objects, its threads (greenlets) and its memory here; its kernel is a `RemoteKernel`, and in the place of the hub
there is a greenlet that reads what the real hub says. A thread that waits switches there, as it would to the hub; then
the wait goes to the kernel, and whichever thread the kernel answers goes on. So the child has no order of its own.

It never computes but in its turn: all the rest of the time it waits for a message in real time, and ends when the
kernel has gone.
"""

from __future__ import annotations

import gc
import random
import signal
import sys
import threading
from _signal import SIG_DFL  # type: ignore[import-not-found]
from posix import _exit as exit_really
from posix import close, getpid, waitpid
from typing import TYPE_CHECKING, Any, Final, NoReturn

from greenlet import getcurrent, greenlet

from catenet.posix.pysocket import Socket
from catenet.posix.remote import Channel, RemoteKernel
from catenet.world.enclosure.descendants import OF_TERMINALS, end_with, ignore
from catenet.world.engine.children.wire import PRIVATE, Wire, WireError
from catenet.world.engine.children.words import AGAIN, DIE, ERROR, MAIN, VALUE, error_from
from catenet.world.engine.current import current
from catenet.world.engine.hub import NEVER
from catenet.world.engine.process import KILLED, Process
from catenet.world.patches import locks
from catenet.world.patches.patching import asked
from catenet.world.patches.threads import forget_threads

if TYPE_CHECKING:
    from catenet.world.engine.task import Task

__all__ = ["Client", "Fork", "ForkedProcess", "client", "leave"]

IGNORED: Final = (signal.SIGCHLD, *OF_TERMINALS)
"""Signals of the machine: it ends with its parent, and does not wait for children."""
CAUGHT: Final = -1
"""Disposition of a signal that has a handler."""

client: Client | None = None
"""The way to the kernel; None in the process that has it."""

_kept: Final[list[object]] = []
"""What is a copy of something that lives elsewhere, and must not be collected here: it would end its greenlets."""


class ForkedProcess(Process):
    """The process in a child: what it prints, and its end, go to the kernel."""

    def _emit(self, stream: str, line: str) -> None:
        assert client is not None
        client.tell("print", stream, line)

    def set_handler(self, number: int, handler: Any) -> None:
        """See `Process`; the kernel decides what a signal does, and has to know."""
        super().set_handler(number, handler)
        assert client is not None
        client.tell("handler", number, int(handler) if isinstance(handler, int) else CAUGHT)

    def kill(self, status: int = KILLED) -> None:
        """End at once, as `os._exit` does: what is not flushed is lost."""
        assert client is not None
        self.dying = True
        self.streams.finish_raw()
        client.exit(status)

    def _end(self, status: int) -> None:
        assert client is not None
        if not self.dying:
            self.streams.finish()  # which may have to wait until a reader has made room
            self.dying = True
        if isinstance(self.exception, KeyboardInterrupt):  # the interpreter ends by the signal then
            client.tell("handler", int(signal.SIGINT), int(SIG_DFL))
            client.call("function", "os.kill", (self.pid, int(signal.SIGINT)), {})
        client.exit(status)


class Client(Channel):
    """The child's end of the connection to the kernel."""

    def __init__(self, wire: Wire, process: Process, main: Task) -> None:
        self._wire = wire
        self._process = process
        self._hub = process.hub
        self._switcher = process.switcher
        self._threads: dict[int, Task] = {MAIN: main}
        self._numbers: dict[Task, int] = {main: MAIN}
        self._turn = MAIN
        """The thread that the kernel has answered last, whose turn it is."""
        self._next: tuple[Any, ...] | None = None
        """A message for another thread than the one that has read it."""
        self._calling: dict[int, None] = {}
        """Threads that wait for the answer to a call, in `call`."""
        self._delivered: tuple[Any, ...] | None = None
        self._begins = False
        """Whether another program begins in the place of the one that has run."""
        self.forking: Fork | None = None
        """The call of fork that is under way."""

    @property
    def descriptor(self) -> int:
        """That of the machine by which it is connected."""
        return self._wire.descriptor

    # Of the threads of the program.

    def call(self, *request: Any) -> Any:
        """See `Channel`."""
        if self.forking is not None and self.forking.has_copied():
            return self.forking.channel().call(*request)
        while True:
            self.send(request)
            _, kind, now, value, signals = self._answer()
            self._hub.now = now
            if signals:
                self._handle(signals)
            if kind == VALUE:
                return value
            if kind == ERROR:
                raise error_from(value)
            if kind != AGAIN:
                leave()

    def tell(self, *request: Any) -> None:
        """See `Channel`; it is sent with the next call."""
        if self.forking is not None and self.forking.has_copied():
            self.forking.channel().tell(*request)
        else:
            self._wire.queue(request)

    def send(self, request: tuple[Any, ...]) -> None:
        """Send what is queued and a request."""
        if self._hub.turns:
            self._pass_on_turns()
        try:
            self._wire.send(request)
        except OSError:
            leave()

    def _read(self) -> tuple[Any, ...]:
        try:
            message = self._wire.receive()
        except (WireError, OSError):
            message = None
        if message is None or message[1] == DIE:
            leave()
        return message

    def _answer(self) -> tuple[Any, ...]:
        """The answer to the thread that runs; other threads may have their turns before."""
        turn = self._turn
        message = self._read()
        if message[0] == turn:
            return message
        task = self._threads[turn]
        self._next = message
        self._calling[turn] = None
        task.suspend()
        delivered, self._delivered = self._delivered, None
        assert delivered is not None
        return delivered

    def _handle(self, signals: tuple[int, ...]) -> None:
        """Run the handlers of signals, if it is the main thread that runs, and else as soon as it does."""
        self._process.pending_signals.extend(signals)
        if current.task is self._process.main:
            self._process.run_signal_handlers()

    def _pass_on_turns(self) -> None:
        """Tell the kernel which threads have been started or woken: it gives them their turns."""
        turns = self._hub.turns
        while turns:
            task: Any = turns.popleft()
            number = self._numbers.get(task)
            if number is None:
                number = self._numbers[task] = len(self._numbers)
                self._threads[number] = task
                self.tell("start", number, task.name)
            elif not task.ended:
                self.tell("wake", number)

    def first_turn(self) -> None:
        """Wait for the first turn of the main thread."""
        self._hub.now = self._answer()[2]

    def exit(self, status: int) -> NoReturn:
        """End the child with a status."""
        try:
            self._wire.send(("exit", status))
        except OSError:
            pass
        leave()

    def begin_again(self, main: Task) -> None:
        """Have a new main thread run, when the one that runs now waits: another program is in its place."""
        self._threads, self._numbers = {MAIN: main}, {main: MAIN}
        self._calling.clear()
        self._hub.turns.clear()
        self._turn = MAIN
        self._begins = True

    # In the place of the hub.

    def run(self, ended: object = None) -> None:
        """Give threads their turns as the kernel says; never returns.

        It begins when the first thread waits, or ends; then `ended` is what the thread's greenlet has returned.
        """
        try:
            while True:
                current.task = None
                message, self._next = self._next, None
                if message is None:
                    self._turn_ends()
                    message = self._read()
                self._go_on(message)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            exit_really(1)

    def _go_on(self, message: tuple[Any, ...]) -> None:
        number, _, now, value, signals = message
        self._hub.now = now
        self._turn = number
        task = self._threads[number]
        if number in self._calling:
            del self._calling[number]
            self._delivered = message
        else:
            if signals:
                self._process.pending_signals.extend(signals)
            if value is False:
                task.expire()
        task.happen(now, 0.0)

    def _turn_ends(self) -> None:
        """Tell the kernel what the thread that had its turn waits for, or that it has ended."""
        number = self._turn
        task = self._threads[number]
        while self._begins:
            self._begins = False
            task.happen(self._hub.now, 0.0)
            current.task = None
            task = self._threads[number]
        if task.ended:
            self._ended(number)
        else:
            when = task.deadline
            self.send(
                (
                    "park",
                    task.waits_in,
                    tuple([descriptor_of(file) for file in task.waits_on]),
                    None if when == NEVER else when,
                    task.loop is not None,
                )
            )

    def _ended(self, number: int) -> None:
        if number == MAIN:
            self.exit(0)  # its thread has returned: with the main thread the process ends
        del self._threads[number]
        self.send(("ended",))


def descriptor_of(file: Any) -> int:
    """A descriptor of a remote file; -1 when it is closed."""
    numbers = file.handle.numbers
    return numbers[0] if numbers else -1


def leave() -> NoReturn:
    """End this process of the machine, for the simulated one is over; but wait for processes that it has forked.

    They would be killed with it (PR_SET_PDEATHSIG), and on the host they live on.
    """
    try:
        while True:
            waitpid(-1, 0)
    except ChildProcessError:
        pass
    finally:
        exit_really(0)


class Fork:
    """One call of fork. Until its end it stands for the hub's greenlet, to which threads switch when they wait.

    Handlers of libraries run within it (`os.register_at_fork`), in the copy before that is the child. If one waits
    there, as for a thread that it starts, a copy of the hub would go on and serve the host's other programs: so the
    copy becomes the child then. So it does when a child has forked and one makes a call, as asyncio's does since
    CPython 3.12: the connection there is still the one of its parent, who would get the answer.
    """

    def __init__(self, process: Process, wire: int, pid: int) -> None:
        """`wire` is the child's end of its connection, `pid` its number."""
        self._process = process
        self._wire = wire
        self._pid = pid
        self._parent = getpid()
        self._known = frozenset(process.tasks)
        self._hub = process.switcher.hub
        self._is_child = False
        process.switcher.hub = self
        if client is not None:
            client.forking = self

    def has_copied(self) -> bool:
        """Whether this is the copy, before it is the child or after."""
        return getpid() != self._parent

    def channel(self) -> Client:
        """The child's own connection."""
        self.become_child()
        assert client is not None
        return client

    def switch(self) -> None:
        """Let others run, as the greenlet of the hub does."""
        if self.has_copied():
            self.become_child()
            self._process.switcher.hub.switch()
        else:
            self._hub.switch()

    def end(self) -> None:
        """Give the hub its place again."""
        self._process.switcher.hub = self._hub
        if client is not None and client.forking is self:
            client.forking = None

    def become_child(self) -> None:
        """Make a child of the copy, unless it is one already; returns in its first turn."""
        if not self._is_child:
            self._is_child = True
            self.end()
            _become_child(self._process, Wire(self._wire), self._pid, self._parent, self._known)


def _become_child(process: Process, wire: Wire, pid: int, parent: int, known: frozenset[int]) -> None:
    """Turn a copy of the process that has called fork into the child; returns in its first turn.

    `parent` is the number that the machine's parent process has there, `known` are the threads before the call.
    """
    try:
        channel = _prepare(process, wire, pid, parent, known)
    except BaseException:  # what is here is a copy of the world: it may not go on as if it were the world
        sys.excepthook(*sys.exc_info())
        exit_really(1)
    channel.first_turn()


def _prepare(process: Process, wire: Wire, pid: int, parent: int, known: frozenset[int]) -> Client:
    global client
    task = current.task
    assert task is not None
    end_with(parent)
    ignore(IGNORED)
    for descriptor in PRIVATE - {wire.descriptor}:
        close(descriptor)
        PRIVATE.discard(descriptor)
    gc.disable()
    before = process.host.kernel
    started = [each for each in process.tasks.values() if each.ident not in known]
    _kept.extend([process.world, before, *process.tasks.values()])
    client = channel = Client(wire, process, task)
    asked[:] = [lambda name, args, kwargs: channel.call("function", name, args, kwargs)]
    _take_kernel(process, channel)
    _take_process(process, task, pid)
    _take_hub(process, channel)
    process.tasks |= {each.ident: each for each in started}
    process.hub.turns.extend(started)
    locks.after_fork(process)
    return channel


def _take_kernel(process: Process, channel: Client) -> None:
    before = process.host.kernel
    before.abandon()
    process.host.kernel = Socket.child_kernel = RemoteKernel(before, channel)


def _take_process(process: Process, task: Task, pid: int) -> None:
    """The one process of the copy goes on with one thread, another number and other chances."""
    moves = process.pid == pid
    process.__class__ = ForkedProcess
    process.pid = pid
    process.main = task
    forget_threads(process, task)
    process.tasks = {task.ident: task}
    process.main_thread = threading.current_thread()
    process.pending_signals.clear()
    process.held_signals.clear()
    process.children.clear()
    process.alarm = None
    process.host.processes = [process]
    world = process.world
    process.random = random.Random(world.generator(f"program/{process.host.name}/{pid}").getrandbits(256))
    process.entropy = world.generator(f"entropy/{process.host.name}/{pid}")
    process.streams.adopt(process._emit, moves)


def _take_hub(process: Process, channel: Client) -> None:
    """Put a greenlet in the place of the hub's, to which threads switch when they wait and when they end."""
    switcher, hub = process.switcher, process.hub
    before = switcher.hub
    root = getcurrent()
    while root.parent is not None and root.parent is not before:
        root = root.parent
    switcher.hub = greenlet(channel.run, before)
    root.parent = switcher.hub
    _kept.append(before)
    hub.turns.clear()
    hub.soon.clear()
