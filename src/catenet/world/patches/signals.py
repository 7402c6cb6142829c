"""`signal`: handlers and deliveries of a process; nothing of it touches the interpreter's own signals."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import operator
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import os_error
from catenet.world.engine.current import current
from catenet.world.engine.hub import NEVER
from catenet.world.patches.credentials import real_user
from catenet.world.patches.patching import Patcher
from catenet.world.patches.tracebacks import Dumper

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply", "signal_set"]

RESERVED: Final = (32, 33)
"""Signals that the C library keeps for itself."""
CATCHABLE: Final = frozenset(range(1, signal.NSIG)) - {signal.SIGKILL, signal.SIGSTOP, *RESERVED}

SI_USER: Final = 0
SI_KERNEL: Final = 0x80
"""`si_code` of a signal from kill(2) and of one from the kernel (asm-generic/siginfo.h)."""

_Signals = signal.Signals
_Handlers = signal.Handlers


def _number(value: int) -> int:
    if not 1 <= value < signal.NSIG:
        raise ValueError("signal number out of range")
    return int(value)


def _shown(handler: Any) -> Any:
    """`SIG_DFL` and `SIG_IGN` as the members of the enumeration."""
    return _Handlers(handler) if isinstance(handler, int) else handler


def _is_main(process: Process) -> bool:
    return current.task is process.main


def _set(process: Process, number: int, handler: Any) -> Any:
    if not _is_main(process):
        raise ValueError("signal only works in main thread of the main interpreter")
    if not callable(handler) and handler not in (signal.SIG_DFL, signal.SIG_IGN):
        raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
    number = _number(number)
    if number not in CATCHABLE:
        raise os_error(22)
    previous = _get(process, number)
    process.set_handler(number, handler)
    return previous


def _get(process: Process, number: int) -> Any:
    handler = process.handlers.get(_number(number), signal.SIG_DFL)
    return _shown(handler.previous if isinstance(handler, Dumper) else handler)


def _set_wakeup(process: Process, descriptor: int, *, warn_on_full_buffer: bool = True) -> int:
    if not _is_main(process):
        raise ValueError("set_wakeup_fd only works in main thread of the main interpreter")
    if descriptor >= 0 and not process.host.kernel.file(descriptor).is_nonblocking():
        raise ValueError(f"the fd {descriptor} must be in non-blocking mode")
    previous, process.wakeup_fd = process.wakeup_fd, descriptor
    return previous


def send(process: Process, number: int) -> None:
    """Deliver a signal that the process sends to itself: its handlers run before this returns."""
    process.senders[_number(number)] = process.pid, real_user(process)
    process.deliver_to_itself(number)


def _pause(process: Process) -> None:
    task = current.task
    assert task is not None
    seen = process.signals_handled
    while process.signals_handled == seen:
        task.park("signal.pause", (), None)


def _wait_for(process: Process, wanted: Iterable[int], timeout: float | None) -> int | None:
    """Wait for one of some signals and take it instead of handling it."""
    task = current.task
    assert task is not None
    numbers = signal_set(wanted)
    for number in process.held_signals:
        if number in numbers:
            process.held_signals.remove(number)
            return number
    deadline = None if timeout is None else process.elapsed() + timeout
    process.awaited = numbers
    try:
        while not process.caught:
            left = None if deadline is None else deadline - process.elapsed()
            if left is not None and left <= 0:
                return None
            task.park("signal.sigwait", (), left)
        return process.caught.popleft()
    finally:
        process.awaited = set()


def signal_set(numbers: Iterable[int]) -> set[int]:
    """A set of signals; ValueError, TypeError."""
    found = {operator.index(number) for number in numbers}
    for number in found:
        if not 1 <= number < signal.NSIG:
            raise ValueError(f"signal number {number} out of range [1; {signal.NSIG - 1}]")
    return found


def _information(process: Process, number: int) -> signal.struct_siginfo:
    """siginfo_t of a signal that was waited for (sigaction(2)): sent by a process, or by the kernel's timer."""
    code = SI_USER if number in process.senders else SI_KERNEL
    pid, user = process.senders.pop(number, (0, 0))
    return signal.struct_siginfo((number, code, 0, pid, user, 0, user << 32 | pid))


def _wait_with_timeout(process: Process, wanted: Iterable[int], timeout: float) -> signal.struct_siginfo | None:
    """`signal.sigtimedwait`."""
    if not isinstance(timeout, int | float):
        raise TypeError(f"'{type(timeout).__name__}' object cannot be interpreted as an integer")
    if timeout < 0:
        raise ValueError("timeout must be non-negative")
    number = _wait_for(process, wanted, float(timeout))
    return None if number is None else _information(process, number)


def _wait_for_information(process: Process, wanted: Iterable[int]) -> signal.struct_siginfo:
    """`signal.sigwaitinfo`."""
    return _information(process, _wait_for(process, wanted, None) or 0)


def _interrupt_main(process: Process, number: int = signal.SIGINT) -> None:
    """`_thread.interrupt_main`: runs the handler of a signal, if the program has one, in the main thread."""
    if callable(process.handlers.get(_number(number), signal.SIG_DFL)):
        process.deliver_to_itself(number)


def _sigwait(process: Process, wanted: Iterable[int]) -> Any:
    number = _wait_for(process, wanted, None)
    return _member(number or 0)


def _sigmask(process: Process, how: int, mask: Iterable[int]) -> set[Any]:
    """Blocked signals wait until they are no longer blocked; EINVAL, ValueError."""
    how, numbers = operator.index(how), signal_set(mask) & CATCHABLE
    previous = _set_again(process.blocked_signals)
    if how == signal.SIG_BLOCK:
        process.blocked_signals |= numbers
    elif how == signal.SIG_UNBLOCK:
        process.blocked_signals -= numbers
    elif how == signal.SIG_SETMASK:
        process.blocked_signals = numbers
    else:
        raise os_error(22)
    waiting, process.held_signals = process.held_signals, []
    for number in waiting:
        process.deliver(number)
    if _is_main(process):
        process.run_signal_handlers()
    return previous


# Timers.


def _set_timer(process: Process, which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
    if which != signal.ITIMER_REAL:
        raise os_error(22)
    previous = _get_timer(process, which)
    if process.alarm is not None:
        process.alarm.cancel()
        if process.clock is not None:
            process.clock.disarm(process.alarm)
    process.alarm = None
    process.alarm_interval = interval
    if seconds > 0:
        _start_alarm(process, seconds)
    return previous


def _start_alarm(process: Process, seconds: float) -> None:
    """Let the alarm happen in `seconds` by the host's monotonic clock."""
    if process.clock is None:
        process.alarm = process.hub.timer(process.hub.now + seconds, _alarm_expired, process)
    else:
        process.alarm = process.hub.timer(NEVER, _alarm_expired, process)
        process.clock.arm(process.alarm, seconds)


def _alarm_expired(process: Process) -> None:
    if process.clock is not None and process.alarm is not None:
        process.clock.disarm(process.alarm)
    process.alarm = None
    process.senders.pop(signal.SIGALRM, None)
    if process.undeclared:
        process.switcher.computed = process.hub.now
    if process.alarm_interval > 0 and process.alive:
        _start_alarm(process, process.alarm_interval)
    process.deliver(signal.SIGALRM)


def _get_timer(process: Process, which: int) -> tuple[float, float]:
    if process.alarm is None:
        return 0.0, 0.0
    if process.clock is not None:
        return process.clock.left(process.alarm), process.alarm_interval
    return max(0.0, process.alarm.when - process.hub.now), process.alarm_interval


def _alarm(process: Process, seconds: int) -> int:
    left, _ = _set_timer(process, signal.ITIMER_REAL, float(seconds))
    return -int(-left // 1)


def _set_again(numbers: Iterable[int]) -> set[Any]:
    """Signals as members of the enumeration, where they have names."""
    return {_member(number) for number in numbers}


def _member(number: int) -> Any:
    try:
        return _Signals(number)
    except ValueError:  # one in real time
        return number


def _information_again(fields: tuple[int, ...] | None) -> signal.struct_siginfo | None:
    return None if fields is None else signal.struct_siginfo(fields)


def apply(patcher: Patcher) -> None:
    """Patch `signal`."""
    functions: dict[str, Callable[..., Any]] = {
        "signal": _set,
        "getsignal": _get,
        "siginterrupt": lambda process, number, flag: None,
    }
    forwarded: dict[str, tuple[Callable[..., Any], Callable[[Any], Any] | None]] = {
        "set_wakeup_fd": (_set_wakeup, None),
        "raise_signal": (send, None),
        "pause": (_pause, None),
        "sigwait": (_sigwait, _member),
        "sigwaitinfo": (_wait_for_information, _information_again),
        "sigtimedwait": (_wait_with_timeout, _information_again),
        "sigpending": (lambda process: _set_again(process.held_signals), _set_again),
        "pthread_sigmask": (_sigmask, _set_again),
        "pthread_kill": (lambda process, thread, number: send(process, number), None),
        "setitimer": (_set_timer, None),
        "getitimer": (_get_timer, None),
        "alarm": (_alarm, None),
    }
    for module in (signal, _signal):
        patcher.functions(module, functions)
        for name, (served, restore) in forwarded.items():
            patcher.forward(module, name, served, restore)
    patcher.forward(_thread, "interrupt_main", _interrupt_main)
